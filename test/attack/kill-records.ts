import { openStore, type StoreOptions } from "../../store/open.ts";
import { rowsOf } from "../../store/sql.ts";

/** What the database has of the load. */
export interface Records {
  readonly readings: number[];
  readonly untimed: number[];
  /** By the number in each event. */
  readonly presses: number[];
  /** Changes of state that the device reported. */
  readonly reports: number;
  readonly toggles: number;
}

/** Reads the database of a hub that is stopped. */
export async function readRecords(options: StoreOptions, device: { readonly id: string }): Promise<Records> {
  await using store = await openStore(options);
  const { db } = store;
  const values = async (key: string): Promise<number[]> =>
    (
      await rowsOf<{ v: number }>(
        db,
        "select v from telemetry join series on series.id = series_id where series.device_id = ? and sensor_key = ?",
        [device.id, key],
      )
    ).map(({ v }) => v);
  const events = await rowsOf<{ data: unknown }>(db, "select data from events where type = 'device.input_event' and entity_id = ?", [
    device.id,
  ]);
  const count = async (sql: string, bindings: unknown[]): Promise<number> => Number((await rowsOf<{ n: number }>(db, sql, bindings))[0]?.n);
  return {
    readings: await values("n"),
    untimed: await values("untimed"),
    presses: events
      .map(({ data }) => (typeof data === "string" ? JSON.parse(data) : data) as { duration_ms: number })
      .map((one) => one.duration_ms),
    reports: await count("select count(*) as n from events where type = 'device.state_changed' and actor_id = ?", [device.id]),
    toggles: await count("select count(*) as n from commands where source = 'mqtt'", []),
  };
}
