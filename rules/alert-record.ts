import type { Act, Alert, AlertEntry, Signal, Watch } from "../core/alert.ts";
import { alertData } from "../core/alert-words.ts";
import type { EventSink, Log, Metrics } from "../core/bus.ts";
import { type EventType, newEvent } from "../core/event.ts";
import type { Notifier, Severity } from "../core/notification.ts";
import type { Actor } from "../core/principal.ts";
import type { Timers } from "../core/timer.ts";
import type { AlertCause } from "../store/alert-states.ts";
import { addEntry, type AlertPatch, updateAlert } from "../store/alerts.ts";
import { insertEvents } from "../store/events.ts";
import type { Db } from "../store/open.ts";
import { isoOf } from "../store/sql.ts";
import { afterCommit } from "../store/transaction.ts";
import type { WatchingRule } from "./alert-index.ts";
import type { Runs } from "./runs.ts";

export interface TurnsContext {
  readonly timers: Timers<Db>;
  readonly runs: Pick<Runs, "begin">;
  readonly notifier: Notifier<Db>;
  readonly events: EventSink;
  readonly metrics: Metrics;
  readonly log: Log;
  /** What follows from a signal, in the transaction of its cause. undefined when the rule is another one by now. */
  readonly apply: (trx: Db, wanted: Wanted) => Promise<readonly Act[] | undefined>;
  /** A subject has become bad, or fine: part of the transaction. */
  readonly onTurned: (trx: Db, rule: WatchingRule, subject: string, isBad: boolean) => void;
  /** Alerts have begun or ended, and it is committed. */
  readonly onChanged: () => void;
}

export interface Wanted {
  readonly rule: WatchingRule;
  readonly subject: string;
  /** Or what makes one of the events that were counted so far; undefined for none. */
  readonly signal:
    | Signal
    | ((recent: readonly number[], now: number) => { readonly recent: readonly number[]; readonly signal: Signal | undefined });
  readonly cause?: AlertCause | undefined;
  readonly actor?: Actor | undefined;
  /** Its own timer has come. */
  readonly isTimer?: boolean;
  /** Instead of the rule's: of a loss of which nothing is left. */
  readonly resolveAfterMs?: number;
}

/** What is done with an alert, and by whom. */
export interface Doing {
  readonly rule: WatchingRule;
  readonly subject: string;
  readonly cause: AlertCause | null;
  readonly actor: Actor;
  readonly now: number;
  readonly watch: Watch;
}

export const actorOfRule = ({ rule }: WatchingRule): Actor => ({ kind: "rule", id: rule.id });

/** Everybody who is to know it hears of it. */
export async function tell(context: TurnsContext, trx: Db, doing: Doing, alert: Alert): Promise<void> {
  await updateAlert(trx, alert, { toldAt: isoOf(doing.now) });
  await note(trx, alert, doing, "told");
  await notify(context, trx, doing, { alert, title: alert.title, body: alert.description ?? "" });
}

interface Told {
  readonly alert: Alert;
  readonly title: string;
  readonly body: string;
  readonly users?: readonly string[] | undefined;
  readonly severity?: Severity;
}

export async function notify(
  { notifier }: Pick<TurnsContext, "notifier">,
  trx: Db,
  { rule }: Pick<Doing, "rule">,
  { alert, title, body, users = rule.definition.users, severity = alert.severity }: Told,
): Promise<void> {
  await notifier.notify(trx, {
    organizationId: alert.organizationId,
    to: users === undefined ? "everybody" : { users },
    severity,
    title,
    body,
    data: { alert_id: alert.id, rule_id: alert.ruleId, uid: alert.uid, status: alert.status },
    source: { kind: "alert", id: alert.id },
    correlationId: alert.correlationId,
    groupKey: `alert ${rule.rule.id} ${alert.subject}`,
  });
}

interface AlertChange {
  readonly patch: AlertPatch;
  readonly what: AlertEntry["what"];
  readonly event?: EventType;
  readonly details?: Record<string, unknown>;
}

/** With its line in the history, and its event. */
export async function change(
  context: Pick<TurnsContext, "events" | "log" | "onChanged">,
  trx: Db,
  doing: Pick<Doing, "actor" | "now">,
  alert: Alert,
  { patch, what, event, details = {} }: AlertChange,
): Promise<Alert> {
  const after = await updateAlert(trx, alert, patch);
  await note(trx, after, doing, what, details);
  if (event) await announce(context, trx, doing, { alert: after, type: event, details });
  return after;
}

export const note = (
  trx: Db,
  alert: Pick<Alert, "id">,
  { actor, now }: Pick<Doing, "actor" | "now">,
  what: AlertEntry["what"],
  details: Record<string, unknown> = {},
): Promise<void> => addEntry(trx, alert.id, { at: isoOf(now), what, actor, details });

/** Gives the event's id. */
export async function announce(
  { events, log, onChanged }: Pick<TurnsContext, "events" | "log" | "onChanged">,
  trx: Db,
  { actor, now, cause }: Pick<Doing, "actor" | "now"> & { readonly cause?: AlertCause | null },
  { alert, type, details = {} }: { alert: Alert; type: EventType; details?: Record<string, unknown> },
): Promise<string> {
  const about = { organizationId: alert.organizationId, entityId: alert.id, actor, now, correlationId: alert.correlationId };
  const event = newEvent(type, { ...about, causationId: cause?.event?.id }, { ...alertData(alert), ...details });
  await insertEvents(trx, [event]);
  afterCommit(trx, () => {
    onChanged();
    events.emit([event]).catch((error: unknown) => log.error({ err: error, alertId: alert.id }, "events could not be published"));
  });
  return event.id;
}
