import { fingerprintOf } from "./canonical-json.ts";
import { newId } from "./id.ts";
import type { Actor } from "./principal.ts";

/** Every type of event the hub emits, with what its `data` holds. */
export const EVENT_TYPES = {
  "device.registered": "a device was enrolled: uid, device_class",
  "device.claimed": "a device joined an organisation: uid, user_id",
  "device.released": "a device left its organisation: uid",
  "device.deleted": "a device was removed: uid",
  "device.online": "the device's session began: uid",
  "device.offline": "the device's session ended: uid, reason",
  "device.stale": "the device is connected and silent: uid",
  "device.flapping": "the device connects again and again, and is refused for a while: uid",
  "device.clock_wrong": "the clock that the device stamps its readings with is off by more than two minutes: uid, offset_ms (ahead)",
  "device.clock_right": "it is right again: uid",
  "device.credential_rotated": "uid",
  "device.credential_revoked": "uid, credential_id",
  "device.certificate_issued": "uid, credential_id",
  "device.task_key_rotated": "uid, task_key_id",
  "device.state_changed": "outputs changed: uid, relays, lights, command_id?",
  "device.input_event": "a button or contact: uid, input, event, duration_ms?",
  "device.ir_learned": "a device has learned an infrared code: uid, ir_code_id (null when it was not kept), timings, carrier_hz?, name?",
  "device.ota_status": "uid, status, version?, progress?",
  "device.task_result": "uid, task_id",
  "sensor.out_of_range":
    "values were not kept, since they are outside of what the sensor's calibration allows: uid, key, value (the last one, as the device sent it), count",
  "command.completed": "uid, command_id, command, latency_ms",
  "command.failed": "uid, command_id, command, status, error?",
  "automation.fired": "an automation began its actions: automation_id, version, run_id, name, trigger, values, findings, count?",
  "automation.failed": "actions of a run could not be done: automation_id, scene_id, or rule_id and alert_id, version, run_id, name, steps",
  "schedule.fired": "a schedule began its actions: schedule_id, version, run_id, name, scheduled_for (null by hand)",
  "schedule.failed": "actions of a scheduled run could not be done: schedule_id, run_id, name, steps",
  "alert.raised": "an alert fires: alert_id, rule_id, title, severity, uid, site_id, parent_id, values",
  "alert.acknowledged": "somebody takes care of an alert: alert_id, rule_id, title, severity, uid, site_id, parent_id, values",
  "alert.escalated": "nobody has acknowledged an alert in time: alert_id, rule_id, title, severity, uid, site_id, parent_id, values, step",
  "alert.resolved": "an alert is over: alert_id, rule_id, title, severity, uid, site_id, parent_id, values, resolution",
  "insight.found": "statistics have found something about a device: insight_id, uid, kind, subject, severity, message, evidence, since",
  "insight.ended": "what statistics had found does not hold any more: insight_id, uid, kind, subject, severity, message, evidence, since",
  "bridge.linked": "a smart home was linked: bridge, user_id?",
  "bridge.unlinked": "a smart home was unlinked: bridge, user_id?, reason?",
  "bridge.connected": "a smart home is connected: bridge, broker?, user_id?",
  "bridge.disconnected": "a smart home is away: bridge, broker?, user_id?, code?, message?",
  "bridge.failed": "a smart home takes somebody to look: bridge, broker?, user_id?, code, message",
  "scene.activated": "a scene was asked for: scene_id, name, run_id?",
  "webhook.requested": "an automation asks for one webhook: webhook_id, data",
  "webhook.test": "somebody tries a webhook out: webhook_id, name",
  "webhook.disabled": "a webhook was switched off by the hub: webhook_id, name, reason",
  "webhook.overflow": "more waits for a webhook than is kept, and events are not sent to it: webhook_id, name, waiting, dropped",
  "webhook.received": "an inbound webhook was called: hook_id, name, content_type, body",
  "task.awaiting_confirmation":
    "somebody has to approve a task: task_id, name, uid, status, score, threshold, reasons, payload_hash, expires_at, source",
  "task.approved": "a task was approved: task_id, name, uid, status, score, threshold, reasons, payload_hash, note?",
  "task.rejected": "a task was rejected: task_id, name, uid, status, score, threshold, reasons, payload_hash, note?",
  "task.expired": "a task waited too long, for its device or for approval: task_id, name, uid, status, code?, error?",
  "task.cancelled": "a task was cancelled: task_id, name, uid, status, depends_on?, error?",
  "task.completed": "a device has done its task: task_id, name, uid, status, attempt",
  "task.failed": "a task was given up: task_id, name, uid, status, attempt?, code?, error?",
  "clickhouse.outbox_filling": "much waits for ClickHouse: bytes, max_bytes",
  "clickhouse.outbox_full": "more waits for ClickHouse than there is room for; the rest is sent from the tables later: bytes, max_bytes",
  "clickhouse.outbox_drained": "there is room again for what waits for ClickHouse: bytes, max_bytes",
  "clickhouse.refused": "ClickHouse refuses what was sent, and it is set aside: segment_id, kind, error",
  "command.late_ack": "an acknowledgement came after the time limit: uid, command_id",
} as const;
/** What others publish beside those: `custom.<name>` (core/event-type.ts). */
export const CUSTOM_PREFIX = "custom.";
export type EventType = keyof typeof EVENT_TYPES | `${typeof CUSTOM_PREFIX}${string}`;

