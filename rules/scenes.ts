import type { Commands } from "../core/bus.ts";
import type { CommandRequest } from "../core/command.ts";
import { HubError } from "../core/errors.ts";
import { newEvent } from "../core/event.ts";
import type { SceneActivated, SceneControl, SceneOutcome, SceneRequest } from "../core/scene.ts";

export interface ScenesContext {
  readonly commands: Commands;
  readonly clock: () => number;
}

/** Gives the task that it is instead, where somebody has to approve it. */
type Give = (request: CommandRequest) => Promise<string | null>;

/** The one way in which a scene comes about, whoever asks for it. */
export function createScenes({ commands, clock }: ScenesContext): SceneControl {
  const send: Give = async (request) => {
    const { status, taskId } = await commands.send(request);
    return status === "awaiting_confirmation" ? taskId : null;
  };
  const accept: Give = async (request) => (await commands.accept(request)).taskId;
  return {
    activate: (request) => activate(request, send, clock()),
    begin: (request) => activate(request, accept, clock()),
  };
}

/** Throws what is no answer to a command, when all have come to an end. */
async function activate(request: SceneRequest, give: Give, now: number): Promise<SceneActivated> {
  const { scene, scope, actor, source, attempt, cause } = request;
  const about = { organizationId: scene.organizationId, entityId: scene.id, actor, now, ...cause };
  const data = { scene_id: scene.id, name: scene.name, ...(cause === undefined ? {} : { run_id: cause.runId }) };
  const event = newEvent("scene.activated", about, data);
  const given = await Promise.allSettled(
    scene.commands.map(({ device, command }, index) =>
      give({
        device,
        scope,
        command,
        commandId: `${attempt}.${index}`,
        actor,
        source,
        correlationId: event.correlationId,
        // The event of a run is there when the run notes that it is done.
        causationId: cause === undefined ? event.id : (cause.causationId ?? undefined),
        ruleVersion: cause?.ruleVersion ?? undefined,
      }),
    ),
  );
  const outcomes = scene.commands.map(({ device }, index): SceneOutcome => {
    const one = given[index] as (typeof given)[number];
    const told = { device, commandId: `${attempt}.${index}` };
    if (one.status === "fulfilled") return { ...told, taskId: one.value };
    if (!(one.reason instanceof HubError)) throw one.reason;
    return { ...told, taskId: null, error: one.reason };
  });
  return { event, outcomes, failed: outcomes.flatMap((one) => (one.error === undefined ? [] : [{ ...one, error: one.error }])) };
}
