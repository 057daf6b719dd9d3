import Type, { type Static, type TSchema } from "typebox";
import { checkOutput, DeviceUid, type DeviceUse, OutputIndex, SensorKey } from "./condition.ts";
import { fault, nodeParser, UuidText } from "./definition.ts";
import type { EventType, HubEvent } from "./event.ts";
import type { SensorValue } from "./payloads.ts";
import { parseRecurrence, type Recurrence } from "./recurrence.ts";

const closed = { additionalProperties: false } as const;
const Device = Type.Optional(DeviceUid);
/** So long it has to stay as it is; the wait survives a restart. */
const HeldFor = Type.Optional(Type.Number({ minimum: 0.1, maximum: 30 * 86_400, description: "Seconds for which it has to stay so" }));

const SCHEMAS = {
  input_event: Type.Object(
    {
      kind: Type.Literal("input_event"),
      device: Device,
      input: Type.Optional(Type.Integer({ minimum: 0, maximum: 63 })),
      event: Type.Optional(Type.Enum(["press", "release", "click", "double_click", "button_hold"])),
    },
    closed,
  ),
  button_hold: Type.Object(
    {
      kind: Type.Literal("button_hold"),
      device: Device,
      input: Type.Optional(Type.Integer({ minimum: 0, maximum: 63 })),
      min_ms: Type.Optional(Type.Integer({ minimum: 0, maximum: 600_000 })),
    },
    closed,
  ),
  device_online: Type.Object({ kind: Type.Literal("device_online"), device: Device, for_s: HeldFor }, closed),
  device_offline: Type.Object({ kind: Type.Literal("device_offline"), device: Device, for_s: HeldFor }, closed),
  state: Type.Object(
    {
      kind: Type.Literal("state"),
      device: DeviceUid,
      relay: Type.Optional(OutputIndex),
      light: Type.Optional(OutputIndex),
      to: Type.Optional(Type.Enum(["ON", "OFF"])),
      for_s: HeldFor,
    },
    closed,
  ),
  telemetry: Type.Object(
    {
      kind: Type.Literal("telemetry"),
      device: Device,
      key: SensorKey,
      above: Type.Optional(Type.Number()),
      below: Type.Optional(Type.Number()),
      equals: Type.Optional(Type.Union([Type.String({ maxLength: 1024 }), Type.Boolean()])),
      hysteresis: Type.Optional(Type.Number({ minimum: 0, description: "How far the value has to come back before it counts again" })),
      for_s: HeldFor,
    },
    closed,
  ),
  event: Type.Object(
    {
      kind: Type.Literal("event"),
      type: Type.String({ pattern: "^[a-z][a-z0-9_]*(\\.[a-z0-9_-]+)+$", maxLength: 100 }),
      device: Device,
    },
    closed,
  ),
  topic: Type.Object(
    {
      kind: Type.Literal("topic"),
      filter: Type.String({ minLength: 1, maxLength: 512, description: "An MQTT filter of what the organisation may read" }),
    },
    closed,
  ),
  schedule: Type.Object({ kind: Type.Literal("schedule"), recurrence: Type.Unknown() }, closed),
  webhook: Type.Object({ kind: Type.Literal("webhook"), hook_id: UuidText }, closed),
} as const satisfies Record<string, TSchema>;
type Node = { [K in keyof typeof SCHEMAS]: Static<(typeof SCHEMAS)[K]> }[keyof typeof SCHEMAS];
export type Trigger = Exclude<Node, { kind: "schedule" }> | { readonly kind: "schedule"; readonly recurrence: Recurrence };
export type TriggerKind = Trigger["kind"];
export type TriggerOf<K extends TriggerKind> = Extract<Trigger, { kind: K }>;

const parseNode = nodeParser<Node>("a trigger", SCHEMAS);

/** Throws `validation_error` with the path of the fault. */
export function parseTrigger(value: unknown, path: string): Trigger {
  const node = parseNode(value, path);
  switch (node.kind) {
    case "schedule":
      return { kind: "schedule", recurrence: parseRecurrence(node.recurrence, `${path}/recurrence`) };
    case "state":
      checkOutput(node, path);
      if (node.for_s !== undefined && node.to === undefined) throw fault(`${path}/for_s`, "needs the state that has to last: to");
      return node;
    case "telemetry":
      checkThreshold(node, path);
      return node;
    case "topic":
      checkFilter(node.filter, `${path}/filter`);
      return node;
    default:
      return node;
  }
}

function checkThreshold({ above, below, equals, hysteresis }: TriggerOf<"telemetry">, path: string): void {
  if (equals !== undefined) {
    if (above !== undefined || below !== undefined || hysteresis !== undefined) throw fault(`${path}/equals`, "stands alone");
  } else if (above === undefined && below === undefined) throw fault(path, "needs above, below or equals");
  if (above !== undefined && below !== undefined && above >= below)
    throw fault(`${path}/below`, "is not more than above: nothing lies between them");
}

