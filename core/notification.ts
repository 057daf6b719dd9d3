import Type, { type Static } from "typebox";
import type { Permission } from "./permissions.ts";
import { requireSmall } from "./validate.ts";

/** Each is graver than the one before it. */
export const SEVERITIES = ["info", "warning", "critical"] as const;
export type Severity = (typeof SEVERITIES)[number];
export const isGraver = (one: Severity, than: Severity): boolean => SEVERITIES.indexOf(one) > SEVERITIES.indexOf(than);

export const NOTIFICATION_SOURCES = ["automation", "alert", "schedule", "task", "system"] as const;
/** What has something to say. */
export interface NotificationSource {
  readonly kind: (typeof NOTIFICATION_SOURCES)[number];
  readonly id: string;
}

/** Whose notifications: each person has those of an organisation by themselves. */
export interface NotificationOwner {
  readonly userId: string;
  readonly organizationId: string;
}

export interface NewNotification {
  readonly organizationId: string;
  /** Members at the time: those who may see automations, of these people those who may, or those who have the permission. */
  readonly to: "everybody" | { readonly users: readonly string[] } | { readonly permission: Permission };
  readonly severity: Severity;
  /** Longer ones are cut: 200 characters, and 2,000 of the body. */
  readonly title: string;
  readonly body: string;
  /** At most 4 KiB of JSON. */
  readonly data?: Readonly<Record<string, unknown>> | undefined;
  readonly source: NotificationSource;
  readonly correlationId: string;
  readonly causationId?: string | null | undefined;
  /** While one of the same key is unread and at most ten minutes old, it is told anew and counted, and none is added. */
  readonly groupKey?: string | undefined;
}

/** What a person was told. */
export interface Notification extends NotificationOwner {
  readonly id: string;
  /** Grows with everything that the person is told there, from 1 on: another one when it is told anew. */
  readonly seq: number;
  readonly severity: Severity;
  readonly title: string;
  readonly body: string;
  readonly data: Readonly<Record<string, unknown>> | null;
  readonly source: NotificationSource;
  /** How often it was told. */
  readonly count: number;
  readonly correlationId: string;
  readonly causationId: string | null;
  readonly createdAt: string;
  readonly updatedAt: string;
  readonly readAt: string | null;
}

/** Tells people something. */
export interface Notifier<Trx> {
  /**
   * Part of the transaction: what was told stands in the list of each recipient when that is committed, and goes out on the other
   * channels then, or later by whoever finds it after a crash. Throws `validation_error` for data that is too large, before it
   * has asked the database anything.
   */
  notify(trx: Trx, wanted: NewNotification): Promise<void>;
}

export const MAX_TITLE = 200;
export const MAX_BODY = 2_000;
const MAX_DATA = { maxBytes: 4_096, maxDepth: 16 };
const MAX_KEY = 200;

/** As it is kept: what templates made too long is cut, and the title is one line. Throws `validation_error`. */
export function fitting(wanted: NewNotification): NewNotification {
  const { title, body, data, groupKey } = wanted;
  if (data !== undefined) requireSmall(data, "/data", MAX_DATA);
  return {
    ...wanted,
    title: cut(title.replaceAll(/\p{Cc}+/gu, " ").trim(), MAX_TITLE) || "…",
    body: cut(body.replaceAll(/(?![\n\t])\p{Cc}/gu, " ").trimEnd(), MAX_BODY),
    // One that is cut would group what does not belong together: it is long enough for ids and names.
    groupKey: groupKey !== undefined && groupKey.length > MAX_KEY ? undefined : groupKey,
  };
}

function cut(text: string, maxLength: number): string {
  const whole = text.toWellFormed();
  // Not in the middle of a pair.
  return whole.length <= maxLength ? whole : `${whole.slice(0, maxLength - 1).replace(/[\ud800-\udbff]$/, "")}…`;
}

const Nullable = (type: "string" | "object") => Type.Unsafe<never>({ type: [type, "null"] });

export const NotificationView = Type.Object(
  {
    id: Type.String(),
    seq: Type.Integer({ description: "Grows with everything that you are told; another one when this is told anew" }),
    severity: Type.Enum([...SEVERITIES]),
    title: Type.String(),
    body: Type.String(),
    data: Nullable("object"),
    source: Type.Object({ kind: Type.Enum([...NOTIFICATION_SOURCES]), id: Type.String() }),
    count: Type.Integer({ description: "How often it was told" }),
    correlation_id: Type.String(),
    causation_id: Nullable("string"),
    created_at: Type.String(),
    updated_at: Type.String(),
    read_at: Nullable("string"),
  },
  { title: "Notification" },
);

/** As REST, the stream and the topic show it. */
export function notificationJson(one: Notification): Omit<Static<typeof NotificationView>, "data" | "causation_id" | "read_at"> & object {
  const { id, seq, severity, title, body, data, source, count, correlationId, causationId, createdAt, updatedAt, readAt } = one;
  const told = { id, seq, severity, title, body, data, source, count };
  return {
    ...told,
    correlation_id: correlationId,
    causation_id: causationId,
    created_at: createdAt,
    updated_at: updatedAt,
    read_at: readAt,
  } as Static<typeof NotificationView>;
}

/** On the person's topic. The id is another one when it is told anew, and the same when it comes twice. */
export function notificationEvent(one: Notification): Record<string, unknown> {
  return {
    specversion: "1.0",
    id: `${one.id}.${one.seq}`,
    type: "notification",
    source: "/hexahub",
    subject: one.id,
    time: one.updatedAt,
    datacontenttype: "application/json",
    correlationid: one.correlationId,
    ...(one.causationId === null ? {} : { causationid: one.causationId }),
    data: notificationJson(one),
  };
}
