import { createHash } from "node:crypto";
import canonicalize from "canonicalize";

/**
 * RFC 8785: one text for the same JSON, whatever the order of its members and whoever writes it. Throws for what has none:
 * infinities, NaN, half a surrogate pair.
 */
export function canonicalJson(value: unknown): string {
  const text = canonicalize(value);
  if (text === undefined) throw new TypeError(`there is no JSON of ${typeof value}`);
  return text;
}

/** Canonical JSON of what is kept of the value, which every value has: for whoever compares what people have sent. */
export function comparableJson(value: unknown): string {
  try {
    return canonicalize(value) ?? "null";
  } catch {
    return canonicalize(JSON.parse(wellFormed(JSON.stringify(value)))) ?? "null";
  }
}

/** SHA-256 of the comparable JSON, in base64url. */
export const fingerprintOf = (value: unknown): string => createHash("sha256").update(comparableJson(value)).digest("base64url");

/** Of text that JSON.stringify wrote, which escapes surrogates that stand alone and no others. */
function wellFormed(json: string): string {
  return json.replaceAll(/\\(?:u(d[89a-f][0-9a-f]{2})|.)/g, (escaped, lone?: string) => (lone === undefined ? escaped : "\\ufffd"));
}
