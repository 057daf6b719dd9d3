import type { HubEvent } from "../../core/event.ts";
import { wants } from "../../core/webhook.ts";
import { witnessEvents } from "../../store/events.ts";
import type { Db } from "../../store/open.ts";
import { type NewDelivery, queueDeliveries, shiftDeliveries } from "../../store/webhook-deliveries.ts";
import type { WebhookDirectory } from "../../store/webhook-directory.ts";
import { Courier, type CourierContext } from "./courier.ts";
import { onOverflowTimers, putOverflows } from "./overflows.ts";

export type WebhooksContext = CourierContext & { readonly directory: WebhookDirectory };

/**
 * From now on every event that a webhook wants is on its way to it when it is committed, and sent at least once, in no promised
 * order. Sends when the timers begin.
 */
export function openWebhooks(context: WebhooksContext): AsyncDisposable {
  const { db, timers } = context;
  const courier = new Courier(context);
  witnessEvents(db, (trx, events) => queue(context, trx, events));
  timers.handle("webhook_delivery", (trx, fired, now) => courier.onTimers(trx, fired, now));
  timers.handle("webhook_overflow", (trx, fired, now) => onOverflowTimers(context, { trx, fired, now }));
  timers.onStep((trx, stepMs) => shiftDeliveries(trx, stepMs));
  return courier;
}

async function queue(context: WebhooksContext, trx: Db, events: readonly HubEvent[]): Promise<void> {
  const wanted = events.flatMap((event) => deliveriesOf(context.directory, event));
  if (wanted.length === 0) return;
  const made = await queueDeliveries(trx, context.timers, wanted);
  if (made.length === wanted.length) return;
  const keyOf = ({ webhookId, eventId }: NewDelivery): string => `${webhookId} ${eventId}`;
  const queued = new Set(made.map(keyOf));
  await putOverflows(
    context,
    trx,
    wanted.filter((one) => !queued.has(keyOf(one))),
  );
}

function deliveriesOf(directory: WebhookDirectory, event: HubEvent): NewDelivery[] {
  const { organizationId } = event;
  if (organizationId === null) return [];
  return directory
    .of(organizationId)
    .filter((target) => wants(target, event))
    .map(({ id: webhookId }) => ({ organizationId, webhookId, eventId: event.id, eventType: event.type }));
}
