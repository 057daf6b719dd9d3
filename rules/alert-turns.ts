import { type Act, type Alert, type Policy, turn, wakeAt } from "../core/alert.ts";
import { gatherMsOf } from "../core/alert-rule.ts";
import { sentenceOf, titleOf } from "../core/alert-words.ts";
import { MAX_CAUSE_DEPTH } from "../core/automation.ts";
import { newId } from "../core/id.ts";
import { findPlacedDevice } from "../store/alert-facts.ts";
import { lockLosses } from "../store/alert-rules.ts";
import { holdAlertRule, lockAlertState, saveAlertState, type StateKey } from "../store/alert-states.ts";
import { findOpenAlert, insertAlert } from "../store/alerts.ts";
import type { Db } from "../store/open.ts";
import { depthOfCause } from "../store/runs.ts";
import { isoOf } from "../store/sql.ts";
import { afterCommit } from "../store/transaction.ts";
import { quietUntil, type WatchingRule } from "./alert-index.ts";
import { afterChild, endLoss, gather, isLoss, joinLoss } from "./alert-losses.ts";
import { actorOfRule, announce, change, type Doing, note, notify, tell, type TurnsContext, type Wanted } from "./alert-record.ts";

/**
 * What follows from a signal, in the transaction of its cause: what is known of the subject, its timer, the alert, its history, event and
 * notification are kept together or not at all. undefined when the rule is another one by now.
 */
export async function applySignal(context: TurnsContext, trx: Db, wanted: Wanted): Promise<readonly Act[] | undefined> {
  const { rule, subject } = wanted;
  const key = { ruleId: rule.rule.id, version: rule.rule.version, subject };
  if (!(await holdAlertRule(trx, key))) return undefined;
  // Before the subjects' rows, since a loss has to do with many of them.
  if (gatherMsOf(rule.definition.condition) > 0) await lockLosses(trx, rule.rule.id);
  const state = await lockAlertState(trx, key);
  const now = Math.floor(context.timers.now());
  const windowMs = windowMsOf(rule);
  const known = state.recent.filter((at) => at > now - windowMs);
  const { signal = { kind: "time" } as const, recent } =
    typeof wanted.signal === "function" ? wanted.signal(known, now) : { signal: wanted.signal, recent: known };
  const policy = policyOf(rule, subject, wanted.resolveAfterMs);
  const { watch, acts } = turn(policy, state.watch, signal, now, (at) => quietUntil(rule, at));
  const last = recent.at(-1);
  const wake = wakeAt(policy, watch) ?? (last === undefined ? undefined : last + windowMs);
  const timerAt = wanted.isTimer ? null : state.timerAt;
  const isEarlier = wake !== undefined && (timerAt === null || wake < timerAt);
  const cause = wanted.cause ?? state.cause;
  await saveAlertState(trx, key, {
    watch,
    cause: watch.status === "ok" ? null : cause,
    timerAt: isEarlier ? wake : timerAt,
    recent,
  });
  if (isEarlier && wake !== undefined)
    await context.timers.put(trx, [watchTimer({ ...key, organizationId: rule.rule.organizationId }, wake)]);
  const doing: Doing = { rule, subject, cause, actor: wanted.actor ?? actorOfRule(rule), now, watch };
  for (const act of acts) await perform(context, trx, doing, act);
  if (watch.isBad !== state.watch.isBad) context.onTurned(trx, rule, subject, watch.isBad);
  return acts;
}

function policyOf({ definition }: WatchingRule, subject: string, resolveAfterMs: number | undefined): Policy {
  const gatherMs = gatherMsOf(definition.condition);
  const escalateMs = definition.escalate.map(({ afterMs }) => afterMs);
  if (isLoss(subject)) return { forMs: 0, resolveAfterMs: resolveAfterMs ?? gatherMs, tellAfterMs: 0, escalateMs };
  // Of an absence the time has gone by already.
  const forMs = definition.condition.kind === "absence" ? 0 : definition.forMs;
  return { forMs, resolveAfterMs: definition.resolveAfterMs, tellAfterMs: gatherMs, escalateMs };
}

const windowMsOf = ({ definition: { condition } }: WatchingRule): number => ("window_s" in condition ? condition.window_s * 1_000 : 0);

/** The subject is to be looked at then. */
export const watchTimer = (
  { ruleId, version, subject, organizationId }: StateKey & { readonly organizationId: string },
  dueAt: number,
) => ({
  kind: "alert" as const,
  key: `${ruleId} ${subject}`,
  organizationId,
  dueAt: Math.ceil(dueAt),
  isRelative: true,
  payload: { what: "watch", rule: ruleId, version, subject },
});

async function perform(context: TurnsContext, trx: Db, doing: Doing, act: Act): Promise<void> {
  if (act.kind === "raise") return await raise(context, trx, doing);
  const alert = await findOpenAlert(trx, {
    ruleId: doing.rule.rule.id,
    organizationId: doing.rule.rule.organizationId,
    subject: doing.subject,
  });
  if (!alert) return;
  switch (act.kind) {
    case "tell":
      // Part of a loss, which was told.
      if (alert.parentId !== null) return;
      if (!isLoss(doing.subject) && (await gather(context, trx, doing, alert))) return;
      return await tell(context, trx, doing, alert);
    case "escalate":
      return await escalate(context, trx, doing, { alert, step: act.step });
    case "acknowledge":
      await change(context, trx, doing, alert, {
        patch: { status: "acknowledged", acknowledgedAt: isoOf(doing.now) },
        what: "acknowledged",
        event: "alert.acknowledged",
      });
      return;
    case "silence":
      await change(context, trx, doing, alert, {
        patch: { silencedUntil: isoOf(act.until) },
        what: "silenced",
        details: { until: isoOf(act.until) },
      });
      return;
    case "resolve":
      return await resolve(context, trx, doing, { alert, ...act });
  }
}

