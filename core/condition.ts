import Type, { type Static, type TSchema } from "typebox";
import { Budget, fault, nodeParser } from "./definition.ts";
import type { Presence } from "./device.ts";
import { DEVICE_UID } from "./id.ts";
import type { SensorValue } from "./payloads.ts";
import { isTimeZone } from "./place.ts";
import type { LightState } from "./state.ts";
import { wallTime } from "./wall-clock.ts";

/** What conditions are asked about: a picture of one moment. */
export interface Facts {
  /** ms since 1970 */
  readonly now: number;
  /** IANA; holds where a condition names none. */
  readonly timeZone: string;
  /** What set off the question, for `{ "var": "trigger.…" }`. */
  readonly trigger: Readonly<Record<string, unknown>>;
  output(device: string, kind: "relay" | "light", index: number): Pick<LightState, "state" | "brightness" | "color_temp"> | undefined;
  reading(device: string, key: string): SensorValue | undefined;
  presence(device: string): Presence | undefined;
}

/** One thing that a condition looked at. */
export interface Finding {
  /** Of the condition in its definition. */
  readonly path: string;
  readonly met: boolean;
  readonly value: unknown;
}

const WEEKDAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"] as const;
export type Scalar = string | number | boolean | null;

const closed = { additionalProperties: false } as const;
const Below = Type.Unknown();
/** A device of the organisation by its uid. */
export const DeviceUid = Type.String({ pattern: DEVICE_UID.source, description: "A device's uid" });
export const SensorKey = Type.String({ pattern: "^[a-z][a-z0-9_]{0,63}$" });
export const OutputIndex = Type.Integer({ minimum: 0, maximum: 31 });
/** A time of day. */
export const ClockTime = Type.String({ pattern: "^([01]\\d|2[0-3]):[0-5]\\d(:[0-5]\\d)?$", description: "HH:MM or HH:MM:SS" });
export const TimeZone = Type.String({ minLength: 1, maxLength: 64 });
export const OPERATORS = ["eq", "ne", "lt", "le", "gt", "ge", "contains", "in"] as const;

const SCHEMAS = {
  and: Type.Object({ kind: Type.Literal("and"), conditions: Type.Array(Below, { minItems: 1, maxItems: 50 }) }, closed),
  or: Type.Object({ kind: Type.Literal("or"), conditions: Type.Array(Below, { minItems: 1, maxItems: 50 }) }, closed),
  not: Type.Object({ kind: Type.Literal("not"), condition: Below }, closed),
  compare: Type.Object({ kind: Type.Literal("compare"), left: Below, op: Type.Enum([...OPERATORS]), right: Below }, closed),
  time_window: Type.Object(
    { kind: Type.Literal("time_window"), from: ClockTime, to: ClockTime, time_zone: Type.Optional(TimeZone) },
    closed,
  ),
  day: Type.Object(
    {
      kind: Type.Literal("day"),
      days: Type.Array(Type.Enum([...WEEKDAYS]), { minItems: 1, maxItems: 7, uniqueItems: true }),
      time_zone: Type.Optional(TimeZone),
    },
    closed,
  ),
  state: Type.Object(
    {
      kind: Type.Literal("state"),
      device: DeviceUid,
      relay: Type.Optional(OutputIndex),
      light: Type.Optional(OutputIndex),
      is: Type.Enum(["ON", "OFF"]),
    },
    closed,
  ),
  numeric: Type.Object(
    {
      kind: Type.Literal("numeric"),
      device: DeviceUid,
      key: SensorKey,
      above: Type.Optional(Type.Number()),
      below: Type.Optional(Type.Number()),
    },
    closed,
  ),
  presence: Type.Object({ kind: Type.Literal("presence"), device: DeviceUid, is: Type.Enum(["online", "stale", "offline"]) }, closed),
} as const satisfies Record<string, TSchema>;
type Node = { [K in keyof typeof SCHEMAS]: Static<(typeof SCHEMAS)[K]> }[keyof typeof SCHEMAS];

