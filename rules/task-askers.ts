import type { HubEvent } from "../core/event.ts";
import { type Actor, PLATFORM } from "../core/principal.ts";
import type { Task } from "../core/task.ts";
import { personBehind } from "../store/authors.ts";
import { findEvents } from "../store/events.ts";
import type { Db } from "../store/open.ts";
import { findRun } from "../store/runs.ts";

/** Causes that are looked at one behind the other; runs stand in a row of far fewer. */
const MOST_CAUSES = 32;
const WITH_A_RUN: ReadonlySet<string> = new Set(["automation.fired", "schedule.fired"]);

/**
 * Whether that person has asked for the task: directly or by a service that they have made, by putting it on its way once more, by
 * writing the automation, schedule or alert rule that asks for it or starting it by hand, or by an event that set one off.
 */
export async function hasAskedFor(
  trx: Db,
  { actor, approval, causationId, ruleVersion }: Pick<Task, "actor" | "approval" | "causationId" | "ruleVersion">,
  userId: string,
): Promise<boolean> {
  const isThem = (one: Partial<Actor> | undefined): boolean => one?.kind === "user" && one.id === userId;
  if ((await personBehind(trx, actor, ruleVersion)) === userId) return true;
  if (approval && (await personBehind(trx, approval.requestedBy, ruleVersion)) === userId) return true;
  let next = causationId;
  for (let count = 0; next !== null && count < MOST_CAUSES; count++) {
    const event: HubEvent | undefined = (await findEvents(trx, [next])).get(next);
    if (!event) return false;
    const { version } = event.data;
    const behind = await personBehind(trx, event.actor, typeof version === "number" ? version : null);
    if (behind === userId || isThem(await starterOf(trx, event))) return true;
    next = event.causationId;
  }
  return false;
}

/** Who has started by hand what the event tells of. */
async function starterOf(trx: Db, { type, data }: HubEvent): Promise<Partial<Actor> | undefined> {
  const id = WITH_A_RUN.has(type) ? data["run_id"] : undefined;
  const run = typeof id === "string" ? await findRun(trx, PLATFORM, id) : undefined;
  if (run?.cause["kind"] !== "manual") return undefined;
  const by = run.cause["by"];
  return typeof by === "object" && by !== null ? by : undefined;
}
