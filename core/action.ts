import Type, { type Static, type TSchema } from "typebox";
import { Command } from "./command.ts";
import {
  type Condition,
  devicesOfCondition,
  devicesOfOperand,
  DeviceUid,
  type DeviceUse,
  type Facts,
  type Operand,
  parseCondition,
  parseOperand,
  valueOf,
  variableOf,
} from "./condition.ts";
import { Budget, fault, nodeParser, UuidText } from "./definition.ts";
import { GivenVariables } from "./template.ts";

const closed = { additionalProperties: false } as const;
const Below = Type.Unknown();
const Actions = Type.Array(Below, { minItems: 1, maxItems: 50 });
const OnError = Type.Optional(Type.Enum(["continue", "stop"], { description: "What comes after a failure; continue without it" }));
const Text = (maxLength: number) => Type.String({ minLength: 1, maxLength });

const SCHEMAS = {
  command: Type.Object(
    {
      kind: Type.Literal("command"),
      device: DeviceUid,
      command: Command,
      queue_for_s: Type.Optional(Type.Integer({ minimum: 1, maximum: 86_400, description: "Kept so long for a device that is offline" })),
      on_error: OnError,
    },
    closed,
  ),
  set_all_relays: Type.Object(
    {
      kind: Type.Literal("set_all_relays"),
      devices: Type.Array(DeviceUid, { minItems: 1, maxItems: 100, uniqueItems: true }),
      state: Type.Enum(["ON", "OFF"]),
      on_error: OnError,
    },
    closed,
  ),
  scene: Type.Object({ kind: Type.Literal("scene"), scene_id: UuidText, on_error: OnError }, closed),
  notify: Type.Object(
    {
      kind: Type.Literal("notify"),
      title: Text(200),
      body: Type.Optional(Text(2_000)),
      severity: Type.Optional(Type.Enum(["info", "warning", "critical"])),
      users: Type.Optional(Type.Array(UuidText, { minItems: 1, maxItems: 100, uniqueItems: true })),
    },
    closed,
  ),
  webhook: Type.Object({ kind: Type.Literal("webhook"), webhook_id: UuidText, data: Type.Optional(Type.Unknown()) }, closed),
  event: Type.Object(
    { kind: Type.Literal("event"), type: Type.String({ pattern: "^custom\\.[a-z0-9_.-]{1,90}$" }), data: Type.Optional(Type.Unknown()) },
    closed,
  ),
  publish: Type.Object(
    {
      kind: Type.Literal("publish"),
      name: Type.String({ pattern: "^[^+#\\u0000]{1,400}$", description: "Below hexa-app/<organisation>/bus/" }),
      payload: Type.Optional(Type.Unknown({ description: "Text as it is, anything else as JSON" })),
      from: Type.Optional(
        Type.Unknown({ description: "Instead of payload: an operand, for example { kind: var, name: trigger.payload }" }),
      ),
      qos: Type.Optional(Type.Enum([0, 1])),
      retain: Type.Optional(Type.Boolean()),
    },
    closed,
  ),
  delay: Type.Object({ kind: Type.Literal("delay"), for_s: Type.Number({ minimum: 0.1, maximum: 30 * 86_400 }) }, closed),
  choose: Type.Object(
    {
      kind: Type.Literal("choose"),
      options: Type.Array(Type.Object({ condition: Below, actions: Actions }, closed), { minItems: 1, maxItems: 20 }),
      otherwise: Type.Optional(Actions),
    },
    closed,
  ),
  repeat: Type.Object(
    { kind: Type.Literal("repeat"), times: Type.Integer({ minimum: 1, maximum: 100 }), while: Type.Optional(Below), actions: Actions },
    closed,
  ),
  start: Type.Object(
    {
      kind: Type.Literal("start"),
      what: Type.Enum(["workflow", "task"]),
      id: { ...UuidText, description: "Of a task: its template, filled in when it is made" },
      device: Type.Optional(DeviceUid),
      version: Type.Optional(
        Type.Integer({ minimum: 1, maximum: 999_999_999, description: "Of the template; the present one without it" }),
      ),
      variables: Type.Optional(GivenVariables),
      priority: Type.Optional(Type.Integer({ minimum: 0, maximum: 9 })),
      on_error: OnError,
    },
    closed,
  ),
} as const satisfies Record<string, TSchema>;
type Node = { [K in keyof typeof SCHEMAS]: Static<(typeof SCHEMAS)[K]> }[keyof typeof SCHEMAS];

export interface Choose {
  readonly kind: "choose";
  readonly options: readonly { readonly condition: Condition; readonly actions: readonly Action[] }[];
  readonly otherwise?: readonly Action[] | undefined;
}
export interface Repeat {
  readonly kind: "repeat";
  readonly times: number;
  readonly while?: Condition | undefined;
  readonly actions: readonly Action[];
}
/** What does something by itself. */
export type Effect =
  | Exclude<Node, { kind: "choose" | "repeat" | "start" | "delay" | "publish" }>
  | StartTask
  | (Omit<Extract<Node, { kind: "publish" }>, "from"> & { readonly from?: Operand | undefined });
/** A task of a template for a device; somebody may have to approve it. */
export type StartTask = Extract<Node, { kind: "start" }> & { readonly what: "task"; readonly device: string };
export type Publish = Extract<Effect, { kind: "publish" }>;
export type Delay = Extract<Node, { kind: "delay" }>;
export type Action = Effect | Delay | Choose | Repeat;

