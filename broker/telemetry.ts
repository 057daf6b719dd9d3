import type { DeviceDirectory, UpMessage } from "../core/bus.ts";
import type { Telemetry } from "../core/payloads.ts";
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
 * Stores the readings of a group and afterwards publishes as states those that are the newest of their sensors. A reading that
 * comes late is stored and changes no state.
 */
export function telemetryHandler({ telemetry, directory, announce, topics }: TelemetryContext) {
  return async (trx: Db, messages: readonly UpMessage[]): Promise<() => void> => {
    const uids = new Map<string, string>();
    const rows: SeriesReading[] = [];
    for (const { device, payload, receivedAt } of messages) {
      uids.set(device.id, device.uid);
      // The directory knows a claim that came after the session began.
      const organizationId = directory.find(device.uid)?.organizationId ?? null;
      for (const { key, ts, value } of readingsOf(payload as Telemetry, receivedAt))
        rows.push({ deviceId: device.id, organizationId, key, ts, value });
    }
    const newest = await telemetry.insert(trx, rows);
    return () => {
      for (const { deviceId, key, value } of newest()) {
        const uid = uids.get(deviceId) as string;
        // A device that was removed meanwhile must not leave a retained message behind.
        if (!directory.find(uid)) continue;
        announce({ topic: topics.build({ kind: "sensor_state", uid, key }), payload: sensorStateText(value), retain: true });
      }
    };
  };
}
