import { type Access, mayOn } from "../../core/permissions.ts";
import type { Sensor } from "../../core/sensor.ts";
import type { HomeDevice } from "../../core/smart-home.ts";
import type { HomeFacts } from "../../store/home-facts.ts";
import { instanceCapability, readCapability, sceneCapability, text, type Capability } from "./capabilities.ts";

/** What of a device an endpoint is. */
export type Part =
  | { readonly kind: "relay" | "light"; readonly index: number }
  /** All relays of a device with several. */
  | { readonly kind: "relays" }
  | { readonly kind: "sensor"; readonly key: string; readonly sensor: Sensor; readonly as: SensorKind }
  /** Its infrared codes. */
  | { readonly kind: "remote" };

export type SensorKind = "contact" | "motion" | "temperature" | "range";

/** As Alexa is told of it. */
export interface Description {
  readonly endpointId: string;
  readonly manufacturerName: string;
  readonly friendlyName: string;
  readonly description: string;
  readonly displayCategories: readonly string[];
  readonly capabilities: readonly Capability[];
  readonly additionalAttributes?: Readonly<Record<string, string>>;
}

export interface DeviceEndpoint {
  readonly device: HomeDevice;
  readonly part: Part;
  readonly description: Description;
}

export interface HomeScene {
  readonly id: string;
  readonly name: string;
}

/** Alexa takes no more of one customer. */
export const MOST_ENDPOINTS = 300;
const MOST_MODES = 100;
const MANUFACTURER = "Hexahub";
const SCENE = "scene:";

export const sceneIdOf = (endpointId: string): string | undefined =>
  endpointId.startsWith(SCENE) ? endpointId.slice(SCENE.length) : undefined;
/** A device's endpoints begin with its uid, which has no colon. */
export const uidOf = (endpointId: string): string => endpointId.slice(0, Math.max(endpointId.indexOf(":"), 0));

/** What people control comes first, since it is what is left when there is too much. */
const ORDER: readonly Part["kind"][] = ["relay", "light", "relays", "remote", "sensor"];

export interface Visible {
  readonly devices: Iterable<HomeDevice>;
  readonly facts: ReadonlyMap<string, HomeFacts>;
  readonly scenes: readonly HomeScene[];
  readonly rights: Access;
}

/** Everything that somebody with these rights has at Alexa, and how many did not fit. */
export function endpointsFor({ devices, facts, scenes, rights }: Visible): { readonly all: Description[]; readonly leftOut: number } {
  const found = [...devices].flatMap((device) => visibleEndpoints(device, facts.get(device.id), rights));
  const sorted = ORDER.flatMap((kind) => found.filter(({ part }) => part.kind === kind));
  const described = withOwnNames(sorted).concat(scenes.map(sceneEndpoint));
  return { all: described.slice(0, MOST_ENDPOINTS), leftOut: Math.max(0, described.length - MOST_ENDPOINTS) };
}

/** Of one device; what somebody may only look at is not there to be switched. */
export function visibleEndpoints(device: HomeDevice, facts: HomeFacts | undefined, rights: Access): DeviceEndpoint[] {
  if (!device.exposure.alexa || !mayOn(rights, "device.read", device)) return [];
  const mayControl = mayOn(rights, "device.control", device);
  return endpointsOf(device, facts).filter(({ part }) => mayControl || part.kind === "sensor");
}

