import Type from "typebox";
import { CUSTOM_EVENT_PATTERN, DELIVERY_STATUSES, DISABLED_REASONS, EVENT_PATTERNS, HOOK_SCHEMES } from "../../core/webhook.ts";
import { versionOf } from "../../core/version.ts";
import type { InboundHook } from "../../store/inbound-hooks.ts";
import { type Delivery, MAX_PENDING } from "../../store/webhook-deliveries.ts";
import type { Webhook } from "../../store/webhooks.ts";
import { line, nullable } from "../fields.ts";
import type { AuditNote } from "../route.ts";

const Text = Type.String();

export const WebhookName = line(120);
export const WebhookPattern = Type.Unsafe<string>({
  anyOf: [Type.Enum([...EVENT_PATTERNS]), Type.String({ maxLength: 102, pattern: CUSTOM_EVENT_PATTERN })],
  title: "WebhookEventPattern",
  description: "A type of event, `device.*` for all that begin so, `*` for all",
});

export const WebhookView = Type.Object(
  {
    id: Text,
    name: Text,
    url: Text,
    events: Type.Array(Text),
    devices: Type.Unsafe<string[] | null>({
      anyOf: [Type.Array(Text), { type: "null" }],
      description: "UUIDs of the devices whose events it gets; null: of all, and what is about no device",
    }),
    is_active: Type.Boolean(),
    failure_count: Type.Integer({ description: "Attempts that failed in a row" }),
    failing_since: nullable("string"),
    disabled_at: nullable("string", { description: "When the hub switched it off" }),
    disabled_reason: Type.Unsafe<(typeof DISABLED_REASONS)[number] | null>({
      enum: [...DISABLED_REASONS, null],
      description: "failing: nothing got through for five days; gone: the receiver answered 410",
    }),
    former_secret_until: nullable("string", { description: "Until then the secret before this one signs too" }),
    dropped: Type.Integer({
      description: `Events that were not sent, since ${MAX_PENDING} messages waited already: there is no delivery of them`,
    }),
    last_dropped_at: nullable("string", { description: "When the last of them happened" }),
    overflowing_since: nullable("string", {
      description:
        "Since when it is so; null again when less than half of that waits. Its beginning is a `webhook.overflow` event, and a notification for those who may manage webhooks",
    }),
    created_by: Text,
    created_at: Text,
    updated_at: Text,
  },
  { title: "Webhook" },
);

export const webhookJson = (webhook: Webhook) => ({
  id: webhook.id,
  name: webhook.name,
  url: webhook.url,
  events: [...webhook.events],
  devices: webhook.deviceIds === null ? null : [...webhook.deviceIds],
  is_active: webhook.isActive,
  failure_count: webhook.failureCount,
  failing_since: webhook.failingSince,
  disabled_at: webhook.disabledAt,
  disabled_reason: webhook.disabledReason,
  former_secret_until: webhook.formerSecretUntil,
  dropped: webhook.dropped,
  last_dropped_at: webhook.lastDroppedAt,
  overflowing_since: webhook.overflowingSince,
  created_by: webhook.createdBy,
  created_at: webhook.createdAt,
  updated_at: webhook.updatedAt,
});

export const DeliveryView = Type.Object(
  {
    id: Type.String({ description: "The message's `webhook-id`, the same for every attempt" }),
    event_id: Text,
    event_type: Text,
    status: Type.Enum([...DELIVERY_STATUSES], {
      description: "dead: given up after attempts; dropped: not sent, since the webhook was off or had too much to send",
    }),
    attempts: Type.Integer(),
    next_attempt_at: nullable("string"),
    response_status: nullable("integer"),
    error: nullable("string"),
    latency_ms: nullable("integer"),
    created_at: Text,
    finished_at: nullable("string"),
  },
  { title: "WebhookDelivery" },
);

export const deliveryJson = (delivery: Delivery) => ({
  id: delivery.id,
  event_id: delivery.eventId,
  event_type: delivery.eventType,
  status: delivery.status,
  attempts: delivery.attempts,
  next_attempt_at: delivery.status === "pending" ? delivery.nextAttemptAt : null,
  response_status: delivery.responseStatus,
  error: delivery.error,
  latency_ms: delivery.latencyMs,
  created_at: delivery.createdAt,
  finished_at: delivery.finishedAt,
});

export const InboundHookView = Type.Object(
  {
    id: Text,
    name: Text,
    scheme: Type.Enum([...HOOK_SCHEMES]),
    path: Type.String({ description: "Where it is called with POST" }),
    is_active: Type.Boolean(),
    former_secret_until: nullable("string", { description: "Until then the secret before this one is right too" }),
    created_by: Text,
    created_at: Text,
    updated_at: Text,
  },
  { title: "InboundHook" },
);

export const inboundHookJson = (hook: InboundHook) => ({
  id: hook.id,
  name: hook.name,
  scheme: hook.scheme,
  path: `/api/v1/hooks/${hook.id}`,
  is_active: hook.isActive,
  former_secret_until: hook.formerSecretUntil,
  created_by: hook.createdBy,
  created_at: hook.createdAt,
  updated_at: hook.updatedAt,
});

/** Of what people change: attempts that fail are no change. */
export const webhookVersion = ({ id, version }: { readonly id: string; readonly version: number }): string => versionOf([id, version]);

/** Never the URL: its path is often the only secret of a receiver. */
export function noteOf(
  resourceType: "webhook" | "inbound_hook",
  { id, organizationId }: { readonly id: string; readonly organizationId: string },
  action: string,
  details: Record<string, unknown> = {},
): AuditNote {
  return { organizationId, action: `${resourceType}.${action}`, resourceType, resourceId: id, details };
}
