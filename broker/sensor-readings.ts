import { boundedCache } from "../core/bounded-cache.ts";
import type { DeviceDirectory, DeviceReading, DeviceRef, EventSink, Metrics } from "../core/bus.ts";
import { calibrated } from "../core/calibration.ts";
import { type HubEvent, newEvent } from "../core/event.ts";
import type { Reading } from "../core/telemetry.ts";
import { fedBy, type Known, seriesKey, valuesAfter } from "../core/virtual-sensor.ts";
import { insertEvents } from "../store/events.ts";
import type { Db } from "../store/open.ts";
import type { SensorDirectory, VirtualSensors } from "../store/sensor-directory.ts";
import { holdVirtualSensors, newestOf } from "../store/virtual-sensors.ts";

export interface SensorReadingsContext {
  readonly sensors: Pick<SensorDirectory, "calibrationsOf" | "virtualSensorsAround">;
  readonly directory: Pick<DeviceDirectory, "find">;
  readonly events: EventSink;
  readonly metrics: Metrics;
}

/** Of one sensor nobody is told more often that it is outside. */
const TELL_EVERY_MS = 600_000;
const MOST_SENSORS_OUTSIDE = 50_000;

/** Values of one sensor that were not kept. */
interface Outside {
  readonly device: DeviceRef;
  readonly key: string;
  value: number;
  count: number;
}
/** What is not told yet, and when it may be. */
interface Untold {
  readonly tellAt: number;
  readonly count: number;
}

type UntoldSensors = ReturnType<typeof boundedCache<Untold>>;

/** Makes one {@link SensorGroup} for each group of messages. */
export function sensorGroups(context: SensorReadingsContext): () => SensorGroup {
  const untold = boundedCache<Untold>(MOST_SENSORS_OUTSIDE);
  return () => new SensorGroup(context, untold);
}

/** What a group of messages that is stored together makes of what devices say: values as they are calibrated, and virtual sensors. */
class SensorGroup {
  readonly #context: SensorReadingsContext;
  readonly #untold: UntoldSensors;
  readonly #fresh = new Map<string, { readonly sensors: VirtualSensors; readonly readings: DeviceReading[] }>();
  readonly #outside = new Map<string, Outside>();
  #taken = 0;

  constructor(context: SensorReadingsContext, untold: UntoldSensors) {
    this.#context = context;
    this.#untold = untold;
  }

  /** What becomes of each value of the device: another one, or nothing. undefined for the many devices of which all is taken as it is. */
  readerOf(device: DeviceRef): ((reading: Reading) => Reading | undefined) | undefined {
    const { sensors } = this.#context;
    const calibrations = sensors.calibrationsOf(device);
    const virtual = sensors.virtualSensorsAround(device);
    if (!calibrations && !virtual) return undefined;
    return (reading) => {
      const { key, value } = reading;
      const series = seriesKey({ deviceId: device.id, key });
      if (virtual?.targets.has(series)) {
        this.#taken++;
        return undefined;
      }
      const calibration = typeof value === "number" ? calibrations?.get(key) : undefined;
      const kept = calibration === undefined ? value : calibrated(calibration, value as number);
      if (kept === undefined) {
        this.#noteOutside({ device, key, value: value as number, count: 1 });
        return undefined;
      }
      const read = { ...reading, value: kept };
      if (virtual?.byInput.has(series)) this.#note(virtual, { device, ...read });
      return read;
    };
  }

  /** What the virtual sensors say of it, in the transaction that stores it: they are told together or not at all. */
  async virtualReadings(trx: Db): Promise<DeviceReading[]> {
    const said: DeviceReading[] = [];
    for (const [organizationId, { sensors, readings }] of this.#fresh)
      said.push(...(await this.#workOut(trx, organizationId, { sensors, readings })));
    return said;
  }

  /** Notes what was outside, as seldom as it is told. What comes back is done after the commit. */
  async tell(trx: Db, now: number): Promise<() => void> {
    const told: HubEvent[] = [];
    const left: [string, Untold][] = [];
    for (const [name, { device, key, value, count }] of this.#outside) {
      const before = this.#untold.get(name);
      const total = (before?.count ?? 0) + count;
      const isDue = before === undefined || now >= before.tellAt;
      left.push([name, isDue ? { tellAt: now + TELL_EVERY_MS, count: 0 } : { tellAt: before.tellAt, count: total }]);
      if (!isDue) continue;
      const actor = { kind: "device", id: device.id } as const;
      const about = { organizationId: device.organizationId, entityId: device.id, actor, now };
      told.push(newEvent("sensor.out_of_range", about, { uid: device.uid, key, value, count: total }));
    }
    if (told.length > 0) await insertEvents(trx, told);
    return () => this.#told(told, left);
  }

  #told(told: readonly HubEvent[], left: readonly [string, Untold][]): void {
    const { metrics, events } = this.#context;
    for (const [name, untold] of left) this.#untold.set(name, untold);
    const outside = [...this.#outside.values()].reduce((sum, { count }) => sum + count, 0);
    if (outside > 0) metrics.count("hexahub_readings_refused_total", { reason: "out_of_range" }, outside);
    if (this.#taken > 0) metrics.count("hexahub_readings_refused_total", { reason: "virtual_sensor" }, this.#taken);
    if (told.length > 0) void events.emit(told);
  }

  #note(sensors: VirtualSensors, reading: DeviceReading): void {
    const organizationId = reading.device.organizationId as string;
    const of = this.#fresh.get(organizationId) ?? { sensors, readings: [] };
    of.readings.push(reading);
    this.#fresh.set(organizationId, of);
  }

  #noteOutside(outside: Outside): void {
    const name = seriesKey({ deviceId: outside.device.id, key: outside.key });
    const before = this.#outside.get(name);
    if (!before) this.#outside.set(name, outside);
    else Object.assign(before, { value: outside.value, count: before.count + 1 });
  }

  async #workOut(
    trx: Db,
    organizationId: string,
    { sensors, readings }: { readonly sensors: VirtualSensors; readonly readings: readonly DeviceReading[] },
  ): Promise<DeviceReading[]> {
    const fed = fedBy(new Set(readings.map(({ device, key }) => seriesKey({ deviceId: device.id, key }))), sensors.byInput);
    const held = await holdVirtualSensors(
      trx,
      sensors.ordered.filter((one) => fed.has(one)),
    );
    const series = new Map(held.flatMap(({ target, inputs }) => [target, ...inputs]).map((one) => [seriesKey(one), one]));
    const { known, owned } = await newestOf(trx, organizationId, [...series.values()]);
    const fresh: Map<string, Known[]> = Map.groupBy(
      readings.filter(({ device }) => owned.has(device.id)),
      ({ device, key }) => seriesKey({ deviceId: device.id, key }),
    );
    const said: DeviceReading[] = [];
    for (const sensor of held) {
      const { deviceId: id, uid, key } = sensor.target;
      if (!owned.has(id)) continue;
      const values = valuesAfter(sensor, known, fresh);
      const device = this.#context.directory.find(uid) ?? { id, uid, organizationId };
      for (const { ts, value } of values) said.push({ device, key, ts, value });
      fresh.set(seriesKey(sensor.target), values);
    }
    return said;
  }
}
