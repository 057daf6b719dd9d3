import assert from "node:assert/strict";
import type { IncomingMessage } from "node:http";
import { describe, test } from "node:test";
import { remoteReader } from "../../api/remote.ts";

interface Case {
  readonly claim: string;
  readonly trusted?: string[];
  readonly peer: string;
  readonly headers?: Record<string, string>;
  readonly is: { address: string; isSecure: boolean; isLocal: boolean };
}

const CASES: Case[] = [
  { claim: "a direct call from this machine is local", peer: "127.0.0.1", is: { address: "127.0.0.1", isSecure: false, isLocal: true } },
  {
    claim: "IPv4 in IPv6 is the same address",
    peer: "::ffff:127.0.0.1",
    is: { address: "::ffff:127.0.0.1", isSecure: false, isLocal: true },
  },
  { claim: "IPv6 loopback is local", peer: "::1", is: { address: "::1", isSecure: false, isLocal: true } },
  { claim: "a call from the network is not local", peer: "192.168.1.9", is: { address: "192.168.1.9", isSecure: false, isLocal: false } },
  {
    claim: "forwarded headers of a stranger change nothing",
    peer: "192.168.1.9",
    headers: { "x-forwarded-for": "127.0.0.1", "x-forwarded-proto": "https" },
    is: { address: "192.168.1.9", isSecure: false, isLocal: false },
  },
  {
    claim: "a proxy on this machine that is not trusted does not make its clients local",
    peer: "127.0.0.1",
    headers: { "x-forwarded-for": "203.0.113.5" },
    is: { address: "127.0.0.1", isSecure: false, isLocal: false },
  },
  {
    claim: "a trusted proxy says who and how",
    trusted: ["127.0.0.1"],
    peer: "127.0.0.1",
    headers: { "x-forwarded-for": "203.0.113.5", "x-forwarded-proto": "https" },
    is: { address: "203.0.113.5", isSecure: true, isLocal: false },
  },
  {
    claim: "what a client wrote before the proxy's entry is not believed",
    trusted: ["10.0.0.0/8"],
    peer: "10.1.2.3",
    headers: { "x-forwarded-for": "127.0.0.1, 203.0.113.5" },
    is: { address: "203.0.113.5", isSecure: false, isLocal: false },
  },
  {
    claim: "a chain of trusted proxies is followed",
    trusted: ["10.0.0.0/8"],
    peer: "10.1.2.3",
    headers: { "x-forwarded-for": "203.0.113.5, 10.9.9.9", "x-forwarded-proto": "https" },
    is: { address: "203.0.113.5", isSecure: true, isLocal: false },
  },
  {
    claim: "a client's own protocol claim stands left of the proxy's",
    trusted: ["10.0.0.1"],
    peer: "10.0.0.1",
    headers: { "x-forwarded-for": "203.0.113.5", "x-forwarded-proto": "https, http" },
    is: { address: "203.0.113.5", isSecure: false, isLocal: false },
  },
];

describe("where a request comes from", () => {
  for (const { claim, trusted = [], peer, headers = {}, is } of CASES) {
    test(claim, () => {
      const request = { headers, socket: { remoteAddress: peer } } as unknown as IncomingMessage;
      assert.deepEqual(remoteReader(trusted)(request), is);
    });
  }
});