export type Condition =
  | { readonly kind: "and" | "or"; readonly conditions: readonly Condition[] }
  | { readonly kind: "not"; readonly condition: Condition }
  | { readonly kind: "compare"; readonly left: Operand; readonly op: (typeof OPERATORS)[number]; readonly right: Operand }
  | Extract<Node, { kind: "time_window" | "day" | "state" | "numeric" | "presence" }>;

const FUNCTIONS = ["add", "subtract", "multiply", "divide", "modulo", "min", "max", "abs", "round", "length", "lower", "upper"] as const;
const VARIABLE = /^trigger(\.[A-Za-z0-9_-]{1,64}){0,8}$/;

const OPERANDS = {
  value: Type.Object(
    {
      kind: Type.Literal("value"),
      value: Type.Union([
        Type.String({ maxLength: 1024 }),
        Type.Number(),
        Type.Boolean(),
        Type.Null(),
        Type.Array(Type.Union([Type.String({ maxLength: 1024 }), Type.Number(), Type.Boolean()]), { maxItems: 100 }),
      ]),
    },
    closed,
  ),
  var: Type.Object({ kind: Type.Literal("var"), name: Type.String({ pattern: VARIABLE.source, maxLength: 200 }) }, closed),
  reading: Type.Object({ kind: Type.Literal("reading"), device: DeviceUid, key: SensorKey }, closed),
  output: Type.Object(
    {
      kind: Type.Literal("output"),
      device: DeviceUid,
      relay: Type.Optional(OutputIndex),
      light: Type.Optional(OutputIndex),
      field: Type.Optional(Type.Enum(["state", "brightness", "color_temp"])),
    },
    closed,
  ),
  function: Type.Object(
    { kind: Type.Literal("function"), name: Type.Enum([...FUNCTIONS]), of: Type.Array(Below, { minItems: 1, maxItems: 10 }) },
    closed,
  ),
} as const satisfies Record<string, TSchema>;
type OperandNode = { [K in keyof typeof OPERANDS]: Static<(typeof OPERANDS)[K]> }[keyof typeof OPERANDS];
export type Operand =
  | Exclude<OperandNode, { kind: "function" }>
  | { readonly kind: "function"; readonly name: (typeof FUNCTIONS)[number]; readonly of: readonly Operand[] };

export const CONDITION_LIMITS = { nodes: 200, depth: 10 } as const;
const parseNode = nodeParser<Node>("a condition", SCHEMAS);
const parseOperandNode = nodeParser<OperandNode>("an operand", OPERANDS);

/** Throws `validation_error` with the path of the fault. */
export function parseCondition(value: unknown, path: string, budget = new Budget(CONDITION_LIMITS), depth = 1): Condition {
  budget.spend(path, depth);
  const node = parseNode(value, path);
  switch (node.kind) {
    case "and":
    case "or":
      return {
        kind: node.kind,
        conditions: node.conditions.map((one, index) => parseCondition(one, `${path}/conditions/${index}`, budget, depth + 1)),
      };
    case "not":
      return { kind: "not", condition: parseCondition(node.condition, `${path}/condition`, budget, depth + 1) };
    case "compare":
      return {
        ...node,
        left: parseOperand(node.left, `${path}/left`, budget, depth + 1),
        right: parseOperand(node.right, `${path}/right`, budget, depth + 1),
      };
    case "time_window":
      if (node.from === node.to) throw fault(`${path}/to`, "is the same time as from");
      checkZone(node.time_zone, path);
      return node;
    case "day":
      checkZone(node.time_zone, path);
      return node;
    case "state":
      checkOutput(node, path);
      return node;
    case "numeric":
      if (node.above === undefined && node.below === undefined) throw fault(path, "needs above or below");
      return node;
    case "presence":
      return node;
  }
}

export function checkZone(name: string | undefined, path: string): void {
  if (name !== undefined && !isTimeZone(name)) throw fault(`${path}/time_zone`, "is no time zone of the IANA database");
}

/** Either a relay or a light. */
export function checkOutput({ relay, light }: { relay?: number | undefined; light?: number | undefined }, path: string): void {
  if ((relay === undefined) === (light === undefined)) throw fault(path, "names one output: relay or light");
}

