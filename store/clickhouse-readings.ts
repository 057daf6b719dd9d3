import type { Log, Metrics } from "../core/bus.ts";
import type { Clickhouse } from "./clickhouse-client.ts";
import type { LongTerm, NamedSeries } from "./long-term.ts";
import type { Row } from "./readings.ts";
import type { Folded, Span } from "./rolled-readings.ts";

/** After a failure nobody else waits for so long. */
const REST_MS = 10_000;

interface LongTermContext {
  /** Somebody waits for its answers: not for long. */
  readonly clickhouse: Clickhouse;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** Reads what was shipped. What a row was sent twice counts once. */
export function createClickhouseReadings({ clickhouse, log, metrics }: LongTermContext): LongTerm {
  let restsUntil = Number.NEGATIVE_INFINITY;
  const table = `${clickhouse.database}.telemetry final`;
  async function ask<T>(read: () => Promise<T>): Promise<T | undefined> {
    if (performance.now() < restsUntil) return undefined;
    try {
      const answer = await read();
      metrics.count("hexahub_clickhouse_reads_total", { result: "answered" });
      return answer;
    } catch (error) {
      restsUntil = performance.now() + REST_MS;
      metrics.count("hexahub_clickhouse_reads_total", { result: "failed" });
      log.warn({ err: error }, "ClickHouse does not answer; readings that have had their days here are left out");
      return undefined;
    }
  }
  return {
    periods: (series, span, { bucketMs, how }) =>
      ask(async () => {
        const params = { ...paramsOf(series, span), bucket: bucketMs };
        const period = "intDiv(toUnixTimestamp64Milli(ts), {bucket: Int64}) * {bucket: Int64} as period";
        if (how === "fold") {
          const sql = `select series_id, ${period}, count() as n, count(v) as numbers, min(v) as lowest, max(v) as highest, sum(v) as total
            from ${table} where ${CONDITION} group by series_id, period order by period`;
          return (await clickhouse.rows<FoldedRow>(sql, { params })).map(foldedOf);
        }
        const sql = `select series_id, ${period}, ${how === "first" ? "argMin" : "argMax"}(tuple(v, json), ts) as picked
          from ${table} where ${CONDITION} group by series_id, period order by period`;
        return (await clickhouse.rows<PickedRow>(sql, { params })).map(pickedOf);
      }),
    readings: (series, { limit, ...span }) =>
      ask(async () => {
        const params = { ...paramsOf([series], span), limit };
        const sql = `select toUnixTimestamp64Milli(ts) as at, v, json from ${table} where ${CONDITION} order by ts limit {limit: UInt32}`;
        const rows = await clickhouse.rows<{ at: number; v: number | null; json: string | null }>(sql, { params });
        return rows.map(({ at, v, json }): Row => ({ ts: at, v, json }));
      }),
  };
}

const CONDITION = `device_id in {devices: Array(String)} and sensor_key in {keys: Array(String)} and series_id in {series: Array(UInt32)}
  and organization_id in {organizations: Array(String)}
  and ts >= fromUnixTimestamp64Milli({from: Int64}) and ts < fromUnixTimestamp64Milli({to: Int64})`;

/** What a device had recorded before it was claimed belongs to nobody there. */
function paramsOf(series: readonly NamedSeries[], { from, to }: Span): Record<string, unknown> {
  const distinct = (values: readonly string[]): string[] => [...new Set(values)];
  return {
    devices: distinct(series.map((one) => one.device_id)),
    keys: distinct(series.map((one) => one.sensor_key)),
    series: series.map(({ id }) => id),
    organizations: distinct(["", ...series.map((one) => one.organization_id ?? "")]),
    from,
    to,
  };
}

interface FoldedRow {
  readonly series_id: number;
  readonly period: number;
  readonly n: number;
  readonly numbers: number;
  readonly lowest: number | null;
  readonly highest: number | null;
  readonly total: number | null;
}

const foldedOf = ({ series_id, period, n, numbers, lowest, highest, total }: FoldedRow): Folded => ({
  series_id,
  period,
  n,
  v_n: numbers,
  min: lowest,
  max: highest,
  sum: total,
  v: null,
  json: null,
});

interface PickedRow {
  readonly series_id: number;
  readonly period: number;
  readonly picked: readonly [v: number | null, json: string | null];
}

const pickedOf = ({ series_id, period, picked: [v, json] }: PickedRow): Folded => ({
  series_id,
  period,
  n: 1,
  v_n: 0,
  min: null,
  max: null,
  sum: null,
  v,
  json,
});
