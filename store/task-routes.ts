import type { Db } from "./open.ts";
import { rowsOf, rowSource, toJson } from "./sql.ts";

/** Devices whose sessions are this node's from now on: gives the number of each session, greater than that of any before. */
export async function noteArrivals(db: Db, deviceIds: readonly string[], nodeId: string): Promise<ReadonlyMap<string, number>> {
  const rows = await rowsOf<{ device_id: string; sequence: number | string }>(
    db,
    `insert into task_routes (device_id, node_id, sequence)
     select r.device_id, r.node_id, 1 from ${rowSource(db, { device_id: "text", node_id: "text" })} where exists (select 1 from devices as d where d.id = r.device_id)
     order by r.device_id
     on conflict (device_id) do update set node_id = excluded.node_id, sequence = task_routes.sequence + 1
     returning device_id, sequence`,
    [toJson([...new Set(deviceIds)].map((device_id) => ({ device_id, node_id: nodeId })))],
  );
  return new Map(rows.map(({ device_id, sequence }) => [device_id, Number(sequence)]));
}

/** Whether no younger session of the device is known. */
export async function isLatestRoute(trx: Db, deviceId: string, sequence: number): Promise<boolean> {
  const row = (await trx("task_routes").where({ device_id: deviceId }).first("sequence")) as { sequence: number | string } | undefined;
  return row !== undefined && Number(row.sequence) === sequence;
}
