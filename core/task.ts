import Type, { type Static } from "typebox";
import { fingerprintOf } from "./canonical-json.ts";
import { Command, type CommandSource } from "./command.ts";
import type { Device } from "./device.ts";
import { HubError } from "./errors.ts";
import type { Actor } from "./principal.ts";
import type { Risk } from "./risk.ts";

/**
 * From a draft, or at once, a task waits for a person (awaiting_confirmation) or for its device (queued). It is assigned when it goes out to the
 * device, and running when the device says so. A final status is left only when somebody asks for another try of what failed.
 */
export const TASK_STATUSES = [
  "draft",
  "awaiting_confirmation",
  "queued",
  "assigned",
  "running",
  "completed",
  "failed",
  "cancelled",
  "rejected",
  "expired",
] as const;
export type TaskStatus = (typeof TASK_STATUSES)[number];

export const TASK_TRANSITIONS: Readonly<Record<TaskStatus, readonly TaskStatus[]>> = {
  draft: ["awaiting_confirmation", "queued", "cancelled"],
  awaiting_confirmation: ["queued", "rejected", "cancelled", "expired"],
  // Completed: the device answers an attempt that had gone back.
  queued: ["assigned", "cancelled", "expired", "failed", "completed"],
  // Back into the queue: nobody has answered, or the device's failure allows another try.
  assigned: ["running", "completed", "failed", "queued"],
  running: ["completed", "failed", "queued"],
  completed: [],
  failed: ["queued", "awaiting_confirmation"],
  expired: ["queued", "awaiting_confirmation"],
  cancelled: [],
  rejected: [],
};

export const FINAL_TASKS: readonly TaskStatus[] = ["completed", "failed", "cancelled", "rejected", "expired"];

export const mayBecome = (from: TaskStatus, to: TaskStatus): boolean => TASK_TRANSITIONS[from].includes(to);

/** Throws `conflict` with what it is now. */
export function requireTransition(from: TaskStatus, to: TaskStatus): void {
  if (!mayBecome(from, to)) throw new HubError("conflict", `a task that is ${from} cannot be ${to}`, { details: { status: from } });
}

export const MOST_ACTIONS = 50;
/** Waiting for their device or for a person, of one organisation. */
export const MOST_OPEN_TASKS = 10_000;
/** Of one device, with those that it has already. */
export const MOST_OPEN_OF_DEVICE = 500;
export const MOST_DEPENDENCIES = 20;
export const MOST_RESOURCES = 10;

export const TaskActions = Type.Array(Command, { minItems: 1, maxItems: MOST_ACTIONS });
export type TaskActions = readonly Command[];

export const RetryPolicy = Type.Object(
  {
    attempts: Type.Integer({ minimum: 0, maximum: 10, description: "Beside the first" }),
    backoff_s: Type.Integer({
      minimum: 1,
      maximum: 86_400,
      description: "Before the second attempt; each later wait is twice as long, at most a day",
    }),
  },
  { additionalProperties: false, title: "RetryPolicy" },
);
export type RetryPolicy = Static<typeof RetryPolicy>;
export const NO_RETRY: RetryPolicy = { attempts: 0, backoff_s: 10 };

/** What a task of that many actions has by itself. */
export const defaultTimeoutMs = (actions: number): number => 30_000 + actions * 10_000;
export const DEFAULT_WAIT_MS = 86_400_000;

/** Before the attempt with that number, from 2 on. */
export function backoffMs({ backoff_s }: RetryPolicy, attempt: number): number {
  return Math.min(backoff_s * 2 ** Math.max(0, attempt - 2), 86_400) * 1_000;
}

export interface Approval {
  readonly requestedAt: string;
  /** Who has put it on its way: whoever asked for it, or tries it again. */
  readonly requestedBy: Actor;
  readonly expiresAt: string;
  /** Nobody approves what they have asked for. */
  readonly isFourEyes: boolean;
  readonly needsPin: boolean;
  /** What exactly is approved: {@link payloadHashOf}. */
  readonly payloadHash: string;
  readonly decision: "approved" | "rejected" | null;
  readonly decidedBy: string | null;
  readonly decidedAt: string | null;
  readonly note: string | null;
}

