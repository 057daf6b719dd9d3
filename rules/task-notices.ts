import type { Notifier } from "../core/notification.ts";
import type { Task } from "../core/task.ts";
import type { Db } from "../store/open.ts";

interface NoticeContext {
  readonly notifier: Notifier<Db>;
}

/** Whoever may decide hears of it, and whoever has asked that it waits. */
export async function askApprovers(context: NoticeContext, trx: Db, task: Task): Promise<void> {
  await context.notifier.notify(trx, {
    ...about(task),
    to: { permission: "approval.decide" },
    severity: "warning",
    title: `Waits for approval: ${task.name}`,
    body: `${task.uid}: ${(task.risk?.reasons ?? []).map(({ text }) => text).join("; ")}`,
    data: {
      task_id: task.id,
      uid: task.uid,
      payload_hash: task.payloadHash,
      score: task.risk?.score ?? null,
      expires_at: task.approval?.expiresAt ?? null,
    },
  });
  await tellAsker(context, trx, task, "waits for approval");
}

export async function tellAsker({ notifier }: NoticeContext, trx: Db, task: Task, what: string): Promise<void> {
  if (task.actor.kind !== "user") return;
  await notifier.notify(trx, {
    ...about(task),
    to: { users: [task.actor.id] },
    severity: "info",
    title: `${task.name}: ${what}`,
    body: task.approval?.note ?? "",
    data: { task_id: task.id, uid: task.uid, status: task.status, command_id: task.commandId },
  });
}

const about = ({ id, organizationId, correlationId, causationId }: Task) => ({
  organizationId,
  source: { kind: "task" as const, id },
  correlationId,
  causationId,
});
