import Type from "typebox";
import { Command } from "../../core/command.ts";
import { ACTION_RESULTS, RetryPolicy, type Task, TASK_STATUSES, type TaskExecution } from "../../core/task.ts";
import type { TaskLog } from "../../store/task-executions.ts";
import { nullable } from "../fields.ts";

const ActorView = Type.Object({ kind: Type.String(), id: Type.String() });
export const TaskStatusName = Type.Enum([...TASK_STATUSES], { title: "TaskStatus" });

const RiskView = Type.Unsafe<unknown>({
  title: "TaskRisk",
  description: "Why somebody has to approve it, or need not; null for a draft",
  anyOf: [
    Type.Object({
      score: Type.Number(),
      threshold: Type.Number(),
      is_high: Type.Boolean(),
      reasons: Type.Array(Type.Object({ rule: Type.String(), points: Type.Number(), text: Type.String() })),
    }),
    { type: "null" },
  ],
});
const ApprovalView = Type.Unsafe<unknown>({
  title: "TaskApproval",
  anyOf: [
    Type.Object({
      requested_at: Type.String(),
      expires_at: Type.String({ description: "Without a decision the task expires then" }),
      four_eyes: Type.Boolean({ description: "Whoever has asked for it may not approve it" }),
      pin_required: Type.Boolean(),
      payload_hash: Type.String({ description: "Of the device and the actions: what is approved is what is done" }),
      decision: Type.Unsafe<string | null>({ enum: ["approved", "rejected", null] }),
      decided_by: nullable("string"),
      decided_at: nullable("string"),
      note: nullable("string"),
    }),
    { type: "null" },
  ],
});

export const TaskView = Type.Object(
  {
    id: Type.String(),
    organization_id: Type.String(),
    device_id: Type.String(),
    device_uid: Type.String(),
    name: Type.String(),
    description: nullable("string"),
    status: TaskStatusName,
    priority: Type.Integer(),
    actions: Type.Array(Command),
    payload_hash: Type.String(),
    retry: RetryPolicy,
    timeout_s: Type.Number(),
    expires_in_s: Type.Number(),
    depends_on: Type.Array(Type.String()),
    resources: Type.Array(Type.String()),
    tags: Type.Array(Type.String()),
    metadata: Type.Unsafe<Record<string, unknown>>({ type: "object" }),
    template: Type.Unsafe<unknown>({
      anyOf: [
        Type.Object({ id: Type.String(), version: Type.Integer(), variables: Type.Unsafe<unknown>({ type: "object" }) }),
        { type: "null" },
      ],
    }),
    actor: ActorView,
    source: Type.String(),
    command_id: nullable("string", { description: "Of the command that waits for approval as this task" }),
    risk: RiskView,
    approval: ApprovalView,
    attempt: Type.Integer(),
    not_before: nullable("string"),
    error: nullable("string"),
    error_code: nullable("string"),
    correlation_id: Type.String(),
    version: Type.Integer(),
    queued_at: nullable("string"),
    created_at: Type.String(),
    updated_at: Type.String(),
    finished_at: nullable("string"),
  },
  { title: "Task" },
);

export function taskJson(task: Task) {
  const { risk, approval } = task;
  return {
    id: task.id,
    organization_id: task.organizationId,
    device_id: task.deviceId,
    device_uid: task.uid,
    name: task.name,
    description: task.description,
    status: task.status,
    priority: task.priority,
    actions: [...task.actions],
    payload_hash: task.payloadHash,
    retry: task.retry,
    timeout_s: task.timeoutMs / 1_000,
    expires_in_s: task.waitMs / 1_000,
    depends_on: [...task.dependsOn],
    resources: [...task.resources],
    tags: [...task.tags],
    metadata: { ...task.metadata },
    template: task.template,
    actor: task.actor,
    source: task.source,
    command_id: task.commandId,
    risk: risk && { score: risk.score, threshold: risk.threshold, is_high: risk.isHigh, reasons: risk.reasons },
    approval: approval && {
      requested_at: approval.requestedAt,
      expires_at: approval.expiresAt,
      four_eyes: approval.isFourEyes,
      pin_required: approval.needsPin,
      payload_hash: approval.payloadHash,
      decision: approval.decision,
      decided_by: approval.decidedBy,
      decided_at: approval.decidedAt,
      note: approval.note,
    },
    attempt: task.attempt,
    not_before: task.notBefore,
    error: task.error,
    error_code: task.errorCode,
    correlation_id: task.correlationId,
    version: task.version,
    queued_at: task.queuedAt,
    created_at: task.createdAt,
    updated_at: task.updatedAt,
    finished_at: task.finishedAt,
  };
}

export const TaskExecutionView = Type.Object(
  {
    attempt: Type.Integer(),
    status: Type.Enum(["running", "completed", "failed", "timeout"]),
    actions: Type.Array(Command, { description: "As they were sent, with TOGGLE resolved" }),
    results: Type.Array(
      Type.Object({
        action_id: Type.String(),
        status: Type.Enum([...ACTION_RESULTS]),
        error: Type.Optional(Type.String()),
        state: Type.Optional(Type.Unknown()),
      }),
    ),
    error: nullable("string"),
    node_id: nullable("string"),
    started_at: Type.String(),
    completed_at: nullable("string"),
    duration_ms: nullable("number"),
  },
  { title: "TaskExecution" },
);

export function executionJson({ attempt, status, actions, results, error, nodeId, startedAt, completedAt }: TaskExecution) {
  return {
    attempt,
    status,
    actions: [...actions],
    results: results.map(({ actionId: action_id, ...rest }) => ({ action_id, ...rest })),
    error,
    node_id: nodeId,
    started_at: startedAt,
    completed_at: completedAt,
    duration_ms: completedAt === null ? null : Date.parse(completedAt) - Date.parse(startedAt),
  };
}

export const TaskLogView = Type.Object(
  {
    id: Type.String(),
    action: Type.String({ description: "A status, or the id of an action of an attempt" }),
    result: Type.String(),
    details: Type.Unsafe<Record<string, unknown>>({ type: "object" }),
    actor: ActorView,
    created_at: Type.String(),
  },
  { title: "TaskLog" },
);

export const logJson = ({ id, action, result, details, actor, createdAt }: TaskLog) => ({
  id,
  action,
  result,
  details: { ...details },
  actor,
  created_at: createdAt,
});
