import { createHash } from "node:crypto";
import type { MessageIdentity } from "../core/message-identity.ts";
import type { Telemetry, UpType } from "../core/payloads.ts";
import type { Principal } from "../core/principal.ts";
import { keyOf } from "../core/authorize.ts";
import type { Contact } from "./contacts.ts";
import type { Inbound } from "./inbound.ts";

/** Whose message it is. */
export interface Sender {
  readonly clientId: string;
  readonly principal: Principal;
  /** What it sent in that time is answered. */
  readonly answered?: Contact | undefined;
}

const DIGEST_BYTES = 16;

/** undefined for QoS 0: such a message is sent once, whatever becomes of it. */
export function identityOf({ clientId, principal, answered }: Sender, packet: Inbound): MessageIdentity | undefined {
  const { qos, packetId, topic, payload, dup } = packet;
  if (qos === 0) return undefined;
  // Neither a principal nor a topic holds a NUL.
  const hash = createHash("sha256")
    .update(`${keyOf(principal)}\0${topic}\0`)
    .update(payload)
    .digest();
  return { clientId, packetId, digest: hash.toString("hex", 0, DIGEST_BYTES), isRepeated: dup, answered: dup ? answered : undefined };
}

/**
 * Whether the message done twice is the same as done once. A registration sets what it set before, and its answer is
 * wanted again; a reading with a time of its own is there already; a command has one end.
 */
export function isIdempotent(type: UpType, payload: unknown): boolean {
  if (type !== "telemetry") return type === "register" || type === "heartbeat" || type === "ack";
  const samples = payload as Telemetry;
  return Array.isArray(samples) ? samples.every(({ ts }) => ts !== undefined) : samples.ts !== undefined;
}
