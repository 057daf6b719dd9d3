import { heldForMs, MOST_TRIGGERS, turnOf } from "../core/automation.ts";
import type { AutomationControl, Bus, DeviceReading, Log, ReadingWitness } from "../core/bus.ts";
import type { HubEvent } from "../core/event.ts";
import { HUB_TOPICS } from "../core/hub-topics.ts";
import { nextRun } from "../core/recurrence.ts";
import type { NewTimer, Timer, Timers } from "../core/timer.ts";
import type { Topics } from "../core/topics.ts";
import { type Meaning, meaningOfEvent, meaningOfReading, type TriggerOf } from "../core/trigger.ts";
import { readEnabled, readWatched, saveWatched } from "../store/automations.ts";
import { ChangedRows, shareChanges } from "../store/changed-rows.ts";
import { witnessEvents } from "../store/events.ts";
import type { Db } from "../store/open.ts";
import { dropTimersOf } from "../store/timers.ts";
import { afterCommit } from "../store/transaction.ts";
import { AutomationIndex, readableRule, type Rule, type Watch } from "./automation-index.ts";
import { type Cause, fire, type Fired, type FiringContext } from "./firing.ts";
import type { MessageDepth } from "./message-depth.ts";
import { TopicTriggers } from "./topic-triggers.ts";

export interface AutomationsContext extends FiringContext {
  readonly db: Db;
  readonly bus: Bus;
  readonly topics: Topics;
  readonly timers: Timers<Db>;
  readonly messageDepth: MessageDepth;
  readonly organizationOf: (uid: string) => string | null | undefined;
  readonly log: Log;
}

export interface Automations extends AutomationControl<Db>, AsyncDisposable {
  readonly witnessReadings: ReadingWitness<Db>;
  share(context: { readonly bus: Bus; readonly log: Log }): Disposable & { reload(): void };
}

interface HoldPayload {
  readonly automation: string;
  readonly version: number;
  readonly index: number;
  readonly subject: string;
  readonly values: Record<string, unknown>;
  readonly event: Pick<HubEvent, "id" | "correlationId"> | null;
}

/** Follows all automations that are enabled: what happens is held against their triggers, in the transaction in which it happens. */
export async function openAutomations(context: AutomationsContext): Promise<Automations> {
  const automations = new FollowedAutomations(context);
  await automations.load();
  return automations;
}

class FollowedAutomations implements Automations {
  readonly #context: AutomationsContext;
  readonly #index = new AutomationIndex();
  readonly #topics: TopicTriggers;
  readonly #rows: ChangedRows<Rule>;
  /** What triggers saw within a transaction that is not over. */
  readonly #staged = new WeakMap<Db, Map<string, boolean>>();
  /** How many triggers saw, within such a transaction, what rules tell of themselves; by organisation. */
  readonly #followers = new WeakMap<Db, Map<string, number>>();
  #announce: (id: string) => void = () => {};