/** All there are, whoever asks. */
export function endpointsOf(device: HomeDevice, facts: HomeFacts | undefined): DeviceEndpoint[] {
  const { relays, lights, hasIr, irCodes, name } = device;
  const isMixed = relays > 0 && lights > 0;
  const relayNames = Array.from({ length: relays }, (_, index) => relayName(device, index));
  const endpoints: DeviceEndpoint[] = relayNames.map((own, index) =>
    endpoint(device, `relay:${index}`, {
      part: { kind: "relay", index },
      name: own,
      category: "SWITCH",
      capabilities: [readCapability("PowerController", "powerState")],
    }),
  );
  for (let index = 0; index < lights; index++)
    endpoints.push(
      endpoint(device, `light:${index}`, {
        part: { kind: "light", index },
        name: [name, ...(isMixed || lights > 1 ? ["light"] : []), ...(lights > 1 ? [index + 1] : [])].join(" "),
        category: "LIGHT",
        capabilities: lightCapabilities(facts, index),
      }),
    );
  if (relays > 1)
    endpoints.push(
      endpoint(device, "relays", {
        part: { kind: "relays" },
        name,
        category: "SWITCH",
        capabilities: [
          readCapability("PowerController", "powerState"),
          ...relayNames.map((own, index) =>
            instanceCapability("ToggleController", "toggleState", `relay:${index}`, { names: [spoken(own, `relay ${index + 1}`)] }),
          ),
        ],
      }),
    );
  if (hasIr && irCodes.length > 0) endpoints.push(remote(device));
  for (const [key, sensor] of device.sensors) {
    const as = sensorKind(sensor);
    if (as) endpoints.push(sensorEndpoint(device, { kind: "sensor", key, sensor, as }));
  }
  return endpoints;
}

interface Wanted {
  readonly part: Part;
  readonly name: string;
  readonly category: string;
  readonly capabilities: readonly Capability[];
}

function endpoint(device: HomeDevice, part: string, { part: of, name, category, capabilities }: Wanted): DeviceEndpoint {
  const { uid, model, serialNumber, firmwareVersion } = device;
  const attributes = { manufacturer: MANUFACTURER, model, serialNumber, firmwareVersion, customIdentifier: uid };
  const known = Object.entries(attributes).flatMap(([key, value]) => (value === null || value === "" ? [] : [[key, value.slice(0, 256)]]));
  return {
    device,
    part: of,
    description: {
      endpointId: `${uid}:${part}`,
      manufacturerName: MANUFACTURER,
      friendlyName: spoken(name, uid),
      description: `${part.replaceAll(/[:_]/g, " ")} of ${uid}, Hexahub`.slice(0, 128),
      displayCategories: [category],
      capabilities: [...capabilities, readCapability("EndpointHealth", "connectivity"), ALEXA],
      additionalAttributes: Object.fromEntries(known) as Record<string, string>,
    },
  };
}

const ALEXA: Capability = { type: "AlexaInterface", interface: "Alexa", version: "3" };

function sceneEndpoint({ id, name }: HomeScene): Description {
  return {
    endpointId: `${SCENE}${id}`,
    manufacturerName: MANUFACTURER,
    friendlyName: spoken(name, "scene"),
    description: "Scene, Hexahub",
    displayCategories: ["SCENE_TRIGGER"],
    capabilities: [sceneCapability, ALEXA],
  };
}

const relayName = ({ name, relays, settings }: HomeDevice, index: number): string =>
  settings.relay_names?.[index] || (relays > 1 ? `${name} ${index + 1}` : name);

function lightCapabilities(facts: HomeFacts | undefined, index: number): Capability[] {
  const known = facts?.outputs.find((one) => one.kind === "light" && one.index === index);
  return [
    readCapability("PowerController", "powerState"),
    readCapability("BrightnessController", "brightness"),
    // A light says by its state that it has one.
    ...(known?.colorTemp == null ? [] : [readCapability("ColorTemperatureController", "colorTemperatureInKelvin")]),
  ];
}

const remote = (device: HomeDevice): DeviceEndpoint =>
  endpoint(device, "remote", {
    part: { kind: "remote" },
    name: device.relays + device.lights > 0 ? `${device.name} remote` : device.name,
    category: "OTHER",
    capabilities: [
      instanceCapability("ModeController", "mode", "code", {
        names: ["button", "code"],
        isUnknown: true,
        configuration: {
          ordered: false,
          supportedModes: device.irCodes.slice(0, MOST_MODES).map(({ id, name }) => ({
            value: `code:${id}`,
            modeResources: { friendlyNames: [text(spoken(name, "code"))] },
          })),
        },
      }),
    ],
  });

