import Type, { type Static } from "typebox";
import { Calibration, checkCalibration } from "./calibration.ts";
import { fault } from "./definition.ts";
import { type Capabilities, SensorName } from "./device.ts";
import {
  isDeviceClass,
  PLATFORMS,
  platformOf,
  type SensorPlatform,
  STATE_CLASSES,
  stateClassesOf,
  unitsOfClass,
} from "./sensor-classes.ts";
import { canonicalUnit } from "./units.ts";

/** One line that is not empty. */
const UnitText = Type.String({
  minLength: 1,
  maxLength: 16,
  pattern: "^[^\\u0000-\\u001f\\u007f]*$",
  description: "As Home Assistant writes it: °C, %, W, kWh, lx",
});

/** What a sensor is. Whatever is not said is not known. */
const METADATA = {
  name: Type.Optional(SensorName),
  platform: Type.Optional(Type.Enum([...PLATFORMS], { description: "sensor without it, but for classes that only a binary_sensor has" })),
  device_class: Type.Optional(
    Type.String({ pattern: "^[a-z][a-z0-9_]{0,63}$", description: "Home Assistant's device class, for example temperature or motion" }),
  ),
  unit_of_measurement: Type.Optional(UnitText),
  state_class: Type.Optional(Type.Enum([...STATE_CLASSES])),
  display_precision: Type.Optional(Type.Integer({ minimum: 0, maximum: 15, description: "Decimals" })),
  hidden: Type.Optional(Type.Boolean()),
};
export const SensorMetadata = Type.Object(METADATA, { additionalProperties: false, title: "SensorMetadata" });
export type SensorMetadata = Static<typeof SensorMetadata>;

/** What people say of a sensor: it comes before what the device says. */
export const SensorSettings = Type.Object(
  { ...METADATA, calibration: Type.Optional(Calibration) },
  { additionalProperties: false, title: "SensorSettings" },
);
export type SensorSettings = Static<typeof SensorSettings>;

type Fault = readonly [member: string, message: string];

/** The first thing that does not go with the others; undefined when all do. */
function faultOf(sensor: SensorMetadata): Fault | undefined {
  const { device_class: name, unit_of_measurement: unit, state_class: stateClass } = sensor;
  const platform = sensor.platform ?? platformOf(name);
  if (name !== undefined && !isDeviceClass(platform, name))
    return ["device_class", `is no device class of a ${platform} in Home Assistant: ${name}`];
  if (platform === "binary_sensor") {
    for (const member of ["unit_of_measurement", "state_class", "display_precision"] as const)
      if (sensor[member] !== undefined) return [member, "is not for a binary_sensor, which is on or off"];
    return undefined;
  }
  if (name === undefined) return undefined;
  const units = unitsOfClass(name);
  if (unit !== undefined && !units.isIn(unit))
    return ["unit_of_measurement", `does not go with ${name}, which has ${units.words}: ${unit}`];
  const stateClasses = stateClassesOf(name);
  if (stateClass !== undefined && !stateClasses.includes(stateClass))
    return [
      "state_class",
      `does not go with ${name}, which has ${stateClasses.length === 0 ? "none" : stateClasses.join(" or ")}: ${stateClass}`,
    ];
  return undefined;
}

/** As it is stored. Throws `validation_error` where parts of it do not go together. */
export function parseMetadata<T extends SensorMetadata>(sensor: T): T {
  const { unit_of_measurement: unit } = sensor;
  const parsed = unit === undefined ? sensor : { ...sensor, unit_of_measurement: canonicalUnit(unit) };
  const wrong = faultOf(parsed);
  if (wrong) throw fault(`/${wrong[0]}`, wrong[1]);
  return parsed;
}

/** As {@link parseMetadata}, of what people say of a sensor of which the device says `base`. */
export function parseSensorSettings(settings: SensorSettings, base: SensorMetadata): SensorSettings {
  if (settings.calibration) checkCalibration(settings.calibration, "/calibration");
  const { calibration: _calibration, ...said } = settings;
  parseMetadata({ ...base, ...said });
  return parseMetadata(settings);
}

/** What the device has said of each of its sensors, by key, without what Home Assistant does not know. */
export function reportedSensors({ sensors = [] }: Capabilities): Map<string, SensorMetadata> {
  return new Map(
    sensors.map(({ key, unit, ...said }) => [
      key,
      withoutFaults({ ...said, ...(unit === undefined || unit === "" ? {} : { unit_of_measurement: canonicalUnit(unit) }) }),
    ]),
  );
}

/** A sensor as everybody sees it. */
export type Sensor = SensorMetadata & { readonly platform: SensorPlatform };

/** `said` by a person comes before `base`. Where a device has changed its mind since, what does not go with the person's word is left out. */
export function effectiveSensor(base: SensorMetadata, said: SensorMetadata): Sensor {
  const merged = { ...base, ...said };
  const { name, hidden } = merged;
  const sensor = faultOf(merged)
    ? withoutFaults({ ...(name === undefined ? {} : { name }), ...(hidden === undefined ? {} : { hidden }), ...said })
    : merged;
  return { ...sensor, platform: sensor.platform ?? platformOf(sensor.device_class) };
}

function withoutFaults(sensor: SensorMetadata): SensorMetadata {
  const wrong = faultOf(sensor);
  if (!wrong) return sensor;
  // The class is what the rest is held against.
  const [member] = wrong;
  const dropped = member === "unit_of_measurement" && sensor.device_class !== undefined ? "device_class" : member;
  return withoutFaults(Object.fromEntries(Object.entries(sensor).filter(([name]) => name !== dropped)));
}
