import type { EventType } from "./event.ts";
import { type Access, may, mayOn } from "./permissions.ts";

/** What a stream of live values can tell of; the names of the first three are part of the contract (R-BRK-8). */
export const LIVE_TOPICS = ["live_data", "device_status", "alerts", "automations", "tasks"] as const;
/** Of whoever names none. */
export const USUAL_LIVE_TOPICS = LIVE_TOPICS.slice(0, 3);
export type LiveTopic = (typeof LIVE_TOPICS)[number];
/** Those that tell of events, which are kept. */
export type LiveEventTopic = Exclude<LiveTopic, "live_data">;

export const LIVE_EVENTS: Readonly<Record<LiveEventTopic, readonly EventType[]>> = {
  device_status: [
    "device.claimed",
    "device.released",
    "device.deleted",
    "device.online",
    "device.offline",
    "device.stale",
    "device.flapping",
    "device.state_changed",
  ],
  alerts: ["alert.raised", "alert.acknowledged", "alert.escalated", "alert.resolved"],
  automations: ["automation.fired", "automation.failed", "schedule.fired", "schedule.failed", "scene.activated"],
  tasks: [
    "task.awaiting_confirmation",
    "task.approved",
    "task.rejected",
    "task.expired",
    "task.cancelled",
    "task.completed",
    "task.failed",
  ],
};

const TOPIC_OF: ReadonlyMap<string, LiveEventTopic> = new Map(
  (Object.keys(LIVE_EVENTS) as LiveEventTopic[]).flatMap((topic) => LIVE_EVENTS[topic].map((type) => [type, topic])),
);

/** undefined for an event that no stream tells of. */
export const liveTopicOf = (type: string): LiveEventTopic | undefined => TOPIC_OF.get(type);

/** What something that is told is about. */
export interface LiveSubject {
  readonly topic: LiveTopic;
  readonly organizationId: string;
  /** Of an alert or an automation: whatever it is about. */
  readonly entityId: string | null;
}

/** As over REST: what the organisation's rules do for whoever may see those, all else for whoever may see the device. */
export const liveRight = (topic: LiveTopic): "automation.read" | "device.read" =>
  topic === "alerts" || topic === "automations" ? "automation.read" : "device.read";

export function maySeeLive(access: Access, { topic, organizationId, entityId }: LiveSubject): boolean {
  const right = liveRight(topic);
  if (right === "automation.read") return may(access, right, organizationId);
  return entityId !== null && mayOn(access, right, { id: entityId, organizationId });
}
