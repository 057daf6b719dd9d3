import { causeOf, decide, type Definition, heldForMs, type Memory, NO_MEMORY, type Refusal, turnOf } from "./automation.ts";
import { evaluate, type Facts, type Finding } from "./condition.ts";
import type { HubEvent } from "./event.ts";
import type { SensorValue } from "./payloads.ts";
import { eventTypesOf, type Meaning, meaningOfEvent, meaningOfReading, type Trigger } from "./trigger.ts";

/** Something that happened, as a trigger sees it. */
export type Signal =
  | { readonly kind: "event"; readonly at: number; readonly event: Pick<HubEvent, "id" | "type" | "entityId" | "data"> }
  | { readonly kind: "reading"; readonly at: number; readonly device: string; readonly key: string; readonly value: SensorValue };

/** What a trigger would have done, and why not. */
export interface Verdict {
  /** ms since 1970: when it would have fired, which for a state that has to last is later than the signal. */
  readonly at: number;
  readonly signal: Signal;
  readonly triggerIndex: number;
  readonly values: Readonly<Record<string, unknown>>;
  readonly fires: boolean;
  readonly reason: Refusal | "held" | null;
  readonly findings: readonly Finding[];
}

export type FactsAt = (at: number, trigger: Readonly<Record<string, unknown>>) => Facts;

interface Held {
  readonly dueAt: number;
  readonly signal: Signal;
  readonly triggerIndex: number;
  readonly meaning: Meaning;
}

/**
 * What an automation decides about signals in their order, by the same functions as live and with no effect. `factsAt` gives the
 * picture of the moment; without a record of it that is the present one. A state that would have to last beyond the last signal is `held`.
 */
export function replay(definition: Definition, signals: readonly Signal[], factsAt: FactsAt): Verdict[] {
  const state = new Replay(definition, factsAt);
  for (const signal of signals) state.take(signal);
  return state.end();
}

class Replay {
  readonly #definition: Definition;
  readonly #factsAt: FactsAt;
  readonly #watched = new Map<string, boolean>();
  readonly #held = new Map<string, Held>();
  readonly #verdicts: Verdict[] = [];
  #memory: Memory = NO_MEMORY;

  constructor(definition: Definition, factsAt: FactsAt) {
    this.#definition = definition;
    this.#factsAt = factsAt;
  }

  take(signal: Signal): void {
    this.#release(signal.at);
    for (const [triggerIndex, trigger] of this.#definition.triggers.entries()) {
      const subject = `${triggerIndex} ${signal.kind === "reading" ? signal.device : ""}`;
      const meaning = meaningOf(trigger, signal, this.#watched.get(subject) ?? false);
      if (meaning) this.#mean(trigger, { triggerIndex, meaning, signal });
    }
  }

  end(): Verdict[] {
    for (const { dueAt, signal, triggerIndex, meaning } of this.#held.values())
      this.#verdicts.push({ at: dueAt, signal, triggerIndex, values: meaning.values, fires: false, reason: "held", findings: [] });
    return this.#verdicts;
  }

  /** What has lasted by now fires in the order of its time. */
  #release(now: number): void {
    const due = [...this.#held].filter(([, { dueAt }]) => dueAt <= now).toSorted(([, a], [, b]) => a.dueAt - b.dueAt);
    for (const [key, { dueAt, ...held }] of due) {
      this.#held.delete(key);
      this.#decide(held, dueAt);
    }
  }

  #mean(trigger: Trigger, one: Omit<Held, "dueAt">): void {
    const key = `${one.triggerIndex} ${one.meaning.subject}`;
    const wasOn = this.#watched.get(key) ?? false;
    const { isOn, act } = turnOf(one.meaning, wasOn, heldForMs(trigger));
    this.#watched.set(key, isOn);
    if (act === "hold") this.#held.set(key, { ...one, dueAt: one.signal.at + heldForMs(trigger) });
    else if (act === "release") this.#held.delete(key);
    else if (act === "fire") this.#decide(one, one.signal.at);
  }

  #decide({ triggerIndex, meaning, signal }: Omit<Held, "dueAt">, at: number): void {
    const { condition } = this.#definition;
    const { met, findings } = condition ? evaluate(condition, this.#factsAt(at, meaning.values)) : { met: true, findings: [] };
    const decision = decide(this.#definition, this.#memory, { cause: causeOf(triggerIndex, meaning), now: at, depth: 0, isMet: met });
    if (decision.fires) this.#memory = decision.memory;
    this.#verdicts.push({
      at,
      signal,
      triggerIndex,
      values: meaning.values,
      fires: decision.fires,
      reason: decision.fires ? null : decision.reason,
      findings,
    });
  }
}

function meaningOf(trigger: Trigger, signal: Signal, wasOn: boolean): Meaning | undefined {
  if (signal.kind === "event") return eventTypesOf(trigger).includes(signal.event.type) ? meaningOfEvent(trigger, signal.event) : undefined;
  if (trigger.kind !== "telemetry" || trigger.key !== signal.key) return undefined;
  if (trigger.device !== undefined && trigger.device !== signal.device) return undefined;
  return meaningOfReading(trigger, signal.device, signal.value, wasOn);
}
