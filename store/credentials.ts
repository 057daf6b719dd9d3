import { createSecretKey, type KeyObject } from "node:crypto";
import jwt from "jsonwebtoken";
import { isUuid, newId, newSecret } from "../core/id.ts";
import type { DevicePrincipal } from "../core/principal.ts";
import type { KeyPurpose } from "../core/signing-key.ts";
import type { Db } from "./open.ts";
import { type SigningKey, type SigningKeys, tokenHash, withKeys } from "./secrets.ts";
import { engineOf, isoOf, placesFor, rowsOf, toJson } from "./sql.ts";

const PREFIX = "hxd";

/** A 256-bit token, shown once and kept as HMAC-SHA-256. */
export async function issueDeviceToken(db: Db, keys: SigningKeys, deviceId: string): Promise<{ credentialId: string; token: string }> {
  const credentialId = newId();
  const token = newSecret(PREFIX);
  const key = keys.active("token_hmac");
  await db("device_credentials").insert({
    id: credentialId,
    device_id: deviceId,
    kind: "token",
    secret_hash: tokenHash(key, token),
    kid: key.kid,
    created_at: isoOf(Date.now()),
  });
  return { credentialId, token };
}

/** HS256 with `kid` in the header and `exp`, `jti` (the credential's id) and `device_id` (the UUID) as claims. */
export async function issueDeviceJwt(
  db: Db,
  keys: SigningKeys,
  deviceId: string,
  ttlMs: number,
): Promise<{ credentialId: string; jwt: string; expiresAt: string }> {
  const credentialId = newId();
  const key = keys.active("device_jwt");
  const now = Date.now();
  const exp = Math.floor((now + ttlMs) / 1000);
  const expiresAt = isoOf(exp * 1000);
  const token = jwt.sign({ device_id: deviceId, jti: credentialId, iat: Math.floor(now / 1000), exp }, keyObjectOf(key), {
    algorithm: "HS256",
    keyid: key.kid,
  });
  await db("device_credentials").insert({
    id: credentialId,
    device_id: deviceId,
    kind: "jwt",
    kid: key.kid,
    expires_at: expiresAt,
    created_at: isoOf(now),
  });
  return { credentialId, jwt: token, expiresAt };
}

/** `secret` is a token or a JWT of the device `uid`. undefined for everything that does not prove it, without saying why. */
export async function authenticateDevice(
  db: Db,
  keys: SigningKeys,
  uid: string,
  secret: string,
  now: number,
): Promise<DevicePrincipal | undefined> {
  const claims = await verifyJwt(keys, "device_jwt", secret, now);
  let row: CredentialRow | undefined;
  if (claims) row = await findCredential(db, uid, jwtProof(claims));
  else if (secret.startsWith(`${PREFIX}_`))
    row = await withKeys(keys, "token_hmac", (known) => findCredential(db, uid, tokenProof(known, secret)));
  if (!row || (row.expiresAt !== null && Date.parse(row.expiresAt) <= now)) return undefined;
  return { kind: "device", id: row.id, uid, credentialId: row.credentialId };
}

interface Proof {
  readonly condition: string;
  readonly bindings: readonly string[];
}

interface CredentialRow {
  readonly credentialId: string;
  readonly id: string;
  readonly expiresAt: string | null;
}

async function findCredential(db: Db, uid: string, proof: Proof | undefined): Promise<CredentialRow | undefined> {
  if (!proof) return undefined;
  // Written out: a thousand devices that come back at once are a thousand of these.
  const [row] = await rowsOf<CredentialRow>(
    db,
    `select c.id as "credentialId", d.id, c.expires_at as "expiresAt" from device_credentials c join devices d on d.id = c.device_id
     where d.uid = ? and c.revoked_at is null and ${proof.condition}`,
    [uid, ...proof.bindings],
  );
  return row;
}

function jwtProof({ jti, device_id: deviceId }: Record<string, unknown>): Proof | undefined {
  if (typeof jti !== "string" || typeof deviceId !== "string") return undefined;
  return { condition: "c.id = ? and c.kind = 'jwt' and c.device_id = ?", bindings: [jti, deviceId] };
}

function tokenProof(keys: readonly SigningKey[], secret: string): Proof {
  const hashes = keys.map((key) => tokenHash(key, secret));
  return { condition: `c.kind = 'token' and c.secret_hash in (${placesFor(hashes)})`, bindings: hashes };
}

/** What the store keeps of a device's TLS client certificate. */
export interface CertificateRecord {
  /** SHA-256: hexadecimal, small letters. */
  readonly fingerprint: string;
  readonly serialNumber: string;
  /** ms since 1970. */
  readonly notAfter: number;
}

/**
 * Keeps the certificate as a credential of the device, which is how it is listed and revoked; one that is known stays
 * as it is. Expired ones of the device go, so that certificates of a day do not pile up. Answers the credential's id.
 */
