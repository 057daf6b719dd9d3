import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";

/** Standard Webhooks 1.0: how far the sender's clock may be from ours. */
export const SIGNATURE_TOLERANCE_MS = 300_000;
const PREFIX = "whsec_";
const SECRET_BYTES = 32;
/** Of other hubs and services too. */
export const WEBHOOK_SECRET = "^whsec_[A-Za-z0-9+/]{32,88}={0,2}$";

export const newWebhookSecret = (): string => `${PREFIX}${randomBytes(SECRET_BYTES).toString("base64")}`;

/** Whether it holds 24 to 64 bytes, as the specification wants. */
export function isWebhookSecret(text: string): boolean {
  if (!new RegExp(WEBHOOK_SECRET).test(text)) return false;
  const key = keyOf(text);
  return key.length >= 24 && key.length <= 64 && key.toString("base64").replace(/=+$/, "") === text.slice(PREFIX.length).replace(/=+$/, "");
}

export interface SignedMessage {
  /** The same for every attempt of a message. */
  readonly id: string;
  /** Of the attempt, in seconds since 1970. */
  readonly timestampS: number;
  readonly body: string | Buffer;
}

/** The headers of a message; while a secret is changed, one signature of each. */
export function signedHeaders(secrets: readonly string[], message: SignedMessage): Record<string, string> {
  return {
    "webhook-id": message.id,
    "webhook-timestamp": String(message.timestampS),
    "webhook-signature": secrets.map((secret) => `v1,${signature(secret, message)}`).join(" "),
  };
}

/** More than a change of secrets needs. */
const MAX_SIGNATURES = 8;

/** Whether one of the signatures is of one of the secrets, and the time is ours. */
export function isSignedStandard(
  secrets: readonly string[],
  { id, timestampS, body, signatures }: SignedMessage & { readonly signatures: string },
  now: number,
): boolean {
  const isTimely = Math.abs(now - timestampS * 1_000) <= SIGNATURE_TOLERANCE_MS;
  const given = signatures.split(" ").slice(0, MAX_SIGNATURES);
  const expected = secrets.map((secret) => `v1,${signature(secret, { id, timestampS, body })}`);
  return anySame(given, expected) && isTimely;
}

/** `sha256=<hex>` over the body alone, as GitHub and many others sign. */
export function isSignedSha256(secrets: readonly string[], body: Buffer, header: string): boolean {
  return anySame(
    [header.toLowerCase()],
    secrets.map((secret) => `sha256=${createHmac("sha256", secret).update(body).digest("hex")}`),
  );
}

export const isToken = (secrets: readonly string[], token: string): boolean => anySame([token], secrets);

/** All are compared, whatever the first ones say. */
function anySame(given: readonly string[], expected: readonly string[]): boolean {
  let isFound = false;
  for (const one of given) for (const other of expected) isFound = isSame(one, other) || isFound;
  return isFound;
}

const COMPARED_BY = randomBytes(32);
const digest = (text: string): Buffer => createHmac("sha256", COMPARED_BY).update(text).digest();
const isSame = (a: string, b: string): boolean => timingSafeEqual(digest(a), digest(b));

const keyOf = (secret: string): Buffer => Buffer.from(secret.slice(PREFIX.length), "base64");

function signature(secret: string, { id, timestampS, body }: SignedMessage): string {
  return createHmac("sha256", keyOf(secret)).update(`${id}.${timestampS}.`).update(body).digest("base64");
}