const CONTACTS = new Set(["door", "garage_door", "opening", "window"]);
const MOTIONS = new Set(["motion", "moving", "occupancy", "presence"]);

/** undefined for what Alexa has no words for. */
export function sensorKind({ platform, device_class: name = "", unit_of_measurement: unit }: Sensor): SensorKind | undefined {
  if (platform === "binary_sensor") return CONTACTS.has(name) ? "contact" : MOTIONS.has(name) ? "motion" : undefined;
  if (name === "temperature") return unit === undefined || Object.hasOwn(SCALES, unit) ? "temperature" : undefined;
  return unit === "%" || Object.hasOwn(RANGES, name) ? "range" : undefined;
}

/** Alexa's names of the units that temperatures have. */
export const SCALES: Readonly<Record<string, string>> = { "°C": "CELSIUS", "°F": "FAHRENHEIT", K: "KELVIN" };

const PERCENT = { minimumValue: 0, maximumValue: 100, precision: 1 };
/** By device class; the ends are those that such sensors have. */
const RANGES: Readonly<Record<string, typeof PERCENT>> = {
  carbon_dioxide: { minimumValue: 0, maximumValue: 10_000, precision: 1 },
  illuminance: { minimumValue: 0, maximumValue: 200_000, precision: 1 },
  pm25: { minimumValue: 0, maximumValue: 1_000, precision: 1 },
  pm10: { minimumValue: 0, maximumValue: 1_000, precision: 1 },
};

export const rangeOf = ({ device_class: name = "" }: Sensor): typeof PERCENT => RANGES[name] ?? PERCENT;

function sensorEndpoint(device: HomeDevice, part: Extract<Part, { kind: "sensor" }>): DeviceEndpoint {
  const { key, sensor, as } = part;
  const own = sensor.name ?? key.replaceAll("_", " ");
  const categories = { contact: "CONTACT_SENSOR", motion: "MOTION_SENSOR", temperature: "TEMPERATURE_SENSOR", range: "OTHER" };
  return endpoint(device, `sensor:${key}`, {
    part,
    name: `${device.name} ${own}`,
    category: categories[as],
    capabilities: [as === "range" ? rangeCapability(sensor, own) : sensorCapability(as)],
  });
}

function sensorCapability(as: Exclude<SensorKind, "range">): Capability {
  if (as === "temperature") return readCapability("TemperatureSensor", "temperature");
  return readCapability(as === "contact" ? "ContactSensor" : "MotionSensor", "detectionState");
}

function rangeCapability(sensor: Sensor, own: string): Capability {
  const { minimumValue, maximumValue, precision } = rangeOf(sensor);
  const isPercent = rangeOf(sensor) === PERCENT;
  return instanceCapability("RangeController", "rangeValue", "value", {
    names: [spoken(own, "value")],
    isReadOnly: true,
    configuration: {
      supportedRange: { minimumValue, maximumValue, precision },
      ...(isPercent ? { unitOfMeasure: "Alexa.Unit.Percent" } : {}),
    },
  });
}

/** What Alexa can hear and say: letters, digits and single spaces. */
export function spoken(name: string, otherwise: string): string {
  const clean = name
    .normalize("NFC")
    .replaceAll(/[^\p{L}\p{M}\p{N}]+/gu, " ")
    .trim()
    .slice(0, 128)
    // Not through the middle of a character.
    .replace(/[\uD800-\uDBFF]$/, "")
    .trim();
  return clean === "" ? otherwise.replaceAll("-", " ") : clean;
}

/** Of those that are called the same, each that is in a room is called by it. */
function withOwnNames(endpoints: readonly DeviceEndpoint[]): Description[] {
  const named = Map.groupBy(endpoints, ({ description }) => description.friendlyName.toLowerCase());
  return endpoints.map(({ device, description }) => {
    const { friendlyName } = description;
    const isShared = (named.get(friendlyName.toLowerCase())?.length ?? 0) > 1;
    if (!isShared || device.room === null) return description;
    return { ...description, friendlyName: spoken(`${device.room} ${friendlyName}`, friendlyName) };
  });
}
