import type { HomeDevice } from "../../core/smart-home.ts";
import type { Topics } from "../../core/topics.ts";
import type { HomeAssistantGhost } from "../../store/home-assistant.ts";
import { type Component, type Components, componentsOf, uniqueIdOf } from "./components.ts";

/** `device`: one message a device, as Home Assistant wants it today; `component`: one for each thing that it has. */
export const DISCOVERY_FORMS = ["device", "component"] as const;
export type DiscoveryForm = (typeof DISCOVERY_FORMS)[number];

/** Where and how an organisation's devices are told of. */
export interface DiscoveryPlace {
  readonly topics: Pick<Topics, "build">;
  readonly form: DiscoveryForm;
  /** Of the broker: whoever reads its messages knows by it whether the hub is there. */
  readonly hubAvailability: string;
  /** The topic of a device, or of one thing of it. */
  topicOf(device: Pick<HomeDevice, "uid" | "organizationId">, component: string, part?: string): string;
}

/** A retained message that tells of a device or of a part of it. */
export interface Discovery {
  readonly topic: string;
  readonly payload: string;
  readonly uid: string;
  readonly form: DiscoveryForm;
  /** The platforms of its components by their keys. */
  readonly components: Readonly<Record<string, string>>;
}

/** The same messages, byte for byte, for the same device. */
export function discoveriesOf(device: HomeDevice, place: DiscoveryPlace): Discovery[] {
  const components = componentsOf(device, place.topics);
  const { uid } = device;
  if (place.form === "device") {
    const topic = place.topicOf(device, "device");
    return [{ topic, payload: devicePayload(device, components, place), uid, form: "device", components: platformsOf(components) }];
  }
  return [...components].map(([key, component]) => ({
    topic: place.topicOf(device, component.platform, partOf(key)),
    payload: componentPayload(device, component, place),
    uid,
    form: "component",
    components: { [key]: component.platform },
  }));
}

/** Tells Home Assistant to let go of what the topic told of: it is told of elsewhere next, and keeps its names and rooms. */
export const MIGRATION = JSON.stringify({ migrate_discovery: true });

/** The same message with what is removed: Home Assistant wants to be told of it once, by its platform alone. */
export function withRemoved({ payload }: Discovery, removed: Readonly<Record<string, string>>): string {
  const whole = JSON.parse(payload) as { components: Record<string, unknown> };
  for (const [key, platform] of Object.entries(removed)) whole.components[key] = { platform };
  return JSON.stringify(whole);
}

/**
 * Of things that are gone, as little as makes Home Assistant know them again: it takes from its books only what it was told of since it started.
 * All are of one topic. Nobody says anything on their own.
 */
export function ghostPayload(ghosts: readonly HomeAssistantGhost[], place: DiscoveryPlace, living?: Discovery): string {
  const components = ghosts.map((ghost): [string, Component] => [ghost.key, ghostComponent(ghost, place)]);
  if (living) {
    const whole = JSON.parse(living.payload) as { components: Record<string, unknown> };
    return JSON.stringify({ ...whole, components: { ...whole.components, ...Object.fromEntries(components) } });
  }
  const about = { device: { identifiers: [`hexa_${ghosts[0]?.uid}`] }, origin: ORIGIN };
  if (ghosts[0]?.form === "device") return JSON.stringify({ ...about, components: Object.fromEntries(components) });
  const { platform: _platform, ...options } = components[0]?.[1] ?? { platform: "" };
  return JSON.stringify({ ...options, ...about });
}

function ghostComponent({ uid, key, platform }: HomeAssistantGhost, { hubAvailability: silent }: DiscoveryPlace): Component {
  return {
    platform,
    unique_id: uniqueIdOf(uid, key),
    name: null,
    ...GHOST_OPTIONS[platform],
    ...(WITHOUT_STATES.has(platform) ? {} : { state_topic: silent }),
    ...(WITHOUT_COMMANDS.has(platform) ? {} : { command_topic: silent }),
  };
}

const WITHOUT_STATES: ReadonlySet<string> = new Set(["button", "infrared"]);
const WITHOUT_COMMANDS: ReadonlySet<string> = new Set(["sensor", "binary_sensor", "event"]);
const GHOST_OPTIONS: Readonly<Record<string, object>> = {
  light: { schema: "json" },
  event: { event_types: ["press"] },
  infrared: { schema: "emitter" },
};

/** SPEC R-SMH-2 numbers the relays alone. */
const partOf = (key: string): string => key.replace(/^relay_(?=\d+$)/, "");

const platformsOf = (components: Components): Record<string, string> =>
  Object.fromEntries([...components].map(([key, { platform }]) => [key, platform]));

const ORIGIN = { name: "Hexahub" };

function devicePayload(device: HomeDevice, components: Components, place: DiscoveryPlace): string {
  return JSON.stringify({
    device: deviceBlock(device),
    origin: ORIGIN,
    components: Object.fromEntries(components),
    ...availability(device, place),
  });
}

function componentPayload(device: HomeDevice, { platform: _platform, ...options }: Component, place: DiscoveryPlace): string {
  return JSON.stringify({ ...options, device: deviceBlock(device), origin: ORIGIN, ...availability(device, place) });
}

/** A thing is there when the hub and its device are. */
const availability = ({ uid }: HomeDevice, { topics, hubAvailability }: DiscoveryPlace): object => ({
  availability: [{ topic: hubAvailability }, { topic: topics.build({ kind: "availability", uid }) }],
  availability_mode: "all",
});

function deviceBlock({ uid, name, model, serialNumber, firmwareVersion, room }: HomeDevice): object {
  return {
    identifiers: [`hexa_${uid}`],
    name,
    manufacturer: "Hexahub",
    ...(model === null ? {} : { model }),
    ...(serialNumber === null ? {} : { serial_number: serialNumber }),
    ...(firmwareVersion === null ? {} : { sw_version: firmwareVersion }),
    ...(room === null ? {} : { suggested_area: room }),
  };
}
