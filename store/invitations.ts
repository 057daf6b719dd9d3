import { HubError } from "../core/errors.ts";
import { newId, newSecret } from "../core/id.ts";
import { includesAll, NO_PERMISSIONS, permissionSet, type Role, rolePermissions } from "../core/permissions.ts";
import { rolesOf } from "./members.ts";
import type { Db } from "./open.ts";
import { lockOrganization } from "./organizations.ts";
import { type SigningKeys, tokenHash } from "./secrets.ts";
import { isoOf } from "./sql.ts";
import { inTransaction } from "./transaction.ts";
import { emailKey, findUser } from "./users.ts";

export interface Invitation {
  readonly id: string;
  readonly organizationId: string;
  readonly email: string;
  readonly role: Role | null;
  readonly invitedBy: string | null;
  readonly createdAt: string;
  readonly expiresAt: string;
}

export interface NewInvitation {
  readonly organizationId: string;
  readonly email: string;
  readonly role: Role | null;
  readonly invitedBy: string | null;
  readonly ttlMs: number;
}

const PREFIX = "hxi";
/** Of one organisation that nobody has taken yet. */
export const MAX_INVITATIONS = 1_000;

/** Another one for the same address takes its place. The token is shown once and kept as HMAC-SHA-256. Throws `quota_exceeded`. */
export async function createInvitation(
  db: Db,
  keys: SigningKeys,
  { organizationId, email, role, invitedBy, ttlMs }: NewInvitation,
  now: number,
): Promise<Invitation & { token: string }> {
  const invitation = {
    id: newId(),
    organizationId,
    email: emailKey(email),
    role,
    invitedBy,
    createdAt: isoOf(now),
    expiresAt: isoOf(now + ttlMs),
  };
  const token = newSecret(PREFIX);
  const row = {
    id: invitation.id,
    organization_id: organizationId,
    email: invitation.email,
    role,
    token_hash: tokenHash(keys.active("token_hmac"), token),
    invited_by: invitedBy,
    created_at: invitation.createdAt,
    expires_at: invitation.expiresAt,
  };
  await inTransaction(db, async (trx) => {
    await lockOrganization(trx, organizationId);
    await requireRoom(trx, invitation);
    // In one statement: of two invitations at once the later one counts.
    await trx("invitations").insert(row).onConflict(["organization_id", "email"]).merge();
  });
  return { ...invitation, token };
}

/** Those that nobody has taken, oldest first. */
export async function listInvitations(db: Db, organizationId: string, now: number): Promise<Invitation[]> {
  return (await db("invitations")
    .where({ organization_id: organizationId })
    .where("expires_at", ">", isoOf(now))
    .orderBy("id")
    .select(COLUMNS)) as Invitation[];
}

/** False when there was none. */
export async function withdrawInvitation(db: Db, organizationId: string, id: string): Promise<boolean> {
  return (await db("invitations").where({ organization_id: organizationId, id }).del()) > 0;
}

/**
 * Whether somebody may use the token now; undefined for one that is wrong, used, withdrawn or too old, and for one of
 * somebody who may not give that role any more.
 */
export async function findInvitation(db: Db, keys: SigningKeys, token: string, now: number): Promise<Invitation | undefined> {
  const found = (await db("invitations")
    .whereIn("token_hash", hashesOf(keys, token))
    .where("expires_at", ">", isoOf(now))
    .select(COLUMNS)
    .first()) as Invitation | undefined;
  return found && (await isStillGiven(db, found)) ? found : undefined;
}

/** Uses the invitation up, once; undefined where {@link findInvitation} gives none. */
export async function takeInvitation(db: Db, keys: SigningKeys, token: string, now: number): Promise<Invitation | undefined> {
  return await inTransaction(db, async (trx) => {
    const known = await findInvitation(trx, keys, token, now);
    if (!known) return undefined;
    await lockOrganization(trx, known.organizationId);
    // Who gave it may have lost the right, or be gone, while somebody else had the lock.
    const found = await findInvitation(trx, keys, token, now);
    const isTaken = found && (await trx("invitations").where({ id: found.id }).del()) > 0;
    return isTaken ? found : undefined;
  });
}

/** Removes those that nobody took in time. Answers how many. */
export async function purgeInvitations(db: Db, now: number): Promise<number> {
  return await db("invitations").where("expires_at", "<=", isoOf(now)).del();
}

/** The one whose place it takes, and those that are too old, do not count. */
async function requireRoom(trx: Db, { organizationId, email, createdAt }: Invitation): Promise<void> {
  const others = trx("invitations").where({ organization_id: organizationId }).whereNot({ email }).where("expires_at", ">", createdAt);
  const row = (await others.count({ count: "*" }).first()) as { count: number } | undefined;
  if ((row?.count ?? 0) >= MAX_INVITATIONS)
    throw new HubError("quota_exceeded", `${MAX_INVITATIONS} invitations wait already: withdraw some`, {
      details: { invitations: MAX_INVITATIONS },
    });
}

async function isStillGiven(db: Db, { organizationId, invitedBy, role }: Invitation): Promise<boolean> {
  if (invitedBy === null) return true;
  const giver = await findUser(db, invitedBy);
  if (giver?.isActive && giver.role === "admin") return true;
  const own = giver?.isActive ? (await rolesOf(db, invitedBy)).get(organizationId) : undefined;
  if (own === undefined || own === null) return false;
  const needed = permissionSet(["member.manage"]) | (role === null ? NO_PERMISSIONS : rolePermissions(role));
  return includesAll(rolePermissions(own), needed);
}

function hashesOf(keys: SigningKeys, token: string): string[] {
  return token.startsWith(`${PREFIX}_`) ? keys.all("token_hmac").map((key) => tokenHash(key, token)) : [];
}

const COLUMNS = {
  id: "id",
  organizationId: "organization_id",
  email: "email",
  role: "role",
  invitedBy: "invited_by",
  createdAt: "created_at",
  expiresAt: "expires_at",
};
