import type { Command, CommandStatus } from "./command.ts";
import { clockAt, isInWindow } from "./condition.ts";
import type { Actor } from "./principal.ts";
import type { Growing, RiskPolicy, RiskWeights } from "./risk-policy.ts";
import { isAbout, type RiskScene } from "./risk-rule.ts";

/** What is known of what was asked lately, without what is judged now. */
export interface RecentCommands {
  readonly byActorInMinute: number;
  readonly byDeviceInMinute: number;
  /** Of the device. */
  readonly failedInHour: number;
  /** On this device. */
  readonly isFirstFromActor: boolean;
}

/** What was asked of devices lately, and what came of it. */
export interface RecentCommandMemory {
  /** Without what is judged now, which is noted when it is sent. */
  of(actor: Actor, deviceId: string, now: number): RecentCommands;
  note(actor: Actor, deviceId: string, now: number): void;
  /** A command has come to its end. */
  ended(deviceId: string, status: CommandStatus, now: number): void;
}

export interface RiskRequest extends Omit<RiskScene, "timeZone"> {
  /** At least one. */
  readonly actions: readonly Command[];
  /** IANA, of the device's site; null where it is on none. */
  readonly timeZone: string | null;
  readonly recent: RecentCommands;
}

export interface RiskReason {
  /** A factor of the policy, or `rules/<name>` for a rule of the organisation. */
  readonly rule: string;
  readonly points: number;
  readonly text: string;
}

export interface Risk {
  /** 0 to 100. */
  readonly score: number;
  readonly threshold: number;
  /** Somebody has to approve it. */
  readonly isHigh: boolean;
  /** Their points add up to the score before it is cut to 0 to 100. What decides by itself comes first, then the heaviest. */
  readonly reasons: readonly RiskReason[];
}

/** Of one action. */
interface Judgement {
  readonly verdict: "required" | "allowed" | "scored";
  readonly sum: number;
  readonly reasons: readonly RiskReason[];
  readonly required: readonly RiskReason[];
  readonly allowed: readonly RiskReason[];
}

/**
 * How risky a command, or a task of several, is. Several count as the riskiest of them and a little more. A rule that requires
 * approval wins over one that allows, and that over the score; what one action is allowed, the others of a task are not.
 */
export function assess(policy: RiskPolicy, request: RiskRequest): Risk {
  const scene = { ...request, timeZone: request.timeZone ?? policy.time_zone };
  const judgements = request.actions.map((command) => judge(policy, scene, command));
  const open = judgements.filter(({ verdict }) => verdict !== "allowed");
  const riskiest = (open.length > 0 ? open : judgements).reduce((worst, one) => (one.sum > worst.sum ? one : worst));
  const more = moreActions(policy.weights, request.actions.length);
  const reasons = [...riskiest.reasons, ...more];
  const score = clamp(sumOf(reasons));
  const required = judgements.flatMap((one) => one.required);
  const deciding = unique(required.length > 0 ? required : open.length > 0 ? [] : judgements.flatMap((one) => one.allowed));
  return {
    score,
    threshold: policy.threshold,
    isHigh: required.length > 0 || (open.length > 0 && score >= policy.threshold),
    reasons: [...deciding.toSorted(byName), ...reasons.toSorted(byWeight)],
  };
}

/** What is known, but for the command. */
type Known = RiskScene & Pick<RiskRequest, "recent">;

function judge(policy: RiskPolicy, known: Known, command: Command): Judgement {
  const rules = policy.rules.filter((rule) => isAbout(rule, command, known));
  const weighed = rules.flatMap(({ name, points }) => (points === undefined ? [] : [reason(`rules/${name}`, points, name)]));
  const required = rules.flatMap(({ name, require_approval }) =>
    require_approval ? [reason(`rules/${name}`, 0, `${name}: needs approval`)] : [],
  );
  const allowed = rules.flatMap(({ name, allow }) => (allow ? [reason(`rules/${name}`, 0, `${name}: needs no approval`)] : []));
  const reasons = [...factors(policy.weights, known, command), ...weighed].filter(({ points }) => points !== 0);
  return {
    verdict: required.length > 0 ? "required" : allowed.length > 0 ? "allowed" : "scored",
    sum: sumOf(reasons),
    reasons,
    required,
    allowed,
  };
}

function factors(weights: RiskWeights, { device, source, now, timeZone, recent }: Known, command: Command): RiskReason[] {
  const action = reason("commands", weights.commands[command.command], `${command.command} was asked for`);
  // It blinks: where, when and how often makes no difference.
  if (command.command === "identify") return [action];
  const isNight = isInWindow(weights.night, timeZone, now);
  return [
    action,
    reason("device_classes", weights.device_classes[device.class], `the device is of the class ${device.class}`),
    reason("sensitivity", weights.sensitivity[device.sensitivity], `the device's sensitivity is ${device.sensitivity}`),
    reason("sources", weights.sources[source], `it was asked by ${source}`),
    reason("night", isNight ? weights.night.points : 0, `it is night: ${clockAt(timeZone, now)} in ${timeZone}`),
    growing("actor_volume", weights.actor_volume, recent.byActorInMinute, "commands of the same origin within a minute"),
    growing("device_volume", weights.device_volume, recent.byDeviceInMinute, "commands to the device within a minute"),
    growing("failures", weights.failures, recent.failedInHour, "commands to the device failed within an hour"),
    reason("first_command", recent.isFirstFromActor ? weights.first_command : 0, "the first of this origin to the device for long"),
  ];
}

function growing(rule: string, { above, each, most }: Growing, count: number, what: string): RiskReason {
  return reason(rule, Math.min(most, Math.max(0, count - above) * each), `${count} ${what}`);
}

function moreActions({ more_actions: { each, most } }: RiskWeights, count: number): RiskReason[] {
  const points = Math.min(most, (count - 1) * each);
  return points === 0 ? [] : [reason("more_actions", points, `${count} commands at once`)];
}

const reason = (rule: string, points: number, text: string): RiskReason => ({ rule, points, text });
const sumOf = (reasons: readonly RiskReason[]): number => reasons.reduce((sum, { points }) => sum + points, 0);
const clamp = (score: number): number => Math.min(100, Math.max(0, score));
const byName = (a: RiskReason, b: RiskReason): number => (a.rule < b.rule ? -1 : a.rule > b.rule ? 1 : 0);
const byWeight = (a: RiskReason, b: RiskReason): number => Math.abs(b.points) - Math.abs(a.points) || byName(a, b);
const unique = (reasons: readonly RiskReason[]): RiskReason[] => [...new Map(reasons.map((one) => [one.rule, one])).values()];