async function raise(context: TurnsContext, trx: Db, doing: Doing): Promise<void> {
  const { rule, subject, cause, now, watch } = doing;
  const place = cause?.device ? await findPlacedDevice(trx, cause.device.uid, rule.rule.organizationId) : undefined;
  const values = cause?.values ?? {};
  const id = newId();
  const alert: Alert = {
    id,
    organizationId: rule.rule.organizationId,
    ruleId: rule.rule.id,
    ruleVersion: rule.rule.version,
    subject,
    deviceId: cause?.device?.id ?? null,
    uid: cause?.device?.uid ?? null,
    siteId: place?.siteId ?? (typeof values["site_id"] === "string" ? values["site_id"] : null),
    severity: rule.definition.severity,
    status: "firing",
    title:
      typeof values["title"] === "string"
        ? values["title"]
        : titleOf({ rule: rule.rule.name, subject: place?.name ?? subject, place: place?.siteName }),
    description: typeof values["title"] === "string" ? null : sentenceOf(rule.definition.condition, values),
    values,
    parentId: null,
    silencedUntil: null,
    startedAt: isoOf(watch.since),
    raisedAt: isoOf(now),
    toldAt: null,
    acknowledgedAt: null,
    resolvedAt: null,
    resolution: null,
    correlationId: cause?.event?.correlationId ?? id,
  };
  if (!(await insertAlert(trx, alert))) return;
  const joined = isLoss(subject) || place === undefined ? alert : await joinLoss(context, trx, doing, { alert, place });
  await note(trx, joined, doing, "raised", { values });
  const eventId = await announce(context, trx, doing, { alert: joined, type: "alert.raised" });
  await begin(context, trx, doing, { alert: joined, eventId });
  afterCommit(trx, () => context.metrics.count("hexahub_alerts_raised_total", { severity: alert.severity }));
}

/** Of one rule at a time: each of the devices that it is about may have its own. */
const MOST_ALERT_RUNS = 1_000;

/** The rule's own actions; none in a circle of alerts and automations that set off each other, and none for a loss beside its devices. */
async function begin(
  context: TurnsContext,
  trx: Db,
  { rule, subject, cause }: Doing,
  { alert, eventId }: { alert: Alert; eventId: string },
): Promise<void> {
  const { actions, timeZone } = rule.definition;
  if (actions.length === 0 || isLoss(subject)) return;
  const depth = cause?.event ? await depthOfCause(trx, cause.event.id) : 0;
  if (depth > MAX_CAUSE_DEPTH) {
    context.log.warn({ alertRuleId: rule.rule.id }, "alerts and automations set off each other in a circle; this one stops it");
    afterCommit(trx, () => context.metrics.count("hexahub_automations_held_back_total", { reason: "depth" }));
    return;
  }
  const runId = await context.runs.begin(trx, {
    organizationId: alert.organizationId,
    source: { kind: "alert", id: rule.rule.id, version: rule.rule.version, name: rule.rule.name },
    mode: "parallel",
    actions,
    cause: { ...alert.values, kind: "alert", alert_id: alert.id, severity: alert.severity, device: alert.uid },
    timeZone: timeZone ?? rule.rule.timeZone ?? "UTC",
    correlationId: alert.correlationId,
    causationId: cause?.event?.id ?? null,
    eventId,
    depth,
    most: MOST_ALERT_RUNS,
  });
  if (runId !== undefined) return;
  context.log.warn({ alertRuleId: rule.rule.id, alertId: alert.id }, "too many runs of an alert rule go on: one was left out");
  afterCommit(trx, () => context.metrics.count("hexahub_automations_held_back_total", { reason: "busy" }));
}

async function escalate(context: TurnsContext, trx: Db, doing: Doing, { alert, step }: { alert: Alert; step: number }): Promise<void> {
  const wanted = doing.rule.definition.escalate[step];
  // The loss that it is a part of escalates.
  if (!wanted || alert.parentId !== null) return;
  const severity = wanted.severity ?? alert.severity;
  const after = await change(context, trx, doing, alert, {
    patch: { severity },
    what: "escalated",
    event: "alert.escalated",
    details: { step, severity },
  });
  await notify(context, trx, doing, {
    alert: after,
    title: alert.title,
    body: `Nobody has acknowledged it since ${alert.raisedAt}. ${alert.description ?? ""}`.trimEnd(),
    users: wanted.users,
  });
}

async function resolve(
  context: TurnsContext,
  trx: Db,
  doing: Doing,
  { alert, how, wasTold }: { alert: Alert; how: string; wasTold: boolean },
): Promise<void> {
  const after = await change(context, trx, doing, alert, {
    patch: { status: "resolved", resolvedAt: isoOf(doing.now), resolution: how },
    what: "resolved",
    event: "alert.resolved",
    details: { resolution: how },
  });
  if (!isLoss(doing.subject) && alert.parentId !== null) await afterChild(context, trx, doing, alert.parentId);
  const isWanted = wasTold && alert.parentId === null && how === "fine" && doing.rule.definition.tellsResolved;
  const isSilenced = alert.silencedUntil !== null && Date.parse(alert.silencedUntil) > doing.now;
  if (isWanted && !isSilenced && quietUntil(doing.rule, doing.now) === undefined)
    await notify(context, trx, doing, { alert: after, title: `Over: ${alert.title}`, body: "", severity: "info" });
  // Afterwards: what is still away is the news.
  if (isLoss(doing.subject)) await endLoss(context, trx, doing, { parent: alert, isTold: how === "fine" });
}
