import { HOUR_MS } from "../core/durations.ts";
import type { HubEvent } from "../core/event.ts";
import type { Db } from "./open.ts";
import { engineOf, rowsOf, toJson } from "./sql.ts";
import { afterCommit, inOrder, inTransaction, type Statement } from "./transaction.ts";

/** Where what has to be sent begins: rows of the outbox. The audit is shipped from its own table. */
export type OutboxSource = "telemetry" | "removal" | "events" | "event-removal" | "refused";

/** Readings on their way into the tables, as they are written there. */
export interface OutboxReadings {
  /** JSON of [series, ms since 1970, number or null, JSON text]. */
  readonly body: string;
  readonly n: number;
  /** Of the same readings. */
  readonly hours: () => Iterable<{ readonly seriesId: number; readonly hour: number }>;
}

/** Readings of these series: those older than `before` (ms since 1970), or all that the outbox was told of until now. */
export interface OutboxRemoval {
  readonly seriesIds: readonly number[];
  readonly before?: number;
}

/** Events of the organisation that happened before that, in ms since 1970. */
export interface OutboxEventRemoval {
  readonly organizationId: string;
  readonly before: number;
}

export interface Waiting {
  readonly n: number;
  readonly bytes: number;
  /** ms since 1970; undefined when nothing waits. */
  readonly oldestAt: number | undefined;
}

/**
 * What is to be sent to ClickHouse is put down in the transaction that stores it. Where more waits than `maxBytes`, only the hour is
 * noted, to be sent from the tables later.
 */
export interface ClickhouseOutbox {
  readonly maxBytes: number;
  /** Of this node's knowledge: exact when it is alone, else as old as the last {@link ClickhouseOutbox.measure}. */
  readonly bytes: number;
  /** Goes behind the statement that stores the readings: of two with the same time the one that is kept has the lower id. */
  readings(trx: Db, readings: OutboxReadings): Statement;
  events(trx: Db, events: readonly HubEvent[]): Promise<void>;
  /** They are to be removed there too. */
  removal(trx: Db, removal: OutboxRemoval): Promise<void>;
  eventRemoval(trx: Db, removal: OutboxEventRemoval): Promise<void>;
  /** They have been sent, or do not wait any longer. */
  taken(bytes: number): void;
  measure(): Promise<ReadonlyMap<OutboxSource, Waiting>>;
}

/** The series of what is noted for events, which have none. */
export const NO_SERIES = 0;

const OUTBOX = Symbol("what waits for ClickHouse");
/** A transaction's client has what its database's has. */
type OutboxClient = { [OUTBOX]?: ClickhouseOutbox };

/** From now on this process puts down what it stores. */
export function keepOutbox(db: Db, outbox: ClickhouseOutbox): void {
  (db.client as OutboxClient)[OUTBOX] = outbox;
}

/** undefined where no ClickHouse is configured. */
export const outboxOf = (db: Db): ClickhouseOutbox | undefined => (db.client as OutboxClient)[OUTBOX];

export function createOutbox(db: Db, { maxBytes, clock }: { readonly maxBytes: number; readonly clock: () => number }): ClickhouseOutbox {
  let waiting = 0;
  const put = (trx: Db, source: OutboxSource, n: number, body: string): Statement => {
    const bytes = Buffer.byteLength(body);
    afterCommit(trx, () => void (waiting += bytes));
    return {
      sql: "insert into clickhouse_outbox (source, n, bytes, made_at, body) values (?, ?, ?, ?, ?)",
      bindings: [source, n, bytes, clock(), body],
    };
  };
  return {
    maxBytes,
    get bytes() {
      return waiting;
    },
    readings: (trx, { body, n, hours }) => (waiting < maxBytes ? put(trx, "telemetry", n, body) : noteMissing(trx, [...hours()])),
    async events(trx, events) {
      const statement =
        waiting < maxBytes
          ? put(trx, "events", events.length, toJson(events))
          : noteMissing(
              trx,
              events.map(({ id }) => ({ seriesId: NO_SERIES, hour: hourOfId(id) })),
            );
      await inOrder(trx, [statement]);
    },
    async removal(trx, removal) {
      await inOrder(trx, [put(trx, "removal", 0, toJson(removal))]);
    },
    async eventRemoval(trx, removal) {
      await inOrder(trx, [put(trx, "event-removal", 0, toJson(removal))]);
    },
    taken: (bytes) => void (waiting = Math.max(0, waiting - bytes)),
    async measure() {
      const rows = await rowsOf<{ source: OutboxSource; n: number; bytes: number; oldest: number }>(
        db,
        `select source, cast(sum(n) as bigint) as n, cast(sum(bytes) as bigint) as bytes, min(made_at) as oldest
         from clickhouse_outbox group by source`,
      );
      waiting = rows.reduce((sum, { bytes }) => sum + bytes, 0);
      return new Map(rows.map(({ source, n, bytes, oldest }) => [source, { n, bytes, oldestAt: oldest }]));
    },
  };
}

