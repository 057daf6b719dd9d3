import { DEVICE_OPTIONS, OPTIONS, ORIGIN_OPTIONS } from "./home-assistant-abbreviations.ts";
import { PLATFORMS } from "./home-assistant-classes.ts";
import {
  AVAILABILITY,
  type Config,
  DEVICE,
  expiry,
  faultsOfFields,
  filled,
  type Fields,
  isRecord,
  KNOWN,
  publishTopic,
  subscribeTopic,
  text,
  url,
} from "./home-assistant-platforms.ts";

/** One entity, device trigger or removal of a discovery message. */
export interface Component {
  /** The same for every message about the same thing. */
  readonly key: string;
  readonly platform: string;
  /** With the device's shared options and without abbreviations; undefined takes the component away. */
  readonly config: Config | undefined;
  readonly faults: readonly string[];
}

export interface Discovery {
  /** Where one of these is, Home Assistant takes nothing of the message. */
  readonly faults: readonly string[];
  readonly components: readonly Component[];
  /** An empty payload takes away all that came by this topic; a migration does, too, and keeps what people have set. */
  readonly kind: "config" | "empty" | "migration";
  readonly device: Config | undefined;
}

/** The fault of a unique id that somebody else has. */
export type Claim = (uniqueId: string, key: string) => string | undefined;

/**
 * What is wrong with a discovery message by Home Assistant's published rules (www.home-assistant.io/integrations/mqtt and its platforms),
 * in words; [] when it is right. Options that Home Assistant would drop are wrong, too. `claim` knows the unique ids of other messages.
 */
export function validateDiscovery(topic: string, payload: string | Uint8Array, claim?: Claim): string[] {
  const { faults, components } = parseDiscovery(topic, payload, claim);
  return [...faults, ...components.flatMap((component) => component.faults.map((fault) => `${component.key}: ${fault}`))];
}

/** A claim that remembers what it was asked. */
export function uniqueIds(): Claim {
  const known = new Map<string, string>();
  return (uniqueId, key) => {
    const owner = known.get(uniqueId) ?? key;
    known.set(uniqueId, owner);
    return owner === key ? undefined : `unique_id ${uniqueId} is that of ${owner}`;
  };
}

const TOPIC = /^homeassistant\/(\w+)\/(?:([a-zA-Z0-9_-]+)\/)?([a-zA-Z0-9_-]+)\/config$/;
const COMPONENT_ID = /^[a-zA-Z0-9_-]+$/;

export function parseDiscovery(topic: string, payload: string | Uint8Array, claim: Claim = uniqueIds()): Discovery {
  const [, place, node, object] = TOPIC.exec(topic) ?? [];
  if (place === undefined || object === undefined) return broken("the topic is none of homeassistant/<component>/[<node>/]<object>/config");
  if (place !== "device" && !PLATFORMS.includes(place)) return broken(`${place} is no component of Home Assistant`);
  const body = typeof payload === "string" ? payload : Buffer.from(payload).toString("utf8");
  if (body === "") return { faults: [], components: [], kind: "empty", device: undefined };
  let parsed: unknown;
  try {
    parsed = JSON.parse(body);
  } catch {
    return broken("the payload is no JSON");
  }
  if (!isRecord(parsed)) return broken("the payload is no object");
  const message = inFull(parsed, OPTIONS);
  if ("migrate_discovery" in message) {
    const isAlone = message.migrate_discovery === true && Object.keys(message).length === 1;
    return isAlone
      ? { faults: [], components: [], kind: "migration", device: undefined }
      : broken("migrate_discovery is not true, or not alone");
  }
  const own = { ...message, device: inFull(message.device, DEVICE_OPTIONS), origin: inFull(message.origin, ORIGIN_OPTIONS) };
  const config = Object.fromEntries(Object.entries(own).filter(([, value]) => value !== undefined));
  const id = node === undefined ? object : `${node} ${object}`;
  return place === "device" ? deviceForm(id, config, claim) : singleForm({ platform: place, id }, config, claim);
}

