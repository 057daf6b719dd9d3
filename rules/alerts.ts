import type { AlertControl, AlertRequest, Bus, ReadingWitness } from "../core/bus.ts";
import { type Alert, MOST_OPEN_BY_HAND, type RaisedAlert, type Signal } from "../core/alert.ts";
import { HubError } from "../core/errors.ts";
import type { HubEvent } from "../core/event.ts";
import { FUTURE_MS } from "../core/hub-clock.ts";
import { HUB_TOPICS } from "../core/hub-topics.ts";
import type { Actor } from "../core/principal.ts";
import type { Timer } from "../core/timer.ts";
import { readEnabledRules } from "../store/alert-rules.ts";
import { deleteAlertStates, listAlertStates, listPlacedStates, readBad, shiftAlertStates, type StateKey } from "../store/alert-states.ts";
import { countOpenAlerts, openAlertsOf } from "../store/alerts.ts";
import { ChangedRows, shareChanges } from "../store/changed-rows.ts";
import { witnessEvents } from "../store/events.ts";
import { takeBackFuture } from "../store/clock-step.ts";
import type { Db } from "../store/open.ts";
import { seenTime } from "../store/timers.ts";
import { afterCommit, inTransaction } from "../store/transaction.ts";
import { AlertIndex, isAbout, watchingRule, type WatchingRule } from "./alert-index.ts";
import { silenceIsOver, silenceTimer, survey, surveyTimer } from "./alert-looks.ts";
import { actorOfRule, change, type TurnsContext, type Wanted } from "./alert-record.ts";
import { applySignal, watchTimer } from "./alert-turns.ts";
import { type Asked, AlertWatching } from "./alert-watching.ts";
import { handleByHand, raiseByHand } from "./hand-alerts.ts";

export interface AlertsContext extends Omit<TurnsContext, "apply" | "onTurned" | "onChanged"> {
  readonly db: Db;
  readonly bus: Bus;
}

export interface Alerts extends AlertControl<Db>, AsyncDisposable {
  readonly witnessReadings: ReadingWitness<Db>;
  /** Those that are open, by severity, as of the last change that this node has heard of. */
  open(): { readonly labels: { readonly severity: string }; readonly value: number }[];
  share(): Disposable & { reload(): void };
}

interface TimerPayload {
  readonly what: "watch" | "survey" | "silence";
  readonly rule: string;
  readonly version: number;
  readonly subject: string;
  readonly after: string;
}

/** Follows all alert rules that are enabled: what happens is held against them, in the transaction in which it happens. */
export async function openAlerts(context: AlertsContext): Promise<Alerts> {
  const alerts = new FollowedAlerts(context);
  await alerts.load();
  return alerts;
}

class FollowedAlerts implements Alerts {
  readonly #context: AlertsContext;
  readonly #turns: TurnsContext;
  readonly #index = new AlertIndex();
  readonly #watching: AlertWatching;
  readonly #rows: ChangedRows<WatchingRule>;
  /** What subjects have become within a transaction that is not over. */
  readonly #staged = new WeakMap<Db, Map<string, boolean>>();
  /** By the monotonic clock, which nobody sets. */
  readonly #startedAt = performance.now();
  #announce: (id: string) => void = () => {};
  #open: ReadonlyMap<string, number> = new Map();
  #counting: Promise<void> | undefined;
  #isOutdated = false;
  #takingBack: Promise<void> | undefined;
  readonly #surveying = new Set<Promise<void>>();

