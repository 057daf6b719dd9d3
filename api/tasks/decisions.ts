import Type from "typebox";
import { HubError } from "../../core/errors.ts";
import { actorOf, type Member } from "../../core/principal.ts";
import { checkPin } from "../../store/approval-pins.ts";
import type { Db } from "../../store/open.ts";
import { getTask, lockTask } from "../../store/tasks.ts";
import { IdParams, line } from "../fields.ts";
import { type Call, defineRoute } from "../route.ts";
import { OneTask, stepped, taskVersion } from "./tasks.ts";

const answer = { 200: { description: "As it is now", schema: OneTask } };

const step = (verb: "submit" | "cancel" | "retry", summary: string, description: string) =>
  defineRoute({
    method: "POST",
    path: `/api/v1/tasks/:id/${verb}`,
    tag: "Tasks",
    summary,
    description,
    access: "device.control",
    match: "optional",
    params: IdParams,
    replies: answer,
    errors: ["not_found", "conflict"],
    handler: ({ context, principal, scope, params, match, commit }) =>
      commit(async (db) => {
        const task = await lockTask(db, scope, params.id.toLowerCase());
        match(taskVersion(task));
        const { tasks } = context;
        const acts = {
          submit: (trx: Db) => tasks.submitDraft(trx, task.id, actorOf(principal)),
          cancel: (trx: Db) => tasks.cancel(trx, task.id, actorOf(principal)),
          retry: (trx: Db) => tasks.retry(trx, task.id, actorOf(principal)),
        };
        return await stepped(db, acts[verb]);
      }),
  });

export const submit = step("submit", "Put a draft on its way", "What is risky waits for somebody to approve it.");
export const cancel = step("cancel", "Give a task up", "One that its device has already goes on.");
export const retry = step("retry", "Try a task again that failed or expired", "It is judged anew, and may have to be approved again.");

const decisionOf = (verb: "approve" | "reject", summary: string) =>
  defineRoute({
    method: "POST",
    path: `/api/v1/tasks/:id/${verb}`,
    tag: "Tasks",
    summary,
    description: "Once, by one person; a decision that comes later is a conflict.",
    access: "approval.decide",
    match: "optional",
    params: IdParams,
    body: Type.Object(
      {
        payload_hash: Type.Optional(
          Type.String({ minLength: 1, maxLength: 64, description: "What you have seen: anything else is a conflict" }),
        ),
        note: Type.Optional(line(500)),
        ...(verb === "approve"
          ? { pin: Type.Optional(Type.String({ pattern: "^[0-9]{4,12}$", description: "Your own, where the organisation asks for it" })) }
          : {}),
      },
      { additionalProperties: false, title: verb === "approve" ? "TaskApproving" : "TaskRejecting" },
    ),
    bodyExample: { note: "I am standing beside it" },
    replies: answer,
    errors: ["not_found", "conflict", "forbidden", ...(verb === "approve" ? (["pin_required", "pin_wrong", "pin_locked"] as const) : [])],
    async handler(call) {
      const { context, principal, scope, params, body, match, commit } = call;
      const { id, approval } = await getTask(context.store.db, scope, params.id.toLowerCase());
      const userId = personOf(principal);
      const isPinChecked = verb === "approve" && approval?.needsPin === true;
      if (isPinChecked) await requirePin(call, userId, (body as { pin?: string }).pin);
      return await commit(async (db) => {
        const task = await lockTask(db, scope, id);
        match(taskVersion(task));
        const verdict = verb === "approve" ? "approved" : "rejected";
        return await stepped(db, (trx) =>
          context.tasks.decide(trx, task.id, { verdict, userId, isPinChecked, payloadHash: body.payload_hash, note: body.note ?? null }),
        );
      });
    },
  });

export const approve = decisionOf("approve", "Approve what waits");
export const reject = decisionOf("reject", "Reject what waits");

function personOf(principal: Member): string {
  if (principal.kind !== "user") throw new HubError("forbidden", "a person has to decide this");
  return principal.id;
}

/** Outside of the decision's transaction: a wrong one has to be counted, whatever becomes of the rest. */
async function requirePin({ context }: Pick<Call, "context">, userId: string, pin: string | undefined): Promise<void> {
  if (pin === undefined) throw new HubError("pin_required", "the organisation asks for your PIN");
  await checkPin({ ...context, db: context.store.db }, userId, pin);
}