const broken = (fault: string): Discovery => ({ faults: [fault], components: [], kind: "config", device: undefined });

const SHARED: Fields = {
  ...AVAILABILITY,
  command_topic: publishTopic,
  state_topic: subscribeTopic,
  encoding: text,
  message_expiry_interval: expiry,
  qos: (value) => (value === 0 || value === 1 || value === 2 ? undefined : "is none of 0, 1, 2"),
};
const ORIGIN: Fields = { name: filled, sw_version: text, support_url: url("http", "https", "homeassistant") };

const deviceCheck = (value: unknown): string | undefined => {
  if (!isRecord(value)) return "is no object";
  const faults = faultsOfFields(value, DEVICE, []);
  const hasId = [value.identifiers, value.connections].some((list) => (Array.isArray(list) ? list.length > 0 : Boolean(list)));
  if (!hasId) faults.push("neither identifiers nor connections say which it is");
  return faults.length === 0 ? undefined : `is wrong: ${faults.join("; ")}`;
};
const originCheck = (value: unknown): string | undefined => {
  if (!isRecord(value)) return "is no object";
  const faults = faultsOfFields(value, ORIGIN, ["name"]);
  return faults.length === 0 ? undefined : `is wrong: ${faults.join("; ")}`;
};
const componentsCheck = (value: unknown): string | undefined => {
  if (!isRecord(value)) return "is no object";
  const wrong = Object.entries(value).filter(([, one]) => !isRecord(one) || !PLATFORMS.includes(String(inFull(one, OPTIONS).platform)));
  return wrong.length === 0 ? undefined : `without a platform of Home Assistant: ${wrong.map(([id]) => id).join(", ")}`;
};
const DEVICE_MESSAGE: Fields = { ...SHARED, device: deviceCheck, origin: originCheck, components: componentsCheck };

/** A root with anything that is wrong or unknown is refused as a whole. */
function deviceForm(object: string, message: Config, claim: Claim): Discovery {
  const faults = [...faultsOfFields(message, DEVICE_MESSAGE, ["device", "origin", "components"]), ...bothAvailabilities(message)];
  const listed = isRecord(message.components) ? Object.entries(message.components).filter(([, one]) => isRecord(one)) : [];
  const whole = listed.flatMap(([id, one]) => {
    const { platform, ...config } = inFull(one as Config, OPTIONS);
    const needsId = KNOWN[String(platform)]?.hasEntity !== false && Object.keys(config).length > 0;
    return needsId && filled(config.unique_id) !== undefined ? [`${id} has no unique_id`] : [];
  });
  const shared = Object.fromEntries(Object.entries(message).filter(([key]) => Object.hasOwn(SHARED, key)));
  const components = listed.map(([id, one]) => {
    const { platform, ...config } = inFull(one as Config, OPTIONS);
    const about = { platform: String(platform), key: `${String(platform)} ${object} ${id}` };
    if (Object.keys(config).length === 0) return { ...about, config: undefined, faults: [] };
    const early = [
      ...(COMPONENT_ID.test(id) ? [] : ["the component's id has a character that ids must not have"]),
      ...["device", "origin"].filter((key) => key in config).map((key) => `${key} is the device's alone`),
    ];
    const { device: _device, origin: _origin, ...rest } = config;
    return componentOf(about, { own: rest, shared, early, device: message.device }, claim);
  });
  return { faults: [...faults, ...whole], components, kind: "config", device: isRecord(message.device) ? message.device : undefined };
}

