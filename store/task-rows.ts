import type { CommandSource } from "../core/command.ts";
import type { Actor } from "../core/principal.ts";
import type { Risk } from "../core/risk.ts";
import type { Approval, RetryPolicy, Task, TaskActions, TaskStatus, TaskTemplateUse } from "../core/task.ts";
import { fromJson, storableText, toJson } from "./sql.ts";

export interface TaskRow {
  id: string;
  organization_id: string;
  device_id: string;
  uid: string;
  name: string;
  description: string | null;
  status: TaskStatus;
  priority: number;
  actions: unknown;
  payload_hash: string;
  retry: unknown;
  timeout_ms: number | string;
  wait_ms: number | string;
  depends_on: unknown;
  resources: unknown;
  tags: unknown;
  metadata: unknown;
  template: unknown;
  actor_kind: Actor["kind"];
  actor_id: string;
  source: CommandSource;
  command_id: string | null;
  risk: unknown;
  approval: unknown;
  attempt: number;
  sends: number;
  not_before: string | null;
  error: string | null;
  error_code: string | null;
  correlation_id: string;
  causation_id: string | null;
  rule_version: number | null;
  version: number;
  queued_at: string | null;
  created_at: string;
  updated_at: string;
  finished_at: string | null;
}

export function rowOf(task: Task): TaskRow {
  return {
    id: task.id,
    organization_id: task.organizationId,
    device_id: task.deviceId,
    uid: task.uid,
    name: storableText(task.name),
    description: task.description === null ? null : storableText(task.description),
    status: task.status,
    priority: task.priority,
    actions: toJson(task.actions),
    payload_hash: task.payloadHash,
    retry: toJson(task.retry),
    timeout_ms: task.timeoutMs,
    wait_ms: task.waitMs,
    depends_on: toJson(task.dependsOn),
    resources: toJson(task.resources),
    tags: toJson(task.tags),
    metadata: toJson(task.metadata),
    template: jsonOrNull(task.template),
    actor_kind: task.actor.kind,
    actor_id: task.actor.id,
    source: task.source,
    command_id: task.commandId,
    risk: jsonOrNull(task.risk),
    approval: jsonOrNull(task.approval),
    attempt: task.attempt,
    sends: task.sends,
    not_before: task.notBefore,
    error: task.error,
    error_code: task.errorCode,
    correlation_id: task.correlationId,
    causation_id: task.causationId,
    rule_version: task.ruleVersion,
    version: task.version,
    queued_at: task.queuedAt,
    created_at: task.createdAt,
    updated_at: task.updatedAt,
    finished_at: task.finishedAt,
  };
}

export function taskOf(row: TaskRow): Task {
  return {
    id: row.id,
    organizationId: row.organization_id,
    deviceId: row.device_id,
    uid: row.uid,
    name: row.name,
    description: row.description,
    status: row.status,
    priority: row.priority,
    actions: fromJson(row.actions) as TaskActions,
    payloadHash: row.payload_hash,
    retry: fromJson(row.retry) as RetryPolicy,
    timeoutMs: Number(row.timeout_ms),
    waitMs: Number(row.wait_ms),
    dependsOn: fromJson(row.depends_on) as string[],
    resources: fromJson(row.resources) as string[],
    tags: fromJson(row.tags) as string[],
    metadata: fromJson(row.metadata) as Record<string, unknown>,
    template: fromJson(row.template) as TaskTemplateUse | null,
    actor: { kind: row.actor_kind, id: row.actor_id },
    source: row.source,
    commandId: row.command_id,
    risk: fromJson(row.risk) as Risk | null,
    approval: fromJson(row.approval) as Approval | null,
    attempt: row.attempt,
    sends: row.sends,
    notBefore: row.not_before,
    error: row.error,
    errorCode: row.error_code,
    correlationId: row.correlation_id,
    causationId: row.causation_id,
    ruleVersion: row.rule_version,
    version: row.version,
    queuedAt: row.queued_at,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    finishedAt: row.finished_at,
  };
}

export function changedColumns(change: TaskChange): Partial<TaskRow> {
  const columns: { [K in keyof Required<TaskChange>]: (value: Required<TaskChange>[K]) => Partial<TaskRow> } = {
    status: (status) => ({ status }),
    name: (name) => ({ name: storableText(name) }),
    description: (text) => ({ description: text === null ? null : storableText(text) }),
    priority: (priority) => ({ priority }),
    tags: (tags) => ({ tags: toJson(tags) }),
    metadata: (metadata) => ({ metadata: toJson(metadata) }),
    approval: (approval) => ({ approval: jsonOrNull(approval) }),
    risk: (risk) => ({ risk: jsonOrNull(risk) }),
    attempt: (attempt) => ({ attempt }),
    sends: (sends) => ({ sends }),
    notBefore: (at) => ({ not_before: at }),
    error: (error) => ({ error: error === null ? null : storableText(error) }),
    errorCode: (code) => ({ error_code: code }),
    queuedAt: (at) => ({ queued_at: at }),
    finishedAt: (at) => ({ finished_at: at }),
  };
  return Object.assign(
    {},
    ...Object.entries(change)
      .filter(([, value]) => value !== undefined)
      .map(([name, value]) => (columns[name as keyof TaskChange] as (value: unknown) => Partial<TaskRow>)(value)),
  ) as Partial<TaskRow>;
}

const jsonOrNull = (value: unknown): string | null => (value === null ? null : toJson(value));

/** What may change of a task; what it does and for which device never does. */
export type TaskChange = Partial<
  Pick<
    Task,
    | "status"
    | "name"
    | "description"
    | "priority"
    | "tags"
    | "metadata"
    | "approval"
    | "risk"
    | "attempt"
    | "sends"
    | "notBefore"
    | "error"
    | "errorCode"
    | "queuedAt"
    | "finishedAt"
  >
>;
