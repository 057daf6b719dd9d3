import type { Button, Topics } from "../../core/topics.ts";
import type { Sensor } from "../../core/sensor.ts";
import { unitsOfClass } from "../../core/sensor-classes.ts";
import type { HomeDevice } from "../../core/smart-home.ts";

/** What Home Assistant makes an entity of (www.home-assistant.io/integrations/mqtt). */
export interface Component {
  readonly platform: string;
  readonly unique_id: string;
  readonly [option: string]: unknown;
}

/** Those of a device, by keys that never change: what is named after them is the same entity for ever. */
export type Components = ReadonlyMap<string, Component>;

/** What inputs tell, by Home Assistant's word for the way they do. */
const INPUT_EVENTS = ["press", "release", "click", "double_click", "button_hold"];
/** One relay of a device is what the device is. */
const NAMELESS = null;

/** In the order of their kinds and indexes, the same one each time. */
export function componentsOf(device: HomeDevice, topics: Pick<Topics, "build">): Components {
  const made = new Map<string, Component>();
  const add = (key: string, platform: string, name: string | null, options: Options): void => {
    const id = [slug(device.name) || slug(device.uid), name === NAMELESS ? "" : slug(name) || key].filter(Boolean).join("_");
    made.set(key, { platform, unique_id: uniqueIdOf(device.uid, key), default_entity_id: `${platform}.${id}`, name, ...options });
  };
  addOutputs(device, topics, add);
  addInputs(device, topics, add);
  addSensors(device, topics, add);
  addButtons(device, topics, add);
  return made;
}

/** Of a component, for ever. */
export const uniqueIdOf = (uid: string, key: string): string => `hexa_${uid}_${key}`;

type Options = Readonly<Record<string, unknown>>;
type Add = (key: string, platform: string, name: string | null, options: Options) => void;

function addOutputs({ uid, relays, lights, tunableLights, settings }: HomeDevice, topics: Pick<Topics, "build">, add: Add): void {
  const isAlone = relays + lights === 1;
  for (let index = 0; index < relays; index++)
    add(`relay_${index}`, "switch", wordsOf(settings.relay_names?.[index]) ?? (isAlone ? NAMELESS : `Relay ${index + 1}`), {
      state_topic: topics.build({ kind: "relay_state", uid, index }),
      command_topic: topics.build({ kind: "relay_set", uid, index }),
      qos: 1,
    });
  for (let index = 0; index < lights; index++)
    add(`light_${index}`, "light", isAlone ? NAMELESS : `Light ${index + 1}`, {
      schema: "json",
      state_topic: topics.build({ kind: "light_state", uid, index }),
      command_topic: topics.build({ kind: "light_set", uid, index }),
      brightness: true,
      brightness_scale: 100,
      // The hub refuses what it does not know.
      flash: false,
      ...(tunableLights.includes(index)
        ? { supported_color_modes: ["color_temp"], color_temp_kelvin: true, min_kelvin: 1_000, max_kelvin: 12_000 }
        : { supported_color_modes: ["brightness"] }),
      qos: 1,
    });
}

function addInputs({ uid, inputs, settings }: HomeDevice, topics: Pick<Topics, "build">, add: Add): void {
  for (let index = 0; index < inputs; index++) {
    const named = settings.inputs?.find((input) => input.index === index)?.name;
    add(`input_${index}`, "event", wordsOf(named) ?? `Button ${index + 1}`, {
      device_class: "button",
      event_types: INPUT_EVENTS,
      state_topic: topics.build({ kind: "up", uid, type: "input_event" }),
      // What it makes of another input's events is empty, and that is no event.
      value_template: `{% if value_json.input == ${index} %}{{ {'event_type': value_json.event} | to_json }}{% endif %}`,
      qos: 1,
    });
  }
}

function addSensors({ uid, sensors }: HomeDevice, topics: Pick<Topics, "build">, add: Add): void {
  for (const [key, sensor] of sensors) {
    const topic = { state_topic: topics.build({ kind: "sensor_state", uid, key }) };
    const name = wordsOf(sensor.name) ?? readable(key);
    if (sensor.platform === "binary_sensor") add(`sensor_${key}`, "binary_sensor", name, { ...topic, ...binaryOptions(sensor, key) });
    else add(`sensor_${key}`, "sensor", name, { ...topic, ...sensorOptions(sensor, key) });
  }
  if (sensors.has("rssi")) return;
  // Not every device says it, so that nobody is shown one that never has a value.
  add("heartbeat_rssi", "sensor", "Signal strength", {
    state_topic: topics.build({ kind: "up", uid, type: "heartbeat" }),
    value_template: "{{ value_json.rssi | default('') }}",
    device_class: "signal_strength",
    unit_of_measurement: "dBm",
    state_class: "measurement",
    entity_category: "diagnostic",
    enabled_by_default: false,
  });
}

