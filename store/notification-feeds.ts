import { newId } from "../core/id.ts";
import { isGraver, type NewNotification, type Notification, type Severity } from "../core/notification.ts";
import { MAX_NOTIFICATIONS, notificationOf, type NotificationRow } from "./notifications.ts";
import type { Db } from "./open.ts";
import { engineOf, idsParameter, isoOf, rowSource, rowsOf, toJson } from "./sql.ts";

/** One that stands in somebody's list now. */
export interface Told {
  readonly notification: Notification;
  /** When the person's waiting mails are to be written, in ms since 1970; undefined when none waits. */
  readonly mailDueAt: number | undefined;
  /** It is new, or graver than it was when it was told before. */
  readonly isNews: boolean;
}

const GROUPED_MS = 600_000;

/** Puts it into the lists of these people, those of them who are still members. Until the transaction ends nobody else tells them anything. */
export async function putNotifications(trx: Db, wanted: NewNotification, userIds: readonly string[], now: number): Promise<Told[]> {
  const feeds = await advanceFeeds(trx, wanted.organizationId, userIds);
  const former = await groupedWith(trx, wanted, [...feeds.keys()], now);
  const again = await tellAgain(trx, wanted, { feeds, former, now });
  const fresh = await insertNew(trx, wanted, { feeds, now, userIds: [...feeds.keys()].filter((userId) => !former.has(userId)) });
  for (const [userId, { seq }] of feeds) if (seq > MAX_NOTIFICATIONS) await removeOldest(trx, wanted.organizationId, userId);
  const told = (notification: Notification, isNews: boolean): Told => ({
    notification,
    mailDueAt: feeds.get(notification.userId)?.mailDueAt,
    isNews,
  });
  return [
    ...again.map((one) => told(one, isGraver(one.severity, former.get(one.userId)?.severity ?? one.severity))),
    ...fresh.map((one) => told(one, true)),
  ].toSorted((a, b) => (a.notification.userId < b.notification.userId ? -1 : 1));
}

interface Feed {
  readonly seq: number;
  readonly mailDueAt: number | undefined;
}

async function advanceFeeds(trx: Db, organizationId: string, userIds: readonly string[]): Promise<ReadonlyMap<string, Feed>> {
  // A member who is being removed is waited for, and is none then. In their order two that tell the same people do not wait for each other in a ring.
  const lock = engineOf(trx) === "postgres" ? "for key share of m" : "";
  const rows = await rowsOf<{ user_id: string; seq: number; mail_due_at: string | null }>(
    trx,
    `insert into notification_feeds (user_id, organization_id, seq)
     select m.user_id, m.organization_id, 1 from memberships m
     where m.organization_id = ? and m.user_id in ${idsParameter(trx)} order by m.user_id ${lock}
     on conflict (user_id, organization_id) do update set seq = notification_feeds.seq + 1 returning user_id, seq, mail_due_at`,
    [organizationId, toJson(userIds)],
  );
  return new Map(
    rows.map(({ user_id, seq, mail_due_at }) => [user_id, { seq, mailDueAt: mail_due_at === null ? undefined : Date.parse(mail_due_at) }]),
  );
}

type Former = ReadonlyMap<string, { readonly id: string; readonly severity: Severity }>;

/** By user. Nobody marks one of them as read until the transaction ends. */
async function groupedWith(
  trx: Db,
  { organizationId, groupKey }: NewNotification,
  userIds: readonly string[],
  now: number,
): Promise<Former> {
  if (groupKey === undefined) return new Map();
  const rows = await rowsOf<{ id: string; user_id: string; severity: Severity }>(
    trx,
    `select id, user_id, severity from notifications where organization_id = ? and group_key = ? and user_id in ${idsParameter(trx)}
     and read_at is null and created_at > ? order by seq ${engineOf(trx) === "postgres" ? "for update" : ""}`,
    [organizationId, groupKey, toJson(userIds), isoOf(now - GROUPED_MS)],
  );
  return new Map(rows.map(({ user_id, ...row }) => [user_id, row]));
}

async function tellAgain(
  trx: Db,
  wanted: NewNotification,
  { feeds, former, now }: { readonly feeds: ReadonlyMap<string, Feed>; readonly former: Former; readonly now: number },
): Promise<Notification[]> {
  if (former.size === 0) return [];
  const rows = [...former].map(([userId, { id }]) => ({ new_id: id, new_seq: feeds.get(userId)?.seq }));
  const { severity, title, body, source, correlationId, causationId } = wanted;
  const told = await rowsOf<NotificationRow>(
    trx,
    `update notifications set seq = r.new_seq, severity = ?, title = ?, body = ?, data = ?, source_kind = ?, source_id = ?,
       correlation_id = ?, causation_id = ?, updated_at = ?, occurrences = occurrences + 1
     from ${rowSource(trx, { new_id: "text", new_seq: "int" })} where notifications.id = r.new_id returning ${RETURNED}`,
    [severity, title, body, dataOf(wanted), source.kind, source.id, correlationId, causationId ?? null, isoOf(now), toJson(rows)],
  );
  return told.map(notificationOf);
}

async function insertNew(
  trx: Db,
  wanted: NewNotification,
  { feeds, userIds, now }: { readonly feeds: ReadonlyMap<string, Feed>; readonly userIds: readonly string[]; readonly now: number },
): Promise<Notification[]> {
  if (userIds.length === 0) return [];
  const rows = userIds.map((userId) => ({ id: newId(), user_id: userId, seq: feeds.get(userId)?.seq }));
  const { organizationId, severity, title, body, source, correlationId, causationId, groupKey } = wanted;
  const at = isoOf(now);
  const shared = {
    organization_id: organizationId,
    severity,
    title,
    body,
    data: dataOf(wanted),
    source_kind: source.kind,
    source_id: source.id,
    occurrences: 1,
    correlation_id: correlationId,
    causation_id: causationId ?? null,
    group_key: groupKey ?? null,
    created_at: at,
    updated_at: at,
  };
  const names = Object.keys(COLUMNS).join(", ");
  const told = await rowsOf<NotificationRow>(
    trx,
    `insert into notifications (${names}) select ${names} from ${rowSource(trx, COLUMNS)} where true returning ${RETURNED}`,
    [toJson(rows.map((row) => ({ ...row, ...shared })))],
  );
  return told.map(notificationOf);
}

const COLUMNS = {
  id: "text",
  user_id: "text",
  organization_id: "text",
  seq: "int",
  severity: "text",
  title: "text",
  body: "text",
  data: "text",
  source_kind: "text",
  source_id: "text",
  occurrences: "int",
  correlation_id: "text",
  causation_id: "text",
  group_key: "text",
  created_at: "time",
  updated_at: "time",
} as const;
const RETURNED = [...Object.keys(COLUMNS).filter((name) => name !== "group_key"), "read_at"].join(", ");

const dataOf = ({ data }: NewNotification): string | null => (data === undefined ? null : toJson(data));

async function removeOldest(trx: Db, organizationId: string, userId: string): Promise<void> {
  await rowsOf(
    trx,
    `delete from notifications where user_id = ? and organization_id = ? and seq <= (
       select seq from notifications where user_id = ? and organization_id = ? order by seq desc limit 1 offset ?)`,
    [userId, organizationId, userId, organizationId, MAX_NOTIFICATIONS],
  );
}
