import { createHash } from "node:crypto";
import { HubError } from "../core/errors.ts";
import { newId } from "../core/id.ts";
import type { Role } from "../core/permissions.ts";
import type { Scope, UserPrincipal } from "../core/principal.ts";
import { addMember } from "./members.ts";
import { isUniqueViolation } from "./database-errors.ts";
import type { Db } from "./open.ts";
import { inTransaction } from "./transaction.ts";
import { isoOf, type Page, pageOf, storableText } from "./sql.ts";

export interface User {
  readonly id: string;
  readonly email: string;
  readonly name: string | null;
  readonly role: "admin" | "user";
  readonly organizationId: string;
  readonly isActive: boolean;
  readonly isEmailVerified: boolean;
  readonly createdAt: string;
}

export interface PageOfPeople {
  readonly limit: number;
  readonly after?: string | undefined;
}

export interface NewUser {
  readonly email: string;
  readonly passwordHash: string;
  readonly role: "admin" | "user";
  readonly organizationId: string;
  /** In that organisation. */
  readonly memberRole: Role | null;
  readonly name?: string | null | undefined;
  readonly isEmailVerified?: boolean | undefined;
}

/** E-mails are kept in lower case. Throws `conflict` for one that is taken. */
export async function createUser(db: Db, user: NewUser): Promise<User> {
  const id = newId();
  const email = emailKey(user.email);
  const createdAt = isoOf(Date.now());
  const name = user.name ? storableText(user.name) : "";
  const isEmailVerified = user.isEmailVerified ?? false;
  try {
    await inTransaction(db, async (trx) => {
      await trx("entities").insert({
        id,
        entity_type: "user",
        name,
        organization_id: user.organizationId,
        created_at: createdAt,
        last_updated: createdAt,
        properties: "{}",
      });
      await trx("users").insert({
        id,
        email,
        password_hash: user.passwordHash,
        role: user.role,
        organization_id: user.organizationId,
        is_active: true,
        is_email_verified: isEmailVerified,
        created_at: createdAt,
      });
      await addMember(trx, user.organizationId, id, user.memberRole);
    });
  } catch (error) {
    if (isUniqueViolation(error)) throw new HubError("conflict", "a user with this e-mail address exists already", { cause: error });
    throw error;
  }
  return {
    id,
    email,
    name: name || null,
    role: user.role,
    organizationId: user.organizationId,
    isActive: true,
    isEmailVerified,
    createdAt,
  };
}

export async function findUserWithPassword(db: Db, email: string): Promise<(User & { passwordHash: string }) | undefined> {
  const row = (await userRows(db).where("u.email", emailKey(email)).first()) as UserRow | undefined;
  return row && { ...userOf(row), passwordHash: row.password_hash };
}

export async function findUser(db: Db, id: string): Promise<User | undefined> {
  const row = (await userRows(db).where("u.id", id).first()) as UserRow | undefined;
  return row && userOf(row);
}

export async function userIdOf(db: Db, email: string): Promise<string | undefined> {
  const row: { id: string } | undefined = await db("users")
    .where({ email: emailKey(email) })
    .first("id");
  return row?.id;
}

export async function countUsers(db: Db): Promise<number> {
  const row = (await db("users").count({ count: "*" }).first()) as { count: number } | undefined;
  return row?.count ?? 0;
}

/** Whoever is a member there, oldest account first; of their other organisations nothing is told. */
export async function listUsers(db: Db, scope: Scope, { limit, after }: PageOfPeople): Promise<Page<User>> {
  const query = seenUsers(db, scope)
    .orderBy("u.id")
    .limit(limit + 1);
  if (after !== undefined) query.where("u.id", ">", after);
  const rows = (await query) as UserRow[];
  return pageOf(
    rows.map((row) => seenAs(scope, row)),
    limit,
    ({ id }) => id,
  );
}