  constructor(context: AlertsContext) {
    this.#context = context;
    this.#turns = {
      ...context,
      apply: (trx, wanted) => applySignal(this.#turns, trx, wanted),
      onTurned: (trx, rule, subject, isBad) => this.#remember(trx, rule, { subject, isBad }),
      onChanged: () => this.#count(),
    };
    this.#watching = new AlertWatching({
      index: this.#index,
      now: () => context.timers.now(),
      isBad: (trx, rule, subject) => this.#staged.get(trx)?.get(`${rule.rule.id} ${subject}`) ?? rule.bad.has(subject),
    });
    this.#rows = new ChangedRows<WatchingRule>({
      what: "changed alert rules",
      read: (ids) => this.#read(ids),
      known: () => this.#index.ids(),
      apply: (id, rule) => this.#learn(id, rule),
      log: context.log,
    });
    witnessEvents(context.db, (trx, events) => this.#witnessEvents(trx, events));
    context.timers.handle("alert", (trx, timers) => this.#onTimers(trx, timers));
    context.timers.onStep((trx, stepMs, now) => this.#clockWasSet(trx, stepMs, now));
  }

  async load(): Promise<void> {
    const { db, timers } = this.#context;
    // Somebody has set the clock back while the hub was off.
    const now = timers.now();
    if (((await seenTime(db)) ?? 0) > now + FUTURE_MS) await takeBackFuture(db, now, now + FUTURE_MS);
    for (const [id, rule] of await this.#read()) this.#apply(id, rule);
    this.#open = await countOpenAlerts(this.#context.db);
  }

  readonly witnessReadings: ReadingWitness<Db> = async (trx, readings) => {
    if (this.#index.hasReadings) await this.#follow(trx, await this.#watching.ofReadings(trx, readings));
  };

  async plan(trx: Db, ruleId: string): Promise<void> {
    const { timers } = this.#context;
    for (const alert of await openAlertsOf(trx, { rule_id: ruleId })) {
      const now = Math.floor(timers.now());
      const patch = { status: "resolved", resolvedAt: new Date(now).toISOString(), resolution: "rule" } as const;
      const doing = { actor: { kind: "rule", id: ruleId } as const, now };
      await change(this.#turns, trx, doing, alert, {
        patch,
        what: "resolved",
        event: "alert.resolved",
        details: { resolution: "rule" },
      });
    }
    await deleteAlertStates(trx, ruleId);
    const rule = await this.#readRule(trx, ruleId);
    if (rule) await timers.put(trx, [surveyTimer(rule, timers.now())]);
  }

  async moved(trx: Db, organizationId: string): Promise<void> {
    for (const { siteId, roomId, ...key } of await listPlacedStates(trx, organizationId)) {
      const rule = await this.#readRule(trx, key.ruleId);
      if (rule && !isAbout(rule.definition, { uid: key.subject, siteId, roomId })) await this.#leave(trx, key);
    }
    afterCommit(trx, () => this.#watching.placesHaveChanged());
  }

  async changed(ruleId: string): Promise<void> {
    this.#rows.note(ruleId);
    this.#announce(ruleId);
    await this.#rows.settled();
  }

  async handle(trx: Db, alert: Alert, request: AlertRequest, actor: Actor): Promise<void> {
    if (alert.ruleId === null) return await handleByHand(this.#turns, trx, alert, request, actor);
    const rule = await this.#readRule(trx, alert.ruleId);
    const isThere = rule !== undefined && rule.rule.version === alert.ruleVersion && alert.status !== "resolved";
    const acts = isThere ? await applySignal(this.#turns, trx, { rule, subject: alert.subject, signal: request, actor }) : [];
    const isDone = acts?.some(({ kind }) => kind === request.kind) ?? false;
    if (!isDone) throw new HubError("conflict", `the alert is ${alert.status}`);
  }

  async raise(trx: Db, wanted: RaisedAlert, actor: Actor): Promise<{ id: string; isNew: boolean }> {
    return await raiseByHand(this.#turns, trx, wanted, { actor, most: MOST_OPEN_BY_HAND });
  }

  open(): { labels: { severity: string }; value: number }[] {
    return ["info", "warning", "critical"].map((severity) => ({ labels: { severity }, value: this.#open.get(severity) ?? 0 }));
  }

  share(): Disposable & { reload(): void } {
    const { bus, log } = this.#context;
    const sharing = shareChanges(this.#rows, { bus, log, topic: HUB_TOPICS.alerts });
    this.#announce = (id) => sharing.announce(id);
    return { reload: () => this.#rows.reload(), [Symbol.dispose]: () => sharing[Symbol.dispose]() };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#rows[Symbol.asyncDispose]();
    await Promise.all(this.#surveying);
    await this.#counting;
    await this.#takingBack;
  }

  async #read(ids?: readonly string[]): Promise<Map<string, WatchingRule>> {
    const { db, log } = this.#context;
    const [enabled, bad] = [await readEnabledRules(db, ids), await readBad(db, ids)];
    const rules = new Map<string, WatchingRule>();
    for (const [id, one] of enabled) {
      const rule = watchingRule(one, bad.get(id), (error) =>
        log.error({ err: error, alertRuleId: id }, "an alert rule cannot be read: it does not fire"),
      );
      if (rule) rules.set(id, rule);
    }
    return rules;
  }

  /** What happened before this node heard of a rule, nobody has held against it. */
  #learn(id: string, rule: WatchingRule | undefined): void {
    const isNew = rule !== undefined && this.#index.get(id)?.rule.version !== rule.rule.version;
    this.#apply(id, rule);
    if (!isNew) return;
    const { db, timers, log } = this.#context;
    const surveyed = inTransaction(db, (trx) => timers.put(trx, [surveyTimer(rule, timers.now())]))
      .catch((error: unknown) => log.error({ err: error, alertRuleId: id }, "an alert rule has not seen what is there already"))
      .finally(() => this.#surveying.delete(surveyed));
    this.#surveying.add(surveyed);
  }

  #apply(id: string, rule: WatchingRule | undefined): void {
    if (!rule) this.#index.remove(id);
    else {
      const before = this.#index.get(id);
      if (before?.rule.version === rule.rule.version) for (const uid of before.awaited) rule.awaited.add(uid);
      this.#index.set(rule);
    }
    this.#count();
  }

  async #readRule(trx: Db, id: string): Promise<WatchingRule | undefined> {
    const known = this.#index.get(id);
    const rule = (await readEnabledRules(trx, [id])).get(id);
    if (known && known.rule.version === rule?.version) return known;
    return rule && watchingRule(rule, undefined, () => undefined);
  }

  async #witnessEvents(trx: Db, events: readonly HubEvent[]): Promise<void> {
    for (const { type, data } of events)
      if ((type === "device.deleted" || type === "device.released") && typeof data["uid"] === "string")
        await this.#forget(trx, data["uid"]);
    await this.#follow(trx, await this.#watching.ofEvents(trx, events));
  }

  /** There is no such device here any more. */
  async #forget(trx: Db, uid: string): Promise<void> {
    for (const key of await listAlertStates(trx, uid)) await this.#leave(trx, key);
  }

  /** The rule has nothing to do with the subject any more. */
  async #leave(trx: Db, { ruleId, version, subject }: StateKey): Promise<void> {
    const rule = await this.#readRule(trx, ruleId);
    const signal: Signal = { kind: "gone", why: "gone" };
    if (rule?.rule.version === version) await applySignal(this.#turns, trx, { rule, subject, signal });
  }

  /** In one order everywhere, so that two nodes do not wait for each other in a ring. */
  async #follow(trx: Db, { signals, awaited }: Asked): Promise<void> {
    const { timers } = this.#context;
    const orderOf = ({ rule, subject }: Wanted): string => `${rule.rule.id} ${subject}`;
    for (const wanted of signals.toSorted((a, b) => (orderOf(a) < orderOf(b) ? -1 : orderOf(a) > orderOf(b) ? 1 : 0)))
      await applySignal(this.#turns, trx, wanted);
    if (awaited.length === 0) return;
    await timers.put(
      trx,
      awaited.map(({ rule, device }) => silenceTimer(rule, device.uid, timers.now() + rule.definition.forMs)),
    );
    afterCommit(trx, () => awaited.forEach(({ rule, device }) => rule.awaited.add(device.uid)));
  }

  async #onTimers(trx: Db, timers: readonly Timer[]): Promise<undefined> {
    // Devices before alerts, as where a device comes or goes; else by key.
    const orderOf = ({ key, payload }: Timer): string => `${payload["what"] === "survey" ? 0 : 1} ${key}`;
    for (const { payload } of timers.toSorted((a, b) => (orderOf(a) < orderOf(b) ? -1 : 1))) {
      const { what, rule: id, version, subject, after } = payload as unknown as TimerPayload;
      const rule = await this.#readRule(trx, id);
      if (rule?.rule.version !== version) continue;
      if (what === "survey") await survey(this.#turns, trx, rule, after);
      else if (what === "silence")
        await silenceIsOver(this.#turns, trx, rule, { uid: subject, sinceStartMs: performance.now() - this.#startedAt });
      else await applySignal(this.#turns, trx, { rule, subject, signal: { kind: "time" }, isTimer: true, actor: actorOfRule(rule) });
    }
    return undefined;
  }

  async #clockWasSet(trx: Db, stepMs: number, now: number): Promise<void> {
    const { db, timers, log } = this.#context;
    const silent = await shiftAlertStates(trx, stepMs, now);
    await timers.put(
      trx,
      silent.flatMap((key) => {
        const organizationId = this.#index.get(key.ruleId)?.rule.organizationId;
        return organizationId === undefined ? [] : [watchTimer({ ...key, organizationId }, now)];
      }),
    );
    this.#watching.clockWasSet();
    if (stepMs > 0) return;
    // Not while the others' rows are held: whoever stores readings takes them in the other order.
    afterCommit(trx, () => {
      this.#takingBack = takeBackFuture(db, now, now).catch((error: unknown) =>
        log.error({ err: error }, "what was heard before the clock was set back stays"),
      );
    });
  }

  /** In this transaction at once, in the others of this node when it is committed, and then on other nodes. */
  #remember(trx: Db, { rule, bad }: WatchingRule, { subject, isBad }: { subject: string; isBad: boolean }): void {
    let staged = this.#staged.get(trx);
    if (!staged) this.#staged.set(trx, (staged = new Map()));
    staged.set(`${rule.id} ${subject}`, isBad);
    afterCommit(trx, () => {
      for (const set of [bad, this.#index.get(rule.id)?.bad ?? bad]) {
        if (isBad) set.add(subject);
        else set.delete(subject);
      }
      // A read that runs may have seen the row as it was before.
      this.#rows.noteIfReading(rule.id);
      this.#announce(rule.id);
    });
  }

  /** One count after the other. */
  #count(): void {
    this.#isOutdated = true;
    this.#counting ??= this.#recount().finally(() => {
      this.#counting = undefined;
    });
  }

  async #recount(): Promise<void> {
    const { db, log } = this.#context;
    while (this.#isOutdated) {
      this.#isOutdated = false;
      try {
        this.#open = await countOpenAlerts(db);
      } catch (error) {
        log.error({ err: error }, "open alerts could not be counted; the next change counts them");
      }
    }
  }
}
