import type { SensorValue } from "../core/payloads.ts";
import type { Actor } from "../core/principal.ts";
import type { DeviceState, LightState, OnOff } from "../core/state.ts";
import type { Db } from "./open.ts";
import { inTransaction, write } from "./transaction.ts";
import { isoOf, rowSource, rowsOf, toJson } from "./sql.ts";

/** Why an output is as it is. */
export interface StateReason {
  readonly now: number;
  readonly actor: Actor;
  readonly source: string;
  readonly commandId: string | null;
  readonly correlationId: string | null;
  readonly ruleVersion?: number | null | undefined;
}

export interface DescribedOutput {
  readonly kind: "relay" | "light";
  readonly index: number;
  readonly state: OnOff;
  readonly brightness: number | null;
  readonly colorTemp: number | null;
  readonly changedAt: string;
  readonly actor: Actor;
  readonly source: string;
  readonly commandId: string | null;
  readonly correlationId: string | null;
  readonly ruleVersion: number | null;
}

/** Each list sorted by index; empty for a device that never reported. */
export async function readState(db: Db, deviceId: string): Promise<DeviceState> {
  return stateOf(await describeState(db, deviceId));
}

export function stateOf(outputs: readonly DescribedOutput[]): DeviceState {
  return {
    relays: outputs.filter((one) => one.kind === "relay").map(({ index, state }) => ({ index, state })),
    lights: outputs.filter((one) => one.kind === "light").map(lightOf),
  };
}

/** Writes the outputs in `changes` with their reason and leaves the others alone. A device that was just deleted is passed over. */
export async function writeState(db: Db, deviceId: string, changes: DeviceState, why: StateReason): Promise<void> {
  const { relays, lights } = changes;
  if (relays.length === 0 && lights.length === 0) return;
  await inTransaction(db, async (trx) => {
    if (relays.length > 0) await upsertOutputs(trx, "relay_states", deviceId, relays, why);
    if (lights.length > 0) await upsertOutputs(trx, "light_states", deviceId, lights, why);
  });
}

/** Every known output with who and what changed it last: relays first, by index. */
export async function describeState(db: Db, deviceId: string): Promise<DescribedOutput[]> {
  const rows = await rowsOf<OutputRow>(
    db,
    `select 'relay' as kind, ${DESCRIPTION}, null as brightness, null as color_temp from relay_states where device_id = ?
     union all select 'light' as kind, ${DESCRIPTION}, brightness, color_temp from light_states where device_id = ?`,
    [deviceId, deviceId],
  );
  return sortedOutputs(rows);
}

/** As {@link describeState}, of all devices of the organisation, or of one of them, by their ids. */
export async function describeOutputs(db: Db, organizationId: string, deviceId?: string): Promise<Map<string, DescribedOutput[]>> {
  const condition = `join devices d on d.id = s.device_id where d.organization_id = ?${deviceId === undefined ? "" : " and d.id = ?"}`;
  const bindings = deviceId === undefined ? [organizationId] : [organizationId, deviceId];
  const rows = await rowsOf<OutputRow & { device_id: string }>(
    db,
    `select 'relay' as kind, device_id, ${DESCRIPTION}, null as brightness, null as color_temp from relay_states s ${condition}
     union all select 'light' as kind, device_id, ${DESCRIPTION}, brightness, color_temp from light_states s ${condition}`,
    [...bindings, ...bindings],
  );
  return new Map([...Map.groupBy(rows, (row) => row.device_id)].map(([id, of]) => [id, sortedOutputs(of)]));
}

const DESCRIPTION = "output_index, state, changed_at, actor_kind, actor_id, source, command_id, correlation_id, rule_version";

const sortedOutputs = (rows: readonly OutputRow[]): DescribedOutput[] =>
  rows.map(describedOf).toSorted((a, b) => Number(b.kind === "relay") - Number(a.kind === "relay") || a.index - b.index);

/** The newest value of each sensor by its own time, sorted by key. */
export async function readSensorState(
  db: Db,
  deviceId: string,
): Promise<{ key: string; value: SensorValue; ts: number; receivedAt: string }[]> {
  const rows = await rowsOf<{ key: string; v: number | null; json: string | null; ts: number; receivedAt: string }>(
    db,
    'select sensor_key as key, v, cast(json as text) as json, ts, received_at as "receivedAt" from device_sensor_state where device_id = ? order by sensor_key',
    [deviceId],
  );
  return rows.map(({ key, v, json, ts, receivedAt }) => ({ key, value: sensorValue(v, json), ts, receivedAt }));
}

/** Numbers have a column of their own, texts and booleans are JSON text. */
export function sensorValue(v: number | null, json: string | null): SensorValue {
  return v ?? (JSON.parse(json ?? "null") as SensorValue);
}

async function upsertOutputs(
  trx: Db,
  table: "relay_states" | "light_states",
  deviceId: string,
  outputs: readonly LightState[],
  why: StateReason,
): Promise<void> {
  const values = table === "light_states" ? ["state", "brightness", "color_temp"] : ["state"];
  const reason = ["changed_at", "actor_kind", "actor_id", "source", "command_id", "correlation_id", "rule_version"];
  const columns = ["device_id", "output_index", ...values, ...reason];
  const rows = outputs.map(({ index, state, brightness, color_temp }) => ({
    device_id: deviceId,
    output_index: index,
    state,
    brightness,
    color_temp,
    changed_at: isoOf(why.now),
    actor_kind: why.actor.kind,
    actor_id: why.actor.id,
    source: why.source,
    command_id: why.commandId,
    correlation_id: why.correlationId,
    rule_version: why.ruleVersion ?? null,
  }));
  const source = rowSource(trx, {
    device_id: "text",
    output_index: "int",
    state: "text",
    brightness: "int",
    color_temp: "int",
    changed_at: "time",
    actor_kind: "text",
    actor_id: "text",
    source: "text",
    command_id: "text",
    correlation_id: "text",
    rule_version: "int",
  });
  // A light that reports no brightness keeps the one it had.
  const kept = (column: string): string =>
    column === "brightness" || column === "color_temp"
      ? `${column} = coalesce(excluded.${column}, ${table}.${column})`
      : `${column} = excluded.${column}`;
  await write(
    trx,
    `insert into ${table} (${columns.join(", ")}) select ${columns.map((column) => `r.${column}`).join(", ")}
     from ${source} join devices on devices.id = r.device_id where true
     on conflict (device_id, output_index) do update set ${[...values, ...reason].map(kept).join(", ")}`,
    [toJson(rows)],
  );
}

interface OutputRow {
  kind: "relay" | "light";
  output_index: number;
  state: OnOff;
  brightness: number | null;
  color_temp: number | null;
  changed_at: string;
  actor_kind: Actor["kind"];
  actor_id: string;
  source: string;
  command_id: string | null;
  correlation_id: string | null;
  rule_version: number | null;
}

function describedOf(row: OutputRow): DescribedOutput {
  return {
    kind: row.kind,
    index: row.output_index,
    state: row.state,
    brightness: row.brightness,
    colorTemp: row.color_temp,
    changedAt: row.changed_at,
    actor: { kind: row.actor_kind, id: row.actor_id },
    source: row.source,
    commandId: row.command_id,
    correlationId: row.correlation_id,
    ruleVersion: row.rule_version,
  };
}

function lightOf({ index, state, brightness, colorTemp }: DescribedOutput): LightState {
  return { index, state, ...(brightness === null ? {} : { brightness }), ...(colorTemp === null ? {} : { color_temp: colorTemp }) };
}