  constructor(context: AutomationsContext) {
    this.#context = context;
    this.#topics = new TopicTriggers({ ...context, fire: (trx, watch, cause) => this.#fire(trx, watch.rule, cause) });
    this.#rows = new ChangedRows<Rule>({
      what: "changed automations",
      read: (ids) => this.#read(ids),
      known: () => this.#index.ids(),
      apply: (id, rule) => this.#apply(id, rule),
      log: context.log,
    });
    witnessEvents(context.db, (trx, events) => this.#witnessEvents(trx, events));
    context.timers.handle("hold", (trx, timers, now) => this.#held(trx, timers, now));
    context.timers.handle("automation", (trx, timers, now) => this.#scheduled(trx, timers, now));
    context.timers.onStep((trx, stepMs, now) => this.#clockWasSet(trx, stepMs, now));
  }

  async load(): Promise<void> {
    for (const [id, rule] of await this.#read()) this.#apply(id, rule);
  }

  readonly witnessReadings: ReadingWitness<Db> = async (trx, readings) => {
    if (!this.#index.hasReadings) return;
    for (const reading of readings) await this.#witnessReading(trx, reading);
  };

  async plan(trx: Db, id: string): Promise<void> {
    const { timers } = this.#context;
    await timers.drop(
      trx,
      "automation",
      Array.from({ length: MOST_TRIGGERS }, (_, index) => `${id} ${index}`),
    );
    // What its triggers saw is forgotten, and with it since when.
    await dropTimersOf(trx, "hold", id);
    const rule = await this.#readRule(trx, id);
    if (!rule) return;
    const wanted = rule.definition.triggers.flatMap((trigger, index) =>
      trigger.kind === "schedule" ? [this.#nextTimer(rule, index, trigger, timers.now())] : [],
    );
    await timers.put(
      trx,
      wanted.filter((one) => one !== undefined),
    );
  }

  async changed(id: string): Promise<void> {
    this.#rows.note(id);
    this.#announce(id);
    await this.#rows.settled();
  }

  async fire(trx: Db, id: string, who: Readonly<Record<string, unknown>>): Promise<Fired> {
    const rule = await this.#readRule(trx, id);
    if (!rule) return { refused: "disabled" };
    return await this.#fire(trx, rule, {
      kind: "manual",
      triggerIndex: -1,
      meaning: { subject: "", values: who },
      now: this.#context.timers.now(),
    });
  }

  cancelRuns(trx: Db, ids: readonly string[]): Promise<readonly string[]> {
    return this.#context.runs.cancel(trx, ids);
  }

  share({ bus, log }: { readonly bus: Bus; readonly log: Log }): Disposable & { reload(): void } {
    const sharing = shareChanges(this.#rows, { bus, log, topic: HUB_TOPICS.automations });
    this.#announce = (id) => sharing.announce(id);
    return { reload: () => this.#rows.reload(), [Symbol.dispose]: () => sharing[Symbol.dispose]() };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#topics[Symbol.asyncDispose]();
    await this.#rows[Symbol.asyncDispose]();
  }

  async #read(ids?: readonly string[]): Promise<Map<string, Rule>> {
    const { db, log } = this.#context;
    const [enabled, watched] = [await readEnabled(db, ids), await readWatched(db, ids)];
    const rules = new Map<string, Rule>();
    for (const [id, automation] of enabled) {
      const rule = readableRule(automation, watched.get(id), (error) =>
        log.error({ err: error, automationId: id }, "an automation cannot be read: it does not fire"),
      );
      if (rule) rules.set(id, rule);
    }
    return rules;
  }

  #apply(id: string, rule: Rule | undefined): void {
    if (rule) this.#index.set(rule);
    else this.#index.remove(id);
    this.#topics.apply(id, rule);
  }

  async #witnessEvents(trx: Db, events: readonly HubEvent[]): Promise<void> {
    for (const event of events) {
      if (event.organizationId === null) continue;
      const device = typeof event.data["uid"] === "string" ? event.data["uid"] : "";
      for (const watch of this.#index.ofEvent(event.organizationId, event.type, device)) {
        const meaning = meaningOfEvent(watch.trigger, event);
        if (meaning && OF_RULES.test(event.type) && !this.#mayFollow(trx, event.organizationId)) break;
        if (meaning) await this.#mean(trx, watch, meaning, { event, now: this.#context.timers.now() });
      }
    }
  }

  /** What rules tell of may set off others in the same transaction, each of which tells of itself again. */
  #mayFollow(trx: Db, organizationId: string): boolean {
    const { metrics, log } = this.#context;
    let followers = this.#followers.get(trx);
    if (!followers) this.#followers.set(trx, (followers = new Map()));
    const count = (followers.get(organizationId) ?? 0) + 1;
    followers.set(organizationId, count);
    if (count <= MOST_FOLLOWERS) return true;
    if (count === MOST_FOLLOWERS + 1) log.warn({ organizationId }, "automations set off too many others at once; the rest is held back");
    afterCommit(trx, () => metrics.count("hexahub_automations_held_back_total", { reason: "flood" }));
    return false;
  }

  async #witnessReading(trx: Db, { device, key, value }: DeviceReading): Promise<void> {
    if (device.organizationId === null) return;
    for (const watch of this.#index.ofReading(device.organizationId, key, device.uid)) {
      const meaning = meaningOfReading(watch.trigger, device.uid, value, this.#wasOn(trx, watch, device.uid));
      if (meaning) await this.#mean(trx, watch, meaning, { now: this.#context.timers.now() });
    }
  }

  #wasOn(trx: Db, { rule, index }: Watch, subject: string): boolean {
    const key = `${index} ${subject}`;
    return this.#staged.get(trx)?.get(`${rule.automation.id} ${key}`) ?? rule.watched.has(key);
  }

  async #mean(trx: Db, watch: Watch, meaning: Meaning, { event, now }: Pick<Cause, "event" | "now">): Promise<void> {
    const { rule, index, trigger } = watch;
    const { subject, values } = meaning;
    const wasOn = this.#wasOn(trx, watch, subject);
    const turn = turnOf(meaning, wasOn, heldForMs(trigger));
    if (turn.isOn !== wasOn) await this.#remember(trx, watch, subject, turn.isOn);
    const key = holdKey(rule, index, subject);
    if (turn.act === "hold") {
      const payload: HoldPayload = {
        automation: rule.automation.id,
        version: rule.automation.version,
        index,
        subject,
        values: { ...values },
        event: event ? { id: event.id, correlationId: event.correlationId } : null,
      };
      await this.#context.timers.put(trx, [
        {
          kind: "hold",
          key,
          organizationId: rule.automation.organizationId,
          dueAt: now + heldForMs(trigger),
          isRelative: true,
          payload: { ...payload },
        },
      ]);
    } else if (turn.act === "release") await this.#context.timers.drop(trx, "hold", [key]);
    else if (turn.act === "fire") await this.#fire(trx, rule, { kind: trigger.kind, triggerIndex: index, meaning, event, now });
  }

  /** In this transaction at once, in the others of this node when it is committed, and then on other nodes. */
  async #remember(trx: Db, { rule, index }: Watch, subject: string, isOn: boolean): Promise<void> {
    const { id } = rule.automation;
    const key = `${index} ${subject}`;
    await saveWatched(trx, id, key, isOn);
    let staged = this.#staged.get(trx);
    if (!staged) this.#staged.set(trx, (staged = new Map()));
    staged.set(`${id} ${key}`, isOn);
    afterCommit(trx, () => {
      const { watched } = this.#index.get(id) ?? rule;
      if (isOn) watched.add(key);
      else watched.delete(key);
      // A read that runs may have seen the row as it was before.
      this.#rows.noteIfReading(id);
      this.#announce(id);
    });
  }

  #fire(trx: Db, rule: Rule, cause: Cause): Promise<Fired> {
    return fire(this.#context, trx, rule, cause);
  }

  /** It has stayed so for the time. */
  async #held(trx: Db, timers: readonly Timer[], now: number): Promise<undefined> {
    for (const timer of timers) {
      const { automation, version, index, subject, values, event } = timer.payload as unknown as HoldPayload;
      const rule = await this.#currentRule(trx, automation, version);
      const kind = rule?.definition.triggers[index]?.kind;
      if (rule && kind !== undefined)
        await this.#fire(trx, rule, { kind, triggerIndex: index, meaning: { subject, values }, event: event ?? undefined, now });
    }
    return undefined;
  }

  async #scheduled(trx: Db, timers: readonly Timer[], now: number): Promise<undefined> {
    for (const { payload, dueAt } of timers) {
      const { automation, version, index } = payload as unknown as Pick<HoldPayload, "automation" | "version" | "index">;
      // Its site may be elsewhere, which makes no other version and is told to this node after its commit.
      const rule = await this.#readRule(trx, automation);
      const trigger = rule?.automation.version === version ? rule.definition.triggers[index] : undefined;
      if (rule && trigger?.kind === "schedule") await this.#onTime(trx, rule, { index, trigger, dueAt, now });
    }
    return undefined;
  }

  /** Of what was missed (the hub was off) one run is made up for, if it is not too late; then the next one is waited for. */
  async #onTime(
    trx: Db,
    rule: Rule,
    { index, trigger, dueAt, now }: { index: number; trigger: TriggerOf<"schedule">; dueAt: number; now: number },
  ): Promise<void> {
    const next = this.#nextTimer(rule, index, trigger, now);
    if (next) await this.#context.timers.put(trx, [next]);
    if (now - dueAt > GRACE_MS) return;
    const values = { scheduled_for: new Date(dueAt).toISOString() };
    await this.#fire(trx, rule, { kind: "schedule", triggerIndex: index, meaning: { subject: "", values }, now, scheduledFor: dueAt });
  }

  /** The rule as this node knows it, or as the database does when another node has changed it. */
  async #currentRule(trx: Db, id: string, version: number): Promise<Rule | undefined> {
    const known = this.#index.get(id);
    if (known?.automation.version === version) return known;
    const rule = await this.#readRule(trx, id);
    return rule?.automation.version === version ? rule : undefined;
  }

  async #readRule(trx: Db, id: string): Promise<Rule | undefined> {
    const automation = (await readEnabled(trx, [id])).get(id);
    return automation && readableRule(automation, undefined, () => undefined);
  }

  #nextTimer(rule: Rule, index: number, { recurrence }: TriggerOf<"schedule">, after: number): NewTimer | undefined {
    const { automation, timeZone } = rule;
    const { latitude, longitude } = automation;
    const dueAt = nextRun(recurrence, after, { timeZone, latitude, longitude, anchor: Date.parse(automation.createdAt) });
    if (dueAt === undefined) return undefined;
    const payload = { automation: automation.id, version: automation.version, index };
    return {
      kind: "automation",
      key: `${automation.id} ${index}`,
      organizationId: automation.organizationId,
      dueAt,
      isRelative: false,
      payload,
    };
  }

  /** Set back, the next time of day comes sooner than it was planned. */
  async #clockWasSet(trx: Db, stepMs: number, now: number): Promise<void> {
    if (stepMs > 0) return;
    const wanted: NewTimer[] = [];
    for (const id of this.#index.ids()) {
      const rule = this.#index.get(id) as Rule;
      for (const [index, trigger] of rule.definition.triggers.entries()) {
        const next = trigger.kind === "schedule" ? this.#nextTimer(rule, index, trigger, now) : undefined;
        if (next) wanted.push(next);
      }
    }
    await this.#context.timers.put(trx, wanted);
  }
}

/** Events by which rules tell of what they do. */
const OF_RULES = /^(automation|schedule|alert)\./;
/** Triggers that see those events, of one organisation in one transaction: nobody else has the database meanwhile. */
const MOST_FOLLOWERS = 1_000;

/** A run that comes later than this is left out: the next one is nearer to what was meant. */
const GRACE_MS = 3_600_000;

const holdKey = ({ automation }: Rule, index: number, subject: string): string =>
  `${automation.id} ${automation.version} ${index} ${subject}`;
