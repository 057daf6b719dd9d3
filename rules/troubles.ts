import type { HubEvent } from "../core/event.ts";
import type { NewNotification, Notifier } from "../core/notification.ts";
import { witnessEvents } from "../store/events.ts";
import type { Db } from "../store/open.ts";

/** From now on those who can do something about what the hub has trouble with are told of it, in the transaction that notes it. */
export function tellOfTroubles(db: Db, notifier: Notifier<Db>): void {
  witnessEvents(db, async (trx, events) => {
    for (const event of events) {
      const trouble = troubleOf(event);
      if (trouble) await notifier.notify(trx, trouble);
    }
  });
}

function troubleOf({ id, type, organizationId, correlationId, data }: HubEvent): NewNotification | undefined {
  if (type !== "webhook.overflow" || organizationId === null) return undefined;
  const webhookId = String(data["webhook_id"]);
  return {
    organizationId,
    to: { permission: "webhook.manage" },
    severity: "warning",
    title: `The webhook ${String(data["name"])} is not told of everything`,
    body: `${Number(data["waiting"])} messages wait for it, and further events are dropped until there is room. Its receiver is slower than what happens, or does not answer.`,
    data: { webhook_id: webhookId, waiting: data["waiting"], dropped: data["dropped"] },
    source: { kind: "system", id: webhookId },
    correlationId,
    causationId: id,
    groupKey: `webhook.overflow ${webhookId}`,
  };
}
