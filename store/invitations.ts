import { newId, newSecret } from "../core/id.ts";
import type { Role } from "../core/permissions.ts";
import type { Db } from "./open.ts";
import { type SigningKeys, tokenHash } from "./secrets.ts";
import { isoOf, rowsOf } from "./sql.ts";
import { inTransaction } from "./transaction.ts";
import { emailKey } from "./users.ts";

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

/** Another one for the same address takes its place. The token is shown once and kept as HMAC-SHA-256. */
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
  await inTransaction(db, async (trx) => {
    await trx("invitations").where({ organization_id: organizationId, email: invitation.email }).del();
    await trx("invitations").insert({
      id: invitation.id,
      organization_id: organizationId,
      email: invitation.email,
      role,
      token_hash: tokenHash(keys.active("token_hmac"), token),
      invited_by: invitedBy,
      created_at: invitation.createdAt,
      expires_at: invitation.expiresAt,
    });
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

/** Uses the invitation up, once; undefined for a token that is wrong, used, withdrawn or too old. */
export async function takeInvitation(db: Db, keys: SigningKeys, token: string, now: number): Promise<Invitation | undefined> {
  if (!token.startsWith(`${PREFIX}_`)) return undefined;
  const hashes = keys.all("token_hmac").map((key) => tokenHash(key, token));
  const names = Object.entries(COLUMNS).map(([name, column]) => `${column} as "${name}"`);
  const rows = await rowsOf<Invitation>(
    db,
    `delete from invitations where token_hash in (${hashes.map(() => "?").join(", ")}) and expires_at > ? returning ${names.join(", ")}`,
    [...hashes, isoOf(now)],
  );
  return rows[0];
}

/** Removes those that nobody took in time. Answers how many. */
export async function purgeInvitations(db: Db, now: number): Promise<number> {
  return await db("invitations").where("expires_at", "<=", isoOf(now)).del();
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