export async function recordCertificate(db: Db, deviceId: string, certificate: CertificateRecord, now: number): Promise<string> {
  await db("device_credentials").where({ device_id: deviceId, kind: "certificate" }).where("expires_at", "<", isoOf(now)).delete();
  const secretHash = certificateKey(certificate.fingerprint);
  await db("device_credentials")
    .insert({
      id: newId(),
      device_id: deviceId,
      kind: "certificate",
      secret_hash: secretHash,
      kid: certificate.serialNumber,
      expires_at: isoOf(certificate.notAfter),
      created_at: isoOf(now),
    })
    .onConflict("secret_hash")
    .ignore();
  const [row] = await rowsOf<{ id: string }>(db, "select id from device_credentials where secret_hash = ?", [secretHash]);
  return (row as { id: string }).id;
}

/** The credential that a certificate is, and whose; undefined when it was never recorded. */
export async function findCertificate(
  db: Db,
  fingerprint: string,
): Promise<{ readonly credentialId: string; readonly deviceId: string; readonly uid: string; readonly isRevoked: boolean } | undefined> {
  const [row] = await rowsOf<{ credentialId: string; deviceId: string; uid: string; revokedAt: string | null }>(
    db,
    `select c.id as "credentialId", d.id as "deviceId", d.uid, c.revoked_at as "revokedAt"
     from device_credentials c join devices d on d.id = c.device_id where c.kind = 'certificate' and c.secret_hash = ?`,
    [certificateKey(fingerprint)],
  );
  return row && { credentialId: row.credentialId, deviceId: row.deviceId, uid: row.uid, isRevoked: row.revokedAt !== null };
}

/** Beside the hashes of tokens, which are hexadecimal alone. */
const certificateKey = (fingerprint: string): string => `sha256:${fingerprint}`;

export interface Credential {
  readonly id: string;
  readonly kind: "token" | "jwt" | "certificate" | "api_key";
  readonly createdAt: string;
  readonly expiresAt: string | null;
  readonly revokedAt: string | null;
  readonly lastUsedAt: string | null;
}

/** Oldest first, the revoked ones too; never a secret. */
export async function listCredentials(db: Db, deviceId: string): Promise<Credential[]> {
  const rows = await db("device_credentials").where({ device_id: deviceId }).orderBy("id").select({
    id: "id",
    kind: "kind",
    createdAt: "created_at",
    expiresAt: "expires_at",
    revokedAt: "revoked_at",
    lastUsedAt: "last_used_at",
  });
  return rows as Credential[];
}

/** Revokes all of the device's credentials, or `only` that one, or all `except` that one. Answers the ids that were valid until now. */
export async function revokeCredentials(
  db: Db,
  deviceId: string,
  which: { only?: string | undefined; except?: string | undefined },
  now: number,
): Promise<string[]> {
  const query = db("device_credentials").where({ device_id: deviceId }).whereNull("revoked_at");
  if (which.only !== undefined) query.where({ id: which.only });
  if (which.except !== undefined) query.whereNot({ id: which.except });
  const rows = (await query.update({ revoked_at: isoOf(now) }).returning("id")) as { id: string }[];
  return rows.map((row) => row.id);
}

/** Those of these credentials, access tokens and logins that were taken back. */
export async function revokedAmong(db: Db, ids: readonly string[]): Promise<string[]> {
  if (ids.length === 0) return [];
  const among = engineOf(db) === "postgres" ? "(select jsonb_array_elements_text(?::jsonb))" : "(select value from json_each(?))";
  const sources = ["device_credentials where revoked_at", "access_tokens where revoked_at", "logins where ended_at"];
  const rows = await rowsOf<{ id: string }>(
    db,
    sources.map((source) => `select id from ${source} is not null and id in ${among}`).join(" union all "),
    sources.map(() => toJson(ids)),
  );
  return rows.map(({ id }) => id);
}

/** The claims of a JWT that one of our keys of that purpose signed and that has not expired. The algorithm is ours to say, never the token's. */
export async function verifyJwt(
  keys: SigningKeys,
  purpose: KeyPurpose,
  token: string,
  now: number,
): Promise<Readonly<Record<string, unknown>> | undefined> {
  const kid = kidOf(token);
  if (kid === undefined) return undefined;
  // Another node may have made it: kids of that form are the hub's own.
  if (keys.find(purpose, kid) === undefined && isUuid(kid)) await keys.learn();
  const key = keys.find(purpose, kid);
  if (!key) return undefined;
  try {
    const claims = jwt.verify(token, keyObjectOf(key), { algorithms: ["HS256"], clockTimestamp: Math.floor(now / 1000) });
    return typeof claims === "object" && typeof claims.exp === "number" ? claims : undefined;
  } catch {
    return undefined;
  }
}

function kidOf(token: string): string | undefined {
  try {
    // decode() throws too: for a header that promises a JWT before a payload that is no JSON.
    const kid: unknown = jwt.decode(token, { complete: true })?.header.kid;
    return typeof kid === "string" ? kid : undefined;
  } catch {
    return undefined;
  }
}

const keyObjects = new WeakMap<SigningKey, KeyObject>();

/** Of bytes alone jsonwebtoken finds out by an exception that they are no PEM, each time: a tenth of what a GET costs. */
export function keyObjectOf(key: SigningKey): KeyObject {
  let object = keyObjects.get(key);
  if (object === undefined) keyObjects.set(key, (object = createSecretKey(key.secret)));
  return object;
}