export interface TaskTemplateUse {
  readonly id: string;
  readonly version: number;
  readonly variables: Readonly<Record<string, unknown>>;
}

/** Something that a device is to do, with everything that was decided about it. Times are ISO 8601 in UTC. */
export interface Task {
  readonly id: string;
  readonly organizationId: string;
  readonly deviceId: string;
  readonly uid: string;
  readonly name: string;
  readonly description: string | null;
  readonly status: TaskStatus;
  /** 0 to 9; the higher one goes first. */
  readonly priority: number;
  readonly actions: TaskActions;
  readonly payloadHash: string;
  readonly retry: RetryPolicy;
  readonly timeoutMs: number;
  /** How long it may wait for its device. */
  readonly waitMs: number;
  readonly dependsOn: readonly string[];
  /** One task of an organisation has a resource at a time. */
  readonly resources: readonly string[];
  readonly tags: readonly string[];
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly template: TaskTemplateUse | null;
  readonly actor: Actor;
  readonly source: CommandSource;
  /** Of the command that became this task at the gate. */
  readonly commandId: string | null;
  readonly risk: Risk | null;
  readonly approval: Approval | null;
  /** Of the present attempt: another number only after the device has said how the one before went. */
  readonly attempt: number;
  /** How often it went out to the device, whether that answered or not. */
  readonly sends: number;
  readonly notBefore: string | null;
  readonly error: string | null;
  readonly errorCode: string | null;
  readonly correlationId: string;
  readonly causationId: string | null;
  readonly ruleVersion: number | null;
  readonly version: number;
  readonly queuedAt: string | null;
  readonly createdAt: string;
  readonly updatedAt: string;
  readonly finishedAt: string | null;
}

/** What somebody, or something, wants a device to do. */
export interface NewTask {
  /** One that was chosen before, since a template names it. */
  readonly id?: string | undefined;
  readonly organizationId: string;
  /** In that organisation, and within what the asker may control. */
  readonly device: Device;
  readonly name: string;
  readonly description?: string | null | undefined;
  readonly actions: TaskActions;
  readonly priority?: number | undefined;
  readonly retry?: RetryPolicy | undefined;
  readonly timeoutMs?: number | undefined;
  readonly waitMs?: number | undefined;
  readonly dependsOn?: readonly string[] | undefined;
  readonly resources?: readonly string[] | undefined;
  readonly tags?: readonly string[] | undefined;
  readonly metadata?: Readonly<Record<string, unknown>> | undefined;
  readonly template?: TaskTemplateUse | undefined;
  readonly isDraft?: boolean | undefined;
  readonly actor: Actor;
  readonly source: CommandSource;
  /** Of a command that became a task: the same id again is the same task. */
  readonly commandId?: string | undefined;
  readonly correlationId?: string | undefined;
  readonly causationId?: string | undefined;
  readonly ruleVersion?: number | undefined;
}

export const DEFAULT_PRIORITY = 5;

/** What a person approves, and what is done: the same device and the same actions, or nothing. */
export const payloadHashOf = (deviceId: string, actions: TaskActions): string => fingerprintOf({ device_id: deviceId, actions });

export const ACTION_RESULTS = ["ok", "error", "skipped"] as const;

/** What came of one action. */
export interface ActionResult {
  readonly actionId: string;
  readonly status: (typeof ACTION_RESULTS)[number];
  readonly error?: string | undefined;
  readonly state?: unknown;
}

export interface TaskExecution {
  readonly id: string;
  readonly taskId: string;
  readonly attempt: number;
  readonly status: "running" | "completed" | "failed" | "timeout";
  /** With TOGGLE resolved: what every repetition of this attempt asks for. */
  readonly actions: TaskActions;
  readonly results: readonly ActionResult[];
  readonly error: string | null;
  readonly nodeId: string | null;
  readonly startedAt: string;
  readonly completedAt: string | null;
}

/** Names one action of one attempt: also the id of the command that it is. */
export const actionIdOf = (taskId: string, attempt: number, index: number): string => `${taskId}.${attempt}.${index}`;
