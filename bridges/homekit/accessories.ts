import type { HomekitAccessory, HomekitKind, HomekitList, HomekitService } from "../../core/homekit.ts";
import type { Sensor } from "../../core/sensor.ts";
import type { HomeDevice } from "../../core/smart-home.ts";
import { filterOfAll, type Topics } from "../../core/topics.ts";

/** HomeKit takes 100 services of an accessory, of which two tell what it is. */
const MAX_SERVICES = 96;
const PLUG = /\b(plug|socket|outlet|steckdose)\b/i;

const BINARY: Readonly<Record<string, HomekitKind>> = {
  motion: "motion",
  occupancy: "occupancy",
  presence: "occupancy",
  door: "contact",
  garage_door: "contact",
  opening: "contact",
  window: "contact",
  moisture: "leak",
  smoke: "smoke",
};
const MEASURED: Readonly<Record<string, HomekitKind>> = { temperature: "temperature", humidity: "humidity", illuminance: "illuminance" };

/** What HomeKit shows of a device; undefined where that is nothing, as of one that only sends infrared. */
export function accessoryOf(device: HomeDevice, topics: Topics): HomekitAccessory | undefined {
  const { uid, model, firmwareVersion } = device;
  const services = [...relaysOf(device, topics), ...lightsOf(device, topics), ...inputsOf(device, topics), ...sensorsOf(device, topics)];
  if (services.length === 0) return undefined;
  const only = services.length === 1 ? services[0] : undefined;
  return {
    uid,
    name: device.name,
    // HomeKit refuses an accessory whose model is one letter.
    model: model !== null && model.length > 1 ? model : "Hexahub",
    firmware: firmwareOf(firmwareVersion),
    availability: topics.build({ kind: "availability", uid }),
    services: only ? [{ ...only, name: device.name }] : services.slice(0, MAX_SERVICES),
  };
}

export function listOf(accessories: readonly HomekitAccessory[], topics: Topics): HomekitList {
  const kinds = ["availability", "relay_state", "light_state", "sensor_state"] as const;
  const presses = topics.build({ kind: "up", uid: "+", type: "input_event" });
  return { follow: [...kinds.map((kind) => filterOfAll(topics.root, kind)), presses], accessories: [...accessories] };
}

function relaysOf({ uid, name, model, relays, settings }: HomeDevice, topics: Topics): HomekitService[] {
  return Array.from({ length: relays }, (_, index) => {
    const own = settings.relay_names?.[index] || undefined;
    return {
      id: `relay-${index}`,
      kind: PLUG.test(`${own ?? name} ${model ?? ""}`) ? "outlet" : "switch",
      name: own ?? `${name} ${index + 1}`,
      state: topics.build({ kind: "relay_state", uid, index }),
      set: topics.build({ kind: "relay_set", uid, index }),
    };
  });
}

function lightsOf({ uid, name, lights }: HomeDevice, topics: Topics): HomekitService[] {
  return Array.from({ length: lights }, (_, index) => ({
    id: `light-${index}`,
    kind: "light",
    name: lights === 1 ? `${name} light` : `${name} light ${index + 1}`,
    state: topics.build({ kind: "light_state", uid, index }),
    set: topics.build({ kind: "light_set", uid, index }),
  }));
}

/** All of them say what they have to say on one topic. */
function inputsOf({ uid, inputs, settings }: HomeDevice, topics: Topics): HomekitService[] {
  const state = topics.build({ kind: "up", uid, type: "input_event" });
  return Array.from({ length: inputs }, (_, input) => ({
    id: `input-${input}`,
    kind: "button",
    name: settings.inputs?.find(({ index }) => index === input)?.name || `Button ${input + 1}`,
    state,
    input,
  }));
}

function sensorsOf({ uid, sensors }: HomeDevice, topics: Topics): HomekitService[] {
  return [...sensors].flatMap(([key, sensor]) => {
    const kind = kindOf(sensor);
    if (kind === undefined) return [];
    return {
      id: `sensor-${key}`,
      kind,
      name: sensor.name ?? key.replaceAll("_", " "),
      state: topics.build({ kind: "sensor_state", uid, key }),
      ...(sensor.unit_of_measurement === undefined ? {} : { unit: sensor.unit_of_measurement }),
    };
  });
}

function kindOf({ platform, device_class: deviceClass = "" }: Sensor): HomekitKind | undefined {
  const kinds = platform === "binary_sensor" ? BINARY : MEASURED;
  return Object.hasOwn(kinds, deviceClass) ? kinds[deviceClass] : undefined;
}

/** HomeKit takes numbers between dots, three of them. */
function firmwareOf(version: string | null): string {
  const [, major = "0", minor = "0", patch = "0"] = /(\d{1,9})(?:\.(\d{1,9}))?(?:\.(\d{1,9}))?/.exec(version ?? "") ?? [];
  return `${major}.${minor}.${patch}`;
}
