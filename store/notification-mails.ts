import type { Notification, NotificationOwner } from "../core/notification.ts";
import { notificationOf, type NotificationRow } from "./notifications.ts";
import type { Db } from "./open.ts";
import { idsParameter, isoOf, rowsOf, toJson } from "./sql.ts";
import { emailKey } from "./users.ts";

/** How many notifications were written into mails to each of these people since then; by user. */
export async function mailedSince(
  trx: Db,
  organizationId: string,
  userIds: readonly string[],
  since: number,
): Promise<ReadonlyMap<string, { readonly all: number; readonly critical: number }>> {
  const rows = await rowsOf<{ user_id: string; count: number; critical: number }>(
    trx,
    `select user_id, count(*) as count, count(case severity when 'critical' then 1 end) as critical from notifications
     where organization_id = ? and user_id in ${idsParameter(trx)} and mailed_at > ? group by user_id`,
    [organizationId, toJson(userIds), isoOf(since)],
  );
  return new Map(rows.map(({ user_id, count, critical }) => [user_id, { all: count, critical }]));
}

/** They stand in a mail. */
export async function noteMailed(trx: Db, organizationId: string, ids: readonly string[], now: number): Promise<void> {
  const values = { mail_state: "written", mailed_at: isoOf(now) };
  await among(trx, organizationId, ids).update(values);
}

/** They are to be written into a mail together with others. */
export async function noteWaiting(trx: Db, organizationId: string, ids: readonly string[]): Promise<void> {
  await among(trx, organizationId, ids).update({ mail_state: "waiting" });
}

/** Those that wait for a mail and are still unread, oldest first; the others wait no more. Until the transaction ends nobody tells the person anything. */
export async function takeWaiting(trx: Db, { userId, organizationId }: NotificationOwner): Promise<Notification[]> {
  const owner = { user_id: userId, organization_id: organizationId };
  await trx("notification_feeds").where(owner).forUpdate().first("seq");
  const waiting = trx("notifications").where({ ...owner, mail_state: "waiting" });
  await waiting.clone().whereNotNull("read_at").update({ mail_state: null, mailed_at: null });
  return ((await waiting.orderBy("seq")) as NotificationRow[]).map(notificationOf);
}

/** None of these is mailed. */
export async function forgetWaiting(trx: Db, organizationId: string, ids: readonly string[]): Promise<void> {
  await among(trx, organizationId, ids).update({ mail_state: null, mailed_at: null });
}

/** When those that wait are looked at; undefined when none waits. */
export async function setMailDue(trx: Db, { userId, organizationId }: NotificationOwner, dueAt: number | undefined): Promise<void> {
  await trx("notification_feeds")
    .where({ user_id: userId, organization_id: organizationId })
    .update({ mail_due_at: dueAt === undefined ? null : isoOf(dueAt) });
}

/** Those of these that a mail to the address may tell of: unread, of an active member whose address it is, and was verified. Graver and newer ones first. */
export async function mailable(
  db: Db,
  { userId, organizationId, ids }: NotificationOwner & { readonly ids: readonly string[] },
  recipient: string,
): Promise<Notification[]> {
  // A membership that has ended has taken the rows with it.
  const rows = await rowsOf<NotificationRow>(
    db,
    `select n.* from notifications n join users u on u.id = n.user_id
     where n.user_id = ? and n.organization_id = ? and n.read_at is null and n.id in ${idsParameter(db)}
     and u.is_active and u.is_email_verified and u.email = ?
     order by case n.severity when 'critical' then 0 when 'warning' then 1 else 2 end, n.seq desc`,
    [userId, organizationId, toJson(ids), emailKey(recipient)],
  );
  return rows.map(notificationOf);
}

function among(trx: Db, organizationId: string, ids: readonly string[]) {
  return trx("notifications")
    .where({ organization_id: organizationId })
    .whereRaw(`id in ${idsParameter(trx)}`, [toJson(ids)]);
}
