import type { Bus, DeviceRef, Log } from "../core/bus.ts";
import { HUB_TOPICS } from "../core/hub-topics.ts";
import { formulaOf, inOrderOfFeeding, seriesKey, type VirtualFormula } from "../core/virtual-sensor.ts";
import { ChangedRows, shareChanges } from "./changed-rows.ts";
import type { Db } from "./open.ts";
import { type DeviceCalibrations, readCalibrations } from "./sensor-settings.ts";
import { readVirtualSensors, type VirtualSensor } from "./virtual-sensors.ts";

/** A virtual sensor, ready to be worked out. */
export interface ReadyVirtualSensor extends VirtualFormula, Pick<VirtualSensor, "id" | "version"> {}

/** The virtual sensors of an organisation. */
export interface VirtualSensors {
  /** Each behind those that feed it. */
  readonly ordered: readonly ReadyVirtualSensor[];
  /** By the series that feed them. */
  readonly byInput: ReadonlyMap<string, readonly ReadyVirtualSensor[]>;
  /** The series that they are. */
  readonly targets: ReadonlySet<string>;
  /** Devices with a series that is one of them, or feeds one. */
  readonly devices: ReadonlySet<string>;
}

/** How what devices say is turned into readings, in memory: every reading is looked at. */
export interface SensorDirectory extends AsyncDisposable {
  /** undefined for most devices. */
  calibrationsOf(device: DeviceRef): DeviceCalibrations["byKey"] | undefined;
  /** undefined where this device has nothing to do with any of its organisation's. */
  virtualSensorsAround(device: DeviceRef): VirtualSensors | undefined;
  /** The database says something else of these devices' calibrations now: resolves when it holds here; on other nodes within a second. */
  calibrationsChanged(deviceIds: readonly string[]): Promise<void>;
  /** The same of the organisation's virtual sensors. */
  virtualSensorsChanged(organizationId: string): Promise<void>;
  /** The device is not the organisation's any more, if it was one's. */
  deviceLeft(deviceId: string, organizationId: string | null): Promise<void>;
  /** From now on this directory and those of the other nodes follow each other's changes. */
  share(context: { readonly bus: Bus; readonly log: Log }): Disposable & { reload(): void };
}

export async function loadSensorDirectory(db: Db, log: Log): Promise<SensorDirectory> {
  const calibrations: Map<string, DeviceCalibrations> = await readCalibrations(db);
  const virtual = new Map<string, VirtualSensors>();
  for (const [organizationId, sensors] of await readVirtualSensors(db)) virtual.set(organizationId, readied(sensors, log));
  let announceCalibrations = (_deviceId: string): void => {};
  let announceVirtual = (_organizationId: string): void => {};
  const calibrationRows = new ChangedRows<DeviceCalibrations>({
    what: "changed calibrations",
    read: (deviceIds) => readCalibrations(db, deviceIds),
    known: () => calibrations.keys(),
    apply: (deviceId, of) => void (of ? calibrations.set(deviceId, of) : calibrations.delete(deviceId)),
    log,
  });
  const virtualRows = new ChangedRows<VirtualSensor[]>({
    what: "changed virtual sensors",
    read: (organizationIds) => readVirtualSensors(db, organizationIds),
    known: () => virtual.keys(),
    apply: (organizationId, sensors) =>
      void (sensors ? virtual.set(organizationId, readied(sensors, log)) : virtual.delete(organizationId)),
    log,
  });
  const changed: Pick<SensorDirectory, "calibrationsChanged" | "virtualSensorsChanged"> = {
    async calibrationsChanged(deviceIds) {
      for (const id of deviceIds) calibrationRows.note(id);
      for (const id of deviceIds) announceCalibrations(id);
      await calibrationRows.settled();
    },
    async virtualSensorsChanged(organizationId) {
      virtualRows.note(organizationId);
      announceVirtual(organizationId);
      await virtualRows.settled();
    },
  };
  return {
    ...changed,
    calibrationsOf({ id, organizationId }) {
      const found = calibrations.get(id);
      // Nobody may have heard yet that the device has gone to somebody else.
      return found?.organizationId === organizationId ? found.byKey : undefined;
    },
    virtualSensorsAround({ id, organizationId }) {
      const found = organizationId === null ? undefined : virtual.get(organizationId);
      return found?.devices.has(id) ? found : undefined;
    },
    async deviceLeft(deviceId, organizationId) {
      // Also where nothing is known of it here: another node may know what this one has not heard of.
      await changed.calibrationsChanged([deviceId]);
      if (organizationId !== null) await changed.virtualSensorsChanged(organizationId);
    },
    share({ bus, log: sharedLog }) {
      const ofCalibrations = shareChanges(calibrationRows, { bus, log: sharedLog, topic: HUB_TOPICS.calibrations });
      const ofVirtual = shareChanges(virtualRows, { bus, log: sharedLog, topic: HUB_TOPICS.virtualSensors });
      announceCalibrations = (deviceId) => ofCalibrations.announce(deviceId);
      announceVirtual = (organizationId) => ofVirtual.announce(organizationId);
      return {
        reload() {
          calibrationRows.reload();
          virtualRows.reload();
        },
        [Symbol.dispose]() {
          ofCalibrations[Symbol.dispose]();
          ofVirtual[Symbol.dispose]();
        },
      };
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([calibrationRows[Symbol.asyncDispose](), virtualRows[Symbol.asyncDispose]()]);
    },
  };
}

/** Without those that this build cannot read, which must not take the others down. */
function readied(sensors: readonly VirtualSensor[], log: Log): VirtualSensors {
  const ordered = inOrderOfFeeding(
    sensors.flatMap(({ id, version, target, inputs, text }): ReadyVirtualSensor[] => {
      try {
        return [{ id, version, ...formulaOf(target, inputs, text) }];
      } catch (error) {
        log.error({ err: error, virtualSensorId: id }, "a virtual sensor cannot be read, and says nothing");
        return [];
      }
    }),
  );
  const byInput = new Map<string, ReadyVirtualSensor[]>();
  for (const sensor of ordered)
    for (const name of new Set(sensor.inputs.map(seriesKey))) byInput.set(name, [...(byInput.get(name) ?? []), sensor]);
  return {
    ordered,
    byInput,
    targets: new Set(ordered.map(({ target }) => seriesKey(target))),
    devices: new Set(ordered.flatMap(({ target, inputs }) => [target, ...inputs].map(({ deviceId }) => deviceId))),
  };
}
