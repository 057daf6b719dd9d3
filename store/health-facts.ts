import type { Device } from "../core/device.ts";
import { DAY_MS, HOUR_MS } from "../core/durations.ts";
import type { HealthFacts } from "../core/health-score.ts";
import { type Aggregate, type Measure, mergeAggregates, type MetricType, shareQuantile } from "../core/metric.ts";
import type { Severity } from "../core/notification.ts";
import { isBattery } from "./insight-facts.ts";
import { totalsOf } from "./metrics.ts";
import type { Db } from "./open.ts";
import { rowsOf } from "./sql.ts";

const NOW_DAYS = 7;
const BEFORE_DAYS = 28;

/** Of a device of an organisation. `until` in ms since 1970: a whole hour that is worked out. */
export async function healthFacts(
  db: Db,
  { id: deviceId, organizationId, claimedAt, createdAt }: Pick<Device, "id" | "organizationId" | "claimedAt" | "createdAt">,
  until: number,
): Promise<HealthFacts> {
  const from = until - NOW_DAYS * DAY_MS;
  const since = Math.ceil(Date.parse(claimedAt ?? createdAt) / HOUR_MS) * HOUR_MS;
  const [start, before] = [Math.max(from, since), { from: Math.max(from - BEFORE_DAYS * DAY_MS, since), to: from }];
  const of = organizationId === null ? [] : [{ deviceId, organizationId }];
  const measured = async (range: { from: number; to: number }): Promise<Measure[]> =>
    range.from >= range.to ? [] : ((await totalsOf(db, of, range)).get(deviceId) ?? []);
  const [now, past] = [await measured({ from: start, to: until }), await measured(before)];
  const seconds = (range: { from: number; to: number }): number => Math.max(0, range.to - range.from) / 1_000;
  const success = totalOf(now, "command.success");
  const hoursIn = (range: { from: number; to: number }) => readingHours(db, deviceId, organizationId, range);
  return {
    online: {
      possibleS: seconds({ from: start, to: until }),
      s: totalOf(now, "presence.online")?.sum ?? 0,
      disconnects: totalOf(now, "presence.disconnects")?.n ?? 0,
    },
    onlineBefore: { possibleS: seconds(before), s: totalOf(past, "presence.online")?.sum ?? 0 },
    commands: { n: success?.n ?? 0, ok: success?.sum ?? 0 },
    latency: medianOf(totalOf(now, "command.latency")),
    latencyBefore: medianOf(totalOf(past, "command.latency")),
    telemetry: await hoursIn({ from: start, to: until }),
    telemetryBefore: await hoursIn(before),
    ...(await newestValues(db, deviceId)),
    alerts: await openAlertsOn(db, deviceId, organizationId),
  };
}

/** Of all channels. */
export const totalOf = (measures: readonly Measure[], type: MetricType): Aggregate | undefined =>
  mergeAggregates(measures.filter((one) => one.type === type));

const medianOf = (aggregate: Aggregate | undefined) => ({
  n: aggregate?.n ?? 0,
  ms: aggregate === undefined ? null : shareQuantile(aggregate, 0.5),
});

async function readingHours(
  db: Db,
  deviceId: string,
  organizationId: string | null,
  { from, to }: { readonly from: number; readonly to: number },
): Promise<{ hours: number; of: number }> {
  if (from >= to) return { hours: 0, of: 0 };
  const [row] = await rowsOf<{ n: number | string }>(
    db,
    `select count(distinct h.ts) as n from series as s cross join telemetry_hours as h
     where s.device_id = ? and s.organization_id = ? and h.series_id = s.id and h.ts >= ? and h.ts < ?`,
    [deviceId, organizationId, from, to],
  );
  return { hours: Number(row?.n ?? 0), of: (to - from) / HOUR_MS };
}

async function newestValues(db: Db, deviceId: string): Promise<{ battery: number | null; signal: number | null }> {
  const rows = await rowsOf<{ key: string; v: number; device_class: string | null }>(
    db,
    `select l.sensor_key as key, l.v, c.device_class from device_sensor_state as l
     left join device_capabilities as c on c.device_id = l.device_id and c.kind = 'sensor' and c.capability_key = l.sensor_key
     where l.device_id = ? and l.v is not null order by l.sensor_key`,
    [deviceId],
  );
  const battery = rows.find((row) => isBattery(row.key, row.device_class))?.v ?? null;
  const signal = rows.find((row) => row.device_class === "signal_strength" || row.key === "rssi")?.v ?? null;
  return { battery, signal };
}

async function openAlertsOn(db: Db, deviceId: string, organizationId: string | null): Promise<Severity[]> {
  const rows = await rowsOf<{ severity: Severity }>(
    db,
    "select severity from alerts where device_id = ? and organization_id = ? and status <> 'resolved' limit 100",
    [deviceId, organizationId],
  );
  return rows.map(({ severity }) => severity);
}
