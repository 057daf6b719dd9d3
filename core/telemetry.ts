import { HubError } from "./errors.ts";
import type { SensorValue, Telemetry, TelemetrySample } from "./payloads.ts";

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
  const samples: TelemetrySample[] = Array.isArray(payload) ? payload : [payload];
  return samples.flatMap((sample) => {
    const ts = sample.ts === undefined ? receivedAt : typeof sample.ts === "number" ? sample.ts : Date.parse(sample.ts);
    if (ts > receivedAt + MAX_AHEAD_MS || ts < receivedAt - MAX_AGE_MS)
      throw new HubError(
        "clock_out_of_range",
        `ts is ${new Date(ts).toISOString()}, the hub's clock says ${new Date(receivedAt).toISOString()}`,
        { details: { ts, hub_time: receivedAt } },
      );
    return Object.entries(sample.values).map(([key, value]) => ({ key, ts, value }));
  });
}

/** What `sensor/<key>/state` carries: the bare value, booleans in Home Assistant's words. */
export function sensorStateText(value: SensorValue): string {
  if (typeof value === "boolean") return value ? "ON" : "OFF";
  return String(value);
}
