import type { Presence } from "../core/device.ts";
import { type LightState, lightPayload, type OnOff } from "../core/state.ts";
import { sensorStateText } from "../core/telemetry.ts";
import type { Topics } from "../core/topics.ts";
import type { Db } from "./open.ts";
import { isoOf, rowsOf } from "./sql.ts";
import { sensorValue } from "./state.ts";

/** A retained topic and what it says. */
export interface StateMessage {
  readonly topic: string;
  readonly payload: string;
}

/**
 * The retained state topics as the tables have them: what a subscriber must find after a restart, whatever was lost on
 * the way to it. A device that was connected is expected back.
 */
export async function* eachRetainedState(db: Db, topics: Topics): AsyncGenerator<StateMessage> {
  yield* eachAvailability(db, topics);
  yield* eachOutputState(db, topics, 0);
  yield* eachSensorState(db, topics);
}

/**
 * Of all devices, or of those with these uids. A stale device is still connected: who reads this must not be told that it left.
 * Nothing is said of a device that was never connected, or not since it was given up: that took back what there was.
 */
export async function* eachAvailability(db: Db, topics: Topics, uids?: ReadonlySet<string>): AsyncGenerator<StateMessage> {
  const query = db("devices")
    .select({ uid: "uid", status: "connection_status" })
    .whereRaw("(connection_status <> 'offline' or last_seen_at > released_at or (released_at is null and last_seen_at is not null))");
  if (uids) query.whereIn("uid", [...uids]);
  for (const { uid, status } of (await query) as { uid: string; status: Presence }[])
    yield { topic: topics.build({ kind: "availability", uid }), payload: status === "offline" ? "offline" : "online" };
}

/** The outputs that changed at `since` (ms since 1970) or later. */
export async function* eachOutputState(db: Db, topics: Topics, since: number): AsyncGenerator<StateMessage> {
  const relays = await rowsOf<{ uid: string; index: number; state: OnOff }>(
    db,
    'select uid, output_index as "index", state from relay_states join devices on devices.id = device_id where changed_at >= ?',
    [isoOf(since)],
  );
  for (const { uid, index, state } of relays) yield { topic: topics.build({ kind: "relay_state", uid, index }), payload: state };
  const lights = await rowsOf<{ uid: string; index: number; state: OnOff; brightness: number | null; color_temp: number | null }>(
    db,
    'select uid, output_index as "index", state, brightness, color_temp from light_states join devices on devices.id = device_id where changed_at >= ?',
    [isoOf(since)],
  );
  for (const { uid, index, state, brightness, color_temp } of lights) {
    const light: LightState = {
      index,
      state,
      ...(brightness === null ? {} : { brightness }),
      ...(color_temp === null ? {} : { color_temp }),
    };
    yield { topic: topics.build({ kind: "light_state", uid, index }), payload: lightPayload(light) };
  }
}

async function* eachSensorState(db: Db, topics: Topics): AsyncGenerator<StateMessage> {
  const sensors = await rowsOf<{ uid: string; key: string; v: number | null; json: string | null }>(
    db,
    "select uid, sensor_key as key, v, cast(json as text) as json from device_sensor_state join devices on devices.id = device_id",
  );
  for (const { uid, key, v, json } of sensors)
    yield { topic: topics.build({ kind: "sensor_state", uid, key }), payload: sensorStateText(sensorValue(v, json)) };
}
