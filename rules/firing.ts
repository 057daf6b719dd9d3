import { causeOf, decide, type Decision, type Refusal, hasMemory, NO_MEMORY } from "../core/automation.ts";
import type { EventSink, Log, Metrics } from "../core/bus.ts";
import { devicesOfCondition, evaluate, type Finding } from "../core/condition.ts";
import { type HubEvent, newEvent } from "../core/event.ts";
import { newId } from "../core/id.ts";
import type { Meaning } from "../core/trigger.ts";
import { holdAutomation, lockMemory, noteFirings, saveMemory } from "../store/automations.ts";
import { insertEvents } from "../store/events.ts";
import { readFacts } from "../store/facts.ts";
import type { Db } from "../store/open.ts";
import { depthOfCause } from "../store/runs.ts";
import { afterCommit } from "../store/transaction.ts";
import type { Rule } from "./automation-index.ts";
import type { Runs } from "./runs.ts";

export interface FiringContext {
  readonly runs: Runs;
  readonly events: EventSink;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** What has set a trigger off. */
export interface Cause {
  readonly meaning: Pick<Meaning, "subject" | "values">;
  readonly triggerIndex: number;
  /** `manual` where a person asked. */
  readonly kind: string;
  /** That told of it. */
  readonly event?: Pick<HubEvent, "id" | "correlationId"> | undefined;
  /** How many automations stand before it, where no event says so. */
  readonly depth?: number | undefined;
  /** ms since 1970; of a schedule. */
  readonly scheduledFor?: number | undefined;
  /** ms since 1970 */
  readonly now: number;
}

export type Held = Refusal | "busy" | "changed" | "disabled";
export type Fired = { readonly runId: string } | { readonly refused: Held };

/**
 * Decides, inside the transaction of the cause, whether the automation fires, and begins its run there: either the cause, the
 * decision, the event and the run are kept, or none of them.
 */
export async function fire(context: FiringContext, trx: Db, rule: Rule, cause: Cause): Promise<Fired> {
  const { automation, definition } = rule;
  const depth = cause.event ? await depthOfCause(trx, cause.event.id) : (cause.depth ?? 0);
  const { isMet, findings } = await look(trx, rule, cause);
  // Another version by now, or none: this node had not heard of it yet. Held before anything of the automation is, as by whoever changes it.
  if (isMet && !(await holdAutomation(trx, automation.id, automation.version))) return refuse(context, trx, rule, "changed");
  const memory = isMet && hasMemory(definition) ? await lockMemory(trx, automation.id) : NO_MEMORY;
  const decision: Decision = decide(definition, memory, {
    cause: causeOf(cause.triggerIndex, cause.meaning),
    now: cause.now,
    depth,
    isMet,
  });
  if (!decision.fires) return refuse(context, trx, rule, decision.reason);
  const eventId = newId();
  const correlationId = cause.event?.correlationId ?? eventId;
  const trigger = { kind: cause.kind, index: cause.triggerIndex, ...cause.meaning.values };
  const runId = await context.runs.begin(trx, {
    organizationId: automation.organizationId,
    source: { kind: "automation", id: automation.id, version: automation.version, name: automation.name },
    mode: definition.mode,
    actions: definition.actions,
    cause: trigger,
    timeZone: rule.timeZone,
    correlationId,
    causationId: cause.event?.id ?? null,
    eventId,
    depth,
    scheduledFor: cause.scheduledFor,
  });
  if (runId === undefined) return refuse(context, trx, rule, "busy");
  await noteFirings(trx, [{ id: automation.id, version: automation.version, times: 1 }], cause.now);
  if (hasMemory(definition)) await saveMemory(trx, automation.id, decision.memory);
  await tell(context, trx, rule, { cause, trigger, findings, runId, eventId, correlationId });
  return { runId };
}

async function look(
  trx: Db,
  { automation, definition, timeZone }: Rule,
  { meaning, kind, now }: Cause,
): Promise<{ isMet: boolean; findings: Finding[] }> {
  const { condition } = definition;
  // Whoever asks for it by hand means it.
  if (!condition || kind === "manual") return { isMet: true, findings: [] };
  const uids = devicesOfCondition(condition, "").map(({ device }) => device);
  const facts = await readFacts(trx, automation.organizationId, uids, { now, timeZone, trigger: meaning.values });
  const { met, findings } = evaluate(condition, facts);
  return { isMet: met, findings };
}

function refuse({ metrics, log }: FiringContext, trx: Db, { automation }: Rule, reason: Held): Fired {
  afterCommit(trx, () => metrics.count("hexahub_automations_held_back_total", { reason }));
  if (reason === "depth") log.warn({ automationId: automation.id }, "automations set off each other in a circle; this one stops it");
  return { refused: reason };
}

interface Told {
  readonly cause: Cause;
  readonly trigger: Record<string, unknown>;
  readonly findings: readonly Finding[];
  readonly runId: string;
  readonly eventId: string;
  readonly correlationId: string;
}

async function tell({ events, metrics, log }: FiringContext, trx: Db, { automation }: Rule, told: Told): Promise<void> {
  const { id, organizationId, version, name } = automation;
  const about = {
    organizationId,
    entityId: id,
    actor: { kind: "rule", id } as const,
    now: told.cause.now,
    correlationId: told.correlationId,
    causationId: told.cause.event?.id,
  };
  const data = { automation_id: id, version, name, run_id: told.runId, trigger: told.trigger, findings: told.findings };
  const event: HubEvent = { ...newEvent("automation.fired", about, data), id: told.eventId };
  await insertEvents(trx, [event]);
  afterCommit(trx, () => {
    metrics.count("hexahub_automations_fired_total");
    events.emit([event]).catch((error: unknown) => log.error({ err: error, automationId: id }, "events could not be published"));
  });
}
