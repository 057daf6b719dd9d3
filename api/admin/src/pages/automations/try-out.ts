import { hub, take } from "../../hub/client.ts";
import type { components } from "../../hub/schema.d.ts";
import type { Node } from "../definition/nodes.ts";
import type { Automation } from "./automation.ts";

type Trial = components["schemas"]["AutomationTrial"];
type Signal = components["schemas"]["TrialSignal"];
const LAST = 20;
const HOUR_MS = 3_600_000;

/**
 * Held against the last events; where readings set it off, against the last ones of that sensor, within an hour: readings are no events. Each
 * sensor by itself, so that one that tells more does not push out another.
 */
export async function tryOut({ id, triggers }: Automation): Promise<Trial> {
  const sensors = (triggers as readonly unknown[] as readonly Node[]).filter(
    ({ kind, device }) => kind === "telemetry" && device !== undefined,
  );
  const readings = await Promise.all(sensors.map(({ device, key }) => lastReadings(String(device), String(key))));
  const signals = readings.flat().toSorted((one, other) => String(one.at).localeCompare(String(other.at)));
  const asked = (body: { last: number } | { signals: Signal[] }) =>
    take(hub.POST("/api/v1/automations/{id}/test", { params: { path: { id } }, body }));
  const trials = [await asked({ last: LAST }), ...(signals.length > 0 ? [await asked({ signals })] : [])];
  return {
    signals: sum(trials.map((trial) => trial.signals)),
    fired: sum(trials.map((trial) => trial.fired)),
    results: trials.flatMap(({ results }) => results).toSorted((one, other) => other.at.localeCompare(one.at)),
  };
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, one) => total + one, 0);

async function lastReadings(device: string, key: string): Promise<Signal[]> {
  const from = new Date(Date.now() - HOUR_MS).toISOString();
  const { data } = await take(hub.GET("/api/v1/readings", { params: { query: { device, key, from, limit: 10_000 } } }));
  return data.slice(-LAST).map(({ ts, value }) => ({ kind: "reading", device, key, value, at: ts }) as Signal);
}
