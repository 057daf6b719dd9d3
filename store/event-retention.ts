import { DAY_MS } from "../core/durations.ts";
import { RETENTION_SETTING } from "../core/service-settings.ts";
import { firstIdAt } from "../core/id.ts";
import { outboxOf } from "./clickhouse-outbox.ts";
import type { Db } from "./open.ts";
import { ownRetentions } from "./own-retentions.ts";
import { rowsOf } from "./sql.ts";
import { inSteps } from "./steps.ts";
import { inRelaxedTransaction, inTransaction } from "./transaction.ts";

export interface EventRetention {
  /** Of the hub; 0 is for ever. */
  readonly days: number;
  /** ms since 1970 */
  readonly now: number;
  /** Nothing more is begun when it aborts. */
  readonly signal?: AbortSignal;
}

const PACE = { aimMs: 2, breathMs: 5, most: 500 };

/** Removes events that have had their days: those of the hub, and of organisations that keep theirs for less. Answers how many. */
export async function purgeEvents(db: Db, { days, now, signal }: EventRetention): Promise<number> {
  const firstKept = (kept: number): string => firstIdAt(now - kept * DAY_MS);
  let removed = days === 0 ? 0 : await removeInBatches(db, "id < ?", [firstKept(days)], signal);
  for (const [organizationId, own] of await ownRetentions(db, RETENTION_SETTING)) {
    if (days !== 0 && own >= days) continue;
    removed += await removeInBatches(db, "organization_id = ? and id < ?", [organizationId, firstKept(own)], signal);
    if (!signal?.aborted) await removeElsewhere(db, organizationId, Math.floor(now / DAY_MS - own) * DAY_MS);
  }
  return removed;
}

/** Whoever keeps them for less than the hub does not want them in ClickHouse either, which is told once a day. */
async function removeElsewhere(db: Db, organizationId: string, before: number): Promise<void> {
  const outbox = outboxOf(db);
  if (!outbox) return;
  await inTransaction(db, async (trx) => {
    const raised = await rowsOf(
      trx,
      `insert into clickhouse_event_removals as r (organization_id, removed_before) values (?, ?)
       on conflict (organization_id) do update set removed_before = excluded.removed_before where r.removed_before < excluded.removed_before
       returning organization_id`,
      [organizationId, before],
    );
    if (raised.length > 0) await outbox.eventRemoval(trx, { organizationId, before });
  });
}

async function removeInBatches(db: Db, condition: string, bindings: readonly string[], signal: AbortSignal | undefined): Promise<number> {
  let removed = 0;
  await inSteps(PACE, signal, async (most) => {
    // What comes back with a power cut is removed again.
    const rows = await inRelaxedTransaction(db, (trx) =>
      rowsOf(trx, `delete from events where id in (select id from events where ${condition} order by id limit ?) returning id`, [
        ...bindings,
        most,
      ]),
    );
    removed += rows.length;
    return rows.length < most;
  });
  return removed;
}
