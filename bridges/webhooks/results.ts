import { type HubEvent, newAudit, newEvent } from "../../core/event.ts";
import { SYSTEM } from "../../core/principal.ts";
import type { Timers } from "../../core/timer.ts";
import type { DeliveryStatus, DisabledReason } from "../../core/webhook.ts";
import { insertAudit } from "../../store/audit.ts";
import { insertEvents } from "../../store/events.ts";
import type { Db } from "../../store/open.ts";
import { type Attempt, type Delivery, dropPending, endDelivery, postponeDelivery } from "../../store/webhook-deliveries.ts";
import { disableWebhook, noteFailure, noteSuccess } from "../../store/webhooks.ts";
import type { Verdict } from "./verdict.ts";

/** A webhook that reached nobody for so long is switched off. */
export const FAILING_LIMIT_MS = 5 * 86_400_000;

/** What a transaction has written of an attempt. */
export interface Noted {
  /** undefined when somebody else had the last word on it. */
  readonly status: DeliveryStatus | undefined;
  /** Deliveries that are not sent any more, since the webhook is off. */
  readonly dropped: number;
  readonly events: readonly HubEvent[];
}

const UNCHANGED: Omit<Noted, "status"> = { dropped: 0, events: [] };

/** The webhook's row first, then its deliveries', as whoever changes it does: two never wait for each other in a ring. */
export async function noteResult(
  trx: Db,
  timers: Timers<Db>,
  { delivery, verdict, attempt }: { readonly delivery: Delivery; readonly verdict: Verdict; readonly attempt: Attempt },
): Promise<Noted> {
  const { id, webhookId } = delivery;
  const now = timers.now();
  if (verdict.kind === "delivered") {
    await noteSuccess(trx, webhookId);
    const isEnded = await endDelivery(trx, id, { status: "delivered", attempt, now });
    await timers.drop(trx, "webhook_delivery", [id]);
    return { ...UNCHANGED, status: isEnded ? "delivered" : undefined };
  }
  const failingSince = await noteFailure(trx, webhookId, now);
  if (verdict.kind === "retry") {
    const isPostponed = await postponeDelivery(trx, delivery, { at: verdict.at, attempt });
    if (isPostponed) await timers.put(trx, [timerOf(delivery, verdict.at)]);
    const off = await disableIf(trx, webhookId, { reason: reasonFor(verdict, failingSince, now), now });
    return { ...off, status: isPostponed ? "pending" : undefined };
  }
  const isEnded = await endDelivery(trx, id, { status: "dead", attempt, now });
  await timers.drop(trx, "webhook_delivery", [id]);
  const off = await disableIf(trx, webhookId, { reason: reasonFor(verdict, failingSince, now), now });
  return { ...off, status: isEnded ? "dead" : undefined };
}

/** The hub stops, or it is not the receiver's time: as if it had not been taken. */
export async function noteUntried(trx: Db, timers: Timers<Db>, delivery: Delivery, at: number): Promise<void> {
  if (await postponeDelivery(trx, delivery, { at, attempt: "none" })) await timers.put(trx, [timerOf(delivery, at)]);
}

/** Makes a node look after it then. */
export const timerOf = ({ id, organizationId, webhookId }: Delivery, dueAt: number) =>
  ({ kind: "webhook_delivery", key: id, organizationId, dueAt, isRelative: true, payload: { webhook: webhookId } }) as const;

function reasonFor(verdict: Verdict, failingSince: number | undefined, now: number): DisabledReason | undefined {
  if (verdict.kind === "gone") return "gone";
  return failingSince !== undefined && now - failingSince >= FAILING_LIMIT_MS ? "failing" : undefined;
}

async function disableIf(
  trx: Db,
  webhookId: string,
  { reason, now }: { readonly reason: DisabledReason | undefined; readonly now: number },
): Promise<Omit<Noted, "status">> {
  const off = reason === undefined ? undefined : await disableWebhook(trx, webhookId, reason, now);
  if (off === undefined || reason === undefined) return UNCHANGED;
  const dropped = await dropPending(trx, webhookId, now);
  const { organizationId, name } = off;
  const about = { organizationId, entityId: webhookId, actor: SYSTEM, now };
  const event = newEvent("webhook.disabled", about, { webhook_id: webhookId, name, reason });
  await insertEvents(trx, [event]);
  const details = { reason, dropped };
  await insertAudit(trx, [
    newAudit({ organizationId, actor: SYSTEM, action: "webhook.disable", resourceType: "webhook", resourceId: webhookId, details, now }),
  ]);
  return { dropped, events: [event] };
}
