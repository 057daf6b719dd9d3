import { createPrivateKey, createPublicKey, KeyObject, randomBytes, webcrypto } from "node:crypto";
import { isIP } from "node:net";
import type * as X509 from "@peculiar/x509";
import { deviceUrn } from "../core/certificate.ts";
import { DAY_MS } from "../core/durations.ts";

const AUTHORITY_DAYS = 3652;
/** Clients of Apple refuse a server certificate of a private authority that runs longer than 825 days; two are the back-dating. */
const SERVER_DAYS = 823;
/** A device whose clock is a little behind must not refuse a certificate that was made a moment ago. */
const BACKDATED_MS = DAY_MS;
const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };

/** A certificate with its private key, both PEM. */
export interface CertifiedKey {
  readonly cert: string;
  readonly key: string;
}

/** A new certificate authority for this hub alone: EC P-256, ten years, may sign servers and devices and no further authority. */
export async function makeAuthority(now: number): Promise<CertifiedKey> {
  const x509 = await loadX509();
  const keys = await makeKeys();
  const cert = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: newSerial(),
    // Distinct names keep a client that was given two hubs' authorities from trying the wrong one.
    name: [{ CN: [`Hexahub CA ${randomBytes(4).toString("hex")}`] }],
    notBefore: new Date(now - BACKDATED_MS),
    notAfter: new Date(now + AUTHORITY_DAYS * DAY_MS),
    keys,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { cert: pem(cert), key: exportKey(keys.privateKey) };
}

/**
 * A server certificate with a key of its own for `names` (host names and IP addresses, the first is the subject),
 * signed by `authority` and never outliving it.
 */
export async function issueServerCertificate(authority: CertifiedKey, names: readonly string[], now: number): Promise<CertifiedKey> {
  const x509 = await loadX509();
  const keys = await makeKeys();
  const issuer = new x509.X509Certificate(authority.cert);
  const cert = await x509.X509CertificateGenerator.create({
    serialNumber: newSerial(),
    subject: [{ CN: [(names[0] ?? "hexahub").slice(0, 64)] }],
    issuer: issuer.subjectName,
    notBefore: new Date(Math.max(now - BACKDATED_MS, issuer.notBefore.getTime())),
    notAfter: new Date(Math.min(now + SERVER_DAYS * DAY_MS, issuer.notAfter.getTime())),
    publicKey: keys.publicKey,
    signingKey: createPrivateKey(authority.key).toCryptoKey(ALGORITHM, false, ["sign"]),
    signingAlgorithm: ALGORITHM,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension(["1.3.6.1.5.5.7.3.1" /* server authentication */]),
      new x509.SubjectAlternativeNameExtension(
        names.map((name) => ({ type: isIP(name) ? ("ip" as const) : ("dns" as const), value: name })),
      ),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey),
    ],
  });
  return { cert: pem(cert), key: exportKey(keys.privateKey) };
}

/**
 * A client certificate for the device `uid` and the key that signed `csr` (PEM), by `authority` and never outliving it.
 * Throws {@link BadRequestError} for a request that is not one, is not signed by its own key, or whose key is too weak.
 */
export async function issueDeviceCertificate(
  authority: CertifiedKey,
  { uid, csr, days }: { readonly uid: string; readonly csr: string; readonly days: number },
  now: number,
): Promise<string> {
  const x509 = await loadX509();
  const publicKey = await provenKey(x509, csr);
  const issuer = new x509.X509Certificate(authority.cert);
  const cert = await x509.X509CertificateGenerator.create({
    serialNumber: newSerial(),
    subject: [{ CN: [uid] }],
    issuer: issuer.subjectName,
    notBefore: new Date(Math.max(now - BACKDATED_MS, issuer.notBefore.getTime())),
    notAfter: new Date(Math.min(now + days * DAY_MS, issuer.notAfter.getTime())),
    publicKey,
    signingKey: createPrivateKey(authority.key).toCryptoKey(ALGORITHM, false, ["sign"]),
    signingAlgorithm: ALGORITHM,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension(["1.3.6.1.5.5.7.3.2" /* client authentication */]),
      new x509.SubjectAlternativeNameExtension([{ type: "url", value: deviceUrn(uid) }]),
      await x509.SubjectKeyIdentifierExtension.create(publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey),
    ],
  });
  return pem(cert);
}

/** A certificate request that cannot be signed; the message may be shown to whoever sent it. */
export class BadRequestError extends Error {
  override readonly name = "BadRequestError";
}

async function provenKey(x509: typeof X509, csr: string): Promise<X509.PublicKey> {
  try {
    const request = new x509.Pkcs10CertificateRequest(csr);
    const key = createPublicKey({ key: Buffer.from(request.publicKey.rawData), format: "der", type: "spki" });
    if (!isStrong(key)) throw new BadRequestError("the key is none of EC P-256, P-384 or P-521, Ed25519, and RSA of 2,048 to 4,096 bits");
    if (!(await request.verify())) throw new BadRequestError("the request is not signed by its own key");
    return request.publicKey;
  } catch (cause) {
    if (cause instanceof BadRequestError) throw cause;
    throw new BadRequestError("this is no certificate request in PEM (PKCS #10)", { cause });
  }
}

function isStrong({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): boolean {
  const { namedCurve = "", modulusLength = 0 } = asymmetricKeyDetails ?? {};
  if (asymmetricKeyType === "ec") return ["prime256v1", "secp384r1", "secp521r1"].includes(namedCurve);
  return asymmetricKeyType === "ed25519" || (asymmetricKeyType === "rsa" && modulusLength >= 2_048 && modulusLength <= 4_096);
}

/** Loaded only when there is something to sign: it costs a start 80 ms. */
async function loadX509(): Promise<typeof X509> {
  // Its dependency container refuses to load without.
  await import("reflect-metadata");
  return import("@peculiar/x509");
}

async function makeKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
}

function exportKey(key: webcrypto.CryptoKey): string {
  return KeyObject.from(key).export({ type: "pkcs8", format: "pem" }).toString();
}

function pem(cert: { toString(format: "pem"): string }): string {
  return `${cert.toString("pem").trimEnd()}\n`;
}

/** Positive and 126 random bits: serial numbers of one authority must never repeat. */
function newSerial(): string {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return bytes.toString("hex");
}
