import type { DeviceDirectory, DeviceReading, DeviceRef, ReadingWitness, UpMessage } from "../core/bus.ts";
import type { Telemetry } from "../core/payloads.ts";
import { type Reading, readingsOf, sensorStateText } from "../core/telemetry.ts";
import type { Topics } from "../core/topics.ts";
import type { Db } from "../store/open.ts";
import type { SeriesReading, TelemetryStore } from "../store/telemetry.ts";
import type { Announce } from "./bus.ts";
import { type SensorReadingsContext, sensorGroups } from "./sensor-readings.ts";

export interface TelemetryContext extends SensorReadingsContext {
  readonly telemetry: TelemetryStore;
  readonly directory: DeviceDirectory;
  readonly announce: Announce;
  readonly topics: Topics;
  /** May grow until the doors open. */
  readonly readingWitnesses?: readonly ReadingWitness<Db>[] | undefined;
}

/**
 * Stores the readings of a group, as they are calibrated and with what virtual sensors make of them, and afterwards publishes as states
 * those that are the newest of their sensors. A reading that comes late is stored and changes no state.
 */
export function telemetryHandler(context: TelemetryContext) {
  const { telemetry, directory, announce, topics, readingWitnesses = [] } = context;
  const groupOf = sensorGroups(context);
  return async (trx: Db, messages: readonly UpMessage[]): Promise<() => void> => {
    const uids = new Map<string, string>();
    const rows: SeriesReading[] = [];
    const witnessed: DeviceReading[] = [];
    const take = (device: DeviceRef, { key, ts, value }: Reading): void => {
      rows.push({ deviceId: device.id, organizationId: device.organizationId, key, ts, value });
      if (readingWitnesses.length > 0) witnessed.push({ device, key, ts, value });
    };
    const group = groupOf();
    for (const { device, payload, receivedAt } of messages) {
      uids.set(device.id, device.uid);
      // The directory knows a claim that came after the session began.
      const now = directory.find(device.uid) ?? { ...device, organizationId: null };
      const reader = group.readerOf(now);
      for (const reading of readingsOf(payload as Telemetry, receivedAt)) {
        const kept = reader ? reader(reading) : reading;
        if (kept) take(now, kept);
      }
    }
    for (const reading of await group.virtualReadings(trx)) {
      uids.set(reading.device.id, reading.device.uid);
      take(reading.device, reading);
    }
    const tell = await group.tell(trx, messages[0]?.receivedAt ?? 0);
    const newest = await telemetry.insert(trx, rows);
    for (const witness of readingWitnesses) await witness(trx, witnessed);
    return () => {
      tell();
      for (const { deviceId, key, value } of newest()) {
        const uid = uids.get(deviceId) as string;
        // A device that was removed meanwhile must not leave a retained message behind.
        if (!directory.find(uid)) continue;
        announce({ topic: topics.build({ kind: "sensor_state", uid, key }), payload: sensorStateText(value), retain: true });
      }
    };
  };
}