export const ACTION_LIMITS = { nodes: 200, depth: 6 } as const;
const parseNode = nodeParser<Node>("an action", SCHEMAS);

/** Of repeats within each other, all in all. */
const MOST_TIMES = 10_000;

/** Where an action stands: how deep, and how often the repeats around it come to it. */
interface Place {
  readonly budget: Budget;
  readonly depth: number;
  readonly times: number;
}

/** Throws `validation_error` with the path of the fault. */
export function parseActions(
  value: unknown,
  path: string,
  place: Place = { budget: new Budget(ACTION_LIMITS), depth: 1, times: 1 },
): Action[] {
  if (!Array.isArray(value) || value.length === 0 || value.length > 50) throw fault(path, "has to be a list of 1 to 50 actions");
  return value.map((one, index) => parseAction(one, `${path}/${index}`, place));
}

function parseAction(value: unknown, path: string, place: Place): Action {
  place.budget.spend(path, place.depth);
  const node = parseNode(value, path);
  const below = { ...place, depth: place.depth + 1 };
  switch (node.kind) {
    case "choose":
      return {
        kind: "choose",
        options: node.options.map(({ condition, actions }, index) => ({
          condition: parseCondition(condition, `${path}/options/${index}/condition`),
          actions: parseActions(actions, `${path}/options/${index}/actions`, below),
        })),
        ...(node.otherwise === undefined ? {} : { otherwise: parseActions(node.otherwise, `${path}/otherwise`, below) }),
      };
    case "repeat": {
      const times = place.times * node.times;
      if (times > MOST_TIMES) throw fault(`${path}/times`, `makes more than ${MOST_TIMES} turns with the repeats around it`);
      return {
        kind: "repeat",
        times: node.times,
        ...(node.while === undefined ? {} : { while: parseCondition(node.while, `${path}/while`) }),
        actions: parseActions(node.actions, `${path}/actions`, { ...below, times }),
      };
    }
    case "publish": {
      const { from, ...rest } = node;
      if ((from === undefined) === (rest.payload === undefined)) throw fault(path, "needs payload or from");
      return from === undefined ? rest : { ...rest, from: parseOperand(from, `${path}/from`) };
    }
    case "start": {
      const { what, device } = node;
      if (what === "workflow") throw fault(`${path}/what`, "is reserved: this hub has no workflows to start yet");
      if (device === undefined) throw fault(`${path}/device`, "is missing");
      return { ...node, what, device };
    }
    default:
      return node;
  }
}

/** What it publishes: text as it is, anything else as JSON. */
export function payloadOf({ payload, from }: Publish, facts: Facts): string {
  const value = from === undefined ? payload : from.kind === "var" ? variableOf(from.name, facts.trigger) : valueOf(from, facts);
  return typeof value === "string" ? value : JSON.stringify(value ?? null);
}

/** Something that actions name: a device, or a thing of another kind by its id. */
export type ActionUse =
  | { readonly kind: "device"; readonly use: DeviceUse }
  | { readonly kind: "command"; readonly path: string; readonly device: string; readonly command: Command }
  | { readonly kind: "scene" | "webhook" | "user" | "template"; readonly path: string; readonly id: string }
  | { readonly kind: "publish" | "event"; readonly path: string; readonly name: string };

export function usesOfActions(actions: readonly Action[], path: string): ActionUse[] {
  return actions.flatMap((action, index) => usesOf(action, `${path}/${index}`));
}

function usesOf(action: Action, path: string): ActionUse[] {
  const inCondition = (condition: Condition, where: string): ActionUse[] =>
    devicesOfCondition(condition, where).map((use) => ({ kind: "device", use }));
  switch (action.kind) {
    case "command":
      return [{ kind: "command", path, device: action.device, command: action.command }];
    case "set_all_relays":
      return action.devices.map((device, index) => ({
        kind: "command",
        path: `${path}/devices/${index}`,
        device,
        command: { command: "set_all_relays", state: action.state },
      }));
    case "scene":
      return [{ kind: "scene", path: `${path}/scene_id`, id: action.scene_id }];
    case "webhook":
      return [{ kind: "webhook", path: `${path}/webhook_id`, id: action.webhook_id }];
    case "notify":
      return (action.users ?? []).map((id, index) => ({ kind: "user", path: `${path}/users/${index}`, id }));
    case "publish":
      return [
        { kind: "publish", path: `${path}/name`, name: action.name },
        ...(action.from ? devicesOfOperand(action.from, `${path}/from`).map((use): ActionUse => ({ kind: "device", use })) : []),
      ];
    case "start":
      return [
        { kind: "device", use: { path: `${path}/device`, device: action.device } },
        { kind: "template", path: `${path}/id`, id: action.id },
      ];
    case "event":
      return [{ kind: "event", path: `${path}/type`, name: action.type }];
    case "delay":
      return [];
    case "choose":
      return [
        ...action.options.flatMap(({ condition, actions }, index) => [
          ...inCondition(condition, `${path}/options/${index}/condition`),
          ...usesOfActions(actions, `${path}/options/${index}/actions`),
        ]),
        ...usesOfActions(action.otherwise ?? [], `${path}/otherwise`),
      ];
    case "repeat":
      return [...(action.while ? inCondition(action.while, `${path}/while`) : []), ...usesOfActions(action.actions, `${path}/actions`)];
  }
}