/** Throws `validation_error` with the path of the fault. */
export function parseOperand(value: unknown, path: string, budget = new Budget(CONDITION_LIMITS), depth = 1): Operand {
  budget.spend(path, depth);
  const node = parseOperandNode(value, path);
  if (node.kind === "output") checkOutput(node, path);
  if (node.kind !== "function") return node;
  return { ...node, of: node.of.map((one, index) => parseOperand(one, `${path}/of/${index}`, budget, depth + 1)) };
}

/** A device that a definition names, with what it has to have. */
export interface DeviceUse {
  readonly path: string;
  readonly device: string;
  readonly relay?: number | undefined;
  readonly light?: number | undefined;
}

/** Every device that the condition asks about. */
export function devicesOfCondition(condition: Condition, path: string): DeviceUse[] {
  switch (condition.kind) {
    case "and":
    case "or":
      return condition.conditions.flatMap((one, index) => devicesOfCondition(one, `${path}/conditions/${index}`));
    case "not":
      return devicesOfCondition(condition.condition, `${path}/condition`);
    case "compare":
      return [...devicesOfOperand(condition.left, `${path}/left`), ...devicesOfOperand(condition.right, `${path}/right`)];
    case "state":
      return [{ path: `${path}/device`, device: condition.device, relay: condition.relay, light: condition.light }];
    case "numeric":
    case "presence":
      return [{ path: `${path}/device`, device: condition.device }];
    default:
      return [];
  }
}

export function devicesOfOperand(operand: Operand, path: string): DeviceUse[] {
  if (operand.kind === "function") return operand.of.flatMap((one, index) => devicesOfOperand(one, `${path}/of/${index}`));
  if (operand.kind === "reading") return [{ path: `${path}/device`, device: operand.device }];
  if (operand.kind === "output") return [{ path: `${path}/device`, device: operand.device, relay: operand.relay, light: operand.light }];
  return [];
}

/** Whether it holds, and what it looked at to say so. What is not known makes a condition about it false, and its `not` true. */
export function evaluate(condition: Condition, facts: Facts, path = "/condition"): { readonly met: boolean; readonly findings: Finding[] } {
  const findings: Finding[] = [];
  return { met: holds(condition, facts, path, findings), findings };
}

function holds(condition: Condition, facts: Facts, path: string, findings: Finding[]): boolean {
  const found = (met: boolean, value: unknown): boolean => {
    findings.push({ path, met, value });
    return met;
  };
  switch (condition.kind) {
    case "and":
      return condition.conditions.every((one, index) => holds(one, facts, `${path}/conditions/${index}`, findings));
    case "or":
      return condition.conditions.some((one, index) => holds(one, facts, `${path}/conditions/${index}`, findings));
    case "not":
      return !holds(condition.condition, facts, `${path}/condition`, findings);
    case "compare": {
      const [left, right] = [valueOf(condition.left, facts), valueOf(condition.right, facts)];
      return found(compare(left, condition.op, right), [left ?? null, right ?? null]);
    }
    case "time_window": {
      const timeZone = condition.time_zone ?? facts.timeZone;
      return found(isInWindow(condition, timeZone, facts.now), clockAt(timeZone, facts.now));
    }
    case "day": {
      const day = WEEKDAYS[wallTime(condition.time_zone ?? facts.timeZone, facts.now).day] as (typeof WEEKDAYS)[number];
      return found(condition.days.includes(day), day);
    }
    case "state": {
      const state = outputOf(condition, facts)?.state;
      return found(state === condition.is, state ?? null);
    }
    case "numeric": {
      const value = facts.reading(condition.device, condition.key);
      const isIn = typeof value === "number" && value > (condition.above ?? -Infinity) && value < (condition.below ?? Infinity);
      return found(isIn, value ?? null);
    }
    case "presence": {
      const presence = facts.presence(condition.device);
      return found(presence === condition.is, presence ?? null);
    }
  }
}

/** Whether a zone's clocks are in the window at an instant in ms since 1970; over midnight when `to` is before `from`. */
export function isInWindow(window: { readonly from: string; readonly to: string }, timeZone: string, instant: number): boolean {
  const { second } = wallTime(timeZone, instant);
  const [from, to] = [secondsOf(window.from), secondsOf(window.to)];
  return from < to ? second >= from && second < to : second >= from || second < to;
}

