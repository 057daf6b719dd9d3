import { DAY_MS } from "../core/durations.ts";
import type { Db } from "./open.ts";
import { rowsOf } from "./sql.ts";
import { inTransaction } from "./transaction.ts";

/** Any constant of the product's own: partitions are made by one transaction at a time. */
const LOCK = 0x4845_5842;

/** Days since 1970, UTC. */
export const dayOf = (ts: number): number => Math.floor(ts / DAY_MS);

/** PostgreSQL keeps one partition a day (UTC). Made beside the table and then attached, which waits for no reader or writer. */
export async function makePartitions(trx: Db, days: readonly number[]): Promise<void> {
  const missing = await withoutPartition(trx, days);
  if (missing.length === 0) return;
  await rowsOf(trx, `select pg_advisory_xact_lock(${LOCK})`);
  for (const day of await withoutPartition(trx, missing)) {
    const name = partitionOf(day);
    await rowsOf(trx, `create table ${name} (like telemetry including defaults including constraints including indexes)`);
    await rowsOf(
      trx,
      `alter table telemetry attach partition ${name} for values from ('${dateOf(day)} 00:00Z') to ('${dateOf(day + 1)} 00:00Z')`,
    );
  }
}

/** Nobody reads or writes meanwhile: it is left for the next time where somebody is at it for longer. */
const LOCK_TIMEOUT = "500ms";

/** Drops the partitions of days before that time, in ms since 1970, each by itself. */
export async function dropPartitionsBefore(db: Db, before: number): Promise<void> {
  const names = await partitionNames(db);
  for (const name of names.filter((one) => one < partitionOf(dayOf(before))).toSorted())
    await inTransaction(db, async (trx) => {
      await rowsOf(trx, `set local lock_timeout = '${LOCK_TIMEOUT}'`);
      await rowsOf(trx, `drop table ${name}`);
    });
}

async function withoutPartition(trx: Db, days: readonly number[]): Promise<number[]> {
  const existing = new Set(await partitionNames(trx));
  return days.filter((day) => !existing.has(partitionOf(day)));
}

async function partitionNames(db: Db): Promise<string[]> {
  const rows = await rowsOf<{ name: string }>(
    db,
    "select c.relname as name from pg_inherits i join pg_class c on c.oid = i.inhrelid where i.inhparent = 'telemetry'::regclass",
  );
  return rows.map(({ name }) => name);
}

const dateOf = (day: number): string => new Date(day * DAY_MS).toISOString().slice(0, 10);
const partitionOf = (day: number): string => `telemetry_${dateOf(day).replaceAll("-", "")}`;
