import type { Log, Metrics } from "../core/bus.ts";
import { HOUR_MS } from "../core/durations.ts";
import type { HubEvent } from "../core/event.ts";
import { firstIdAt } from "../core/id.ts";
import type { Clickhouse } from "./clickhouse-client.ts";
import { auditLines, type ChainPart, eventLines, type Lines, type OutboxReading, readingLines, versionOf } from "./clickhouse-lines.ts";
import { type Lane, NO_SERIES, type OutboxEventRemoval, type OutboxRemoval, type OutboxSource } from "./clickhouse-outbox.ts";
import { type Bounds, type Found, halve, type Segment, type SegmentKind } from "./clickhouse-segments.ts";
import { eventsBetween } from "./events.ts";
import type { Db } from "./open.ts";
import { readHours } from "./readings-by-hour.ts";
import { hourOf } from "./rollups.ts";
import { engineOf, numbersParameter, rowsOf, toJson } from "./sql.ts";

export interface ShipContext {
  readonly db: Db;
  readonly clickhouse: Clickhouse;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly signal: AbortSignal;
}

/** What is shipped one after the other in a lane, and how. */
export interface ShippedKind extends SegmentKind {
  /** Gives the rows that were sent. Rejects when it is not known that they are there. */
  readonly ship: (context: ShipContext, segment: Segment) => Promise<number>;
}

/** Of one segment: a few megabytes, and a fraction of a second of ClickHouse. */
const MOST_ROWS = 20_000;
const MOST_BYTES = 4_194_304;
const MOST_BATCHES = 1_000;
const MOST_CHAINS = 200;
/** The last that a DateTime64 has. */
const LAST_MS = Date.parse("2299-12-31T00:00:00Z");
/** Rows of one INSERT of what is sent from the tables. */
const PAGE = 5_000;
/** What an hour that is not summed up is taken for. */
const GUESSED_ROWS = 3_600;

/** An INSERT of a segment's own rows is known by its token. */
async function insert({ clickhouse, signal }: ShipContext, lines: Lines, token: string | undefined): Promise<void> {
  if (lines.lines !== "") await clickhouse.insert({ ...lines, token }, signal);
}

/** Ids of the outbox, which may be more than 32 bits have. */
const idsIn = (db: Db): string =>
  engineOf(db) === "postgres" ? "(select jsonb_array_elements_text(?::jsonb)::bigint)" : "(select value from json_each(?))";

/** Rows of the outbox of one source, `before` the first of another. */
async function lookInOutbox(db: Db, source: OutboxSource, before: OutboxSource): Promise<Found | undefined> {
  const rows = await rowsOf<{ id: number; n: number; bytes: number }>(
    db,
    `select id, n, bytes from clickhouse_outbox
     where source = ? and id < coalesce((select min(id) from clickhouse_outbox where source = ?), 9007199254740991)
     order by id limit ${MOST_BATCHES}`,
    [source, before],
  );
  return firstOf(rows, { most: MOST_BATCHES, weigh: ({ n, bytes }) => Math.max(n / MOST_ROWS, bytes / MOST_BYTES), bound: ({ id }) => id });
}

interface Weighing<Row> {
  /** That many rows were asked for. */
  readonly most: number;
  /** Of a full segment: 1. */
  readonly weigh: (row: Row) => number;
  readonly bound: (row: Row) => unknown;
}

/** As many of them as one segment takes, and one at least. */
function firstOf<Row>(rows: readonly Row[], { most, weigh, bound }: Weighing<Row>): Found | undefined {
  if (rows.length === 0) return undefined;
  let weight = 0;
  const end = rows.findIndex((row) => (weight += weigh(row)) >= 1);
  const taken = end < 0 ? rows : rows.slice(0, end + 1);
  return { bounds: taken.map(bound), isFull: end >= 0 || rows.length === most };
}

async function dropFromOutbox(trx: Db, ids: Bounds): Promise<number> {
  const rows = await rowsOf<{ bytes: number }>(trx, `delete from clickhouse_outbox where id in ${idsIn(trx)} returning bytes`, [
    toJson(ids),
  ]);
  return rows.reduce((sum, { bytes }) => sum + bytes, 0);
}

async function setAsideInOutbox(trx: Db, ids: Bounds): Promise<void> {
  const source: OutboxSource = "refused";
  await rowsOf(trx, `update clickhouse_outbox set source = ? where id in ${idsIn(trx)}`, [source, toJson(ids)]);
}

