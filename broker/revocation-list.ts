import { type KeyObject, verify } from "node:crypto";

/** One certificate revocation list [RFC 5280 5], read but not trusted yet. */
export interface RevocationList {
  /** Serial numbers in hexadecimal: capitals, no leading zeros. */
  readonly serials: readonly string[];
  /** When a newer one should be there, ms since 1970; undefined when the list does not say. */
  readonly nextUpdate: number | undefined;
  isSignedBy(key: KeyObject): boolean;
}

/**
 * The lists of a file: one in DER, or any number in PEM. Throws an Error that says what is wrong: broken, of a signature
 * algorithm that is not served, or a delta or indirect list, whose entries cannot be read alone.
 * Own code, since the library for the rest stops at some thousand entries and OpenSSL's lists do not tell who is on them.
 */
export function parseRevocationLists(file: Buffer): RevocationList[] {
  const text = file.toString("latin1");
  if (!text.includes("-----BEGIN")) return [parseList(file)];
  const blocks = [...text.matchAll(/-----BEGIN X509 CRL-----([A-Za-z0-9+/=\s]+)-----END X509 CRL-----/g)];
  if (blocks.length === 0 || blocks.length !== text.split("-----BEGIN").length - 1) throw new Error("it is not a whole list in PEM");
  return blocks.map(([, base64 = ""]) => parseList(Buffer.from(base64, "base64")));
}

/** A serial number as both sides of a comparison write it. */
export const serialOf = (hex: string): string => hex.toUpperCase().replace(/^0+(?=.)/, "");

const BROKEN = "it is broken, or no revocation list";
const SEQUENCE = 0x30;
const INTEGER = 0x02;
const BOOLEAN = 0x01;
const BIT_STRING = 0x03;
const OID = 0x06;
const UTC_TIME = 0x17;
const GENERALIZED_TIME = 0x18;
const EXTENSIONS = 0xa0;

/** Signature algorithms in DER, and the hash that `verify` wants; null for those that bring their own. */
const HASHES: ReadonlyMap<string, string | null> = new Map([
  ["2a8648ce3d040302", "sha256"],
  ["2a8648ce3d040303", "sha384"],
  ["2a8648ce3d040304", "sha512"],
  ["2a864886f70d01010b", "sha256"],
  ["2a864886f70d01010c", "sha384"],
  ["2a864886f70d01010d", "sha512"],
  ["2b6570", null],
]);
/** The only critical extension that changes nothing in what the list says: which part of the certificates it covers. */
const ISSUING_DISTRIBUTION_POINT = "551d1c";

interface Element {
  readonly tag: number;
  readonly content: Buffer;
  /** With tag and length. */
  readonly whole: Buffer;
}

function parseList(der: Buffer): RevocationList {
  const [list, ...rest] = elementsOf(der);
  if (list?.tag !== SEQUENCE || rest.length > 0) throw new Error("it is not a list in DER");
  const [body, algorithm, signature] = elementsOf(list.content);
  const parts = elementsOf(expected(body, SEQUENCE).content);
  if (parts[0]?.tag === INTEGER) parts.shift();
  const [signedAlgorithm, issuer, thisUpdate, ...more] = parts;
  expected(issuer, SEQUENCE);
  timeOf(thisUpdate);
  const nextUpdate = more[0]?.tag === UTC_TIME || more[0]?.tag === GENERALIZED_TIME ? timeOf(more.shift()) : undefined;
  const entries = more[0]?.tag === SEQUENCE ? (more.shift() as Element).content : Buffer.alloc(0);
  if (more[0]?.tag === EXTENSIONS) {
    const extensions = elementsOf(expected(elementsOf(more[0].content)[0], SEQUENCE).content);
    if (extensions.some((one) => isCritical(one) && oidOf(one) !== ISSUING_DISTRIBUTION_POINT))
      throw new Error("it is a delta list, or has another critical extension");
  }
  // The second mention is not signed.
  if (!expected(algorithm, SEQUENCE).whole.equals(expected(signedAlgorithm, SEQUENCE).whole)) throw new Error(BROKEN);
  const hash = HASHES.get(oidOf(expected(algorithm, SEQUENCE)));
  if (hash === undefined) throw new Error("its signature algorithm is not served: ECDSA, RSA (PKCS #1) and Ed25519 with SHA-2 are");
  const signed = expected(body, SEQUENCE).whole;
  const bits = expected(signature, BIT_STRING).content;
  // The first byte counts the bits left over.
  if (bits[0] !== 0) throw new Error(BROKEN);
  return {
    serials: serialsOf(entries),
    nextUpdate,
    isSignedBy: (key) => verify(hash, signed, key, bits.subarray(1)),
  };
}

/** Without an object for every part of every entry: a list may have a hundred thousand, and the event loop waits for it. */
function serialsOf(entries: Buffer): string[] {
  const serials: string[] = [];
  for (let start = 0; start < entries.length; ) {
    const entry = spanAt(entries, start);
    const serial = spanAt(entries, entry.begin);
    const date = spanAt(entries, serial.end);
    if (entry.tag !== SEQUENCE || serial.tag !== INTEGER || date.end > entry.end) throw new Error(BROKEN);
    if (date.end < entry.end) {
      const [extensions] = elementsOf(entries.subarray(date.end, entry.end));
      if (elementsOf(expected(extensions, SEQUENCE).content).some(isCritical)) throw new Error("it is an indirect list");
    }
    serials.push(serialOf(entries.toString("hex", serial.begin, serial.end)));
    start = entry.end;
  }
  return serials;
}

function isCritical(extension: Element): boolean {
  const [, critical] = elementsOf(extension.content);
  return critical?.tag === BOOLEAN && critical.content[0] !== 0;
}

function oidOf(sequence: Element): string {
  return expected(elementsOf(sequence.content)[0], OID).content.toString("hex");
}

function expected(element: Element | undefined, tag: number): Element {
  if (element?.tag !== tag) throw new Error(BROKEN);
  return element;
}

/** YYMMDDHHMMSSZ until 2049 and YYYYMMDDHHMMSSZ after, always in UTC. */
function timeOf(element: Element | undefined): number {
  const text = element?.content.toString("latin1") ?? "";
  const [, year = "", rest = ""] = /^(\d{2}|\d{4})(\d{10})Z$/.exec(text) ?? [];
  const century = year.length === 4 ? "" : Number(year) < 50 ? "20" : "19";
  const time = Date.parse(`${century}${year}${rest}`.replace(/^(....)(..)(..)(..)(..)(..)$/, "$1-$2-$3T$4:$5:$6Z"));
  if (Number.isNaN(time)) throw new Error(BROKEN);
  return time;
}

function elementsOf(der: Buffer): Element[] {
  const elements: Element[] = [];
  for (let start = 0; start < der.length; ) {
    const { tag, begin, end } = spanAt(der, start);
    elements.push({ tag, content: der.subarray(begin, end), whole: der.subarray(start, end) });
    start = end;
  }
  return elements;
}

/** Where the content of the element at `start` begins and ends. */
function spanAt(der: Buffer, start: number): { readonly tag: number; readonly begin: number; readonly end: number } {
  const tag = der[start] ?? 0;
  const first = der[start + 1] ?? 0x80;
  const lengthBytes = first < 0x80 ? 0 : first - 0x80;
  const begin = start + 2 + lengthBytes;
  if (first === 0x80 || lengthBytes > 4 || begin > der.length) throw new Error(BROKEN);
  const end = begin + (lengthBytes === 0 ? first : der.readUIntBE(start + 2, lengthBytes));
  if (end > der.length) throw new Error("it is cut off");
  return { tag, begin, end };
}
