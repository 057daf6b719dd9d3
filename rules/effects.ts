import { type Effect, payloadOf, type StartTask } from "../core/action.ts";
import type { Bus, Commands, EventSink, TaskControl } from "../core/bus.ts";
import { checkCapability, type CommandSource } from "../core/command.ts";
import { devicesOfOperand } from "../core/condition.ts";
import { HubError } from "../core/errors.ts";
import { type HubEvent, newEvent } from "../core/event.ts";
import { newId } from "../core/id.ts";
import type { Notifier } from "../core/notification.ts";
import type { Actor, Scope } from "../core/principal.ts";
import type { Run } from "../core/run.ts";
import type { SceneCommand } from "../core/scene.ts";
import type { Timers } from "../core/timer.ts";
import type { Topics } from "../core/topics.ts";
import { getDevice } from "../store/devices.ts";
import { insertEvents } from "../store/events.ts";
import { readFacts } from "../store/facts.ts";
import type { Db } from "../store/open.ts";
import { getScene } from "../store/scenes.ts";
import { templateActions } from "../store/template-actions.ts";
import { noteUse } from "../store/template-uses.ts";
import { afterCommit } from "../store/transaction.ts";
import type { MessageDepth } from "./message-depth.ts";
import { createScenes } from "./scenes.ts";

export interface EffectsContext {
  readonly db: Db;
  readonly bus: Bus;
  readonly topics: Topics;
  readonly events: EventSink;
  readonly commands: Commands;
  readonly notifier: Notifier<Db>;
  readonly messageDepth: MessageDepth;
  readonly tasks: Pick<TaskControl<Db>, "submit">;
  readonly timers: Pick<Timers<Db>, "now">;
}

/** What is left to do once an effect on the world is done: part of the transaction that notes it. */
export type Rest = (trx: Db, now: number) => Promise<void>;

const NOTHING_LEFT: Rest = async () => {};

const ACTORS: Readonly<Record<Run["sourceKind"], Actor["kind"]>> = {
  automation: "rule",
  alert: "rule",
  schedule: "schedule",
  scene: "rule",
};

export const actorOfRun = ({ sourceKind, sourceId }: Pick<Run, "sourceKind" | "sourceId">): Actor => ({
  kind: ACTORS[sourceKind],
  id: sourceId,
});

/**
 * Does one effect of a run. What is a row (an event, a notification) is left to the transaction, and comes once. A command has an id of
 * the run and its place, so that doing it again is no second effect; a message may come twice over a crash.
 * Throws what the command path throws.
 */
export async function perform(context: EffectsContext, run: Run, effect: Effect): Promise<Rest> {
  switch (effect.kind) {
    case "command":
      await send(context, run, [{ device: effect.device, command: effect.command }], effect.queue_for_s);
      return NOTHING_LEFT;
    case "set_all_relays": {
      const command = { command: "set_all_relays", state: effect.state } as const;
      await send(
        context,
        run,
        effect.devices.map((device) => ({ device, command })),
      );
      return NOTHING_LEFT;
    }
    case "scene":
      return await activateScene(context, run, effect.scene_id.toLowerCase());
    case "start":
      return await startTask(context, run, effect);
    case "publish": {
      const topic = context.topics.build({ kind: "bus", organizationId: run.organizationId, name: effect.name });
      const uids = effect.from ? devicesOfOperand(effect.from, "").map(({ device }) => device) : [];
      const about = { now: Date.parse(run.createdAt), timeZone: "UTC", trigger: run.cause };
      const payload = payloadOf(effect, await readFacts(context.db, run.organizationId, uids, about));
      const message = { topic, payload, qos: effect.qos ?? 0, retain: effect.retain ?? false };
      await context.messageDepth.at(run.depth + 1, () => context.bus.publish(message));
      return NOTHING_LEFT;
    }
    case "event":
      return noteEventOf(context, run, effect.type as HubEvent["type"], asObject(effect.data));
    case "webhook":
      return noteEventOf(context, run, "webhook.requested", {
        webhook_id: effect.webhook_id.toLowerCase(),
        run_id: run.id,
        data: effect.data ?? null,
      });
    case "notify":
      return async (trx) =>
        context.notifier.notify(trx, {
          organizationId: run.organizationId,
          to: effect.users ? { users: effect.users.map((id) => id.toLowerCase()) } : "everybody",
          severity: effect.severity ?? "info",
          title: effect.title,
          body: effect.body ?? "",
          source: { kind: run.sourceKind === "scene" ? "automation" : run.sourceKind, id: run.sourceId },
          correlationId: run.correlationId,
          causationId: run.eventId ?? run.causationId,
        });
  }
}

