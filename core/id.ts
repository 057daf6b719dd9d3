import { randomBytes } from "node:crypto";
import { v7 } from "uuid";

/** UUID version 7: sorts by the time it was made, so that keyset pages follow the order of creation. */
export const newId = (): string => v7();

/** Sorts before every id that is made at `ms` (since 1970) or later. */
export function firstIdAt(ms: number): string {
  const time = Math.max(0, Math.trunc(ms)).toString(16).padStart(12, "0");
  return `${time.slice(0, 8)}-${time.slice(8)}-`;
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
export const isUuid = (text: string): boolean => UUID.test(text);

/** The device's name in topics: unique over all organisations, never reused. */
export const DEVICE_UID = /^[a-z0-9][a-z0-9-]{5,31}$/;
export const isDeviceUid = (text: string): boolean => DEVICE_UID.test(text);

// Without vowels and look-alikes: no accidental words, nothing to misread from a label.
const READABLE = "bcdfghjkmnpqrstvwxz23456789";

function readable(length: number): string {
  let out = "";
  while (out.length < length) {
    // Reject the bytes that would favour the first letters.
    for (const byte of randomBytes(length)) if (byte < READABLE.length * 9 && out.length < length) out += READABLE[byte % READABLE.length];
  }
  return out;
}

/** `<class prefix>-<10 letters>`, for example `relay-7kq2mzd94x`. */
export const newDeviceUid = (prefix: string): string => `${prefix}-${readable(10)}`;

/** What a person types to claim a device: 12 letters in groups of four, 57 bits. */
export const newClaimCode = (): string =>
  readable(12)
    .replace(/(.{4})(?=.)/g, "$1-")
    .toUpperCase();

/** 256 random bits as text, behind a prefix that secret scanners can recognise. */
export const newSecret = (prefix: string): string => `${prefix}_${randomBytes(32).toString("base64url")}`;

/** When a UUID of version 7 was made, in ms since 1970; undefined for every other text. */
export function timeOfId(id: string): number | undefined {
  return isUuid(id) && id[14] === "7" ? Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16) : undefined;
}