function checkFilter(filter: string, path: string): void {
  const levels = filter.split("/");
  const isWrong = levels.some(
    (level, index) => (level.includes("#") && (level !== "#" || index < levels.length - 1)) || (level.includes("+") && level !== "+"),
  );
  if (isWrong || filter.includes("\0")) throw fault(path, "is no MQTT filter");
}

export function devicesOfTrigger(trigger: Trigger, path: string): DeviceUse[] {
  if (!("device" in trigger) || trigger.device === undefined) return [];
  const output = trigger.kind === "state" ? { relay: trigger.relay, light: trigger.light } : {};
  return [{ path: `${path}/device`, device: trigger.device, ...output }];
}

/** The types of events that can set it off; none for what is no event. */
export function eventTypesOf(trigger: Trigger): readonly string[] {
  switch (trigger.kind) {
    case "input_event":
    case "button_hold":
      return ["device.input_event"];
    case "device_online":
    case "device_offline":
      return ["device.online", "device.offline"] satisfies EventType[];
    case "state":
      return ["device.state_changed"];
    case "event":
      return [trigger.type];
    case "webhook":
      return ["webhook.received"];
    default:
      return [];
  }
}

/**
 * What a signal means for a trigger. `occurs`: it has happened. `holds`: it is so now, or is not so any more, and what counts is
 * that it becomes so. undefined: it says nothing about it. `subject` tells apart what one trigger watches: a device, an output.
 */
export type Meaning =
  | { readonly kind: "occurs"; readonly subject: string; readonly values: Readonly<Record<string, unknown>> }
  | { readonly kind: "holds"; readonly subject: string; readonly is: boolean; readonly values: Readonly<Record<string, unknown>> };

export function meaningOfEvent(trigger: Trigger, event: Pick<HubEvent, "type" | "entityId" | "data">): Meaning | undefined {
  const { data, type } = event;
  const uid = typeof data["uid"] === "string" ? data["uid"] : "";
  if ("device" in trigger && trigger.device !== undefined && trigger.device !== uid) return undefined;
  const occurs = (values: Record<string, unknown>): Meaning => ({ kind: "occurs", subject: uid, values: { device: uid, ...values } });
  switch (trigger.kind) {
    case "input_event":
      if (isOther(trigger.input, data["input"]) || isOther(trigger.event, data["event"])) return undefined;
      return occurs({ input: data["input"], event: data["event"], duration_ms: data["duration_ms"] ?? null });
    case "button_hold": {
      if (data["event"] !== "button_hold" || isOther(trigger.input, data["input"])) return undefined;
      const duration = typeof data["duration_ms"] === "number" ? data["duration_ms"] : 0;
      return duration < (trigger.min_ms ?? 0) ? undefined : occurs({ input: data["input"], event: "button_hold", duration_ms: duration });
    }
    case "device_online":
    case "device_offline": {
      const is = (type === "device.online") === (trigger.kind === "device_online");
      const values = { device: uid, presence: type === "device.online" ? "online" : "offline", reason: data["reason"] ?? null };
      if (trigger.for_s === undefined) return is ? { kind: "occurs", subject: uid, values } : undefined;
      return { kind: "holds", subject: uid, is, values };
    }
    case "state":
      return meaningOfState(trigger, data, uid);
    case "event":
      return occurs({ type, data });
    case "webhook":
      return data["hook_id"] === trigger.hook_id
        ? { kind: "occurs", subject: trigger.hook_id, values: { hook_id: trigger.hook_id, body: data["body"] ?? null } }
        : undefined;
    default:
      return undefined;
  }
}

const isOther = (wanted: unknown, found: unknown): boolean => wanted !== undefined && wanted !== found;

function meaningOfState(trigger: TriggerOf<"state">, data: HubEvent["data"], uid: string): Meaning | undefined {
  const [list, index] = trigger.relay === undefined ? [data["lights"], trigger.light] : [data["relays"], trigger.relay];
  const changed = Array.isArray(list) ? (list as { index: number; state: string }[]).find((one) => one.index === index) : undefined;
  if (!changed) return undefined;
  const values = { device: uid, ...(trigger.relay === undefined ? { light: index } : { relay: index }), state: changed.state };
  if (trigger.to === undefined) return { kind: "occurs", subject: uid, values };
  return { kind: "holds", subject: uid, is: changed.state === trigger.to, values };
}

/** `was`: whether it was so by the reading before. */
export function meaningOfReading(trigger: TriggerOf<"telemetry">, device: string, value: SensorValue, was: boolean): Meaning | undefined {
  const values = { device, key: trigger.key, value };
  if (trigger.equals !== undefined) return { kind: "holds", subject: device, is: value === trigger.equals, values };
  if (typeof value !== "number") return undefined;
  // Whoever is in has to come back by the hysteresis before being out.
  const slack = was ? (trigger.hysteresis ?? 0) : 0;
  const is = value > (trigger.above ?? -Infinity) - slack && value < (trigger.below ?? Infinity) + slack;
  return { kind: "holds", subject: device, is, values };
}
