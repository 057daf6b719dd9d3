import { includesAll, type Permission, permissionSet, ROLES, rolePermissions } from "../core/permissions.ts";
import { type NotificationSettings, notificationSettingsOf } from "../core/notification-settings.ts";
import type { NewNotification, NotificationOwner } from "../core/notification.ts";
import type { Preferences } from "../core/preferences.ts";
import type { Db } from "./open.ts";
import { idsParameter, isoOf, rowSource, rowsOf, toJson } from "./sql.ts";

export interface Recipient {
  readonly userId: string;
  /** Where mails may go: one that was verified. */
  readonly email: string | undefined;
  readonly settings: NotificationSettings;
}

/** Active members of the organisation who are meant, and may know it, by their ids. */
export async function recipientsOf(
  trx: Db,
  { organizationId, to }: Pick<NewNotification, "organizationId" | "to">,
): Promise<readonly Recipient[]> {
  const needed: Permission = typeof to === "object" && "permission" in to ? to.permission : "automation.read";
  const roles = ROLES.filter((role) => includesAll(rolePermissions(role), permissionSet([needed])));
  const only = typeof to === "object" && "users" in to ? to.users : undefined;
  return await readRecipients(trx, organizationId, { roles, only });
}

/** As {@link recipientsOf}, whatever the role. */
export async function findRecipient(trx: Db, { userId, organizationId }: NotificationOwner): Promise<Recipient | undefined> {
  const [found] = await readRecipients(trx, organizationId, { roles: ROLES, only: [userId] });
  return found;
}

async function readRecipients(
  trx: Db,
  organizationId: string,
  { roles, only }: { readonly roles: readonly string[]; readonly only: readonly string[] | undefined },
): Promise<Recipient[]> {
  const rows = await rowsOf<RecipientRow>(
    trx,
    `select m.user_id, u.email, u.is_email_verified, p.content from memberships m join users u on u.id = m.user_id
     left join user_preferences p on p.user_id = m.user_id and p.organization_id = m.organization_id
     where m.organization_id = ? and u.is_active and m.role in ${idsParameter(trx)}
     ${only === undefined ? "" : `and m.user_id in ${idsParameter(trx)}`} order by m.user_id`,
    [organizationId, toJson(roles), ...(only === undefined ? [] : [toJson(only)])],
  );
  return rows.map(({ user_id, email, is_email_verified, content }) => {
    const preferences = content === null ? {} : (JSON.parse(content) as Partial<Preferences>);
    return {
      userId: user_id,
      email: is_email_verified ? email : undefined,
      settings: notificationSettingsOf(preferences.notification_settings ?? {}),
    };
  });
}

interface RecipientRow {
  user_id: string;
  email: string;
  is_email_verified: boolean | number;
  content: string | null;
}

/** Somebody who reads a stream by a login or a token, in the organisation that they acted in when it began. */
export interface StreamReader extends NotificationOwner {
  readonly credentialId: string;
}

/** Those who would not be let in any more: their login or token has ended or acts elsewhere, they are no member or not active. */
export async function endedReaders(db: Db, readers: readonly StreamReader[], now: number): Promise<StreamReader[]> {
  const rows = await rowsOf<{ user_id: string; organization_id: string; credential_id: string }>(
    db,
    `select r.user_id, r.organization_id, r.credential_id from ${rowSource(db, { user_id: "text", organization_id: "text", credential_id: "text" })}
     where not exists (
       select 1 from memberships m join users u on u.id = m.user_id
       where m.user_id = r.user_id and m.organization_id = r.organization_id and u.is_active and (
         exists (select 1 from logins l where l.id = r.credential_id and l.user_id = m.user_id and l.ended_at is null
           and l.expires_at > ? and coalesce(l.organization_id, u.organization_id) = m.organization_id)
         or exists (select 1 from access_tokens t where t.id = r.credential_id and t.user_id = m.user_id
           and t.organization_id = m.organization_id and t.revoked_at is null and (t.expires_at is null or t.expires_at > ?))))`,
    [
      toJson(
        readers.map(({ userId, organizationId, credentialId }) => ({
          user_id: userId,
          organization_id: organizationId,
          credential_id: credentialId,
        })),
      ),
      isoOf(now),
      isoOf(now),
    ],
  );
  return rows.map(({ user_id, organization_id, credential_id }) => ({
    userId: user_id,
    organizationId: organization_id,
    credentialId: credential_id,
  }));
}