const bodiesOf = (db: Db, ids: Bounds): Promise<{ id: number; body: string }[]> =>
  rowsOf(db, `select id, body from clickhouse_outbox where id in ${idsIn(db)} order by id`, [toJson(ids)]);

const TELEMETRY: ShippedKind = {
  name: "telemetry",
  look: (db) => lookInOutbox(db, "telemetry", "removal"),
  drop: dropFromOutbox,
  setAside: setAsideInOutbox,
  async ship(context, { id: token, bounds }) {
    const rows = await bodiesOf(context.db, bounds);
    const batches = rows.map(({ id, body }) => ({ id, readings: JSON.parse(body) as OutboxReading[] }));
    await insert(context, await readingLines(context.db, batches), token);
    return batches.reduce((sum, { readings }) => sum + readings.length, 0);
  },
};

/** What is to be removed there, by `remove`: one at a time, behind what came before it. */
const removalOf = (
  source: OutboxSource,
  remove: (context: ShipContext, row: { id: number; body: string }) => Promise<void>,
): ShippedKind => ({
  name: source,
  async look(db) {
    const [row] = await rowsOf<{ id: number }>(db, "select id from clickhouse_outbox where source = ? order by id limit 1", [source]);
    return row && { bounds: [row.id], isFull: true };
  },
  drop: dropFromOutbox,
  setAside: setAsideInOutbox,
  async ship(context, { bounds }) {
    for (const row of await bodiesOf(context.db, bounds)) await remove(context, row);
    return 0;
  },
});

const REMOVAL = removalOf("removal", async ({ clickhouse, signal }, { id, body }) => {
  const { seriesIds, before } = JSON.parse(body) as OutboxRemoval;
  await clickhouse.run(
    `delete from ${clickhouse.database}.telemetry
     where series_id in {series: Array(UInt32)} and version > {version: UInt64} and ts < fromUnixTimestamp64Milli({before: Int64})`,
    { params: { series: seriesIds, version: versionOf(id), before: before ?? LAST_MS }, signal },
  );
});

const EVENT_REMOVAL = removalOf("event-removal", async ({ clickhouse, signal }, { body }) => {
  const { organizationId, before } = JSON.parse(body) as OutboxEventRemoval;
  await clickhouse.run(
    `delete from ${clickhouse.database}.events
     where organization_id = {organization: String} and timestamp < fromUnixTimestamp64Milli({before: Int64})`,
    { params: { organization: organizationId, before }, signal },
  );
});

type Hour = readonly [series: number, hour: number];

async function lookForMissing(db: Db, condition: string): Promise<Found | undefined> {
  const rows = await rowsOf<{ series_id: number; hour: number; n: number }>(
    db,
    `select m.series_id, m.hour, cast(coalesce(h.n, ${GUESSED_ROWS}) as bigint) as n
     from clickhouse_missing m left join telemetry_hours h on h.series_id = m.series_id and h.ts = m.hour * ${HOUR_MS}
     where ${condition} order by m.series_id, m.hour limit ${MOST_BATCHES}`,
  );
  return firstOf(rows, {
    most: MOST_BATCHES,
    weigh: ({ n }) => n / MOST_ROWS,
    bound: ({ series_id: series, hour }): Hour => [series, hour],
  });
}

/** Whoever notes one of them meanwhile is waited for, and seen. */
async function claimMissing(trx: Db, bounds: Bounds): Promise<void> {
  const pairs =
    engineOf(trx) === "postgres"
      ? "(select (e->>0)::int, (e->>1)::bigint from jsonb_array_elements(?::jsonb) as e)"
      : "(select value->>0, value->>1 from json_each(?))";
  await rowsOf(trx, `delete from clickhouse_missing where (series_id, hour) in ${pairs}`, [toJson(bounds)]);
}

/** Readings of whole hours, as they are in the tables: sent twice, they are the same. */
const BACKFILL: ShippedKind = {
  name: "backfill",
  look: (db) => lookForMissing(db, `m.series_id <> ${NO_SERIES}`),
  claim: claimMissing,
  async ship(context, { bounds }) {
    const hours = bounds as readonly Hour[];
    const seen = new Set<string>();
    let sent = 0;
    for await (const readings of readHours(context.db, hours, PAGE)) {
      for (const [series, ts] of readings) seen.add(nameOf(series, hourOf(ts)));
      await insert(context, await readingLines(context.db, [{ id: 0, readings }]), undefined);
      sent += readings.length;
    }
    await tellLost(
      context,
      hours.filter(([series, hour]) => !seen.has(nameOf(series, hour))),
    );
    return sent;
  },
};

