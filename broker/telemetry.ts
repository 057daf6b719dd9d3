import type { DeviceDirectory, DeviceReading, ReadingWitness, UpMessage } from "../core/bus.ts";
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
  /** May grow until the doors open. */
  readonly readingWitnesses?: readonly ReadingWitness<Db>[] | undefined;
}

/**
 * Stores the readings of a group and afterwards publishes as states those that are the newest of their sensors. A reading that
 * comes late is stored and changes no state.
 */
export function telemetryHandler({ telemetry, directory, announce, topics, readingWitnesses = [] }: TelemetryContext) {
  return async (trx: Db, messages: readonly UpMessage[]): Promise<() => void> => {
    const uids = new Map<string, string>();
    const rows: SeriesReading[] = [];
    const witnessed: DeviceReading[] = [];
    for (const { device, payload, receivedAt } of messages) {
      uids.set(device.id, device.uid);
      // The directory knows a claim that came after the session began.
      const now = directory.find(device.uid) ?? { ...device, organizationId: null };
      for (const { key, ts, value } of readingsOf(payload as Telemetry, receivedAt)) {
        rows.push({ deviceId: device.id, organizationId: now.organizationId, key, ts, value });
        if (readingWitnesses.length > 0) witnessed.push({ device: now, key, ts, value });
      }
    }
    const newest = await telemetry.insert(trx, rows);
    for (const witness of readingWitnesses) await witness(trx, witnessed);
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