/** One of those that {@link listUsers} lists. Throws `not_found`. */
export async function getUser(db: Db, scope: Scope, id: string): Promise<User> {
  const row = (await seenUsers(db, scope).where("u.id", id).first()) as UserRow | undefined;
  if (!row) throw new HubError("not_found", "there is no such person");
  return seenAs(scope, row);
}

/** As it is now, and until the transaction ends; undefined for nobody. */
export async function lockUser(trx: Db, id: string): Promise<User | undefined> {
  await trx("users").where({ id }).forNoKeyUpdate().first("id");
  return await findUser(trx, id);
}

/** Whether somebody may log in by this address. */
export async function isActiveEmail(db: Db, email: string): Promise<boolean> {
  return (
    (await db("users")
      .where({ email: emailKey(email), is_active: true })
      .first("id")) !== undefined
  );
}

/** Those of these users that are not there, or not active. */
export async function inactiveAmong(db: Db, ids: readonly string[]): Promise<string[]> {
  if (ids.length === 0) return [];
  const rows = (await db("users")
    .whereIn("id", [...new Set(ids)])
    .where({ is_active: true })
    .select("id")) as { id: string }[];
  const active = new Set(rows.map(({ id }) => id));
  return [...new Set(ids)].filter((id) => !active.has(id));
}

const BY_PASSWORD = "password:";

/** The credential of whoever shows the password itself: another one with the next password, so that sessions by the old one can be told. */
export function passwordCredentialId({ id, passwordHash }: Pick<User, "id"> & { readonly passwordHash: string }): string {
  return `${BY_PASSWORD}${id}:${createHash("sha256").update(passwordHash).digest("hex").slice(0, 16)}`;
}

/** Those of these credentials that are passwords, and not the person's any more. */
export async function replacedPasswordsAmong(db: Db, credentialIds: readonly string[]): Promise<string[]> {
  const shown = credentialIds.filter((id) => id.startsWith(BY_PASSWORD));
  if (shown.length === 0) return [];
  const userIds = shown.map((id) => id.slice(BY_PASSWORD.length, id.lastIndexOf(":")));
  const rows = (await db("users")
    .whereIn("id", [...new Set(userIds)])
    .select({ id: "id", passwordHash: "password_hash" })) as {
    id: string;
    passwordHash: string;
  }[];
  const present = new Set(rows.map(passwordCredentialId));
  return shown.filter((id) => !present.has(id));
}

/** Of somebody who was let in by the credential. */
export function userPrincipal({ id, email, role, organizationId }: User, credentialId: string): UserPrincipal {
  return { kind: "user", id, email, role, organizationId, credentialId };
}

export interface UserRow {
  id: string;
  email: string;
  name: string;
  password_hash: string;
  role: "admin" | "user";
  organization_id: string;
  is_active: boolean | number;
  is_email_verified: boolean | number;
  created_at: string;
}

function seenUsers(db: Db, scope: Scope) {
  const query = userRows(db);
  if (scope.kind !== "platform") {
    const members = db("memberships as m").where("m.organization_id", scope.organizationId).select("m.user_id");
    query.whereIn("u.id", scope.kind === "organization" ? members : []);
  }
  return query;
}

const seenAs = (scope: Scope, row: UserRow): User =>
  userOf(scope.kind === "platform" ? row : { ...row, organization_id: scope.organizationId });

/** With their names; more can be joined. */
export function userRows(db: Db) {
  return db("users as u").join("entities as e", "e.id", "u.id").select("u.*", "e.name");
}

export function userOf(row: UserRow): User {
  return {
    id: row.id,
    email: row.email,
    name: row.name || null,
    role: row.role,
    organizationId: row.organization_id,
    isActive: Boolean(row.is_active),
    isEmailVerified: Boolean(row.is_email_verified),
    createdAt: row.created_at,
  };
}

/** E-mail addresses are told apart by this. */
export function emailKey(email: string): string {
  return storableText(email).trim().toLowerCase();
}