const nameOf = (series: number, hour: number): string => `${series} ${hour}`;

/** Of an hour that has had its days here there is nothing left to send. */
async function tellLost({ db, log, metrics }: ShipContext, empty: readonly Hour[]): Promise<void> {
  if (empty.length === 0) return;
  const rows = await rowsOf<{ id: number; kept_from: number }>(db, `select id, kept_from from series where id in ${numbersParameter(db)}`, [
    toJson([...new Set(empty.map(([series]) => series))]),
  ]);
  const keptFrom = new Map(rows.map((one) => [one.id, one.kept_from]));
  const lost = empty.filter(([series, hour]) => hour * HOUR_MS < (keptFrom.get(series) ?? 0)).length;
  if (lost === 0) return;
  metrics.count("hexahub_clickhouse_lost_hours_total", {}, lost);
  log.warn({ hours: lost }, "hours of readings had gone before they were sent to ClickHouse");
}

const EVENTS: ShippedKind = {
  name: "events",
  look: (db) => lookInOutbox(db, "events", "event-removal"),
  drop: dropFromOutbox,
  setAside: setAsideInOutbox,
  async ship(context, { id: token, bounds }) {
    const events = (await bodiesOf(context.db, bounds)).flatMap(({ body }) => JSON.parse(body) as HubEvent[]);
    await insert(context, eventLines(events), token);
    return events.length;
  },
};

const EVENT_BACKFILL: ShippedKind = {
  name: "event-backfill",
  look: (db) => lookForMissing(db, `m.series_id = ${NO_SERIES}`),
  claim: claimMissing,
  async ship(context, { bounds }) {
    let sent = 0;
    for (const [, hour] of bounds as readonly Hour[]) {
      const range = { from: firstIdAt(hour * HOUR_MS), to: firstIdAt((hour + 1) * HOUR_MS) };
      for await (const events of eventsBetween(context.db, range, PAGE)) {
        await insert(context, eventLines(events), undefined);
        sent += events.length;
      }
    }
    return sent;
  },
};

const AUDIT: ShippedKind = {
  name: "audit",
  async look(db) {
    const behind = await rowsOf<{ chain: string; after: number; last_seq: number }>(
      db,
      `select c.chain, coalesce(k.seq, 0) as after, c.last_seq from audit_chains c left join clickhouse_chains k on k.chain = c.chain
       where c.last_seq > coalesce(k.seq, 0) order by c.chain limit ${MOST_CHAINS}`,
    );
    let left = MOST_ROWS / 10;
    const bounds: ChainPart[] = [];
    for (const { chain, after, last_seq: last } of behind) {
      const to = Math.min(last, after + left);
      if (to > after) bounds.push({ chain, after, to });
      left -= to - after;
    }
    return bounds.length === 0 ? undefined : { bounds, isFull: left === 0 || behind.length === MOST_CHAINS };
  },
  async claim(trx, bounds) {
    for (const { chain, to } of bounds as readonly ChainPart[])
      await rowsOf(trx, "insert into clickhouse_chains (chain, seq) values (?, ?) on conflict (chain) do update set seq = excluded.seq", [
        chain,
        to,
      ]);
  },
  halve(bounds) {
    const [part] = bounds as readonly ChainPart[];
    if (bounds.length > 1 || !part || part.to - part.after < 2) return halve(bounds);
    const middle = Math.floor((part.after + part.to) / 2);
    return [[{ ...part, to: middle }], [{ ...part, after: middle }]];
  },
  async ship(context, { id: token, bounds }) {
    const parts = bounds as readonly ChainPart[];
    await insert(context, await auditLines(context.db, parts), token);
    return parts.reduce((sum, { after, to }) => sum + to - after, 0);
  },
};

/** In the order in which they come when several wait. */
export const KINDS: Readonly<Record<Lane, readonly ShippedKind[]>> = {
  // What is removed has been sent before, and is not sent behind it.
  telemetry: [TELEMETRY, REMOVAL, BACKFILL],
  events: [EVENTS, EVENT_REMOVAL, EVENT_BACKFILL],
  audit: [AUDIT],
};
