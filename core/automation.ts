import Type, { type Static } from "typebox";
import { type Action, type ActionUse, parseActions, usesOfActions } from "./action.ts";
import { checkZone, type Condition, devicesOfCondition, parseCondition } from "./condition.ts";
import { fault, UuidText } from "./definition.ts";
import { devicesOfTrigger, type Meaning, parseTrigger, type Trigger } from "./trigger.ts";
import { requireSmall } from "./validate.ts";

/** What happens when it fires while a run of it goes on. */
export const MODES = ["skip", "queue", "parallel", "restart"] as const;
export type Mode = (typeof MODES)[number];

/** Of one automation at a time. */
export const MOST_RUNS = 10;
/** Of one organisation. */
export const MOST_AUTOMATIONS = 10_000;
/** How far a chain of automations that set off each other goes. */
export const MAX_CAUSE_DEPTH = 8;
export const MOST_TRIGGERS = 20;
const MAX_BYTES = 65_536;
const MAX_JSON_DEPTH = 32;
const MOST_RECENT = 100;

const Open = Type.Unsafe<unknown>({ type: "object", description: "docs/automations.md has the kinds" });

export const AutomationDefinition = Type.Object(
  {
    triggers: Type.Array(Open, { minItems: 1, maxItems: MOST_TRIGGERS, description: "Any of them sets it off" }),
    condition: Type.Optional(Open),
    actions: Type.Array(Open, { minItems: 1, maxItems: 50 }),
    mode: Type.Optional(Type.Enum([...MODES], { description: "When it fires while a run of it goes on; skip without it" })),
    cooldown_s: Type.Optional(
      Type.Number({ minimum: 0, maximum: 30 * 86_400, description: "So long after firing it does not fire again" }),
    ),
    dedupe_s: Type.Optional(Type.Number({ minimum: 0, maximum: 86_400, description: "The same cause fires it once in so long" })),
    time_zone: Type.Optional(Type.String({ minLength: 1, maxLength: 64, description: "IANA; the site's without it, or UTC" })),
    site_id: Type.Optional(UuidText),
  },
  { additionalProperties: false, title: "AutomationDefinition" },
);

export interface Definition {
  readonly triggers: readonly Trigger[];
  readonly condition?: Condition | undefined;
  readonly actions: readonly Action[];
  readonly mode: Mode;
  readonly cooldownMs: number;
  readonly dedupeMs: number;
  readonly timeZone?: string | undefined;
  readonly siteId?: string | undefined;
}

/** Throws `validation_error` with the path of the fault; whether what it names is there is for who knows the organisation. */
export function parseDefinition(input: Static<typeof AutomationDefinition>, path = ""): Definition {
  requireSmall(input, path === "" ? "/" : path, { maxBytes: MAX_BYTES, maxDepth: MAX_JSON_DEPTH });
  checkZone(input.time_zone, path);
  return {
    triggers: input.triggers.map((one, index) => parseTrigger(one, `${path}/triggers/${index}`)),
    ...(input.condition === undefined ? {} : { condition: parseCondition(input.condition, `${path}/condition`) }),
    actions: parseActions(input.actions, `${path}/actions`),
    mode: input.mode ?? "skip",
    cooldownMs: (input.cooldown_s ?? 0) * 1_000,
    dedupeMs: (input.dedupe_s ?? 0) * 1_000,
    timeZone: input.time_zone,
    siteId: input.site_id,
  };
}

export type DefinitionUse =
  | ActionUse
  | { readonly kind: "hook"; readonly path: string; readonly id: string }
  | { readonly kind: "filter"; readonly path: string; readonly filter: string };

/** All that a definition names. */
export function usesOfDefinition({ triggers, condition, actions }: Definition, path = ""): DefinitionUse[] {
  const ofTriggers = triggers.flatMap((trigger, index): DefinitionUse[] => {
    const at = `${path}/triggers/${index}`;
    if (trigger.kind === "webhook") return [{ kind: "hook", path: `${at}/hook_id`, id: trigger.hook_id }];
    if (trigger.kind === "topic") return [{ kind: "filter", path: `${at}/filter`, filter: trigger.filter }];
    return devicesOfTrigger(trigger, at).map((use) => ({ kind: "device", use }));
  });
  const ofCondition = condition
    ? devicesOfCondition(condition, `${path}/condition`).map((use): DefinitionUse => ({ kind: "device", use }))
    : [];
  return [...ofTriggers, ...ofCondition, ...usesOfActions(actions, `${path}/actions`)];
}

/** Throws `validation_error` when a custom event or a message that it makes sets it off again by itself. */
export function refuseOwnCause(definition: Definition, busTopic: (name: string) => string, path = ""): void {
  const uses = usesOfActions(definition.actions, `${path}/actions`);
  for (const trigger of definition.triggers)
    for (const use of uses) {
      const isOwn =
        (trigger.kind === "event" && use.kind === "event" && use.name === trigger.type) ||
        (trigger.kind === "topic" && use.kind === "publish" && matchesFilter(trigger.filter, busTopic(use.name)));
      if (isOwn && "path" in use) throw fault(use.path, "sets off the automation itself: a circle");
    }
}

