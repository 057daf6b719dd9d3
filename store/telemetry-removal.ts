import { outboxOf } from "./clickhouse-outbox.ts";
import type { Db } from "./open.ts";
import { engineOf, numbersParameter, rowsOf, toJson } from "./sql.ts";

/** Removes the readings of the device's series: all of them, or those recorded while it belonged to nobody. The series stay. */
export async function deleteTelemetry(trx: Db, deviceId: string, which: "all" | "unclaimed" = "all"): Promise<void> {
  const query = trx("series").where({ device_id: deviceId });
  if (which === "unclaimed") query.whereNull("organization_id");
  const series = (await query.select("id", "first_ts")) as { id: number; first_ts: number }[];
  if (series.length === 0) return;
  await outboxOf(trx)?.removal(trx, { seriesIds: series.map((one) => one.id) });
  const ids = toJson(series.map((one) => one.id));
  for (const table of ["telemetry_minutes", "telemetry_chunks", "telemetry_hours", "telemetry_days", "telemetry_dirty"])
    await rowsOf(trx, `delete from ${table} where series_id in ${numbersParameter(trx)}`, [ids]);
  if (engineOf(trx) === "postgres") {
    await rowsOf(trx, "delete from telemetry where series_id in (select value::int from jsonb_array_elements_text(?::jsonb))", [ids]);
    return;
  }
  const firstTs = Math.min(...series.map((one) => one.first_ts));
  await rowsOf(
    trx,
    `with recursive buckets(bucket) as (
       select cast(? as integer) / 600000 union all select bucket + 1 from buckets where bucket < (select max(bucket) from telemetry)
     )
     delete from telemetry where (bucket, series_id, ts) in (
       select t.bucket, t.series_id, t.ts from buckets cross join json_each(?) as s cross join telemetry as t on t.bucket = buckets.bucket and t.series_id = s.value
     )`,
    [firstTs, ids],
  );
}
