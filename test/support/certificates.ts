import "reflect-metadata";
import { KeyObject, randomBytes, webcrypto } from "node:crypto";
import * as x509 from "@peculiar/x509";

const DAY_MS = 86_400_000;
const EC = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
export const SERVER_USE = "1.3.6.1.5.5.7.3.1";
export const CLIENT_USE = "1.3.6.1.5.5.7.3.2";

export interface Pair {
  readonly cert: string;
  readonly key: string;
  /** Hexadecimal. */
  readonly serial: string;
}

export interface Wanted {
  readonly name: string;
  readonly alternatives?: { readonly type: "dns" | "url" | "ip" | "email"; readonly value: string }[];
  /** Object identifiers; [] leaves the extension out. */
  readonly uses?: readonly string[];
  readonly fromDays?: number;
  readonly toDays?: number;
  readonly serial?: string;
}

export interface TestAuthority extends Pair {
  issue(wanted: Wanted): Promise<Pair>;
  /** An authority below this one. */
  intermediate(name: string): Promise<TestAuthority>;
  /** A revocation list in DER. */
  revoke(serials: readonly string[], options?: { readonly nextUpdateDays?: number }): Promise<Buffer>;
}

export const makeTestAuthority = (name: string): Promise<TestAuthority> => makeAuthority(name, undefined);

interface Signer {
  readonly cert: x509.X509Certificate;
  readonly keys: webcrypto.CryptoKeyPair;
}

async function makeAuthority(name: string, parent: Signer | undefined): Promise<TestAuthority> {
  const keys = await webcrypto.subtle.generateKey(EC, true, ["sign", "verify"]);
  const uses = x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign;
  const extensions = [new x509.BasicConstraintsExtension(true, undefined, true), new x509.KeyUsagesExtension(uses, true)];
  const { cert, serial } = await make({ name, toDays: 3_650 }, { keys, parent, extensions });
  const self = { cert, keys };
  return {
    ...pairOf(cert, keys, serial),
    async issue(wanted) {
      const own = await webcrypto.subtle.generateKey(EC, true, ["sign", "verify"]);
      const extended = wanted.uses ?? [CLIENT_USE];
      const made = await make(wanted, {
        keys: own,
        parent: self,
        extensions: [
          new x509.BasicConstraintsExtension(false, undefined, true),
          ...(extended.length > 0 ? [new x509.ExtendedKeyUsageExtension([...extended])] : []),
          ...(wanted.alternatives ? [new x509.SubjectAlternativeNameExtension(wanted.alternatives)] : []),
        ],
      });
      return pairOf(made.cert, own, made.serial);
    },
    intermediate: (below) => makeAuthority(below, self),
    async revoke(serials, { nextUpdateDays = 7 } = {}) {
      const list = await x509.X509CrlGenerator.create({
        issuer: cert.subject,
        thisUpdate: new Date(Date.now() - DAY_MS * 8),
        nextUpdate: new Date(Date.now() + DAY_MS * nextUpdateDays),
        entries: serials.map((serialNumber) => ({ serialNumber, revocationDate: new Date() })),
        signingKey: keys.privateKey,
        signingAlgorithm: EC,
      });
      return Buffer.from(list.rawData);
    },
  };
}

async function make(
  { name, fromDays = -1, toDays = 30, serial = `41${randomBytes(8).toString("hex")}` }: Wanted,
  { keys, parent, extensions }: { keys: webcrypto.CryptoKeyPair; parent: Signer | undefined; extensions: x509.Extension[] },
): Promise<{ cert: x509.X509Certificate; serial: string }> {
  const cert = await x509.X509CertificateGenerator.create({
    serialNumber: serial,
    subject: [{ CN: [name] }],
    issuer: parent ? parent.cert.subjectName : [{ CN: [name] }],
    notBefore: new Date(Date.now() + fromDays * DAY_MS),
    notAfter: new Date(Date.now() + toDays * DAY_MS),
    publicKey: keys.publicKey,
    signingKey: (parent?.keys ?? keys).privateKey,
    signingAlgorithm: EC,
    extensions,
  });
  return { cert, serial };
}

const pairOf = (cert: x509.X509Certificate, keys: webcrypto.CryptoKeyPair, serial: string): Pair => ({
  cert: `${cert.toString("pem")}\n`,
  key: exportKey(keys.privateKey),
  serial,
});

const exportKey = (key: webcrypto.CryptoKey): string => KeyObject.from(key).export({ type: "pkcs8", format: "pem" }).toString();

const KEY_KINDS = {
  "P-256": EC,
  "P-384": { name: "ECDSA", namedCurve: "P-384", hash: "SHA-384" },
  Ed25519: { name: "Ed25519" },
  "RSA-2048": { name: "RSASSA-PKCS1-v1_5", modulusLength: 2_048, publicExponent: new Uint8Array([1, 0, 1]), hash: "SHA-256" },
  "RSA-1024": { name: "RSASSA-PKCS1-v1_5", modulusLength: 1_024, publicExponent: new Uint8Array([1, 0, 1]), hash: "SHA-256" },
} as const;
export type KeyKind = keyof typeof KEY_KINDS;

/** A device's certificate request, and the key that stays with it. */
export async function makeRequest(name = "a device", kind: KeyKind = "P-256"): Promise<{ readonly csr: string; readonly key: string }> {
  const algorithm = KEY_KINDS[kind];
  const keys = (await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"])) as webcrypto.CryptoKeyPair;
  const request = await x509.Pkcs10CertificateRequestGenerator.create({ name: [{ CN: [name] }], keys, signingAlgorithm: algorithm });
  return { csr: request.toString("pem"), key: exportKey(keys.privateKey) };
}

/** DER as the text around it would have it. */
export const pemOf = (label: string, der: Buffer): string =>
  `-----BEGIN ${label}-----\n${(der.toString("base64").match(/.{1,64}/g) ?? []).join("\n")}\n-----END ${label}-----\n`;
