import type { Db } from "./open.ts";
import { idsParameter, isoOf, rowsOf, toJson } from "./sql.ts";
import { MAX_PENDING } from "./webhook-deliveries.ts";

/** With less than this it has caught up, and what is dropped after that is news again. */
const CAUGHT_UP = MAX_PENDING / 2;

/** Events that a webhook was not told of, the last of them at `lastAt`, in ms since 1970. */
export interface Drops {
  readonly count: number;
  readonly lastAt: number;
}

/** A webhook for which too much waits since now. */
export interface Overflow {
  readonly webhookId: string;
  readonly organizationId: string;
  readonly name: string;
  readonly waiting: number;
  /** All that were ever dropped. */
  readonly dropped: number;
}

/** By webhook. Gives those of which nobody was told yet that they overflow; one that is gone, or off, is none of them. */
export async function noteDrops(trx: Db, drops: ReadonlyMap<string, Drops>, now: number): Promise<Overflow[]> {
  // In their order, so that two that count do not wait for each other in a ring.
  const rows = (await trx("webhooks")
    .whereRaw(`id in ${idsParameter(trx)}`, [toJson([...drops.keys()])])
    .orderBy("id")
    .forUpdate()) as OverflowRow[];
  const begun: Overflow[] = [];
  for (const row of rows) {
    const { count, lastAt } = drops.get(row.id) as Drops;
    const dropped = row.dropped + count;
    const lastDroppedAt = isoOf(Math.max(lastAt, Date.parse(row.last_dropped_at ?? isoOf(lastAt))));
    const isNews = Boolean(row.is_active) && row.overflowing_since === null;
    const waiting = isNews ? await countPending(trx, row.id) : 0;
    const since = waiting >= CAUGHT_UP ? isoOf(now) : row.overflowing_since;
    await trx("webhooks").where({ id: row.id }).update({ dropped, last_dropped_at: lastDroppedAt, overflowing_since: since });
    if (isNews) begun.push({ webhookId: row.id, organizationId: row.organization_id, name: row.name, waiting, dropped });
  }
  return begun;
}

/** What has waited too long does not count: it is not sent any more. */
export async function noteCaughtUp(trx: Db, webhookId: string, now: number): Promise<void> {
  await rowsOf(
    trx,
    `update webhooks set overflowing_since = null where id = ? and overflowing_since is not null and ${CAUGHT_UP} > (
       select count(*) from (
         select 1 from webhook_deliveries d where d.webhook_id = webhooks.id and d.status = 'pending' and d.expires_at > ? limit ${CAUGHT_UP}
       ) as waiting)`,
    [webhookId, isoOf(now)],
  );
}

async function countPending(db: Db, webhookId: string): Promise<number> {
  const row = (await db("webhook_deliveries").where({ webhook_id: webhookId, status: "pending" }).count({ count: "*" }).first()) as {
    count: number;
  };
  return row.count;
}

interface OverflowRow {
  id: string;
  organization_id: string;
  name: string;
  is_active: boolean | number;
  dropped: number;
  last_dropped_at: string | null;
  overflowing_since: string | null;
}
