import type { DeviceDirectory, DeviceRef, UpMessage } from "../core/bus.ts";
import type { SensorValue, Telemetry } from "../core/payloads.ts";
import { readingsOf, sensorStateText } from "../core/telemetry.ts";
import type { Topics } from "../core/topics.ts";
import type { Db } from "../store/open.ts";
import type { SeriesReading, TelemetryStore } from "../store/telemetry.ts";
import type { Announce } from "./bus.ts";

export interface TelemetryContext {
  readonly telemetry: TelemetryStore;
  readonly directory: DeviceDirectory;
  readonly announce: Announce;
  readonly topics: Topics;
}

/**
 * Stores the readings of a group and afterwards publishes the newest value of each series as its state. A reading that
 * comes late is stored and changes no state.
 */
export function telemetryHandler({ telemetry, directory, announce, topics }: TelemetryContext) {
  /** By device and key. The directory's entry holds a device's part: with the device it goes by itself. */
  const published = new WeakMap<DeviceRef, Map<string, number>>();
  return async (trx: Db, messages: readonly UpMessage[]): Promise<() => void> => {
    const newest = new Map<string, { uid: string; key: string; ts: number; value: SensorValue }>();
    const rows: SeriesReading[] = [];
    for (const { device, payload, receivedAt } of messages) {
      // The directory knows a claim that came after the session began.
      const organizationId = directory.find(device.uid)?.organizationId ?? null;
      for (const { key, ts, value } of readingsOf(payload as Telemetry, receivedAt)) {
        const series = `${device.uid}/${key}`;
        const known = newest.get(series);
        if (!known || known.ts <= ts) newest.set(series, { uid: device.uid, key, ts, value });
        rows.push({ deviceId: device.id, organizationId, key, ts, value });
      }
    }
    await telemetry.insert(trx, rows);
    return () => {
      for (const { uid, key, ts, value } of newest.values()) {
        const device = directory.find(uid);
        // A device that was removed meanwhile must not leave a retained message behind.
        if (!device) continue;
        let byKey = published.get(device);
        if (!byKey) published.set(device, (byKey = new Map<string, number>()));
        if (ts < (byKey.get(key) ?? 0)) continue;
        byKey.set(key, ts);
        announce({ topic: topics.build({ kind: "sensor_state", uid, key }), payload: sensorStateText(value), retain: true });
      }
    };
  };
}
