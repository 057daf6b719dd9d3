import { createHmac, timingSafeEqual } from "node:crypto";
import Type, { type Static } from "typebox";
import { canonicalJson } from "./canonical-json.ts";
import { COMMAND_ID, COMMANDS, type Command } from "./command.ts";
import { HubError } from "./errors.ts";
import { OnOff, StateReport } from "./state.ts";
import { msOf, Timestamp } from "./timestamp.ts";

/*
 * A task travels signed: what a device does of it is what the hub has approved, and what the hub notes of it is what the
 * device has said, whoever stands between them. Who receives an envelope remembers its task and attempt: the same once more
 * is a repetition.
 */

export const MAX_TASK_ACTIONS = 50;
/** Without its signature: a small device holds all of it in its memory. */
export const MAX_TASK_BYTES = 65_536;
/** How far the clocks of hub and device may differ, with the way between them. */
export const ENVELOPE_WINDOW_MS = 300_000;

const Id = Type.String({ pattern: COMMAND_ID });
const HEAD = { task_id: Id, attempt: Type.Integer({ minimum: 1, maximum: 1_000_000 }) };
const SEAL = {
  key_id: Type.String({ pattern: "^[1-9][0-9]{0,8}$", description: "which of the device's task keys signs it" }),
  signature: Type.String({
    pattern: "^[0-9a-f]{64}$",
    description: "HMAC-SHA-256, hexadecimal in small letters, of the RFC 8785 JSON of everything else",
  }),
};

/** One step of a task. */
export type TaskAction = Command & { readonly action_id: string };
export const TaskAction = Type.Unsafe<TaskAction>({
  type: "object",
  title: "TaskAction",
  description: "`action_id` and the fields of a command",
  discriminator: { propertyName: "command" },
  oneOf: COMMANDS.map(({ properties }) => Type.Object({ action_id: Id, ...properties }, { additionalProperties: false })),
});

/** `down/task`: do this, in this order. */
export const TaskEnvelope = Type.Object(
  {
    type: Type.Literal("task.exec"),
    ...HEAD,
    issued_at: Type.String({ format: "date-time", maxLength: 40 }),
    expires_at: Type.String({ format: "date-time", maxLength: 40 }),
    actions: Type.Array(TaskAction, { minItems: 1, maxItems: MAX_TASK_ACTIONS }),
    ...SEAL,
  },
  { additionalProperties: false, title: "TaskEnvelope" },
);
export type TaskEnvelope = Static<typeof TaskEnvelope>;

export const TaskActionResult = Type.Object(
  {
    action_id: Id,
    status: Type.Enum(["ok", "error", "skipped"]),
    state: Type.Optional(Type.Union([OnOff, StateReport])),
    error: Type.Optional(Type.String({ maxLength: 512 })),
  },
  { title: "TaskActionResult" },
);
export type TaskActionResult = Static<typeof TaskActionResult>;

/** `up/task_result`: what became of it. Open for growth, as all that devices send; the signature covers what is new, too. */
export const TaskResultEnvelope = Type.Object(
  {
    type: Type.Literal("task.result"),
    ...HEAD,
    results: Type.Array(TaskActionResult, { minItems: 1, maxItems: MAX_TASK_ACTIONS }),
    timestamp: Timestamp,
    ...SEAL,
  },
  { title: "TaskResultEnvelope" },
);
export type TaskResultEnvelope = Static<typeof TaskResultEnvelope>;

/** What is looked at, of either kind. */
export type SignedEnvelope = { readonly task_id: string; readonly attempt: number; readonly signature: string } & (
  | Pick<TaskEnvelope, "type" | "issued_at" | "expires_at">
  | Pick<TaskResultEnvelope, "type" | "timestamp">
);

type Unsigned = Omit<TaskEnvelope, "signature"> | Omit<TaskResultEnvelope, "signature">;

/** Throws `payload_too_large` for what could never be sent as one envelope: with names as long as they are. */
export function requireSendable(actions: readonly Command[]): void {
  const id = "0".repeat(36);
  const at = new Date(0).toISOString();
  const named = actions.map((action, index) => ({ action_id: `${id}.1000000.${index}`, ...action }));
  const head = { type: "task.exec" as const, task_id: id, attempt: 1_000_000, issued_at: at, expires_at: at, key_id: "999999999" };
  signEnvelope({ ...head, actions: named }, NO_KEY);
}
const NO_KEY = Buffer.alloc(32);

/** Throws `payload_too_large` for a task that no device holds, and `validation_error` for what has no canonical JSON. */
export function signEnvelope<E extends Unsigned>(unsigned: E, key: Buffer): E & { readonly signature: string } {
  const text = signedText(unsigned);
  if (text === undefined) throw new HubError("validation_error", "the envelope has no canonical JSON");
  const bytes = Buffer.byteLength(text);
  if (unsigned.type === "task.exec" && bytes > MAX_TASK_BYTES)
    throw new HubError("payload_too_large", `the task has ${bytes} bytes, ${MAX_TASK_BYTES} are allowed`, { details: { bytes } });
  return { ...unsigned, signature: hmacSha256(key, text) };
}

export interface EnvelopeTerms {
  /** ms since 1970 */
  readonly now: number;
  readonly windowMs?: number | undefined;
}

/** Throws `task_signature_invalid` and `task_envelope_stale`. Whether it came before is for the receiver's memory to say. */
export function verifyEnvelope(envelope: SignedEnvelope, key: Buffer, terms: EnvelopeTerms): void {
  requireSignature(envelope, key);
  requireTimely(envelope, terms);
}

/** Throws `task_signature_invalid`. */
export function requireSignature(envelope: SignedEnvelope, key: Buffer): void {
  const text = signedText(envelope);
  if (text === undefined || !isSame(envelope.signature, hmacSha256(key, text)))
    throw new HubError("task_signature_invalid", "the signature is not that of this content and key", { details: namesOf(envelope) });
}

/** Throws `task_envelope_stale`. */
export function requireTimely(envelope: SignedEnvelope, { now, windowMs = ENVELOPE_WINDOW_MS }: EnvelopeTerms): void {
  const at = envelope.type === "task.exec" ? Date.parse(envelope.issued_at) : msOf(envelope.timestamp);
  const isNear = Math.abs(now - at) <= windowMs;
  const isOver = envelope.type === "task.exec" && !(now < Date.parse(envelope.expires_at));
  if (isNear && !isOver) return;
  const why = isNear ? "it has expired" : `its time and this clock differ by more than ${windowMs / 1_000} s`;
  throw new HubError("task_envelope_stale", why, { details: namesOf(envelope) });
}

/** Hexadecimal, in small letters. */
export const hmacSha256 = (key: Buffer, text: string | Buffer): string => createHmac("sha256", key).update(text).digest("hex");

const namesOf = ({ task_id, attempt }: SignedEnvelope) => ({ task_id, attempt });

function signedText(envelope: object): string | undefined {
  const { signature: _, ...content } = envelope as { signature?: unknown };
  try {
    return canonicalJson(content);
  } catch {
    return undefined;
  }
}

function isSame(given: unknown, expected: string): boolean {
  // Also where nobody has looked at the schema before.
  if (typeof given !== "string") return false;
  const [a, b] = [Buffer.from(given), Buffer.from(expected)];
  return a.length === b.length && timingSafeEqual(a, b);
}
