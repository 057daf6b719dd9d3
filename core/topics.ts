import type { TSchema } from "typebox";
import { Type } from "typebox";
import { HomekitList } from "./homekit.ts";
import { DEVICE_UID } from "./id.ts";
import { DOWN_PAYLOADS, type DownType, IrSet, LightSet, SENSOR_KEY, UP_PAYLOADS, type UpType } from "./payloads.ts";
import { LightPayload, OnOff } from "./state.ts";

/**
 * What a topic means. Publish and subscribe rights, payload checks and docs/topics.md read {@link TOPICS};
 * the levels themselves are built and parsed only in this file.
 */
export type Topic =
  | { readonly kind: "up"; readonly uid: string; readonly type: UpType }
  | { readonly kind: "down"; readonly uid: string; readonly type: DownType }
  | { readonly kind: "availability"; readonly uid: string }
  | { readonly kind: "relay_state"; readonly uid: string; readonly index: number }
  | { readonly kind: "relay_set"; readonly uid: string; readonly index: number }
  | { readonly kind: "light_state"; readonly uid: string; readonly index: number }
  | { readonly kind: "light_set"; readonly uid: string; readonly index: number }
  | { readonly kind: "ir_send"; readonly uid: string }
  | { readonly kind: "button_press"; readonly uid: string; readonly button: Button }
  | { readonly kind: "sensor_state"; readonly uid: string; readonly key: string }
  | { readonly kind: "event"; readonly organizationId: string; readonly type: string }
  | { readonly kind: "hub_availability"; readonly organizationId: string }
  | { readonly kind: "notification"; readonly organizationId: string; readonly userId: string }
  | { readonly kind: "bus"; readonly organizationId: string; readonly name: string }
  | { readonly kind: "homekit_list"; readonly organizationId: string; readonly bridge: number }
  | { readonly kind: "sys"; readonly name: string }
  | { readonly kind: "ha_status" }
  | {
      readonly kind: "ha_discovery";
      readonly component: string;
      /** Whose Home Assistant it is for: the device may be another organisation's by the time that it is taken back. */
      readonly organizationId: string;
      readonly uid: string;
      /** Which of the device's things it is, where it is one alone. */
      readonly part?: string;
    };
/** What can be pressed: an infrared code is `ir_` and its id. */
export type Button = "identify" | "restart" | `ir_${string}`;
export type TopicKind = Topic["kind"];

export interface TopicRule {
  /** With `{name}` for a variable level; `{root}` is HEXA_TOPIC_ROOT. */
  readonly pattern: string;
  readonly direction: string;
  /** Who may publish besides the hub: the device itself, a client with the right to control it, people and machines of the organisation. */
  readonly publish: "device" | "control" | "members" | "service" | "nobody";
  /** Who may read: the device itself, members of the device's organisation, that user, administrators of the platform. */
  readonly subscribe: "device" | "members" | "user" | "platform" | "nobody";
  readonly payload: TSchema | "per type";
  readonly qos: 0 | 1;
  /** `refused`: a retained publish is an error. `config`: only down/config is retained. */
  readonly retain: "yes" | "no" | "refused" | "config";
  /** A QoS 1 or 2 publish is acknowledged after its effect is committed. */
  readonly durable: boolean;
}

const Availability = Type.Enum(["online", "offline"], { title: "Availability" });
const Press = Type.Enum(["PRESS"], { title: "Press" });
const RelaySet = Type.Enum(["ON", "OFF", "TOGGLE"], { title: "RelaySet" });
const AnySensorValue = Type.Unsafe<unknown>({
  title: "SensorState",
  description: "the value alone: a number, ON/OFF for booleans, or text",
});
const AnyBytes = Type.Unsafe<unknown>({ title: "AnyBytes", description: "any bytes; the hub passes them on as they are" });
const Statistic = Type.Unsafe<unknown>({ title: "Statistic", description: "a number, or text, as text" });
const Discovery = Type.Unsafe<unknown>({ title: "Discovery", type: "object" });
const CloudEventPayload = Type.Unsafe<unknown>({ title: "CloudEvent", type: "object" });