type Value = Scalar | readonly (string | number | boolean)[] | undefined;

/** undefined for what is not known, or cannot be worked out. */
export function valueOf(operand: Operand, facts: Facts): Value {
  switch (operand.kind) {
    case "value":
      return operand.value;
    case "var":
      return variable(operand.name, facts);
    case "reading":
      return facts.reading(operand.device, operand.key);
    case "output":
      return outputOf(operand, facts)?.[operand.field ?? "state"];
    case "function":
      return call(
        operand.name,
        operand.of.map((one) => valueOf(one, facts)),
      );
  }
}

const outputOf = (
  { device, relay, light }: { device: string; relay?: number | undefined; light?: number | undefined },
  facts: Facts,
): ReturnType<Facts["output"]> => (relay === undefined ? facts.output(device, "light", light ?? 0) : facts.output(device, "relay", relay));

/** Of a trigger's values also what is no single value, for whoever passes it on. */
export function variableOf(name: string, trigger: Facts["trigger"]): unknown {
  let value: unknown = trigger;
  for (const part of name.split(".").slice(1)) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, part)) return undefined;
    value = (value as Record<string, unknown>)[part];
  }
  return value;
}

function variable(name: string, { trigger }: Facts): Value {
  const value = variableOf(name, trigger);
  return typeof value === "object" && value !== null && !Array.isArray(value) ? undefined : (value as Value);
}

/** undefined for what cannot be worked out: a text that is to be divided, a division by zero. */
function call(name: (typeof FUNCTIONS)[number], values: readonly Value[]): Value {
  const [first] = values;
  if (name === "length") return typeof first === "string" || Array.isArray(first) ? first.length : undefined;
  if (name === "lower" || name === "upper")
    return typeof first === "string" ? (name === "lower" ? first.toLowerCase() : first.toUpperCase()) : undefined;
  if (!values.every((value) => typeof value === "number")) return undefined;
  const result = CALCULATIONS[name](values);
  return Number.isFinite(result) ? result : undefined;
}

const CALCULATIONS: Readonly<Record<Exclude<(typeof FUNCTIONS)[number], "length" | "lower" | "upper">, (of: readonly number[]) => number>> =
  {
    add: (of) => of.reduce((sum, one) => sum + one, 0),
    subtract: ([first = Number.NaN, ...rest]) => rest.reduce((left, one) => left - one, first),
    multiply: (of) => of.reduce((product, one) => product * one, 1),
    divide: ([first = Number.NaN, ...rest]) => rest.reduce((left, one) => left / one, first),
    modulo: ([first = Number.NaN, second = Number.NaN]) => first % second,
    min: (of) => Math.min(...of),
    max: (of) => Math.max(...of),
    abs: ([first = Number.NaN]) => Math.abs(first),
    round: ([first = Number.NaN]) => Math.round(first),
  };

/** Only what is of one type is greater or smaller. */
export function compare(left: Value, op: (typeof OPERATORS)[number], right: Value): boolean {
  if (left === undefined || right === undefined) return false;
  switch (op) {
    case "eq":
      return left === right;
    case "ne":
      return left !== right;
    case "contains":
      return typeof left === "string" ? typeof right === "string" && left.includes(right) : Array.isArray(left) && left.includes(right);
    case "in":
      return compare(right, "contains", left);
    default:
      return isOrdered(left, op, right);
  }
}

function isOrdered(left: Value, op: "lt" | "le" | "gt" | "ge", right: Value): boolean {
  const isOfOneType = (typeof left === "number" && typeof right === "number") || (typeof left === "string" && typeof right === "string");
  if (!isOfOneType) return false;
  const [a, b] = [left, right] as [number, number];
  return op === "lt" ? a < b : op === "le" ? a <= b : op === "gt" ? a > b : a >= b;
}

function secondsOf(clock: string): number {
  const [hours = 0, minutes = 0, seconds = 0] = clock.split(":").map(Number);
  return hours * 3_600 + minutes * 60 + seconds;
}

/** HH:MM:SS. */
export const clockAt = (timeZone: string, instant: number): string =>
  new Date(wallTime(timeZone, instant).second * 1_000).toISOString().slice(11, 19);
