import { setTimeout as pause } from "node:timers/promises";
import { ExponentialBackoff, type IBackoff } from "cockatiel";
import type { Duties, EventSink, Log, Metrics } from "../core/bus.ts";
import { type EventType, newEvent } from "../core/event.ts";
import { SYSTEM } from "../core/principal.ts";
import { type Clickhouse, isMissing, isRefusal } from "./clickhouse-client.ts";
import { KINDS, type ShipContext, type ShippedKind } from "./clickhouse-kinds.ts";
import type { ClickhouseOutbox, Lane } from "./clickhouse-outbox.ts";
import { nextSegment, reopenRefused, type Segment, settleSegment, splitSegment } from "./clickhouse-segments.ts";
import { type ClickhouseRetention, createPreparedTables, type PreparedTables } from "./clickhouse-tables.ts";
import { insertEvents } from "./events.ts";
import type { Db } from "./open.ts";
import { inTransaction } from "./transaction.ts";

export interface ShippingContext {
  readonly db: Db;
  readonly clickhouse: Clickhouse;
  readonly outbox: ClickhouseOutbox;
  readonly retention: ClickhouseRetention;
  readonly duties: Duties;
  readonly events: EventSink;
  readonly log: Log;
  readonly metrics: Metrics;
  /** ms since 1970 */
  readonly clock: () => number;
  /** Two seconds: ClickHouse wants few large INSERTs. */
  readonly everyMs?: number | undefined;
}

const EVERY_MS = 2_000;
/** Between two full segments: whatever else wants the database goes first. */
const BREATH_MS = 20;
const BACKOFF = { initialDelay: 500, maxDelay: 30_000 };
/** A server that is away fails with every attempt. */
const TOLD_EVERY_MS = 60_000;

/** Ships what waits, on one node of a cluster, though two at once do no harm: a segment is the same for both, and counts once. */
export function startShipping(context: ShippingContext): AsyncDisposable {
  return context.duties.hold("clickhouse", async (signal) => {
    await reopenRefused(context.db);
    const tables = createPreparedTables(context.clickhouse, context.retention);
    const lanes = Object.keys(KINDS) as Lane[];
    await Promise.all([watchLevel(context, signal), ...lanes.map((lane) => shipLane({ ...context, signal }, lane, tables))]);
  });
}

type LaneContext = ShippingContext & ShipContext;

async function shipLane(context: LaneContext, lane: Lane, tables: PreparedTables): Promise<void> {
  const { signal, log, metrics, everyMs = EVERY_MS } = context;
  let backoff: IBackoff<unknown> | undefined;
  let toldAt = Number.NEGATIVE_INFINITY;
  while (!signal.aborted) {
    let waitMs = everyMs;
    try {
      if (await shipNext(context, lane, tables)) waitMs = BREATH_MS;
      backoff = undefined;
    } catch (error) {
      if (signal.aborted) return;
      if (isMissing(error)) tables.forget();
      metrics.count("hexahub_clickhouse_failures_total", { lane });
      backoff = backoff === undefined ? new ExponentialBackoff(BACKOFF).next() : backoff.next(undefined);
      waitMs = backoff.duration;
      if (performance.now() - toldAt >= TOLD_EVERY_MS) {
        toldAt = performance.now();
        log.warn({ err: error, lane }, "ClickHouse does not take what waits for it; it is tried again");
      }
    }
    await pause(waitMs, undefined, { signal, ref: false }).catch(() => undefined);
  }
}

/** Says whether there is more. */
async function shipNext(context: LaneContext, lane: Lane, tables: PreparedTables): Promise<boolean> {
  const { db, outbox, metrics, signal } = context;
  const kinds = KINDS[lane];
  const segment = await nextSegment(db, lane, kinds);
  const kind = kinds.find(({ name }) => name === segment?.kind);
  if (!segment || !kind) return false;
  // A lane is called by its table.
  await tables.ready(lane, signal);
  try {
    metrics.count("hexahub_clickhouse_rows_total", { lane }, await kind.ship(context, segment));
  } catch (error) {
    if (!isRefusal(error)) throw error;
    await refused(context, { segment, kind, error: error as Error });
    return true;
  }
  outbox.taken(await settleSegment(db, segment, kind));
  return segment.isFull;
}

interface Refused {
  readonly segment: Segment;
  readonly kind: ShippedKind;
  readonly error: Error;
}

async function refused(context: LaneContext, { segment, kind, error }: Refused): Promise<void> {
  const { db, clock, log } = context;
  const isSetAside = await splitSegment(db, { segment, kind, error: error.message.slice(0, 1_000), now: clock() });
  if (!isSetAside) return;
  log.error(
    { err: error, segment: segment.id, kind: kind.name },
    "ClickHouse refuses what was sent: it is set aside until the hub starts again",
  );
  await tell(context, "clickhouse.refused", { segment_id: segment.id, kind: kind.name, error: error.message.slice(0, 200) });
}

/** How much of its room the outbox has taken. */
export type Level = "low" | "filling" | "full";
const FILLING = 0.8;
/** It is over when so much is free again, so that it is not told over and over. */
const LOW = 0.5;

export function levelOf(share: number, before: Level): Level {
  if (share >= 1) return "full";
  if (share >= FILLING && before !== "full") return "filling";
  return share < LOW ? "low" : before;
}

const ALARMS: Readonly<Record<Level, EventType>> = {
  filling: "clickhouse.outbox_filling",
  full: "clickhouse.outbox_full",
  low: "clickhouse.outbox_drained",
};

/** An alarm that is raised once for each level, and ends by itself. */
async function watchLevel(context: ShippingContext, signal: AbortSignal): Promise<void> {
  const { outbox, log, everyMs = EVERY_MS } = context;
  let level: Level = "low";
  while (!signal.aborted) {
    const found = levelOf(outbox.bytes / outbox.maxBytes, level);
    if (found !== level) {
      level = found;
      const data = { bytes: outbox.bytes, max_bytes: outbox.maxBytes };
      const said = `what waits for ClickHouse: ${ALARMS[found]}`;
      if (found === "low") log.info(data, said);
      else log.error(data, said);
      await tell(context, ALARMS[found], data).catch((error: unknown) => log.error({ err: error }, "an alarm could not be told"));
    }
    await pause(everyMs, undefined, { signal, ref: false }).catch(() => undefined);
  }
}

async function tell({ db, events, clock }: ShippingContext, type: EventType, data: Record<string, unknown>): Promise<void> {
  const event = newEvent(type, { organizationId: null, entityId: null, actor: SYSTEM, now: clock() }, data);
  await inTransaction(db, (trx) => insertEvents(trx, [event]));
  await events.emit([event]);
}