export const TOPICS: Readonly<Record<TopicKind, TopicRule>> = {
  availability: {
    pattern: "{root}/{uid}/availability",
    direction: "device (also as its will) and hub → all",
    publish: "device",
    subscribe: "members",
    payload: Availability,
    qos: 1,
    retain: "yes",
    durable: true,
  },
  relay_state: {
    pattern: "{root}/{uid}/relay/{index}/state",
    direction: "hub → all",
    publish: "nobody",
    subscribe: "members",
    payload: OnOff,
    qos: 1,
    retain: "yes",
    durable: false,
  },
  relay_set: {
    pattern: "{root}/{uid}/relay/{index}/set",
    direction: "clients with the right → hub",
    publish: "control",
    subscribe: "members",
    payload: RelaySet,
    qos: 1,
    retain: "refused",
    durable: true,
  },
  light_state: {
    pattern: "{root}/{uid}/light/{index}/state",
    direction: "hub → all",
    publish: "nobody",
    subscribe: "members",
    payload: LightPayload,
    qos: 1,
    retain: "yes",
    durable: false,
  },
  light_set: {
    pattern: "{root}/{uid}/light/{index}/set",
    direction: "clients with the right → hub",
    publish: "control",
    subscribe: "members",
    payload: LightSet,
    qos: 1,
    retain: "refused",
    durable: true,
  },
  ir_send: {
    pattern: "{root}/{uid}/ir/send",
    direction: "clients with the right → hub",
    publish: "control",
    subscribe: "members",
    payload: IrSet,
    qos: 1,
    retain: "refused",
    durable: true,
  },
  button_press: {
    pattern: "{root}/{uid}/button/{button}/press",
    direction: "clients with the right → hub",
    publish: "control",
    subscribe: "members",
    payload: Press,
    qos: 1,
    retain: "refused",
    durable: true,
  },
  sensor_state: {
    pattern: "{root}/{uid}/sensor/{key}/state",
    direction: "hub → all",
    publish: "nobody",
    subscribe: "members",
    payload: AnySensorValue,
    qos: 0,
    retain: "yes",
    durable: false,
  },
  up: {
    pattern: "{root}/{uid}/up/{type}",
    direction: "device → hub",
    publish: "device",
    subscribe: "members",
    payload: "per type",
    qos: 1,
    retain: "refused",
    durable: true,
  },
  down: {
    pattern: "{root}/{uid}/down/{type}",
    direction: "hub → device",
    publish: "nobody",
    subscribe: "device",
    payload: "per type",
    qos: 1,
    retain: "config",
    durable: true,
  },
  event: {
    pattern: "{root}-app/{organization}/events/{type}",
    direction: "hub → clients of the organisation",
    publish: "nobody",
    subscribe: "members",
    payload: CloudEventPayload,
    qos: 1,
    retain: "no",
    durable: false,
  },
  hub_availability: {
    pattern: "{root}-app/{organization}/availability",
    direction: "hub → clients of the organisation",
    publish: "nobody",
    subscribe: "members",
    payload: Availability,
    qos: 1,
    retain: "yes",
    durable: false,
  },
  notification: {
    pattern: "{root}-app/{organization}/users/{user}/notifications",
    direction: "hub → that user",
    publish: "nobody",
    subscribe: "user",
    payload: CloudEventPayload,
    qos: 1,
    retain: "no",
    durable: false,
  },
  bus: {
    pattern: "{root}-app/{organization}/bus/…",
    direction: "clients of the organisation → clients of the organisation",
    publish: "members",
    subscribe: "members",
    payload: AnyBytes,
    qos: 1,
    retain: "yes",
    durable: false,
  },
  homekit_list: {
    pattern: "{root}-app/{organization}/homekit/{bridge}",
    direction: "hub → HomeKit bridges",
    publish: "nobody",
    subscribe: "members",
    payload: HomekitList,
    qos: 1,
    retain: "yes",
    durable: false,
  },
  sys: {
    pattern: "$SYS/broker/…",
    direction: "hub → administrators of the platform",
    publish: "nobody",
    subscribe: "platform",
    payload: Statistic,
    qos: 0,
    retain: "yes",
    durable: false,
  },
  ha_status: {
    pattern: "homeassistant/status",
    direction: "Home Assistant → hub",
    publish: "service",
    // One topic for every Home Assistant there is: who reads it would hear of other organisations.
    subscribe: "nobody",
    payload: Availability,
    qos: 1,
    retain: "yes",
    durable: false,
  },
  ha_discovery: {
    pattern: "homeassistant/{component}/{organization}/hexa_{uid}/config",
    direction: "hub → Home Assistant",
    publish: "nobody",
    subscribe: "members",
    payload: Discovery,
    qos: 1,
    retain: "yes",
    durable: false,
  },
};

const SYS = "$SYS/broker/";
const INDEX = /^(0|[1-9]\d?)$/;
const BUTTON = /^(identify|restart|ir_[0-9a-f-]{36})$/;
const HA_OBJECT = /^hexa_([a-z0-9-]+)(?:_([a-z0-9_-]+))?$/;

/** Builds and parses the topics below one root (HEXA_TOPIC_ROOT). */
export interface Topics {
  readonly root: string;
  /** undefined for anything outside the table. */
  parse(topic: string): Topic | undefined;
  build(topic: Topic): string;
}

export function createTopics(root = "hexa"): Topics {
  return { root, parse: (topic) => parseTopic(root, topic), build: (topic) => buildTopic(root, topic) };
}

function parseTopic(root: string, topic: string): Topic | undefined {
  const bus = parseBusTopic(root, topic);
  if (bus) return bus;
  const levels = topic.split("/");
  if (levels[0] === root) return parseDeviceTopic(levels);
  const [first, organizationId, group, name, last] = levels;
  if (first === `${root}-app` && organizationId && group === "availability" && levels.length === 3)
    return { kind: "hub_availability", organizationId };
  if (first === `${root}-app` && organizationId && name) {
    if (group === "events" && levels.length === 4) return { kind: "event", organizationId, type: name };
    if (group === "users" && levels.length === 5 && last === "notifications") return { kind: "notification", organizationId, userId: name };
    if (group === "homekit" && levels.length === 4 && INDEX.test(name))
      return { kind: "homekit_list", organizationId, bridge: Number(name) };
  }
  if (topic.startsWith(SYS) && topic.length > SYS.length) return { kind: "sys", name: topic.slice(SYS.length) };
  if (topic === "homeassistant/status") return { kind: "ha_status" };
  if (first === "homeassistant") return parseDiscovery(levels);
  return undefined;
}

