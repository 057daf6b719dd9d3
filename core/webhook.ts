import { CUSTOM_PREFIX, EVENT_TYPES, type HubEvent } from "./event.ts";

/** What a webhook was given to ask for: a type, `device.*` for all that begin so, `*` for all. */
export type EventPattern = string;

/** What becomes of a message to a webhook. `dead`: given up; `dropped`: not to be sent any more, or never sent in its time. */
export const DELIVERY_STATUSES = ["pending", "delivered", "dead", "dropped"] as const;
export type DeliveryStatus = (typeof DELIVERY_STATUSES)[number];

/** Why the hub switched a webhook off: every message failed for days, or the receiver answered 410. */
export const DISABLED_REASONS = ["failing", "gone"] as const;
export type DisabledReason = (typeof DISABLED_REASONS)[number];

/** A webhook as far as it decides which events it gets. */
export interface WebhookTarget {
  readonly id: string;
  readonly events: readonly EventPattern[];
  /** Of these devices alone. */
  readonly deviceIds: readonly string[] | null;
}

/**
 * What webhooks do themselves is told to none of them, but for what an automation asks of one: a webhook that hears of its own failures, or of what its hub has
 * received, would never come to an end.
 */
const isSent = (type: string): boolean => !type.startsWith("webhook.");

const SENT = Object.keys(EVENT_TYPES).filter(isSent);

/** Everything that can be asked for, but for single types of others, and parts of them. */
export const EVENT_PATTERNS: readonly EventPattern[] = [
  "*",
  ...new Set(SENT.map((type) => `${type.slice(0, type.indexOf("."))}.*`)),
  `${CUSTOM_PREFIX}*`,
  ...SENT,
];
/** What others publish: `custom.door.opened`, `custom.door.*`. */
export const CUSTOM_EVENT_PATTERN = "^custom(\\.[a-z0-9][a-z0-9_-]*)+(\\.\\*)?$";

/** Whether the event is for this webhook, by what it asks for, or since an automation has named it. */
export function wants({ id, events, deviceIds }: WebhookTarget, event: Pick<HubEvent, "type" | "entityId" | "data">): boolean {
  if (event.type === "webhook.requested") return event.data["webhook_id"] === id;
  if (!isSent(event.type) || (deviceIds !== null && (event.entityId === null || !deviceIds.includes(event.entityId)))) return false;
  return events.some((pattern) => (pattern.endsWith("*") ? event.type.startsWith(pattern.slice(0, -1)) : pattern === event.type));
}

/** How an inbound webhook proves that a message is its sender's. */
export const HOOK_SCHEMES = ["standard", "sha256", "token"] as const;
export type HookScheme = (typeof HOOK_SCHEMES)[number];
