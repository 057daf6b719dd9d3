import { HubError } from "../core/errors.ts";
import type { Notification, NotificationOwner, NotificationSource, Severity } from "../core/notification.ts";
import type { Db } from "./open.ts";
import { fromJson, idsParameter, isoOf, type Page, pageOf, rowsOf, toJson } from "./sql.ts";

/** How many a person has in an organisation at most: the oldest go. */
export const MAX_NOTIFICATIONS = 1_000;
const KEPT_MS = 30 * 86_400_000;

export interface NotificationFilter {
  readonly limit: number;
  /** Those that were told before this one. */
  readonly before?: number | undefined;
  readonly isUnread?: boolean | undefined;
  readonly severity?: Severity | undefined;
}

/** What was told last comes first. */
export async function listNotifications(db: Db, owner: NotificationOwner, filter: NotificationFilter): Promise<Page<Notification>> {
  const query = own(db, owner)
    .orderBy("seq", "desc")
    .limit(filter.limit + 1);
  if (filter.before !== undefined) query.where("seq", "<", filter.before);
  if (filter.isUnread === true) query.whereNull("read_at");
  if (filter.isUnread === false) query.whereNotNull("read_at");
  if (filter.severity !== undefined) query.where({ severity: filter.severity });
  const rows = (await query) as NotificationRow[];
  return pageOf(rows.map(notificationOf), filter.limit, ({ seq }) => String(seq));
}

export async function countUnread(db: Db, owner: NotificationOwner): Promise<number> {
  const row = (await own(db, owner).whereNull("read_at").count({ count: "*" }).first()) as { count: number } | undefined;
  return row?.count ?? 0;
}

/** Those that were told after this one, as they are now; what was told first comes first. */
export async function notificationsAfter(db: Db, owner: NotificationOwner, seq: number, limit: number): Promise<Notification[]> {
  return ((await own(db, owner).where("seq", ">", seq).orderBy("seq").limit(limit)) as NotificationRow[]).map(notificationOf);
}

/** Of the last one that the person was told; 0 before the first. */
export async function latestSeq(db: Db, { userId, organizationId }: NotificationOwner): Promise<number> {
  const row = (await db("notification_feeds").where({ user_id: userId, organization_id: organizationId }).first("seq")) as
    | { seq: number }
    | undefined;
  return row?.seq ?? 0;
}

/** One that was read before stays as it is. Throws `not_found`. */
export async function markRead(trx: Db, owner: NotificationOwner, id: string, now: number): Promise<Notification> {
  await own(trx, owner)
    .where({ id })
    .whereNull("read_at")
    .update({ read_at: isoOf(now) });
  const row = (await own(trx, owner).where({ id }).first()) as NotificationRow | undefined;
  if (!row) throw new HubError("not_found", "there is no such notification");
  return notificationOf(row);
}

/** Those that were told until `upTo`, that one included. Gives how many were unread. */
export async function markAllRead(trx: Db, owner: NotificationOwner, upTo: number, now: number): Promise<number> {
  return await own(trx, owner)
    .where("seq", "<=", upTo)
    .whereNull("read_at")
    .update({ read_at: isoOf(now) });
}

/** Throws `not_found`. */
export async function removeNotification(trx: Db, owner: NotificationOwner, id: string): Promise<void> {
  if ((await own(trx, owner).where({ id }).del()) === 0) throw new HubError("not_found", "there is no such notification");
}

/** Those of these that are there and unread, in one organisation, whoever was told. */
export async function unreadAmong(db: Db, organizationId: string, ids: readonly string[]): Promise<Notification[]> {
  const rows = await rowsOf<NotificationRow>(
    db,
    `select * from notifications where organization_id = ? and read_at is null and id in ${idsParameter(db)} order by user_id, seq`,
    [organizationId, toJson(ids)],
  );
  return rows.map(notificationOf);
}

/** Removes those of a month ago. Answers how many. */
export async function purgeNotifications(db: Db, now: number): Promise<number> {
  return await db("notifications")
    .where("created_at", "<=", isoOf(now - KEPT_MS))
    .del();
}

export interface NotificationRow {
  id: string;
  user_id: string;
  organization_id: string;
  seq: number;
  severity: Severity;
  title: string;
  body: string;
  data: string | null;
  source_kind: NotificationSource["kind"];
  source_id: string;
  occurrences: number;
  correlation_id: string;
  causation_id: string | null;
  created_at: string;
  updated_at: string;
  read_at: string | null;
}

export const notificationOf = (row: NotificationRow): Notification => ({
  id: row.id,
  userId: row.user_id,
  organizationId: row.organization_id,
  seq: row.seq,
  severity: row.severity,
  title: row.title,
  body: row.body,
  data: row.data === null ? null : (fromJson(row.data) as Record<string, unknown>),
  source: { kind: row.source_kind, id: row.source_id },
  count: row.occurrences,
  correlationId: row.correlation_id,
  causationId: row.causation_id,
  createdAt: row.created_at,
  updatedAt: row.updated_at,
  readAt: row.read_at,
});

function own(db: Db, { userId, organizationId }: NotificationOwner) {
  return db("notifications").where({ user_id: userId, organization_id: organizationId });
}
