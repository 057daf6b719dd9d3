import { type Action, payloadOf, type Publish } from "../core/action.ts";
import { hasMemory, isOfEvents, MAX_CAUSE_DEPTH } from "../core/automation.ts";
import type { Bus, EventSink, Log, Metrics } from "../core/bus.ts";
import { type Condition, devicesOfCondition, devicesOfOperand, evaluate, type Facts } from "../core/condition.ts";
import { type HubEvent, newEvent } from "../core/event.ts";
import type { Timers } from "../core/timer.ts";
import type { Topics } from "../core/topics.ts";
import { noteFirings } from "../store/automations.ts";
import { insertEvents } from "../store/events.ts";
import type { Db } from "../store/open.ts";
import { inTransaction } from "../store/transaction.ts";
import type { Rule, Watch } from "./automation-index.ts";
import type { Cause, Fired } from "./firing.ts";
import type { MessageChain, MessageDepth } from "./message-depth.ts";

export interface TopicTriggersContext {
  readonly db: Db;
  readonly bus: Bus;
  readonly topics: Topics;
  readonly timers: Pick<Timers<Db>, "now">;
  readonly events: EventSink;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly messageDepth: MessageDepth;
  /** Of a device by its uid. */
  readonly organizationOf: (uid: string) => string | null | undefined;
  readonly fire: (trx: Db, watch: Watch, cause: Cause) => Promise<Fired>;
}

/** Messages that wait for the database, of one rule; more are dropped and counted, as a broker does with QoS 0. */
const MOST_WAITING = 1_000;
/** What fired without a row is noted so often. */
const NOTE_MS = 10_000;
/** A longer payload does not stand in the event that tells of the firings. */
const MAX_TOLD = 2_048;
/** Longer ones are not looked into. */
const MAX_PAYLOAD = 65_536;
/** Firings of so many automations are noted in one transaction. */
const NOTED_AT_ONCE = 200;

interface Answer {
  readonly topic: string;
  readonly publish: Publish;
}

interface Followed {
  readonly rule: Rule;
  readonly subscriptions: readonly Disposable[];
  /** Its actions, when they are messages alone and nothing has to be remembered: then no row is needed either. */
  readonly publishes: readonly Answer[] | undefined;
  waiting: number;
  /** Firings that no row knows of yet. */
  fired: number;
  last: Record<string, unknown>;
}

/**
 * Triggers on topics. A message on the bus is no fact that anybody promised to keep; an automation that only answers it with others
 * does so at once, and is counted every ten seconds. Everything else becomes a run, as with other triggers.
 */
export class TopicTriggers implements AsyncDisposable {
  readonly #context: TopicTriggersContext;
  readonly #followed = new Map<string, Followed>();
  readonly #working = new Set<Promise<void>>();
  #timer: NodeJS.Timeout | undefined;

  constructor(context: TopicTriggersContext) {
    this.#context = context;
  }

  apply(id: string, rule: Rule | undefined): void {
    const before = this.#followed.get(id);
    if (before) {
      for (const subscription of before.subscriptions) subscription[Symbol.dispose]();
      this.#followed.delete(id);
      this.#note([before]);
    }
    if (!rule) return;
    const watches = rule.definition.triggers.flatMap((trigger, index) => (trigger.kind === "topic" ? [{ rule, index, trigger }] : []));
    if (watches.length === 0) return;
    const followed: Followed = {
      rule,
      publishes: publishesOf(rule)?.map((publish) => ({ topic: this.#topicOf(rule, publish), publish })),
      waiting: 0,
      fired: 0,
      last: {},
      subscriptions: watches.map((watch) => this.#subscribe(watch, () => followed)),
    };
    this.#followed.set(id, followed);
    this.#timer ??= setInterval(() => this.#noteAll(), NOTE_MS).unref();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    for (const { subscriptions } of this.#followed.values()) for (const one of subscriptions) one[Symbol.dispose]();
    this.#noteAll();
    await Promise.all(this.#working);
  }

  #subscribe(watch: Watch<Extract<Watch["trigger"], { kind: "topic" }>>, followed: () => Followed): Disposable {
    const { bus } = this.#context;
    return bus.subscribe(watch.trigger.filter, (topic, payload) => {
      if (!this.#mayRead(watch.rule, topic)) return;
      const values = { topic, payload: parsedPayload(payload) };
      const one = followed();
      if (one.publishes) this.#answer(one, one.publishes, { values, chain: this.#context.messageDepth.chainOf(payload) });
      else this.#begin(one, watch, { values, event: isOfEvents(topic) ? eventIn(payload) : undefined });
    });
  }

  #topicOf({ automation }: Rule, { name }: Publish): string {
    return this.#context.topics.build({ kind: "bus", organizationId: automation.organizationId, name });
  }

  /** What the organisation may read: its own topics, and those of devices that are its own at this moment. */
  #mayRead({ automation }: Rule, topic: string): boolean {
    const parsed = this.#context.topics.parse(topic);
    if (!parsed) return false;
    if ("organizationId" in parsed) return parsed.kind !== "notification" && parsed.organizationId === automation.organizationId;
    return "uid" in parsed && parsed.kind !== "down" && this.#context.organizationOf(parsed.uid) === automation.organizationId;
  }

  /** No row, no wait. */
  #answer(
    followed: Followed,
    publishes: readonly Answer[],
    { values, chain }: { readonly values: Record<string, unknown>; readonly chain: MessageChain },
  ): void {
    const { bus, timers, metrics, log, messageDepth } = this.#context;
    const { rule } = followed;
    const { condition } = rule.definition;
    const facts = blindFacts(timers.now(), rule.timeZone, values);
    if (condition && !evaluate(condition, facts).met) return;
    const { depth, left } = chain;
    if (depth > MAX_CAUSE_DEPTH) {
      metrics.count("hexahub_automations_held_back_total", { reason: "depth" });
      return log.warn({ automationId: rule.automation.id }, "automations set off each other in a circle; this one stops it");
    }
    // All of it happens within one call: what multiplies at each link would keep everybody waiting.
    if (left.count < publishes.length) return metrics.count("hexahub_automations_held_back_total", { reason: "flood" });
    left.count -= publishes.length;
    for (const { topic, publish } of publishes) {
      const message = { topic, payload: payloadOf(publish, facts), qos: publish.qos ?? 0, retain: publish.retain ?? false };
      messageDepth
        .within({ depth: depth + 1, left }, () => bus.publish(message))
        .catch((error: unknown) => log.error({ err: error, topic }, "a message could not be published"));
    }
    followed.fired++;
    followed.last = values;
    metrics.count("hexahub_automations_fired_total");
  }

  #begin(followed: Followed, watch: Watch, { values, event }: { readonly values: Record<string, unknown> } & Pick<Cause, "event">): void {
    const { db, log, metrics, timers, fire, messageDepth } = this.#context;
    if (followed.waiting >= MOST_WAITING) return metrics.count("hexahub_automations_held_back_total", { reason: "flood" });
    followed.waiting++;
    const cause: Cause = {
      kind: "topic",
      triggerIndex: watch.index,
      meaning: { subject: "", values },
      // An event goes out after its commit, on nobody's behalf: what stands before it is in the database.
      event,
      depth: messageDepth.now,
      now: timers.now(),
    };
    this.#track(
      inTransaction(db, (trx) => fire(trx, watch, cause))
        .then(() => undefined)
        .catch((error: unknown) => log.error({ err: error, automationId: watch.rule.automation.id }, "an automation could not fire"))
        .finally(() => void followed.waiting--),
    );
  }

