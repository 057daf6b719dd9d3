import { DAY_MS } from "../core/durations.ts";
import type { Scope } from "../core/principal.ts";
import { allOf, type EventFilter, eventQueries, readEvents } from "./event-query.ts";
import type { Db } from "./open.ts";
import { engineOf, placesFor, rowsOf } from "./sql.ts";

export const BUCKETS = { minute: 60_000, hour: 3_600_000, day: 86_400_000 } as const;
export type Bucket = keyof typeof BUCKETS;

export interface EventMetrics {
  readonly total: number;
  /** Most first; {@link MAX_TYPES} at most. */
  readonly types: readonly { readonly type: string; readonly count: number }[];
  /** Most first. */
  readonly entities: readonly { readonly entityId: string; readonly count: number }[];
  /** Those with any, in their order. */
  readonly buckets: readonly BucketCount[];
}

export interface BucketCount {
  /** ms since 1970 */
  readonly start: number;
  readonly count: number;
  /** Of the types that are in `types`. */
  readonly types: Readonly<Record<string, number>>;
}

export interface MetricsFilter extends EventFilter {
  readonly from: number;
  readonly to: number;
}

export const MAX_TYPES = 50;
export const MAX_ENTITIES = 20;
/** Of one day: those with most. */
const OF_A_DAY = 1_000;

/** Counts day by day of UTC, so that no question keeps SQLite's thread for long. */
export async function countEvents(db: Db, scope: Scope, filter: MetricsFilter, bucket: Bucket): Promise<EventMetrics> {
  const days = await daysWithEvents(db, scope, filter);
  const [types, entities] = [new Map<string, number>(), new Map<string, number>()];
  for (const day of days) {
    await countBy(db, scope, day, { column: "type", into: types });
    await countBy(db, scope, day, { column: "entity_id", into: entities });
  }
  const top = mostOf(types, MAX_TYPES);
  if (top.length === 0) return { total: 0, types: [], entities: [], buckets: [] };
  const buckets: BucketCount[] = [];
  for (const day of days) buckets.push(...(await countBuckets(db, scope, day, { bucket, types: top.map(([type]) => type) })));
  return {
    total: buckets.reduce((sum, { count }) => sum + count, 0),
    types: top.map(([type, count]) => ({ type, count })),
    entities: mostOf(entities, MAX_ENTITIES).map(([entityId, count]) => ({ entityId, count })),
    buckets,
  };
}

/** Periods of a day at most, from the first event that there is. */
async function daysWithEvents(db: Db, scope: Scope, filter: MetricsFilter): Promise<MetricsFilter[]> {
  const [oldest] = await readEvents<{ timestamp: string }>(db, scope, filter, {
    limit: 1,
    isOldestFirst: true,
    columns: ["id", "timestamp"],
  });
  if (!oldest) return [];
  // What is a little older has a later id.
  const first = Math.floor((Date.parse(oldest.timestamp) - BUCKETS.hour) / DAY_MS) * DAY_MS;
  const days: MetricsFilter[] = [];
  for (let start = Math.max(filter.from, first); start < filter.to; start = (Math.floor(start / DAY_MS) + 1) * DAY_MS)
    days.push({ ...filter, from: start, to: Math.min(filter.to, (Math.floor(start / DAY_MS) + 1) * DAY_MS) });
  return days;
}

async function countBy(
  db: Db,
  scope: Scope,
  filter: MetricsFilter,
  { column, into }: { readonly column: "type" | "entity_id"; readonly into: Map<string, number> },
): Promise<void> {
  const { sql, bindings } = allOf(eventQueries(db, scope, filter, [column]));
  const rows = await rowsOf<{ name: string; count: number }>(
    db,
    `select ${column} as name, count(*) as count from ${sql} where ${column} is not null group by ${column} order by count desc, ${byBytes(db, column)} limit ?`,
    [...bindings, OF_A_DAY],
  );
  for (const { name, count } of rows) into.set(name, (into.get(name) ?? 0) + count);
}

async function countBuckets(
  db: Db,
  scope: Scope,
  filter: MetricsFilter,
  { bucket, types }: { readonly bucket: Bucket; readonly types: readonly string[] },
): Promise<BucketCount[]> {
  const { sql, bindings } = allOf(eventQueries(db, scope, filter, ["timestamp", "type"]));
  const rows = await rowsOf<{ start: string; name: string; count: number }>(
    db,
    `select start, name, count(*) as count from (
       select ${startOf(db, bucket)} as start, case when type in (${placesFor(types)}) then type else '' end as name from ${sql}
     ) as named group by start, name order by start`,
    [...types, ...bindings],
  );
  return [...Map.groupBy(rows, ({ start }) => start)].map(([start, counts]) => ({
    start: Date.parse(`${start}${REST[bucket]}`),
    count: counts.reduce((sum, { count }) => sum + count, 0),
    types: Object.fromEntries(counts.filter(({ name }) => name !== "").map(({ name, count }) => [name, count])),
  }));
}

const REST: Readonly<Record<Bucket, string>> = { minute: ":00.000Z", hour: ":00:00.000Z", day: "T00:00:00.000Z" };
const LENGTHS: Readonly<Record<Bucket, number>> = { minute: 16, hour: 13, day: 10 };

/** The beginning of the ISO time in UTC, which is how SQLite keeps it. */
function startOf(db: Db, bucket: Bucket): string {
  if (engineOf(db) === "sqlite") return `substr(timestamp, 1, ${LENGTHS[bucket]})`;
  return `left(to_char(timestamp at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI'), ${LENGTHS[bucket]})`;
}

/** Of two with as many the same one on both engines. */
const byBytes = (db: Db, column: string): string => (engineOf(db) === "postgres" ? `${column} collate "C"` : column);

function mostOf(counts: ReadonlyMap<string, number>, limit: number): [string, number][] {
  return [...counts].toSorted(([a, one], [b, other]) => other - one || (a < b ? -1 : 1)).slice(0, limit);
}