const APP = "-app/";
const BUS = "/bus/";

/** Without taking it apart: what clients say to each other comes most often. */
function parseBusTopic(root: string, topic: string): Topic | undefined {
  if (!topic.startsWith(root) || !topic.startsWith(APP, root.length)) return undefined;
  const from = root.length + APP.length;
  const to = topic.indexOf("/", from);
  if (to <= from || !topic.startsWith(BUS, to)) return undefined;
  const name = topic.slice(to + BUS.length);
  return name === "" || name.startsWith("/") ? undefined : { kind: "bus", organizationId: topic.slice(from, to), name };
}

function parseDeviceTopic(levels: string[]): Topic | undefined {
  const [, uid, group, name, last] = levels;
  if (uid === undefined || !DEVICE_UID.test(uid)) return undefined;
  if (levels.length === 3 && group === "availability") return { kind: "availability", uid };
  if (levels.length === 4 && name !== undefined) {
    if (group === "up" && Object.hasOwn(UP_PAYLOADS, name)) return { kind: "up", uid, type: name as UpType };
    if (group === "down" && Object.hasOwn(DOWN_PAYLOADS, name)) return { kind: "down", uid, type: name as DownType };
    if (group === "ir" && name === "send") return { kind: "ir_send", uid };
  }
  if (levels.length === 5 && name !== undefined) {
    if ((group === "relay" || group === "light") && (last === "set" || last === "state") && INDEX.test(name))
      return { kind: `${group}_${last}`, uid, index: Number(name) };
    if (group === "button" && last === "press" && BUTTON.test(name)) return { kind: "button_press", uid, button: name as Button };
    if (group === "sensor" && last === "state" && SENSOR_KEY.test(name)) return { kind: "sensor_state", uid, key: name };
  }
  return undefined;
}

function parseDiscovery(levels: string[]): Topic | undefined {
  const [, component, organizationId, object = "", last] = levels;
  const [, uid = "", part] = HA_OBJECT.exec(object) ?? [];
  if (levels.length !== 5 || last !== "config" || !component || !organizationId || !DEVICE_UID.test(uid)) return undefined;
  return { kind: "ha_discovery", component, organizationId, uid, ...(part === undefined ? {} : { part }) };
}

function buildTopic(root: string, topic: Topic): string {
  switch (topic.kind) {
    case "up":
    case "down":
      return `${root}/${topic.uid}/${topic.kind}/${topic.type}`;
    case "availability":
      return `${root}/${topic.uid}/availability`;
    case "relay_state":
    case "relay_set":
    case "light_state":
    case "light_set": {
      const [group, last] = topic.kind.split("_");
      return `${root}/${topic.uid}/${group}/${topic.index}/${last}`;
    }
    case "ir_send":
      return `${root}/${topic.uid}/ir/send`;
    case "button_press":
      return `${root}/${topic.uid}/button/${topic.button}/press`;
    case "hub_availability":
      return `${root}-app/${topic.organizationId}/availability`;
    case "sensor_state":
      return `${root}/${topic.uid}/sensor/${topic.key}/state`;
    case "event":
      return `${root}-app/${topic.organizationId}/events/${topic.type}`;
    case "notification":
      return `${root}-app/${topic.organizationId}/users/${topic.userId}/notifications`;
    case "bus":
      return `${root}-app/${topic.organizationId}/bus/${topic.name}`;
    case "homekit_list":
      return `${root}-app/${topic.organizationId}/homekit/${topic.bridge}`;
    case "sys":
      return `${SYS}${topic.name}`;
    case "ha_status":
      return "homeassistant/status";
    case "ha_discovery":
      return `homeassistant/${topic.component}/${topic.organizationId}/hexa_${topic.uid}${topic.part === undefined ? "" : `_${topic.part}`}/config`;
  }
}

/** The filter of all topics of a kind, of whatever they are about. */
export const filterOfAll = (root: string, kind: TopicKind): string =>
  TOPICS[kind].pattern.replace("{root}", root).replaceAll(/\{\w+\}/g, "+");

/** The payload's schema, by type where the table says so. */
export function payloadSchema(topic: Topic): TSchema {
  if (topic.kind === "up") return UP_PAYLOADS[topic.type];
  if (topic.kind === "down") return DOWN_PAYLOADS[topic.type];
  return TOPICS[topic.kind].payload;
}

/** Whether the hub retains what it publishes there. */
export function isRetained(topic: Topic): boolean {
  const { retain } = TOPICS[topic.kind];
  return retain === "yes" || (retain === "config" && topic.kind === "down" && topic.type === "config");
}
