import { type Definition, parseDefinition } from "../core/automation.ts";
import { HubError } from "../core/errors.ts";
import { eventTypesOf, type Trigger, type TriggerOf } from "../core/trigger.ts";
import type { PlacedAutomation } from "../store/automations.ts";

/** An automation, ready to be asked. */
export interface Rule {
  readonly automation: PlacedAutomation;
  readonly definition: Definition;
  readonly timeZone: string;
  /** `<trigger> <subject>` of what its triggers watch and is so now, as far as this node knows. */
  readonly watched: Set<string>;
}

/** One trigger of a rule. */
export interface Watch<T extends Trigger = Trigger> {
  readonly rule: Rule;
  readonly index: number;
  readonly trigger: T;
}

/** Throws `validation_error` for a definition that this build cannot read. */
export function ruleOf(automation: PlacedAutomation, watched: ReadonlySet<string> = new Set()): Rule {
  const definition = parseDefinition(automation.definition as unknown as Parameters<typeof parseDefinition>[0]);
  return { automation, definition, timeZone: definition.timeZone ?? automation.timeZone ?? "UTC", watched: new Set(watched) };
}

const ANY = "";

/** Finds the triggers that something can set off, without looking at the others. */
export class AutomationIndex {
  readonly #rules = new Map<string, Rule>();
  /** `<organisation> <type> <device, or none>` */
  readonly #ofEvents = new Map<string, Set<Watch>>();
  /** `<organisation> <key> <device, or none>` */
  readonly #ofReadings = new Map<string, Set<Watch<TriggerOf<"telemetry">>>>();

  get(id: string): Rule | undefined {
    return this.#rules.get(id);
  }

  ids(): Iterable<string> {
    return this.#rules.keys();
  }

  get hasReadings(): boolean {
    return this.#ofReadings.size > 0;
  }

  set(rule: Rule): void {
    this.remove(rule.automation.id);
    this.#rules.set(rule.automation.id, rule);
    for (const [map, key, watch] of this.#places(rule)) {
      const watches = map.get(key) ?? new Set();
      map.set(key, watches.add(watch));
    }
  }

  remove(id: string): void {
    const rule = this.#rules.get(id);
    if (!rule) return;
    this.#rules.delete(id);
    for (const [map, key] of this.#places(rule)) {
      const watches = map.get(key);
      for (const watch of watches ?? []) if (watch.rule === rule) watches?.delete(watch);
      if (watches?.size === 0) map.delete(key);
    }
  }

  /** As they are now: what is changed while they are gone through must not come twice. */
  ofEvent(organizationId: string, type: string, device: string): readonly Watch[] {
    return found(this.#ofEvents, `${organizationId} ${type}`, device);
  }

  ofReading(organizationId: string, key: string, device: string): readonly Watch<TriggerOf<"telemetry">>[] {
    return found(this.#ofReadings, `${organizationId} ${key}`, device);
  }

  *#places(rule: Rule): Iterable<[Map<string, Set<Watch>>, string, Watch]> {
    const { organizationId } = rule.automation;
    for (const [index, trigger] of rule.definition.triggers.entries()) {
      const device = ("device" in trigger ? trigger.device : undefined) ?? ANY;
      const watch = { rule, index, trigger };
      if (trigger.kind === "telemetry") yield [this.#ofReadings, `${organizationId} ${trigger.key} ${device}`, watch];
      for (const type of eventTypesOf(trigger)) yield [this.#ofEvents, `${organizationId} ${type} ${device}`, watch];
    }
  }
}

const NONE: readonly never[] = [];

/** Those of the device, and those of any. */
function found<T>(map: ReadonlyMap<string, ReadonlySet<T>>, key: string, device: string): readonly T[] {
  const [own, any] = [device === ANY ? undefined : map.get(`${key} ${device}`), map.get(`${key} ${ANY}`)];
  return own || any ? [...(own ?? NONE), ...(any ?? NONE)] : NONE;
}

/** Undefined, and told, for one that this build cannot read: it must not take the others down. */
export function readableRule(
  automation: PlacedAutomation,
  watched: ReadonlySet<string> | undefined,
  tell: (error: HubError) => void,
): Rule | undefined {
  try {
    return ruleOf(automation, watched);
  } catch (error) {
    if (!(error instanceof HubError)) throw error;
    tell(error);
    return undefined;
  }
}
