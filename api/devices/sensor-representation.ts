import Type, { type Static } from "typebox";
import { Calibration } from "../../core/calibration.ts";
import { effectiveSensor, type Sensor, SensorMetadata, SensorSettings } from "../../core/sensor.ts";
import { convert, preferredUnit, UNIT_SYSTEMS, unitsLike, type UnitSystem } from "../../core/units.ts";
import { versionOf } from "../../core/version.ts";
import type { LatestReading } from "../../store/latest-readings.ts";
import type { SensorOwner, StoredSensor } from "../../store/sensor-settings.ts";
import { HubError } from "../../core/errors.ts";
import { nullable } from "../fields.ts";
import { Value } from "../readings/terms.ts";

const { platform, state_class } = SensorMetadata.properties;

export const SensorView = Type.Object(
  {
    key: Type.String(),
    name: nullable("string"),
    platform: Type.Enum([...platform.enum]),
    device_class: nullable("string"),
    unit_of_measurement: nullable("string", { description: "Of every reading of this sensor" }),
    state_class: Type.Unsafe<Sensor["state_class"] | null>({ enum: [...state_class.enum, null] }),
    display_precision: nullable("integer"),
    hidden: Type.Boolean(),
    calibration: Type.Unsafe<Calibration | null>({ anyOf: [Calibration, { type: "null" }] }),
    said: Type.Object(SensorSettings.properties, {
      title: "SaidOfSensor",
      description: "What people have said; the rest is the device's word",
    }),
    virtual_sensor_id: nullable("string", { description: "What it is worked out by" }),
    value: Value,
    ts: nullable("string", { description: "By the device's clock" }),
    received_at: nullable("string"),
    shown: Type.Unsafe<{ value: number; unit: string } | null>({
      anyOf: [Type.Object({ value: Type.Number(), unit: Type.String() }), { type: "null" }],
      description: "The value in the unit that was asked for, or in that of the system of units; null where it is no number or has no unit",
    }),
  },
  { title: "Sensor" },
);
export const OneSensor = Type.Object({ sensor: SensorView }, { title: "OneSensor" });

export const Units = Type.Optional(
  Type.Enum([...UNIT_SYSTEMS], {
    description: "The system that `shown` is in; without it that of the setting sensors.unit_system, if there is one",
  }),
);

/** What is known of one sensor of a device. */
export interface FoundSensor {
  readonly stored: StoredSensor;
  /** What its device, or its virtual sensor, says. */
  readonly base: SensorMetadata;
  readonly virtualSensorId: string | null;
  readonly latest: LatestReading | undefined;
}

/** How the reader wants it. */
export interface Reader {
  readonly system: UnitSystem | undefined;
  readonly unit?: string | undefined;
}

/** The sensor as everybody sees it, with the unit that its readings have. */
export function effectiveOf({ base, stored }: Pick<FoundSensor, "base" | "stored">): Sensor {
  const { calibration: _calibration, ...said } = stored.settings;
  return effectiveSensor(base, said);
}

/** Throws `validation_error` for a unit that the sensor's value cannot be told in. */
export function sensorJson({ stored, base, virtualSensorId, latest }: FoundSensor, reader: Reader): Static<typeof SensorView> {
  const sensor = effectiveOf({ stored, base });
  return {
    key: stored.key,
    name: sensor.name ?? null,
    platform: sensor.platform,
    device_class: sensor.device_class ?? null,
    unit_of_measurement: sensor.unit_of_measurement ?? null,
    state_class: sensor.state_class ?? null,
    display_precision: sensor.display_precision ?? null,
    hidden: sensor.hidden ?? false,
    calibration: stored.settings.calibration ?? null,
    said: stored.settings,
    virtual_sensor_id: virtualSensorId,
    value: latest?.value ?? null,
    ts: latest === undefined ? null : new Date(latest.ts).toISOString(),
    received_at: latest?.receivedAt ?? null,
    shown: shownOf(sensor, latest?.value, reader),
  };
}

function shownOf(sensor: Sensor, value: unknown, { system, unit }: Reader): { value: number; unit: string } | null {
  const { unit_of_measurement: own, display_precision: decimals } = sensor;
  const to = unit ?? (own === undefined || system === undefined ? own : preferredUnit(own, system));
  if (unit !== undefined && unit !== own && (own === undefined || !unitsLike(own).includes(unit))) {
    const like = own === undefined ? [] : unitsLike(own);
    const message = `is nothing that ${own ?? "a value without a unit"} can be told in${like.length === 0 ? "" : `: it can in ${like.join(", ")}`}`;
    throw new HubError("validation_error", `/unit ${message}`, { details: [{ path: "/unit", message }] });
  }
  if (typeof value !== "number" || own === undefined || to === undefined) return null;
  const isDifference = sensor.device_class === "temperature_delta";
  const shown = convert(value, { from: own, to, isDifference }) ?? value;
  return { value: decimals === undefined ? shown : Number(shown.toFixed(decimals)), unit: to };
}

/** Of what people have said of it; another one after each change. */
export const sensorVersion = (owner: SensorOwner, { key, version, createdAt }: StoredSensor): string =>
  versionOf([owner.id, key, version, createdAt]);
