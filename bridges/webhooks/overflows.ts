import type { EventSink, Log, Metrics } from "../../core/bus.ts";
import { newEvent } from "../../core/event.ts";
import { newId } from "../../core/id.ts";
import { SYSTEM } from "../../core/principal.ts";
import type { Timer, Timers } from "../../core/timer.ts";
import { insertEvents } from "../../store/events.ts";
import type { Db } from "../../store/open.ts";
import { afterCommit } from "../../store/transaction.ts";
import type { NewDelivery } from "../../store/webhook-deliveries.ts";
import { type Drops, noteDrops } from "../../store/webhook-overflows.ts";

export interface OverflowsContext {
  readonly timers: Timers<Db>;
  readonly events: EventSink;
  readonly metrics: Metrics;
  readonly log: Log;
}

/** What is dropped within it is counted together. */
const COUNTED_AFTER_MS = 1_000;

/**
 * Part of the transaction of what is told of. A row of its own says so until it is counted: those that have an event for the
 * same webhook do not wait for each other, and nothing is forgotten when the hub dies.
 */
export async function putOverflows({ timers, metrics, log }: OverflowsContext, trx: Db, left: readonly NewDelivery[]): Promise<void> {
  const now = timers.now();
  await timers.put(
    trx,
    [...Map.groupBy(left, ({ webhookId }) => webhookId)].map(([webhook, group]) => ({
      kind: "webhook_overflow",
      key: newId(),
      organizationId: group[0]?.organizationId ?? null,
      dueAt: now + COUNTED_AFTER_MS,
      isRelative: true,
      payload: { webhook, count: group.length, at: now },
    })),
  );
  afterCommit(trx, () => {
    metrics.count("hexahub_webhook_deliveries_total", { status: "overflow" }, left.length);
    log.debug({ left: left.length }, "webhooks for which too much waits are not told of further events");
  });
}

/** Counts what was dropped. The first of a row is an event, which no webhook is told of, and people are. */
export async function onOverflowTimers(
  { events, log }: OverflowsContext,
  { trx, fired, now }: { readonly trx: Db; readonly fired: readonly Timer[]; readonly now: number },
): Promise<() => void> {
  const begun = await noteDrops(trx, dropsOf(fired), now);
  const told = begun.map(({ webhookId, organizationId, name, waiting, dropped }) =>
    newEvent(
      "webhook.overflow",
      { organizationId, entityId: webhookId, actor: SYSTEM, now },
      { webhook_id: webhookId, name, waiting, dropped },
    ),
  );
  await insertEvents(trx, told);
  return () => {
    if (told.length === 0) return;
    for (const { entityId, data } of told) log.warn({ webhook_id: entityId, waiting: data["waiting"] }, "too much waits for a webhook");
    events.emit(told).catch((error: unknown) => log.error({ err: error }, "events could not be published"));
  };
}

function dropsOf(fired: readonly Timer[]): Map<string, Drops> {
  const drops = new Map<string, Drops>();
  for (const { payload } of fired) {
    const { webhook, count, at } = payload as { readonly webhook: string; readonly count: number; readonly at: number };
    const before = drops.get(webhook) ?? { count: 0, lastAt: at };
    drops.set(webhook, { count: before.count + count, lastAt: Math.max(before.lastAt, at) });
  }
  return drops;
}