async function activateScene({ db, commands, timers, events }: EffectsContext, run: Run, sceneId: string): Promise<Rest> {
  const scope = scopeOf(run);
  const { correlationId, sourceVersion: ruleVersion, id: runId } = run;
  const { event, outcomes, failed } = await createScenes({ commands, clock: () => timers.now() }).activate({
    scene: await getScene(db, scope, sceneId),
    scope,
    actor: actorOfRun(run),
    source: sourceOf(run),
    attempt: `${run.id}.${run.effects}`,
    cause: { correlationId, causationId: causationOf(run), ruleVersion, runId },
  });
  throwFirst(
    failed.map(({ device, error: reason }) => ({ device, reason })),
    outcomes.length,
  );
  return noteEvent(events, event);
}

/** The template is filled in now; the task is made with what notes that it was, so that it is made once. */
async function startTask({ db, tasks, timers }: EffectsContext, run: Run, effect: StartTask): Promise<Rest> {
  const device = await getDevice(db, scopeOf(run), effect.device);
  const name = typeof run.cause["name"] === "string" ? run.cause["name"] : effect.id;
  const id = newId();
  const builtins = { now: timers.now(), task: { id }, device, user: { name } };
  const { id: templateId, version, variables = {} } = effect;
  const made = await templateActions(db, scopeOf(run), { id: templateId.toLowerCase(), version, variables, builtins });
  for (const action of made.actions) checkCapability(action, device.capabilities);
  return async (trx, now) => {
    await noteUse(trx, made.template.id, now);
    await tasks.submit(trx, {
      id,
      organizationId: run.organizationId,
      device: await getDevice(trx, scopeOf(run), effect.device),
      name: made.template.name,
      actions: made.actions,
      priority: effect.priority,
      template: { id: made.template.id, version: made.version, variables },
      actor: actorOfRun(run),
      source: run.sourceKind === "schedule" ? "schedule" : "rule",
      correlationId: run.correlationId,
      causationId: run.eventId ?? run.causationId ?? undefined,
      ruleVersion: run.sourceVersion ?? undefined,
    });
  };
}

const scopeOf = ({ organizationId }: Run): Scope => ({ kind: "organization", organizationId });

const asObject = (data: unknown): Record<string, unknown> =>
  typeof data === "object" && data !== null && !Array.isArray(data) ? { ...data } : data === undefined ? {} : { value: data };

/** All at once; throws the first failure when all have come to an end. */
async function send({ commands }: EffectsContext, run: Run, wanted: readonly SceneCommand[], queueForS?: number): Promise<void> {
  const done = await Promise.allSettled(
    wanted.map(({ device, command }, index) =>
      commands.send({
        device,
        scope: scopeOf(run),
        command,
        commandId: `${run.id}.${run.effects}.${index}`,
        actor: actorOfRun(run),
        source: sourceOf(run),
        correlationId: run.correlationId,
        causationId: causationOf(run) ?? undefined,
        ruleVersion: run.sourceVersion ?? undefined,
        queueForMs: queueForS === undefined ? undefined : queueForS * 1_000,
      }),
    ),
  );
  const failed = done.flatMap((one, index) =>
    one.status === "rejected" ? [{ reason: one.reason as unknown, device: wanted[index]?.device }] : [],
  );
  throwFirst(failed, wanted.length);
}

/** Of so many commands. */
function throwFirst(failed: readonly { readonly reason: unknown; readonly device: string | undefined }[], count: number): void {
  const [first] = failed;
  if (!first) return;
  if (count === 1 || !(first.reason instanceof HubError)) throw first.reason;
  const names = failed.map(({ device }) => device).join(", ");
  throw new HubError(first.reason.code, `${failed.length} of ${count} devices did not do it (${names}): ${first.reason.message}`, {
    cause: first.reason,
  });
}

const sourceOf = ({ sourceKind }: Run): CommandSource => (sourceKind === "schedule" ? "schedule" : "rule");
const causationOf = ({ eventId, causationId }: Run): string | null => eventId ?? causationId;

function noteEventOf({ events }: EffectsContext, run: Run, type: HubEvent["type"], data: Record<string, unknown>): Rest {
  const { organizationId, sourceId: entityId, correlationId } = run;
  const about = { organizationId, entityId, actor: actorOfRun(run), correlationId, causationId: causationOf(run) };
  return async (trx, now) => await noteEvent(events, newEvent(type, { ...about, now }, data))(trx, now);
}

function noteEvent(events: EventSink, event: HubEvent): Rest {
  return async (trx) => {
    await insertEvents(trx, [event]);
    afterCommit(trx, () => void events.emit([event]));
  };
}
