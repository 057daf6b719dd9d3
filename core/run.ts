import type { Action } from "./action.ts";
import type { Mode } from "./automation.ts";
import type { Frame } from "./program.ts";

export type RunSource = "automation" | "schedule" | "scene" | "alert";
/** `waiting`: in a delay, or for the run before it. `skipped`: not begun, since another one went on. */
export const RUN_STATUSES = ["running", "waiting", "queued", "ok", "failed", "cancelled"] as const;
export type RunStatus = (typeof RUN_STATUSES)[number];

/** One effect of a run. */
export interface RunStep {
  readonly path: string;
  readonly kind: string;
  readonly status: "ok" | "failed";
  readonly at: string;
  /** Of a failure: its code. */
  readonly code?: string;
  readonly message?: string;
}

/** Actions that are being done, or were. */
export interface Run {
  readonly id: string;
  readonly organizationId: string;
  readonly sourceKind: RunSource;
  readonly sourceId: string;
  readonly sourceVersion: number | null;
  readonly status: RunStatus;
  readonly mode: Mode;
  /** What set it off, with the values that decided. */
  readonly cause: Readonly<Record<string, unknown>>;
  /** Empty once it has finished. */
  readonly actions: readonly Action[];
  readonly frames: readonly Frame[];
  readonly steps: readonly RunStep[];
  /** How many effects it has had: each has its own command id. */
  readonly effects: number;
  /** Whoever goes on with it has the next; the one before does nothing any more. */
  readonly attempt: number;
  /** How many runs stand before it in the chain of causes. */
  readonly depth: number;
  /** That told of its beginning. */
  readonly eventId: string | null;
  readonly correlationId: string;
  readonly causationId: string | null;
  readonly scheduledFor: string | null;
  readonly createdAt: string;
  readonly finishedAt: string | null;
}

/** Steps that a run remembers; of a longer one the last. */
export const MOST_STEPS = 100;
/** Effects of one run. */
export const MOST_EFFECTS = 1_000;
