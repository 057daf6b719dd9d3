import { checkFrame } from "../../broker/frame.ts";
import type { FrameFault } from "../../broker/frame-fault.ts";
import { type Version, variableInteger } from "../attack/packet-grammar.ts";

/** Frames written byte by byte, for the tests of their check. */

export const ALL: readonly Version[] = [3, 4, 5];
export const OLD: readonly Version[] = [3, 4];
export const NEW: readonly Version[] = [5];
export const LIMITS = { topicLevels: 8, topicBytes: 40 };

/** Bytes as hex, as text, or in the making. */
export const bytes = (...parts: (string | Buffer | number)[]): Buffer =>
  Buffer.concat(
    parts.map((part) => (typeof part === "number" ? Buffer.from([part]) : typeof part === "string" ? Buffer.from(part) : part)),
  );
export const text = (value: string | Buffer): Buffer => {
  const content = Buffer.from(value as string);
  return bytes(content.length >> 8, content.length & 0xff, content);
};
export const frame = (first: number, ...parts: (string | Buffer | number)[]): Buffer => {
  const body = bytes(...parts);
  return bytes(first, variableInteger(body.length), body);
};
export const props = (...parts: (string | Buffer | number)[]): Buffer => {
  const list = bytes(...parts);
  return bytes(variableInteger(list.length), list);
};
export const hex = (digits: string): Buffer => Buffer.from(digits, "hex");

export const check = (packet: Buffer, version: Version): FrameFault | undefined => {
  // Not at the buffer's start nor its end: offsets count.
  const stored = bytes("\xff\xff", packet, "\xff\xff\xff");
  const start = Buffer.byteLength("\xff\xff");
  return checkFrame(stored, start, start + packet.length, version, LIMITS);
};

export type Make = (version: Version) => Buffer;
export type Row = readonly [claim: string, versions: readonly Version[], make: Make];

/** No properties, where the version has them. */
export const none = (version: Version): Buffer => Buffer.alloc(version === 5 ? 1 : 0);
export const head = (version: Version): Buffer => bytes(text(version === 3 ? "MQIsdp" : "MQTT"), version);
export const connect = (version: Version, flags: number, ...payload: Buffer[]): Buffer =>
  frame(0x10, head(version), flags, 0, 60, none(version), ...payload);
export const connectWith = (...properties: (string | Buffer | number)[]): Buffer =>
  frame(0x10, head(5), 2, 0, 60, props(...properties), text("id"));
export const willWith = (...properties: (string | Buffer | number)[]): Buffer =>
  frame(0x10, head(5), 6, 0, 60, 0, text("id"), props(...properties), text("will"), text("gone"));
export const publish = (version: Version, topic: string | Buffer, first = 0x30): Buffer =>
  frame(first, text(topic), (first & 6) === 0 ? "" : "\0\x01", none(version), "payload");
export const publishWith = (...properties: (string | Buffer | number)[]): Buffer =>
  frame(0x30, text("a/b"), props(...properties), "payload");
export const subscribe = (version: Version, filter: string | Buffer, options = 0): Buffer =>
  frame(0x82, 0, 1, none(version), text(filter), options);
export const unsubscribe = (version: Version, filter: string | Buffer): Buffer => frame(0xa2, 0, 1, none(version), text(filter));
