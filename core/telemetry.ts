import { HubError } from "./errors.ts";
import type { SensorValue, Telemetry, TelemetrySample } from "./payloads.ts";
import { msOf } from "./timestamp.ts";

/** One value of one series. `ts` is the event's time in ms since 1970. */
export interface Reading {
  readonly key: string;
  readonly ts: number;
  readonly value: SensorValue;
}

/** How far a device's clock may run ahead of the hub's, and how old a buffered reading may be. */
export const MAX_AHEAD_MS = 10 * 60_000;
export const MAX_AGE_MS = 366 * 86_400_000;

/**
 * The readings of a telemetry payload; a sample without `ts` happened when it was received.
 * Throws `clock_out_of_range` for a time that no working clock can have: partitions are made for the present.
 */
export function readingsOf(payload: Telemetry, receivedAt: number): Reading[] {
  const readings: Reading[] = [];
  for (const sample of samplesOf(payload)) {
    const ts = timeOf(sample, receivedAt);
    for (const key of Object.keys(sample.values)) readings.push({ key, ts, value: sample.values[key] as SensorValue });
  }
  return readings;
}

/** Throws what {@link readingsOf} throws. */
export function checkTimes(payload: Telemetry, receivedAt: number): void {
  for (const sample of samplesOf(payload)) timeOf(sample, receivedAt);
}

const samplesOf = (payload: Telemetry): readonly TelemetrySample[] => (Array.isArray(payload) ? payload : [payload]);

function timeOf({ ts: stamp }: TelemetrySample, receivedAt: number): number {
  const ts = stamp === undefined ? receivedAt : msOf(stamp);
  if (ts <= receivedAt + MAX_AHEAD_MS && ts >= receivedAt - MAX_AGE_MS) return ts;
  throw new HubError(
    "clock_out_of_range",
    `ts is ${new Date(ts).toISOString()}, the hub's clock says ${new Date(receivedAt).toISOString()}`,
    { details: { ts, hub_time: receivedAt } },
  );
}

/** What `sensor/<key>/state` carries: the bare value, booleans in Home Assistant's words. */
export function sensorStateText(value: SensorValue): string {
  if (typeof value === "boolean") return value ? "ON" : "OFF";
  return String(value);
}
