import type { Severity } from "./notification.ts";
import type { Actor } from "./principal.ts";

export const INSIGHT_KINDS = {
  latency_rise: "a device, or a part of it, answers commands more slowly than it did",
  success_drop: "fewer of a device's commands succeed than before",
  disconnects_rise: "a device loses its connection more often than before",
  battery_low_soon: "a battery will be empty within days",
  sensor_stuck: "a sensor says the same value for much longer than usual",
  sensor_silent: "a sensor has said nothing for much longer than usual",
  usage_pattern: "somebody gives a command by hand at about the same time on many days: an automation could",
} as const;
export type InsightKind = keyof typeof INSIGHT_KINDS;
export const KINDS = Object.keys(INSIGHT_KINDS) as InsightKind[];

/** What statistics say of a part of a device. Of a kind and subject one is open at a time. */
export interface Finding {
  readonly kind: InsightKind;
  /** Of the device: a relay, a series, a time. "" for all of it. */
  readonly subject: string;
  readonly severity: Severity;
  /** One sentence with its numbers; the device's name stands before it. */
  readonly message: string;
  readonly evidence: Readonly<Record<string, string | number | boolean | null>>;
  /** ms since 1970 */
  readonly since: number;
}

/** One that is chance with the probability `p`: told or not by how many were looked for ({@link discoveries}). */
export interface TestedFinding extends Finding {
  readonly p: number;
}

/** A finding that was told. Times are ISO 8601 in UTC. */
export interface Insight extends Omit<Finding, "since"> {
  readonly id: string;
  readonly organizationId: string;
  readonly deviceId: string;
  readonly uid: string;
  readonly since: string;
  readonly foundAt: string;
  /** When it was last found to hold. */
  readonly seenAt: string;
  readonly endedAt: string | null;
  readonly dismissedAt: string | null;
  readonly dismissedBy: Actor | null;
  readonly correlationId: string;
}