/** Of what the hub itself says. */
export const HUB_SOURCE = "/hexahub";

/** Something that happened. `correlationId` is the root's id through a whole chain, `causationId` the direct cause's. */
export interface HubEvent {
  readonly id: string;
  readonly type: EventType;
  readonly source: string;
  /** null for what concerns no organisation yet, for example an unclaimed device. */
  readonly organizationId: string | null;
  /** The device, user or organisation it is about. */
  readonly entityId: string | null;
  readonly actor: Actor;
  readonly data: Readonly<Record<string, unknown>>;
  /** ISO 8601, UTC. */
  readonly timestamp: string;
  readonly correlationId: string;
  readonly causationId: string | null;
}

export function newEvent(
  type: EventType,
  about: {
    organizationId: string | null;
    entityId: string | null;
    actor: Actor;
    now: number;
    source?: string;
    correlationId?: string | undefined;
    causationId?: string | null | undefined;
  },
  data: Record<string, unknown>,
): HubEvent {
  const id = newId();
  return {
    id,
    type,
    source: about.source ?? HUB_SOURCE,
    organizationId: about.organizationId,
    entityId: about.entityId,
    actor: about.actor,
    data,
    timestamp: new Date(about.now).toISOString(),
    correlationId: about.correlationId ?? id,
    causationId: about.causationId ?? null,
  };
}

/** CloudEvents 1.0 in JSON, with the correlation, causation and actor extensions. */
export function toCloudEvent(event: HubEvent): Record<string, unknown> {
  return {
    specversion: "1.0",
    id: event.id,
    type: event.type,
    source: event.source,
    ...(event.entityId === null ? {} : { subject: event.entityId }),
    time: event.timestamp,
    datacontenttype: "application/json",
    correlationid: event.correlationId,
    ...(event.causationId === null ? {} : { causationid: event.causationId }),
    actorkind: event.actor.kind,
    actorid: event.actor.id,
    data: event.data,
  };
}

/** One line of the audit: who did what to which thing. Never a secret, never a payload. */
export interface AuditEntry {
  readonly id: string;
  readonly organizationId: string | null;
  readonly actor: Actor;
  /** `<resource>.<verb>`, for example `device.claim` or `command.ok`. */
  readonly action: string;
  readonly resourceType: string;
  readonly resourceId: string | null;
  readonly details: Readonly<Record<string, unknown>>;
  readonly requestId: string | null;
  readonly correlationId: string | null;
  /** Of what it was before and is after, as the API shows it: SHA-256 of its canonical JSON in base64url. */
  readonly beforeHash: string | null;
  readonly afterHash: string | null;
  readonly createdAt: string;
}

/** The two sides of a change. Only what anybody with access may see anyway: a hash of a few possible values tells the value. */
export interface Change {
  readonly before?: unknown;
  readonly after?: unknown;
}

export function newAudit(
  entry: Omit<AuditEntry, "id" | "createdAt" | "requestId" | "correlationId" | "beforeHash" | "afterHash"> &
    Change & {
      now: number;
      requestId?: string | null;
      correlationId?: string | null;
    },
): AuditEntry {
  const { now, before, after, ...rest } = entry;
  const hashOf = (side: unknown) => (side === undefined ? null : fingerprintOf(side));
  return {
    requestId: null,
    correlationId: null,
    ...rest,
    beforeHash: hashOf(before),
    afterHash: hashOf(after),
    id: newId(),
    createdAt: new Date(now).toISOString(),
  };
}
