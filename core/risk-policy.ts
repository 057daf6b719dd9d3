import Type, { type Static } from "typebox";
import type { Command, CommandSource } from "./command.ts";
import { checkZone, ClockTime } from "./condition.ts";
import { fault } from "./definition.ts";
import { type DeviceClass, SENSITIVITIES, type Sensitivity } from "./device.ts";
import { mergePatch } from "./merge-patch.ts";
import type { Actor } from "./principal.ts";
import { RiskRule } from "./risk-rule.ts";
import { parserFor, requireSmall } from "./validate.ts";

const closed = { additionalProperties: false } as const;
const Points = Type.Integer({ minimum: 0, maximum: 100 });
/** `each` for every one above `above`, and `most` at most. */
const Growing = Type.Object({ above: Type.Integer({ minimum: 0, maximum: 100_000 }), each: Points, most: Points }, closed);
export type Growing = Static<typeof Growing>;

const pointsOf = <Name extends string>(names: { readonly [N in Name]: true }) =>
  Type.Object(Object.fromEntries(Object.keys(names).map((name) => [name, Points])) as Record<Name, typeof Points>, closed);

/** What weighs how much when a command is judged. */
export const RiskWeights = Type.Object(
  {
    commands: pointsOf<Command["command"]>({
      set_relay: true,
      set_all_relays: true,
      set_light: true,
      ir_send: true,
      identify: true,
      restart: true,
    }),
    device_classes: pointsOf<DeviceClass>({ relay_controller: true, ir_hub: true, sensor_hub: true, hybrid: true }),
    sensitivity: pointsOf<Sensitivity>({ low: true, normal: true, high: true, critical: true }),
    sources: pointsOf<CommandSource>({
      rest: true,
      mqtt: true,
      cli: true,
      schedule: true,
      rule: true,
      "home-assistant": true,
      homekit: true,
      alexa: true,
    }),
    night: Type.Object({ from: ClockTime, to: ClockTime, points: Points }, closed),
    actor_volume: Growing,
    device_volume: Growing,
    failures: Growing,
    first_command: Points,
    more_actions: Type.Object({ each: Points, most: Points }, closed),
  },
  { additionalProperties: false, title: "RiskWeights" },
);
export type RiskWeights = Static<typeof RiskWeights>;

/** How commands are judged, and from what score on somebody has to approve one. */
export const RiskPolicy = Type.Object(
  {
    threshold: Type.Integer({ minimum: 1, maximum: 100, description: "From this score on a command has to be approved" }),
    time_zone: Type.String({ minLength: 1, maxLength: 64, description: "Of devices that are on no site" }),
    weights: RiskWeights,
    rules: Type.Array(RiskRule, { maxItems: 100 }),
  },
  { additionalProperties: false, title: "RiskRules" },
);
export type RiskPolicy = Static<typeof RiskPolicy>;

/**
 * Gates nothing of an ordinary home: relays, lights and infrared of a normal device stay below the threshold whatever else comes
 * together. docs/approvals.md has the table.
 */
export const DEFAULT_RISK_POLICY: RiskPolicy = {
  threshold: 70,
  time_zone: "UTC",
  weights: {
    commands: { identify: 0, set_light: 5, set_relay: 5, ir_send: 10, set_all_relays: 25, restart: 35 },
    device_classes: { sensor_hub: 0, ir_hub: 0, relay_controller: 2, hybrid: 2 },
    sensitivity: { low: 0, normal: 0, high: 35, critical: 70 },
    sources: { rest: 0, cli: 0, schedule: 0, rule: 0, "home-assistant": 0, homekit: 0, alexa: 2, mqtt: 4 },
    night: { from: "22:00", to: "06:00", points: 10 },
    actor_volume: { above: 20, each: 1, most: 6 },
    device_volume: { above: 10, each: 1, most: 6 },
    failures: { above: 3, each: 2, most: 6 },
    first_command: 4,
    // As many relays as set_all_relays has, one by one, count for as much.
    more_actions: { each: 2, most: 20 },
  },
  rules: [],
};

/** What is decided by of an organisation: which commands need approval, and how it is given. */
export interface ApprovalPolicy {
  readonly organizationId: string;
  /** 0 for the default of an organisation that has set nothing, and one more with each change. */
  readonly version: number;
  readonly risk: RiskPolicy;
  /** Nobody approves what they have asked for themselves. */
  readonly fourEyes: boolean;
  /** Approving takes the approver's PIN. */
  readonly pinRequired: boolean;
  /** What is not approved by then is cancelled. */
  readonly approvalTimeoutS: number;
  readonly updatedAt: string | null;
  readonly updatedBy: Actor | null;
}

export const APPROVAL_DEFAULTS = { fourEyes: false, pinRequired: false, approvalTimeoutS: 3_600 } as const;

const parseWhole = parserFor(RiskPolicy);
const MAX_BYTES = 65_536;
const MAX_DEPTH = 10;

/** The policy with the default where a part is left out. Throws `validation_error` with the path of the fault below `path`. */
export function parseRiskPolicy(parts: unknown, path = ""): RiskPolicy {
  requireSmall(parts, path === "" ? "/" : path, { maxBytes: MAX_BYTES, maxDepth: MAX_DEPTH });
  const policy = parseWhole(mergePatch(DEFAULT_RISK_POLICY, parts));
  const { sensitivity, night } = policy.weights;
  checkOrder(sensitivity, `${path}/weights/sensitivity`);
  if (night.from === night.to) throw fault(`${path}/weights/night/to`, "is the same time as from");
  checkZone(policy.time_zone, path);
  const names = new Set<string>();
  for (const [index, rule] of policy.rules.entries()) {
    const at = `${path}/rules/${index}`;
    if (names.has(rule.name)) throw fault(`${at}/name`, "is the name of another rule");
    names.add(rule.name);
    checkRule(rule, at);
  }
  return policy;
}

/** A device that is more sensitive never counts for less. */
function checkOrder(points: RiskWeights["sensitivity"], path: string): void {
  for (const [index, name] of SENSITIVITIES.entries()) {
    const before = SENSITIVITIES[index - 1];
    if (before !== undefined && points[name] < points[before]) throw fault(`${path}/${name}`, `is less than ${before}`);
  }
}

function checkRule({ points, require_approval, allow, match }: RiskRule, path: string): void {
  const effects = [points, require_approval, allow].filter((effect) => effect !== undefined);
  if (effects.length !== 1) throw fault(path, "has to have one of points, require_approval and allow");
  const window = match.time_window;
  if (window === undefined) return;
  if (window.from === window.to) throw fault(`${path}/match/time_window/to`, "is the same time as from");
  checkZone(window.time_zone, `${path}/match/time_window`);
}