const DIAGNOSTIC_KEYS: ReadonlySet<string> = new Set(["rssi", "free_heap", "uptime", "uptime_s", "cpu_temperature"]);

/** Of the classes that say how the device itself is doing. */
const diagnosis = ({ device_class }: Sensor, key: string): object =>
  device_class === "signal_strength" || device_class === "connectivity" || device_class === "uptime" || DIAGNOSTIC_KEYS.has(key)
    ? { entity_category: "diagnostic" }
    : {};

function binaryOptions(sensor: Sensor, key: string): object {
  return {
    ...given("device_class", sensor.device_class),
    // Devices say booleans, or 0 and 1.
    value_template: "{{ 'OFF' if value | lower in ['off', 'false', '0', ''] else 'ON' }}",
    payload_on: "ON",
    payload_off: "OFF",
    ...diagnosis(sensor, key),
  };
}

function sensorOptions(sensor: Sensor, key: string): object {
  const { device_class, unit_of_measurement: unit, display_precision } = sensor;
  const isNumber = unit !== undefined || sensor.state_class !== undefined;
  const state_class = sensor.state_class ?? (isNumber ? usualStateClass(device_class) : undefined);
  return {
    // A quantity that has units is none without one.
    ...(unit === undefined && device_class !== undefined && hasUnits(device_class) ? {} : given("device_class", device_class)),
    ...given("unit_of_measurement", unit),
    ...given("state_class", state_class),
    ...given("suggested_display_precision", display_precision),
    ...diagnosis(sensor, key),
  };
}

const WITHOUT_STATE_CLASS: ReadonlySet<string> = new Set(["date", "enum", "timestamp", "uptime"]);
/** Meters, which only grow, but for being begun anew. */
const METERS: ReadonlySet<string> = new Set(["energy", "gas", "water", "reactive_energy"]);
const OTHER_STATE_CLASSES: Readonly<Record<string, string | undefined>> = {
  monetary: "total",
  volume: "total",
  wind_direction: "measurement_angle",
};

/** What Home Assistant keeps statistics by, where nobody says it. */
function usualStateClass(deviceClass: string | undefined): string | undefined {
  if (deviceClass === undefined) return "measurement";
  if (WITHOUT_STATE_CLASS.has(deviceClass)) return undefined;
  return METERS.has(deviceClass) ? "total_increasing" : (OTHER_STATE_CLASSES[deviceClass] ?? "measurement");
}

const hasUnits = (deviceClass: string): boolean => unitsOfClass(deviceClass).words !== "no unit";

function addButtons({ uid, hasIr, irCodes }: HomeDevice, topics: Pick<Topics, "build">, add: Add): void {
  const press = (button: Button): Options => ({
    command_topic: topics.build({ kind: "button_press", uid, button }),
    payload_press: "PRESS",
    qos: 1,
  });
  add("identify", "button", "Identify", { ...press("identify"), device_class: "identify", entity_category: "diagnostic" });
  add("restart", "button", "Restart", { ...press("restart"), device_class: "restart", entity_category: "config" });
  if (!hasIr) return;
  for (const { id, name } of irCodes) add(`ir_${id}`, "button", wordsOf(name) ?? "Infrared code", press(`ir_${id}`));
  add("ir", "infrared", "Infrared", { schema: "emitter", command_topic: topics.build({ kind: "ir_send", uid }), qos: 1 });
}

const given = (option: string, value: unknown): object => (value === undefined ? {} : { [option]: value });

const wordsOf = (text: string | undefined): string | undefined => text?.trim() || undefined;

/** `soil_moisture` is "Soil moisture". */
const readable = (key: string): string => `${key.charAt(0).toUpperCase()}${key.slice(1).replaceAll("_", " ")}`;

/** As an entity's id may be written: small letters, digits and single lines between them. */
function slug(text: string): string {
  const plain = text.toLowerCase().replaceAll("ß", "ss").normalize("NFKD").replace(/\p{M}/gu, "");
  return plain
    .replace(/[^a-z0-9]+/g, "_")
    .replace(/^_|_$/g, "")
    .slice(0, 128);
}
