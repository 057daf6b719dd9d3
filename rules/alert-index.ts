import { type AlertCondition, type AlertDefinition, parseAlertDefinition, silenceEnd } from "../core/alert-rule.ts";
import { HubError } from "../core/errors.ts";
import type { AlertRule } from "../store/alert-rules.ts";

/** An alert rule, ready to be asked. */
export interface WatchingRule {
  readonly rule: AlertRule;
  readonly definition: AlertDefinition;
  /** Subjects that are bad, as far as this node knows. */
  readonly bad: Set<string>;
  /** Devices whose silence is waited for, as far as this node knows. */
  readonly awaited: Set<string>;
}

/** Undefined, and told, for one that this build cannot read: it must not take the others down. */
export function watchingRule(
  rule: AlertRule,
  bad: ReadonlySet<string> | undefined,
  tell: (error: HubError) => void,
): WatchingRule | undefined {
  try {
    const definition = parseAlertDefinition(rule.definition as unknown as Parameters<typeof parseAlertDefinition>[0]);
    return { rule, definition, bad: new Set(bad), awaited: new Set() };
  } catch (error) {
    if (!(error instanceof HubError)) throw error;
    tell(error);
    return undefined;
  }
}

/** The end of the silence in which the rule is at that time. */
export function quietUntil({ rule, definition }: WatchingRule, at: number): number | undefined {
  if (definition.silences.length === 0) return undefined;
  const { latitude, longitude } = rule;
  const timeZone = definition.timeZone ?? rule.timeZone ?? "UTC";
  return silenceEnd(definition.silences, at, { timeZone, latitude, longitude, anchor: Date.parse(rule.createdAt) });
}

/** Whether a device of this place is what the rule is about. */
export function isAbout(
  { device, siteId, roomId }: Pick<AlertDefinition, "device" | "siteId" | "roomId">,
  place: { readonly uid: string; readonly siteId: string | null; readonly roomId: string | null },
): boolean {
  if (device !== undefined) return place.uid === device;
  return (siteId === undefined || siteId === place.siteId) && (roomId === undefined || roomId === place.roomId);
}

const ANY = "";

/** Finds the rules that something can concern, without looking at the others. */
export class AlertIndex {
  readonly #rules = new Map<string, WatchingRule>();
  /** `<organisation> <key, or none for all of them>` */
  readonly #ofReadings = new Map<string, Set<WatchingRule>>();
  /** `<organisation> <type>` */
  readonly #ofEvents = new Map<string, Set<WatchingRule>>();

  get(id: string): WatchingRule | undefined {
    return this.#rules.get(id);
  }

  ids(): Iterable<string> {
    return this.#rules.keys();
  }

  get hasReadings(): boolean {
    return this.#ofReadings.size > 0;
  }

  set(rule: WatchingRule): void {
    this.remove(rule.rule.id);
    this.#rules.set(rule.rule.id, rule);
    for (const [map, key] of this.#places(rule)) {
      const there = map.get(key) ?? new Set();
      map.set(key, there.add(rule));
    }
  }

  remove(id: string): void {
    const rule = this.#rules.get(id);
    if (!rule) return;
    this.#rules.delete(id);
    for (const [map, key] of this.#places(rule)) {
      const there = map.get(key);
      there?.delete(rule);
      if (there?.size === 0) map.delete(key);
    }
  }

  *ofReading(organizationId: string, key: string): Iterable<WatchingRule> {
    yield* this.#ofReadings.get(`${organizationId} ${key}`) ?? [];
    yield* this.#ofReadings.get(`${organizationId} ${ANY}`) ?? [];
  }

  /** As they are now: what is changed while they are gone through must not come twice. */
  ofEvent(organizationId: string, type: string): readonly WatchingRule[] {
    return [...(this.#ofEvents.get(`${organizationId} ${type}`) ?? [])];
  }

  *#places(rule: WatchingRule): Iterable<[Map<string, Set<WatchingRule>>, string]> {
    const { organizationId } = rule.rule;
    const { condition } = rule.definition;
    const key = "key" in condition ? condition.key : condition.kind === "absence" ? ANY : undefined;
    if (key !== undefined) yield [this.#ofReadings, `${organizationId} ${key}`];
    for (const type of eventsOf(condition)) yield [this.#ofEvents, `${organizationId} ${type}`];
  }
}

function eventsOf(condition: AlertCondition): readonly string[] {
  switch (condition.kind) {
    case "device_offline":
      return ["device.online", "device.offline"];
    case "event":
      return [condition.type];
    case "absence":
      return condition.key === undefined ? ["device.online"] : [];
    default:
      return [];
  }
}
