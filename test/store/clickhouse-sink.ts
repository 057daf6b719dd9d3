import { createDuties } from "../../broker/duties.ts";
import type { HubEvent } from "../../core/event.ts";
import { openClickhouse } from "../../store/clickhouse.ts";
import { type LagReading, measureLag } from "../../store/clickhouse-lag.ts";
import { type ClickhouseOutbox, outboxOf } from "../../store/clickhouse-outbox.ts";
import type { Db } from "../../store/open.ts";
import { rowsOf } from "../../store/sql.ts";
import { collectErrors } from "../support/collected-errors.ts";

export interface TestSink extends AsyncDisposable {
  /** Until the block ends. */
  ship(): AsyncDisposable;
  readonly errors: readonly string[];
  /** Alarms that were told on the bus. */
  readonly told: readonly HubEvent[];
  /** By name; of those with labels by name and lane. */
  values(): Record<string, number>;
}

export interface SinkOptions {
  readonly maxBytes?: number;
  readonly limitMs?: number;
  readonly clock?: () => number;
}

/** A sink that looks for work without a pause. */
export async function openSink(
  db: Db,
  url: string,
  { maxBytes = 2 ** 30, limitMs = 5_000, clock = Date.now }: SinkOptions = {},
): Promise<TestSink> {
  const { log, errors } = collectErrors();
  const told: HubEvent[] = [];
  const readings = new Map<string, LagReading["read"]>();
  const sink = await openClickhouse({
    db,
    url,
    maxBytes,
    retention: { readingDays: 0, eventDays: 0 },
    log,
    metrics: { count() {}, observe() {}, gauge: (name, _help, read) => void readings.set(name, read) },
    clock,
    pace: { everyMs: 5, limitMs },
  });
  const events = { emit: async (emitted: readonly HubEvent[]) => void told.push(...emitted) };
  return {
    ship: () => sink.startShipping({ duties: createDuties(undefined, log), events }),
    errors,
    told,
    values: () =>
      Object.fromEntries(
        [...readings].flatMap(([name, read]) => {
          const value = read();
          return typeof value === "number" ? [[name, value]] : value.map((one) => [`${name} ${one.labels["lane"]}`, one.value]);
        }),
      ),
    [Symbol.asyncDispose]: () => sink[Symbol.asyncDispose](),
  };
}

/** Whether everything but what was refused has been sent. */
export async function isShipped(db: Db): Promise<boolean> {
  const { lanes, missingHours } = await measureLag(db, outboxOf(db) as ClickhouseOutbox);
  const open = await rowsOf(db, "select id from clickhouse_segments where refused_at is null");
  return open.length === 0 && missingHours === 0 && Object.values(lanes).every(({ n }) => n === 0);
}