  #noteAll(): void {
    const all = [...this.#followed.values()].filter(({ fired }) => fired > 0);
    for (let from = 0; from < all.length; from += NOTED_AT_ONCE) this.#note(all.slice(from, from + NOTED_AT_ONCE));
  }

  #note(some: readonly Followed[]): void {
    const { db, events, timers, log } = this.#context;
    const now = timers.now();
    const firings = some
      .filter(({ fired }) => fired > 0)
      .map((followed) => ({ ...followed.rule.automation, times: followed.fired, event: firedEvent(followed, now) }));
    if (firings.length === 0) return;
    for (const followed of some) followed.fired = 0;
    const happened = firings.map(({ event }) => event);
    const write = inTransaction(db, async (trx) => {
      await noteFirings(trx, firings, now);
      await insertEvents(trx, happened);
    });
    this.#track(
      write
        .then(() => events.emit(happened))
        .catch((error: unknown) => log.error({ err: error, automations: some.length }, "firings could not be noted")),
    );
  }

  #track(work: Promise<void>): void {
    const tracked = work.finally(() => this.#working.delete(tracked));
    this.#working.add(tracked);
  }
}

function firedEvent({ rule, fired, last }: Followed, now: number): HubEvent {
  const { id, organizationId, version, name } = rule.automation;
  const isLong = JSON.stringify(last["payload"] ?? null).length > MAX_TOLD;
  const trigger = { kind: "topic", topic: last["topic"], ...(isLong ? {} : { payload: last["payload"] }) };
  const data = { automation_id: id, version, name, run_id: null, trigger, findings: [], count: fired };
  return newEvent("automation.fired", { organizationId, entityId: id, actor: { kind: "rule", id }, now }, data);
}

/** undefined when it needs a run: another action, a memory, a condition about devices, or an event that may follow from it. */
function publishesOf({ definition }: Rule): readonly Publish[] | undefined {
  const { actions, condition, triggers } = definition;
  if (triggers.some((trigger) => trigger.kind === "topic" && isOfEvents(trigger.filter))) return undefined;
  const isPublish = (action: Action): action is Publish =>
    action.kind === "publish" && (action.from === undefined || devicesOfOperand(action.from, "").length === 0);
  const isBlind = (one: Condition | undefined): boolean => one === undefined || devicesOfCondition(one, "").length === 0;
  return actions.every(isPublish) && !hasMemory(definition) && isBlind(condition) ? actions : undefined;
}

const blindFacts = (now: number, timeZone: string, trigger: Record<string, unknown>): Facts => ({
  now,
  timeZone,
  trigger,
  output: () => undefined,
  reading: () => undefined,
  presence: () => undefined,
});

/** Of a CloudEvent, however long it is. */
function eventIn(payload: Buffer): Cause["event"] {
  try {
    const { id, correlationid } = JSON.parse(payload.toString()) as Record<string, unknown>;
    return typeof id === "string" && typeof correlationid === "string" ? { id, correlationId: correlationid } : undefined;
  } catch {
    return undefined;
  }
}

/** JSON where it is JSON, else the text. */
function parsedPayload(payload: Buffer): unknown {
  if (payload.length > MAX_PAYLOAD) return null;
  const text = payload.toString();
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}
