import type { DescribedOutput } from "../../store/state.ts";
import type { HomeFacts } from "../../store/home-facts.ts";
import type { Part } from "./endpoints.ts";
import type { Property } from "./properties.ts";

export type Cause = "APP_INTERACTION" | "PERIODIC_POLL" | "PHYSICAL_INTERACTION" | "RULE_TRIGGER" | "VOICE_INTERACTION";

/** What Alexa knows, by property. */
export type Told = Readonly<Record<string, unknown>>;

const keyOf = ({ namespace, name, instance }: Property): string =>
  [namespace, name, ...(instance === undefined ? [] : [instance])].join(" ");

export const toldOf = (properties: readonly Property[]): Told => Object.fromEntries(properties.map((one) => [keyOf(one), one.value]));

export interface Difference {
  readonly changed: readonly Property[];
  readonly others: readonly Property[];
  /** Readings that come by themselves, and need not be told at once. */
  readonly isSlow: boolean;
}

export function differenceOf(properties: readonly Property[], told: Told): Difference {
  const isChanged = (one: Property): boolean => JSON.stringify(told[keyOf(one)]) !== JSON.stringify(one.value);
  const { changed = [], others = [] } = Object.groupBy(properties, (one) => (isChanged(one) ? "changed" : "others"));
  return { changed, others, isSlow: changed.every(({ namespace }) => SLOW.has(namespace)) };
}

const SLOW: ReadonlySet<string> = new Set(["Alexa.TemperatureSensor", "Alexa.RangeController"]);
const SEEN: ReadonlySet<string> = new Set(["Alexa.ContactSensor", "Alexa.MotionSensor"]);

/** Of the output that changed last, who did it; a contact and a movement are somebody's. */
export function causeOf(part: Part, changed: readonly Property[], facts: HomeFacts): Cause {
  if (changed.some(({ namespace }) => SEEN.has(namespace))) return "PHYSICAL_INTERACTION";
  if (part.kind === "sensor" || changed.every(({ namespace }) => namespace === "Alexa.EndpointHealth")) return "PERIODIC_POLL";
  const timeOf = ({ changedAt }: DescribedOutput): number => Date.parse(changedAt);
  const last = facts.outputs.filter((one) => isOf(part, one)).toSorted((a, b) => timeOf(b) - timeOf(a))[0];
  return last === undefined ? "PERIODIC_POLL" : causeOfOutput(last);
}

function isOf(part: Part, { kind, index }: DescribedOutput): boolean {
  if (part.kind === "relays") return kind === "relay";
  return (part.kind === "relay" || part.kind === "light") && part.kind === kind && part.index === index;
}

function causeOfOutput({ source, actor }: DescribedOutput): Cause {
  if (source === "alexa") return "VOICE_INTERACTION";
  if (actor.kind === "device") return "PHYSICAL_INTERACTION";
  return actor.kind === "rule" || actor.kind === "schedule" || actor.kind === "system" ? "RULE_TRIGGER" : "APP_INTERACTION";
}
