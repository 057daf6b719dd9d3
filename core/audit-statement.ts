import { createHash, createPublicKey, type KeyObject, verify } from "node:crypto";
import Type, { type Static } from "typebox";
import { canonicalJson } from "./canonical-json.ts";

/** Everything that a row of the audit tells. */
export interface AuditRow {
  readonly id: string;
  readonly organization_id: string | null;
  readonly actor_kind: string;
  readonly actor_id: string;
  readonly action: string;
  readonly resource_type: string;
  readonly resource_id: string | null;
  /** As JSON text or parsed. */
  readonly details: unknown;
  readonly request_id: string | null;
  readonly correlation_id: string | null;
  readonly before_hash: string | null;
  readonly after_hash: string | null;
  readonly created_at: string;
}

export const STATEMENT_TYPE = "hexahub.audit.checkpoint.v1";
/** Rows of one checkpoint, at most. */
export const MOST_ROWS = 10_000;

const Hash = Type.String({ pattern: "^[A-Za-z0-9_-]{43}$", maxLength: 43 });
const Whole = Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER });
const OrNull = (schema: typeof Hash) => Type.Unsafe<string | null>({ anyOf: [schema, { type: "null" }] });

/** What is signed: its RFC 8785 form is the message. docs/audit.md explains it to whoever checks it with other tools. */
export const CheckpointStatement = Type.Object(
  {
    type: Type.Literal(STATEMENT_TYPE),
    organization_id: OrNull(Type.String({ minLength: 1, maxLength: 64 })),
    number: { ...Whole, description: "1, 2, 3 … of the chain" },
    seq: { ...Whole, description: "The last row that it is about" },
    count: Type.Integer({ minimum: 1, maximum: MOST_ROWS, description: "How many rows it is about: from seq - count + 1 on" }),
    hash: { ...Hash, description: "That row's chain_hash" },
    digest: { ...Hash, description: "SHA-256 of the SHA-256 of each of these rows" },
    previous: { ...OrNull(Hash), description: "SHA-256 of the statement before it; null for the first one" },
    ts: Type.String({ format: "date-time", maxLength: 40 }),
    key_id: Type.String({ pattern: "^[A-Za-z0-9_-]{16}$", maxLength: 16 }),
  },
  { additionalProperties: false, title: "AuditStatement" },
);
export type CheckpointStatement = Static<typeof CheckpointStatement>;

export const SignedCheckpoint = Type.Object(
  {
    statement: CheckpointStatement,
    signature: Type.String({
      pattern: "^[A-Za-z0-9_-]{86}$",
      maxLength: 86,
      description: "Ed25519, of the statement as RFC 8785 JSON, in base64url",
    }),
  },
  { title: "AuditCheckpoint" },
);
export type SignedCheckpoint = Static<typeof SignedCheckpoint>;

/** SHA-256, in base64url, of what is signed. */
export const statementHash = (statement: CheckpointStatement): string =>
  createHash("sha256").update(canonicalJson(statement)).digest("base64url");

export const firstSeqOf = ({ seq, count }: Pick<CheckpointStatement, "seq" | "count">): number => seq - count + 1;

/** Everything that a row tells but its details, in the order in which it is hashed. */
export const toldBy = (row: AuditRow): readonly (string | null)[] => [
  row.id,
  row.organization_id,
  row.actor_kind,
  row.actor_id,
  row.action,
  row.resource_type,
  row.resource_id,
  row.request_id,
  row.correlation_id,
  row.before_hash,
  row.after_hash,
  row.created_at,
];

/** SHA-256 of the row's place and of everything that it tells, as an RFC 8785 array. Anybody can work it out, unlike the chain's own links. */
export function rowHash(seq: number, row: AuditRow): Buffer {
  const told = JSON.stringify([seq, ...toldBy(row)]);
  return createHash("sha256")
    .update(`${told.slice(0, -1)},${detailsText(row.details)}]`)
    .digest();
}

/** Engines and exports give the same. What has no canonical form was never written by the hub: it was changed, and is to be found. */
export function detailsText(details: unknown): string {
  try {
    return canonicalJson(typeof details === "string" ? JSON.parse(details) : details);
  } catch {
    return typeof details === "string" ? details : `changed: ${JSON.stringify(details)}`;
  }
}

/** The first 96 bits of the SHA-256 of its SPKI, in base64url. */
export const keyIdOf = (publicKey: KeyObject): string =>
  createHash("sha256")
    .update(publicKey.export({ type: "spki", format: "der" }))
    .digest()
    .subarray(0, 12)
    .toString("base64url");

/** Of PEM text, however many keys are in it. Throws where one is no Ed25519 key. */
export function publicKeysOf(pem: string): Map<string, KeyObject> {
  const blocks = pem.match(/-----BEGIN PUBLIC KEY-----[^-]+-----END PUBLIC KEY-----/g) ?? [];
  const keys = blocks.map((block) => createPublicKey(block));
  if (keys.some((key) => key.asymmetricKeyType !== "ed25519")) throw new TypeError("a key is not an Ed25519 key");
  return new Map(keys.map((key) => [keyIdOf(key), key]));
}

/** `unknown_key`: nobody says that the key is the hub's. */
export type SignatureFault = "unknown_key" | "bad_signature";

export function signatureFault(
  { statement, signature }: SignedCheckpoint,
  keys: ReadonlyMap<string, KeyObject>,
): SignatureFault | undefined {
  const key = keys.get(statement.key_id);
  if (!key) return "unknown_key";
  const isGood = verify(null, Buffer.from(canonicalJson(statement)), key, Buffer.from(signature, "base64url"));
  return isGood ? undefined : "bad_signature";
}