/** One component by itself; a device is the thing of those that have a unique id. */
function singleForm({ platform, id }: { platform: string; id: string }, message: Config, claim: Claim): Discovery {
  const { device, origin, ...own } = message;
  const faults: string[] = [];
  const deviceFault = device === undefined ? undefined : deviceCheck(device);
  const originFault = origin === undefined ? undefined : originCheck(origin);
  if (deviceFault !== undefined) faults.push(`device ${deviceFault}`);
  if (originFault !== undefined) faults.push(`origin ${originFault}`);
  const early: string[] = [];
  const hasEntity = KNOWN[platform]?.hasEntity !== false;
  if (hasEntity && device !== undefined && own.unique_id === undefined) early.push("a device needs a unique_id");
  if (!hasEntity && device === undefined) early.push("device is missing");
  const component = componentOf({ platform, key: `${platform} ${id}` }, { own, shared: {}, early, device }, claim);
  return { faults, components: [component], kind: "config", device: isRecord(device) ? device : undefined };
}

interface Given {
  readonly own: Config;
  readonly shared: Config;
  readonly early: readonly string[];
  readonly device: unknown;
}

function componentOf(about: Pick<Component, "key" | "platform">, { own, shared, early, device }: Given, claim: Claim): Component {
  const faults = [...early];
  const known = Object.hasOwn(KNOWN, about.platform) ? KNOWN[about.platform] : undefined;
  const merged = withBase({ ...shared, ...own });
  const config = isRecord(device) ? { ...merged.config, device } : merged.config;
  if (merged.fault !== undefined) faults.push(merged.fault);
  if (!known) return { ...about, config, faults: [...faults, `the options of ${about.platform} are not known here`] };
  const owned = Object.fromEntries(Object.entries(merged.config).filter(([key]) => Object.hasOwn(own, key)));
  faults.push(...faultsOfFields(owned, known.fields, []));
  faults.push(...known.required.filter((key) => merged.config[key] === undefined).map((key) => `${key} is missing`));
  faults.push(...(known.rules?.(merged.config) ?? []), ...bothAvailabilities(merged.config));
  const { unique_id: uniqueId, default_entity_id: entityId } = merged.config;
  if (typeof entityId === "string" && !entityId.startsWith(`${about.platform}.`))
    faults.push(`default_entity_id is none of a ${about.platform}`);
  const taken = typeof uniqueId === "string" ? claim(uniqueId, about.key) : undefined;
  if (taken !== undefined) faults.push(taken);
  return { ...about, config, faults };
}

/** One excludes the other, also where one is the device's and the other the component's. */
function bothAvailabilities({
  availability,
  availability_topic: topic,
  payload_available: yes,
  payload_not_available: no,
}: Config): string[] {
  return [
    ...(availability !== undefined && topic !== undefined ? ["availability and availability_topic exclude each other"] : []),
    ...(yes !== undefined && yes === no ? ["payload_available and payload_not_available are the same"] : []),
  ];
}

function inFull<T>(value: T, names: Readonly<Record<string, string>>): T extends Config ? Config : T {
  const full = isRecord(value)
    ? Object.fromEntries(
        Object.entries(value).map(([key, one]) => {
          const name = Object.hasOwn(names, key) ? (names[key] as string) : key;
          return [name, name === "availability" ? availabilityInFull(one) : one];
        }),
      )
    : value;
  return full as T extends Config ? Config : T;
}

const availabilityInFull = (list: unknown): unknown =>
  (Array.isArray(list) ? list : [list]).map((one: unknown) => (isRecord(one) ? inFull(one, OPTIONS) : one));

/** `~` at the beginning or end of a topic is the component's own base. */
function withBase({ "~": base, ...config }: Config): { config: Config; fault?: string } {
  if (base === undefined) return { config };
  if (typeof base !== "string" || base === "") return { config, fault: "~ is no topic" };
  const replace = (topic: unknown): unknown =>
    typeof topic === "string" ? topic.replace(/^~/, () => base).replace(/~$/, () => base) : topic;
  const entries = Object.entries(config).map(([key, value]): [string, unknown] => {
    if (key.endsWith("topic")) return [key, replace(value)];
    if (key !== "availability" || !Array.isArray(value)) return [key, value];
    return [key, value.map((one: unknown) => (isRecord(one) ? { ...one, topic: replace(one.topic) } : one))];
  });
  return { config: Object.fromEntries(entries) };
}