/**
 * Throws `validation_error` for a filter of what the organisation may not read. Gives the uid of the device that it is about,
 * undefined for one of any device or of the organisation's own topics.
 */
export function checkReadable(
  filter: string,
  path: string,
  { root, organizationId }: { readonly root: string; readonly organizationId: string },
): string | undefined {
  const [first, second, third] = filter.split("/");
  if (first === root && second !== undefined && second !== "#") return second === "+" ? undefined : second;
  if (first === `${root}-app` && second === organizationId && (third === "events" || third === "bus")) return undefined;
  throw fault(
    path,
    `has to begin with ${root}/<uid>, ${root}/+, ${root}-app/${organizationId}/events or ${root}-app/${organizationId}/bus`,
  );
}

/** Of a filter that may be read: whether it is about the organisation's events. */
export const isOfEvents = (filter: string): boolean => /^[^/]+-app\/[^/]+\/events\//.test(filter);

/** MQTT's rule, without that for topics that begin with $. */
export function matchesFilter(filter: string, topic: string): boolean {
  const [wanted, levels] = [filter.split("/"), topic.split("/")];
  for (const [index, level] of wanted.entries()) {
    if (level === "#") return true;
    if (index >= levels.length || (level !== "+" && level !== levels[index])) return false;
  }
  return wanted.length === levels.length;
}

/** What is to be done with a trigger after a signal. */
export type Turn = { readonly isOn: boolean; readonly act: "fire" | "hold" | "release" | "nothing" };

/** `wasOn`: what it watches was so before. What counts is becoming so; where it has to last, the waiting begins or is over. */
export function turnOf(meaning: Meaning, wasOn: boolean, heldForMs: number): Turn {
  if (meaning.kind === "occurs") return { isOn: wasOn, act: "fire" };
  if (meaning.is === wasOn) return { isOn: wasOn, act: "nothing" };
  if (!meaning.is) return { isOn: false, act: heldForMs > 0 ? "release" : "nothing" };
  return { isOn: true, act: heldForMs > 0 ? "hold" : "fire" };
}

export const heldForMs = (trigger: Trigger): number => ("for_s" in trigger ? (trigger.for_s ?? 0) * 1_000 : 0);

/** What an automation remembers of its firings. */
export interface Memory {
  /** ms since 1970 */
  readonly firedAt: number | null;
  /** Causes within the dedupe window, with their times, oldest first. */
  readonly recent: readonly (readonly [cause: string, at: number])[];
}

export const NO_MEMORY: Memory = { firedAt: null, recent: [] };

export type Refusal = "duplicate" | "cooldown" | "condition" | "depth";
export type Decision = { readonly fires: true; readonly memory: Memory } | { readonly fires: false; readonly reason: Refusal };

/** Whether a trigger that has become true fires. No clock, no database: the same input gives the same decision. */
export function decide(
  { cooldownMs, dedupeMs }: Pick<Definition, "cooldownMs" | "dedupeMs">,
  memory: Memory,
  { cause, now, depth, isMet }: { readonly cause: string; readonly now: number; readonly depth: number; readonly isMet: boolean },
): Decision {
  if (depth > MAX_CAUSE_DEPTH) return { fires: false, reason: "depth" };
  // What is written later than now was written before the clock was set back: it is not waited for twice.
  const isWithin = (at: number, windowMs: number): boolean => now - at < windowMs && at <= now;
  if (dedupeMs > 0 && memory.recent.some(([one, at]) => one === cause && isWithin(at, dedupeMs)))
    return { fires: false, reason: "duplicate" };
  if (cooldownMs > 0 && memory.firedAt !== null && isWithin(memory.firedAt, cooldownMs)) return { fires: false, reason: "cooldown" };
  if (!isMet) return { fires: false, reason: "condition" };
  const recent =
    dedupeMs > 0
      ? [...memory.recent.filter(([one, at]) => one !== cause && isWithin(at, dedupeMs)), [cause, now] as const].slice(-MOST_RECENT)
      : [];
  return { fires: true, memory: { firedAt: now, recent } };
}

/** Whether it needs to remember its firings. */
export const hasMemory = ({ cooldownMs, dedupeMs }: Pick<Definition, "cooldownMs" | "dedupeMs">): boolean => cooldownMs > 0 || dedupeMs > 0;

/** The same for every repetition of what the dedupe window is meant to catch. */
export function causeOf(triggerIndex: number, { subject, values }: Pick<Meaning, "subject" | "values">): string {
  const { input, event, type, topic } = values as Record<string, unknown>;
  return [triggerIndex, subject, input, event, type, topic]
    .map((one) => (typeof one === "string" || typeof one === "number" ? one : ""))
    .join(" ");
}
