import type { Duties, EventSink, Log, Metrics } from "../core/bus.ts";
import { openClickhouseClient } from "./clickhouse-client.ts";
import { type LagReading, watchLag } from "./clickhouse-lag.ts";
import { createClickhouseReadings } from "./clickhouse-readings.ts";
import { beginOutbox, createOutbox, keepOutbox } from "./clickhouse-outbox.ts";
import { startShipping } from "./clickhouse-shipping.ts";
import type { ClickhouseRetention } from "./clickhouse-tables.ts";
import { witnessEvents } from "./events.ts";
import { keepLongTerm } from "./long-term.ts";
import type { Db } from "./open.ts";

export interface ClickhouseContext {
  readonly db: Db;
  /** With user, password and database. */
  readonly url: string;
  /** Of the outbox. */
  readonly maxBytes: number;
  readonly retention: ClickhouseRetention;
  readonly log: Log;
  readonly metrics: Metrics & { gauge(...reading: Gauge): void };
  /** ms since 1970 */
  readonly clock: () => number;
  readonly pace?: ClickhousePace | undefined;
}

/** What is done slowly, for whoever cannot wait so long. */
export interface ClickhousePace {
  /** Between two looks at what waits, in ms. */
  readonly everyMs?: number;
  /** Of one request, in ms. */
  readonly limitMs?: number;
}

type Gauge = [name: LagReading["name"], help: LagReading["help"], read: LagReading["read"]];

export interface ClickhouseSink extends AsyncDisposable {
  /** From now on, on one node of a cluster. */
  startShipping(context: { readonly duties: Duties; readonly events: EventSink }): AsyncDisposable;
}

const MEASURE_MS = 10_000;
/** For whoever waits for readings. */
const READ_LIMIT_MS = 2_000;

/** From now on what this process stores is put down for ClickHouse too. It need not be reachable. */
export async function openClickhouse({ url, maxBytes, retention, pace, ...context }: ClickhouseContext): Promise<ClickhouseSink> {
  const { db, clock } = context;
  const clickhouse = openClickhouseClient(url, pace);
  const outbox = createOutbox(db, { maxBytes, clock });
  keepOutbox(db, outbox);
  witnessEvents(db, (trx, events) => outbox.events(trx, events));
  await beginOutbox(db, clickhouse.target, clock());
  await outbox.measure();
  const reading = openClickhouseClient(url, { limitMs: Math.min(READ_LIMIT_MS, pace?.limitMs ?? READ_LIMIT_MS) });
  keepLongTerm(db, createClickhouseReadings({ ...context, clickhouse: reading }));
  const lag = watchLag({ ...context, outbox }, pace?.everyMs ?? MEASURE_MS);
  for (const { name, help, read } of lag.readings) context.metrics.gauge(name, help, read);
  return {
    startShipping: ({ duties, events }) =>
      startShipping({ ...context, clickhouse, outbox, retention, duties, events, everyMs: pace?.everyMs }),
    async [Symbol.asyncDispose]() {
      await lag[Symbol.asyncDispose]();
      await reading[Symbol.asyncDispose]();
      await clickhouse[Symbol.asyncDispose]();
    },
  };
}
