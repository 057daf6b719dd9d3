import { isIP, type Socket } from "node:net";
import { withoutMapping } from "./addresses.ts";

/** What a PROXY header says. `address` is undefined where the balancer speaks for itself, as in its health checks. */
export interface ProxyHeader {
  readonly state: "complete";
  /** Bytes of the header; what follows is the client's. */
  readonly bytes: number;
  readonly address: string | undefined;
}
export type ProxyReading = ProxyHeader | { readonly state: "partial" } | { readonly state: "invalid"; readonly reason: string };

/** "\r\n\r\n\0\r\nQUIT\n" */
const SIGNATURE = Buffer.from("0d0a0d0a000d0a515549540a", "hex");
const V1_START = Buffer.from("PROXY ");
/** "PROXY UNKNOWN", two addresses of IPv6 and two ports, CRLF: the specification's worst case. */
const V1_MAX_BYTES = 107;
/** What the specification says fits into the smallest TCP segment; extensions that need more are refused. */
const V2_MAX_BYTES = 536;
const V2_HEADER_BYTES = 16;

const PARTIAL = { state: "partial" } as const;
const invalid = (reason: string): ProxyReading => ({ state: "invalid", reason });

/**
 * Reads a PROXY protocol header, version 1 or 2, at the start of what a connection has sent so far
 * (https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt). `partial` is answered only to what may still become a header,
 * and never to more than 536 bytes. The extensions (TLVs) of version 2 are skipped.
 */
export function readProxyHeader(buffer: Buffer): ProxyReading {
  if (startsLike(buffer, SIGNATURE)) return buffer.length < V2_HEADER_BYTES ? PARTIAL : readVersion2(buffer);
  if (startsLike(buffer, V1_START)) return readVersion1(buffer);
  return invalid("no PROXY header");
}

/** Whether the shorter of the two is the beginning of the other. */
function startsLike(buffer: Buffer, start: Buffer): boolean {
  const bytes = Math.min(buffer.length, start.length);
  return buffer.compare(start, 0, bytes, 0, bytes) === 0;
}

function readVersion1(buffer: Buffer): ProxyReading {
  const end = buffer.subarray(0, V1_MAX_BYTES).indexOf("\r\n");
  if (end === -1) return buffer.length < V1_MAX_BYTES ? PARTIAL : invalid("a version 1 header of more than 107 bytes");
  const bytes = end + 2;
  const [, family = "", ...rest] = buffer.toString("latin1", 0, end).split(" ");
  // The rest of an UNKNOWN line means nothing.
  if (family === "UNKNOWN") return { state: "complete", bytes, address: undefined };
  const version = family === "TCP4" ? 4 : family === "TCP6" ? 6 : 0;
  if (version === 0) return invalid("a version 1 header of an unknown family");
  const [source = "", destination = "", sourcePort = "", destinationPort = ""] = rest;
  const isSound =
    rest.length === 4 &&
    isPlainAddress(source, version) &&
    isPlainAddress(destination, version) &&
    isPort(sourcePort) &&
    isPort(destinationPort);
  return isSound ? { state: "complete", bytes, address: withoutMapping(source) } : invalid("a version 1 header that cannot be read");
}

/** Without the zone that Node allows behind an address of IPv6. */
const isPlainAddress = (text: string, version: number): boolean => isIP(text) === version && !text.includes("%");
const isPort = (text: string): boolean => /^(0|[1-9]\d{0,4})$/.test(text) && Number(text) <= 65_535;

function readVersion2(buffer: Buffer): ProxyReading {
  const versionAndCommand = buffer.readUInt8(12);
  const family = buffer.readUInt8(13);
  const length = buffer.readUInt16BE(14);
  const bytes = V2_HEADER_BYTES + length;
  if (bytes > V2_MAX_BYTES) return invalid("a version 2 header of more than 536 bytes");
  if (versionAndCommand >> 4 !== 2) return invalid("a header of another version");
  const command = versionAndCommand & 15;
  if (command > 1) return invalid("a version 2 header with an unknown command");
  const addressBytes = command === 0 || family === 0 ? 0 : ADDRESS_BYTES[family];
  if (addressBytes === undefined) return invalid("a version 2 header of another family than TCP over IP");
  if (length < addressBytes) return invalid("a version 2 header too short for its addresses");
  if (buffer.length < bytes) return PARTIAL;
  const address = addressBytes === 0 ? undefined : addressOf(buffer.subarray(V2_HEADER_BYTES, V2_HEADER_BYTES + addressBytes));
  return { state: "complete", bytes, address };
}

/** Source and destination with their ports, by address family and transport (stream only). */
const ADDRESS_BYTES: Readonly<Record<number, number>> = { 0x11: 12, 0x21: 36 };

function addressOf(block: Buffer): string {
  if (block.length === 12) return block.subarray(0, 4).join(".");
  const groups = Array.from({ length: 8 }, (_, index) => block.readUInt16BE(index * 2).toString(16));
  return withoutMapping(groups.join(":"));
}

/** The header is not one, or did not come in time. */
export class ProxyHeaderError extends Error {}

/**
 * Takes the header off a connection of a balancer and leaves the socket paused, with what came behind the header unread.
 * Resolves to the client's address, undefined where the balancer speaks for itself; rejects with {@link ProxyHeaderError}.
 */
export function takeProxyHeader(socket: Socket, timeoutMs: number): Promise<string | undefined> {
  const { promise, resolve, reject } = Promise.withResolvers<string | undefined>();
  let seen: Buffer = Buffer.alloc(0);
  const fail = (reason: string): void => {
    stop();
    reject(new ProxyHeaderError(reason));
  };
  const onGone = (): void => fail("closed before its PROXY header");
  const onData = (chunk: Buffer): void => {
    seen = seen.length === 0 ? chunk : Buffer.concat([seen, chunk]);
    const reading = readProxyHeader(seen);
    if (reading.state === "partial") return;
    if (reading.state === "invalid") return fail(reading.reason);
    stop();
    if (seen.length > reading.bytes) socket.unshift(seen.subarray(reading.bytes));
    // Not in the turn that read it: who reads next must find the stream at rest.
    setImmediate(resolve, reading.address);
  };
  const timer = setTimeout(fail, timeoutMs, "no PROXY header in time");
  function stop(): void {
    clearTimeout(timer);
    socket.pause();
    socket.off("data", onData).off("end", onGone).off("close", onGone);
  }
  socket.on("data", onData).on("end", onGone).on("close", onGone);
  socket.resume();
  return promise;
}
