import { HubError } from "../core/errors.ts";
import { isUniqueViolation } from "./database-errors.ts";
import { dropEmailTokens } from "./email-tokens.ts";
import type { Db } from "./open.ts";
import { lockOrganizations } from "./organizations.ts";
import { isoOf, rowsOf, storableText } from "./sql.ts";
import { inTransaction } from "./transaction.ts";
import { emailKey, findUser, type User } from "./users.ts";

/**
 * Whether the password that was right a moment ago still is, and the person active. Asked in the transaction that lets
 * somebody in by it: a reset that ends all logins ends that one too, or comes first and is seen here.
 */
export async function isStillRight(trx: Db, id: string, passwordHash: string): Promise<boolean> {
  const row = (await trx("users").where({ id }).forShare().first("password_hash", "is_active")) as
    | { password_hash: string; is_active: boolean | number }
    | undefined;
  return row?.password_hash === passwordHash && Boolean(row.is_active);
}

/** False when there is no such active user, or when the password is another one than `instead` by now. */
export async function setPassword(db: Db, id: string, passwordHash: string, instead?: string): Promise<boolean> {
  const query = db("users").where({ id, is_active: true });
  if (instead !== undefined) query.where({ password_hash: instead });
  return (await query.update({ password_hash: passwordHash })) > 0;
}

/** The person reads what is sent to the address. False when it is not theirs any more. */
export async function markEmailVerified(db: Db, id: string, email: string): Promise<boolean> {
  return (await db("users").where({ id, email, is_active: true }).update({ is_email_verified: true })) > 0;
}

/** To one that was verified. Gives the address before it, undefined for no active user. Throws `conflict` when somebody else has it. */
export async function changeEmail(trx: Db, id: string, email: string): Promise<string | undefined> {
  const row: { email: string } | undefined = await trx("users").where({ id, is_active: true }).forUpdate().first("email");
  if (!row) return undefined;
  try {
    await trx("users")
      .where({ id })
      .update({ email: emailKey(email), is_email_verified: true });
  } catch (error) {
    if (isUniqueViolation(error)) throw new HubError("conflict", "somebody else has this address by now", { cause: error });
    throw error;
  }
  return row.email;
}

export async function renameUser(db: Db, id: string, name: string | null): Promise<void> {
  await db("entities")
    .where({ id, entity_type: "user" })
    .update({ name: name === null ? "" : storableText(name), last_updated: isoOf(Date.now()) });
}

export interface UserChange {
  readonly isActive?: boolean | undefined;
  readonly role?: User["role"] | undefined;
}

/** By an administrator of the hub. What was mailed to somebody who is not active is worth nothing. Throws `not_found`, and `conflict` when nobody would administer the hub any more. */
export async function changeUser(db: Db, id: string, change: UserChange): Promise<{ readonly before: User; readonly after: User }> {
  return await inTransaction(db, async (trx) => {
    if (change.isActive === false) await forgetMails(trx, id);
    const others = await lockOtherAdministrators(trx, id);
    const before = await findUser(trx, id);
    if (!before) throw new HubError("not_found", "there is no such person");
    const after = { ...before, isActive: change.isActive ?? before.isActive, role: change.role ?? before.role };
    if (isAdministrator(before) && !isAdministrator(after) && others === 0) throw lastAdministrator();
    await trx("users").where({ id }).update({ is_active: after.isActive, role: after.role });
    return { before, after };
  });
}

/**
 * The person and everything that is theirs alone: logins, tokens, rights, and organisations in which nobody and nothing else
 * is. Throws `conflict` when nobody would own an organisation with people, devices, places, projects or machines in it, or administer the hub.
 */