/** In which hour the id was made. */
export const hourOfId = (id: string): number => Math.floor(Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16) / HOUR_MS);

function noteMissing(db: Db, hours: readonly { readonly seriesId: number; readonly hour: number }[]): Statement {
  const pairs = new Map(hours.map(({ seriesId, hour }) => [`${seriesId} ${hour}`, [seriesId, hour] as const]));
  const sorted = [...pairs.values()].toSorted(([a, x], [b, y]) => a - b || x - y);
  const sql =
    engineOf(db) === "postgres"
      ? // An update, so that whoever is about to take the note waits for this transaction.
        `insert into clickhouse_missing (series_id, hour) select (e->>0)::int, (e->>1)::bigint from jsonb_array_elements(?::jsonb) as e
         on conflict (series_id, hour) do update set hour = excluded.hour`
      : "insert into clickhouse_missing (series_id, hour) select value->>0, value->>1 from json_each(?) where true on conflict do nothing";
  return { sql, bindings: [toJson(sorted)] };
}

const LANES = ["telemetry", "events", "audit"] as const;
/** What is sent one INSERT after the other. */
export type Lane = (typeof LANES)[number];

/** Everything that is there is to be sent when the hub has had no ClickHouse until now, or another one than `target`. */
export async function beginOutbox(db: Db, target: string, now: number): Promise<void> {
  await inTransaction(db, async (trx) => {
    const others = await rowsOf(trx, "select 1 from clickhouse_lanes where target <> ?", [target]);
    if (others.length > 0) await forgetOutbox(trx);
    const begun = await rowsOf(
      trx,
      `insert into clickhouse_lanes (lane, target, segments) values ${LANES.map(() => "(?, ?, 0)").join(", ")} on conflict do nothing returning lane`,
      LANES.flatMap((lane) => [lane, target]),
    );
    if (begun.length > 0) await noteAll(trx, now);
  });
}

async function noteAll(trx: Db, now: number): Promise<void> {
  await rowsOf(
    trx,
    `insert into clickhouse_missing (series_id, hour)
     select series_id, ts / ${HOUR_MS} from telemetry_hours union select series_id, hour from telemetry_dirty where true on conflict do nothing`,
  );
  const [oldest] = await rowsOf<{ id: string | null }>(trx, "select min(id) as id from events");
  if (oldest?.id == null) return;
  const hours: { seriesId: number; hour: number }[] = [];
  for (let hour = hourOfId(oldest.id); hour <= now / HOUR_MS; hour++) hours.push({ seriesId: NO_SERIES, hour });
  await inOrder(trx, [noteMissing(trx, hours)]);
}

/** The hub is without ClickHouse: what waits takes no room any more. It is sent when there is one again, from the tables. */
export async function forgetOutbox(db: Db): Promise<void> {
  if ((await rowsOf(db, "select 1 from clickhouse_lanes limit 1")).length === 0) return;
  for (const name of ["lanes", "outbox", "segments", "chains", "missing", "event_removals"])
    await rowsOf(db, `delete from clickhouse_${name}`);
}
