import Type from "typebox";
import { HubError } from "../../core/errors.ts";
import { newEvent } from "../../core/event.ts";
import { actorOf } from "../../core/principal.ts";
import { DELIVERY_STATUSES } from "../../core/webhook.ts";
import { listDeliveries, lockDelivery, MAX_PENDING, queueDeliveries } from "../../store/webhook-deliveries.ts";
import { replayDelivery, replayFailed } from "../../store/webhook-replays.ts";
import { getWebhook, lockWebhook, type Webhook } from "../../store/webhooks.ts";
import { Cursor, IdParams, Instant, Limit, pageOf, parseInstant, Uuid } from "../fields.ts";
import { defineRoute } from "../route.ts";
import { DeliveryView, deliveryJson, noteOf } from "./representation.ts";

export const tryOut = defineRoute({
  method: "POST",
  path: "/api/v1/webhooks/:id/test",
  tag: "Webhooks",
  summary: "Send a webhook an event that means nothing",
  description: "A `webhook.test` event, to this webhook alone. The delivery says how it went.",
  access: "webhook.manage",
  params: IdParams,
  replies: {
    202: { description: "On its way", schema: Type.Object({ delivery: DeliveryView }, { title: "WebhookTested" }) },
  },
  errors: ["not_found", "conflict", "quota_exceeded"],
  handler: ({ context, principal, params, commit }) =>
    commit(async (db) => {
      const { organizationId } = principal;
      const webhook = await lockWebhook(db, organizationId, params.id.toLowerCase());
      requireActive(webhook);
      const about = { organizationId, entityId: webhook.id, actor: actorOf(principal), now: context.clock() };
      const event = newEvent("webhook.test", about, { webhook_id: webhook.id, name: webhook.name });
      const wanted = { organizationId, webhookId: webhook.id, eventId: event.id, eventType: event.type };
      const [delivery] = await queueDeliveries(db, context.timers, [wanted]);
      if (!delivery)
        throw new HubError("quota_exceeded", `${MAX_PENDING} messages wait for this webhook already`, {
          details: { pending: MAX_PENDING },
        });
      return {
        answer: { status: 202, body: { delivery: deliveryJson(delivery) } },
        audit: [noteOf("webhook", webhook, "test")],
        events: [event],
      };
    }),
});

export const list = defineRoute({
  method: "GET",
  path: "/api/v1/webhooks/:id/deliveries",
  tag: "Webhooks",
  summary: "What was sent to a webhook, and what waits",
  description: "For seven days after the end of each.",
  access: "webhook.manage",
  params: IdParams,
  query: Type.Object(
    { limit: Limit(200, 50), cursor: Cursor, status: Type.Optional(Type.Enum([...DELIVERY_STATUSES])) },
    { additionalProperties: false },
  ),
  replies: { 200: { description: "Newest first", schema: pageOf(DeliveryView, "WebhookDeliveryPage") } },
  errors: ["not_found"],
  async handler({ context, principal, params, query: { limit = 50, cursor: after, status } }) {
    const { id } = await getWebhook(context.store.db, principal.organizationId, params.id.toLowerCase());
    const page = await listDeliveries(context.store.db, id, { limit, after, status });
    return { status: 200, body: { data: page.items.map(deliveryJson), next_cursor: page.next } };
  },
});

export const replayOne = defineRoute({
  method: "POST",
  path: "/api/v1/webhooks/:id/deliveries/:delivery_id/replay",
  tag: "Webhooks",
  summary: "Send a message once more",
  description: "With the `webhook-id` that it had: a receiver that has taken it knows.",
  access: "webhook.manage",
  params: Type.Object({ id: Uuid, delivery_id: Uuid }, { additionalProperties: false }),
  replies: { 202: { description: "On its way", schema: Type.Object({ replayed: Type.Integer() }, { title: "WebhookReplayed" }) } },
  errors: ["not_found", "conflict"],
  handler: ({ context, principal, params, commit }) =>
    commit(async (db) => {
      const webhook = await lockWebhook(db, principal.organizationId, params.id.toLowerCase());
      const delivery = await lockDelivery(db, webhook.id, params.delivery_id.toLowerCase());
      if (!delivery) throw new HubError("not_found", "there is no such delivery");
      requireActive(webhook);
      if (delivery.status === "pending") throw new HubError("conflict", "it is on its way already");
      await replayDelivery(db, context.timers, delivery);
      return {
        answer: { status: 202, body: { replayed: 1 } },
        audit: [noteOf("webhook", webhook, "replay", { delivery_id: delivery.id })],
      };
    }),
});

export const replayAll = defineRoute({
  method: "POST",
  path: "/api/v1/webhooks/:id/replay",
  tag: "Webhooks",
  summary: "Send once more what did not get through",
  description: `All that is dead or dropped since a time, at most ${MAX_PENDING} at once, the oldest first.`,
  access: "webhook.manage",
  params: IdParams,
  body: Type.Object({ since: Instant }, { additionalProperties: false, title: "WebhookReplayRequest" }),
  bodyExample: { since: "2026-11-22T08:00:00Z" },
  replies: { 202: { description: "On their way", schema: Type.Object({ replayed: Type.Integer() }, { title: "WebhookReplayed" }) } },
  errors: ["not_found", "conflict"],
  handler: ({ context, principal, params, body, commit }) =>
    commit(async (db) => {
      const webhook = await lockWebhook(db, principal.organizationId, params.id.toLowerCase());
      requireActive(webhook);
      const replayed = await replayFailed(db, context.timers, { ...webhook, since: parseInstant(body.since, "since") });
      return {
        answer: { status: 202, body: { replayed } },
        audit: [noteOf("webhook", webhook, "replay", { since: body.since, replayed })],
      };
    }),
});

function requireActive({ isActive }: Webhook): void {
  if (!isActive) throw new HubError("conflict", "the webhook is switched off");
}
