import { mergeSketches, quantileOf, type QuantileSketch, sketchOf } from "./quantile-sketch.ts";

/** What is measured of devices, by the hour and the day (UTC). `channel` is the part of the device that it is about, "" for all of it. */
export const METRICS = {
  "presence.online": { unit: "s", description: "How long the device was connected: v_sum; v_last is 1 where it was at the end" },
  "presence.disconnects": { unit: "count", description: "How often it went offline" },
  "relay.on": { unit: "s", description: "How long a relay was on: v_sum; v_last is 1 where it was at the end" },
  "command.success": { unit: "share", description: "Commands that ended: n; those that the device did: v_sum" },
  "command.latency": { unit: "ms", description: "From the moment a command went out until its acknowledgement" },
  "command.timeout": { unit: "count", description: "Commands that the device never answered" },
  "command.by_hand": { unit: "count", description: "Commands that a person gave" },
  "task.success": { unit: "share", description: "Tasks that were completed, failed or expired: n; the completed ones: v_sum" },
  "task.duration": { unit: "ms", description: "How long devices took for the last attempt of their tasks" },
} as const;
export type MetricType = keyof typeof METRICS;
export const METRIC_TYPES = Object.keys(METRICS) as MetricType[];
const HAS_SKETCH: readonly MetricType[] = ["command.latency", "task.duration"];

/** What values of one metric amount to. */
export interface Aggregate {
  readonly n: number;
  readonly sum: number;
  readonly min: number;
  readonly max: number;
  /** Of a state, at the end of the period; null of what is no state. */
  readonly last: number | null;
  readonly sketch: QuantileSketch | null;
}

export interface Measure extends Aggregate {
  readonly type: MetricType;
  readonly channel: string;
}

/** In the order of time. undefined of none. */
export function mergeAggregates(parts: readonly Aggregate[]): Aggregate | undefined {
  if (parts.length === 0) return undefined;
  const sketches = parts.flatMap(({ sketch }) => (sketch === null ? [] : [sketch]));
  return {
    n: parts.reduce((sum, one) => sum + one.n, 0),
    sum: parts.reduce((sum, one) => sum + one.sum, 0),
    min: Math.min(...parts.map(({ min }) => min)),
    max: Math.max(...parts.map(({ max }) => max)),
    last: parts.at(-1)?.last ?? null,
    sketch: sketches.length === 0 ? null : mergeSketches(sketches),
  };
}

export const averageOf = ({ n, sum }: Aggregate): number | null => (n === 0 ? null : sum / n);
export const shareQuantile = ({ sketch }: Aggregate, q: number): number | null =>
  sketch === null ? null : (quantileOf(sketch, q) ?? null);

/** Of one metric and channel, merged. */
export function mergeMeasures(measures: readonly Measure[]): Measure[] {
  return [...Map.groupBy(measures, ({ type, channel }) => `${type} ${channel}`).values()].flatMap((group) => {
    const [first] = group;
    const merged = mergeAggregates(group);
    return first && merged ? [{ type: first.type, channel: first.channel, ...merged }] : [];
  });
}

/** Something that changed at a time, in ms since 1970. */
export interface Change {
  readonly at: number;
  readonly isOn: boolean;
}

/** What happened to a device in an hour. */
export interface HourFacts {
  /** ms since 1970 */
  readonly from: number;
  readonly to: number;
  readonly wasConnected: boolean;
  readonly presence: readonly Change[];
  readonly disconnects: number;
  /** By index. */
  readonly relays: ReadonlyMap<number, { readonly wasOn: boolean; readonly changes: readonly Change[] }>;
  readonly commands: readonly CommandFact[];
  readonly tasks: readonly TaskFact[];
}

export interface CommandFact {
  readonly channel: string;
  readonly status: string;
  /** undefined for one without an answer. */
  readonly latencyMs: number | undefined;
  readonly isByHand: boolean;
}

export interface TaskFact {
  readonly isCompleted: boolean;
  readonly durationMs: number | undefined;
}

/** What of a device a command is about. */
export function channelOf(command: { readonly command: string; readonly relay?: number; readonly light?: number }): string {
  if (command.command === "set_relay") return `relay ${command.relay}`;
  if (command.command === "set_light") return `light ${command.light}`;
  return { set_all_relays: "relays", ir_send: "ir" }[command.command] ?? "";
}

/** Nothing for what there was nothing of. */
export function measuresOf(facts: HourFacts): Measure[] {
  const { commands, tasks } = facts;
  return [
    ...stateMeasure("presence.online", "", facts, { wasOn: facts.wasConnected, changes: facts.presence }),
    ...[...facts.relays].flatMap(([index, relay]) => stateMeasure("relay.on", `relay ${index}`, facts, relay)),
    ...valuesMeasure(
      "presence.disconnects",
      "",
      Array.from({ length: facts.disconnects }, () => 1),
    ),
    ...[...Map.groupBy(commands, ({ channel }) => channel)].flatMap(([channel, group]) => commandMeasures(channel, group)),
    ...valuesMeasure(
      "task.success",
      "",
      tasks.map(({ isCompleted }) => Number(isCompleted)),
    ),
    ...valuesMeasure(
      "task.duration",
      "",
      tasks.flatMap(({ durationMs }) => durationMs ?? []),
    ),
  ];
}

function commandMeasures(channel: string, commands: readonly CommandFact[]): Measure[] {
  const ones = (which: (command: CommandFact) => boolean): number[] => commands.filter(which).map(() => 1);
  return [
    ...valuesMeasure(
      "command.success",
      channel,
      commands.map(({ status }) => Number(status === "ok")),
    ),
    ...valuesMeasure(
      "command.latency",
      channel,
      commands.flatMap(({ latencyMs }) => latencyMs ?? []),
    ),
    ...valuesMeasure(
      "command.timeout",
      channel,
      ones(({ status }) => status === "timeout"),
    ),
    ...valuesMeasure(
      "command.by_hand",
      channel,
      ones(({ isByHand }) => isByHand),
    ),
  ];
}

function valuesMeasure(type: MetricType, channel: string, values: readonly number[]): Measure[] {
  if (values.length === 0) return [];
  const sum = values.reduce((total, value) => total + value, 0);
  // One at a time: an hour may have more values than a call takes arguments.
  const min = values.reduce((least, value) => Math.min(least, value), Infinity);
  const max = values.reduce((most, value) => Math.max(most, value), -Infinity);
  return [{ type, channel, n: values.length, sum, min, max, last: null, sketch: HAS_SKETCH.includes(type) ? sketchOf(values) : null }];
}

function stateMeasure(
  type: MetricType,
  channel: string,
  { from, to }: Pick<HourFacts, "from" | "to">,
  { wasOn, changes }: { readonly wasOn: boolean; readonly changes: readonly Change[] },
): Measure[] {
  let [isOn, since, ms] = [wasOn, from, 0];
  for (const change of changes) {
    if (isOn) ms += Math.max(0, change.at - since);
    isOn = change.isOn;
    since = Math.max(since, change.at);
  }
  if (isOn) ms += to - since;
  const seconds = ms / 1_000;
  if (seconds === 0 && !isOn) return [];
  return [{ type, channel, n: 1, sum: seconds, min: seconds, max: seconds, last: Number(isOn), sketch: null }];
}