export async function removeUser(db: Db, id: string, now: number): Promise<void> {
  await inTransaction(db, async (trx) => {
    // The organisations, the mails, the person, what is theirs: whoever changes two of them takes them in this order.
    const locked = await organizationsOf(trx, id);
    await lockOrganizations(trx, locked);
    await forgetMails(trx, id);
    const others = await lockOtherAdministrators(trx, id);
    // From here on nothing new refers to the person.
    await trx("users").where({ id }).forUpdate().first("id");
    const user = await findUser(trx, id);
    if (!user) throw new HubError("not_found", "there is no such person");
    if ((await organizationsOf(trx, id)).some((one) => !locked.includes(one)))
      throw new HubError("conflict", "you came to another organisation at the same time: ask again");
    if (isAdministrator(user) && others === 0) throw lastAdministrator();
    const orphans = await ownedAlone(trx, id);
    for (const organizationId of orphans) await requireEmpty(trx, organizationId, id, now);
    // They would outlive whoever answers for them.
    await trx("invitations").where({ invited_by: id }).del();
    await trx("entities").where({ id, entity_type: "user" }).del();
    for (const organizationId of orphans) await removeEmptyOrganization(trx, organizationId);
  });
}

/** In which the person is, or has invited somebody to. */
async function organizationsOf(db: Db, id: string): Promise<string[]> {
  const sql =
    "select organization_id from memberships where user_id = ? union select organization_id from invitations where invited_by = ?";
  return (await rowsOf<{ organization_id: string }>(db, sql, [id, id])).map((row) => row.organization_id);
}

async function forgetMails(trx: Db, id: string): Promise<void> {
  const user = await findUser(trx, id);
  if (user) await dropEmailTokens(trx, user);
}

const isAdministrator = ({ role, isActive }: Pick<User, "role" | "isActive">): boolean => role === "admin" && isActive;

const lastAdministrator = (): HubError => new HubError("conflict", "the hub has at least one active administrator: make somebody else one");

/** How many there are beside this user. Of two that step down at once the second one stays. */
async function lockOtherAdministrators(trx: Db, id: string): Promise<number> {
  const rows = (await trx("users")
    .where({ role: "admin" })
    .orWhere({ id })
    .orderBy("id")
    .forNoKeyUpdate()
    .select({ id: "id", role: "role", isActive: "is_active" })) as { id: string; role: User["role"]; isActive: boolean | number }[];
  return rows.filter((row) => row.id !== id && row.role === "admin" && Boolean(row.isActive)).length;
}

/** The organisations that have no other owner. Until the transaction is over nobody and nothing comes into one of them. */
async function ownedAlone(trx: Db, userId: string): Promise<string[]> {
  const owned = trx("memberships").where({ user_id: userId, role: "owner" }).select("organization_id");
  const rows = (await trx("organizations").whereIn("id", owned).orderBy("id").forUpdate().select("id")) as { id: string }[];
  const ids = rows.map((row) => row.id);
  const owners = (await trx("memberships")
    .whereIn("organization_id", ids)
    .where({ role: "owner" })
    .orderBy(["organization_id", "user_id"])
    .forUpdate()
    .select("organization_id", "user_id")) as { organization_id: string; user_id: string }[];
  return ids.filter((one) => !owners.some((row) => row.organization_id === one && row.user_id !== userId));
}

async function requireEmpty(trx: Db, organizationId: string, userId: string, now: number): Promise<void> {
  const found = await rowsOf(
    trx,
    `select 1 from memberships where organization_id = ? and user_id <> ?
     union all select 1 from entities where organization_id = ? and entity_type <> 'user'
     union all select 1 from access_tokens where organization_id = ? and kind = 'service' and revoked_at is null
       and (expires_at is null or expires_at > ?)
     limit 1`,
    [organizationId, userId, organizationId, organizationId, isoOf(now)],
  );
  if (found.length > 0)
    throw new HubError("conflict", "you are the only owner of an organisation that is in use: make somebody else an owner first", {
      details: { organization_id: organizationId },
    });
}

/** It stays where something still names it, and the hub's first one stays in any case. */
async function removeEmptyOrganization(trx: Db, id: string): Promise<void> {
  await rowsOf(
    trx,
    `delete from entities where id = ? and entity_type = 'organization'
     and not exists (select 1 from entities other where other.organization_id = entities.id)
     and not exists (select 1 from users where users.organization_id = entities.id)
     and id <> (select min(id) from organizations)`,
    [id],
  );
}
