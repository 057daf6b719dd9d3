import { HubError } from "../core/errors.ts";
import { newId, newSecret } from "../core/id.ts";
import type { Scope, ServicePrincipal, UserPrincipal } from "../core/principal.ts";
import { isUniqueViolation } from "./database-errors.ts";
import { authenticateUserJwt } from "./logins.ts";
import type { Db } from "./open.ts";
import { type SigningKey, type SigningKeys, tokenHash, withKeys } from "./secrets.ts";
import { isoOf, scoped, storableText } from "./sql.ts";
import { findUser, type User, userPrincipal } from "./users.ts";

const COLUMNS = { organization: "organization_id" };
const PREFIX = { personal: "hxp", service: "hxs" } as const;
/** How exact `lastUsedAt` is: noting every use would be a write for every request. */
const USE_RESOLUTION_MS = 3_600_000;

export interface NewAccessToken {
  readonly kind: "personal" | "service";
  /** A service's name is also its MQTT username. */
  readonly name: string;
  readonly userId?: string | null | undefined;
  readonly organizationId: string;
  readonly expiresAt?: string | null | undefined;
}

/** The token is shown once and kept as HMAC-SHA-256. Throws `conflict` when another service has the name. */
export async function createAccessToken(db: Db, keys: SigningKeys, wanted: NewAccessToken): Promise<{ id: string; token: string }> {
  const id = newId();
  const token = newSecret(PREFIX[wanted.kind]);
  try {
    await db("access_tokens").insert({
      id,
      kind: wanted.kind,
      name: storableText(wanted.name),
      user_id: wanted.userId ?? null,
      organization_id: wanted.organizationId,
      token_hash: tokenHash(keys.active("token_hmac"), token),
      created_at: isoOf(Date.now()),
      expires_at: wanted.expiresAt ?? null,
    });
  } catch (error) {
    if (isUniqueViolation(error)) throw new HubError("conflict", "a service with this name exists already", { cause: error });
    throw error;
  }
  return { id, token };
}

/** A user's JWT, a personal or a service token. undefined for everything else, and for users who are not active. */
export async function authenticateBearer(
  db: Db,
  keys: SigningKeys,
  token: string,
  now: number,
): Promise<UserPrincipal | ServicePrincipal | undefined> {
  if (/^hx[ps]_/.test(token)) return await authenticateToken(db, keys, token, now);
  const login = await authenticateUserJwt(db, keys, token, now);
  return login && userPrincipal(login.user, login.login.id);
}

/** For MQTT: the service's name is the username, its token the password. */
export async function authenticateService(
  db: Db,
  keys: SigningKeys,
  name: string,
  token: string,
  now: number,
): Promise<ServicePrincipal | undefined> {
  if (!token.startsWith(`${PREFIX.service}_`)) return undefined;
  const principal = await authenticateToken(db, keys, token, now);
  return principal?.kind === "service" && principal.name === name ? principal : undefined;
}

export interface AccessToken {
  readonly id: string;
  readonly kind: "personal" | "service";
  readonly name: string;
  readonly userId: string | null;
  readonly organizationId: string;
  readonly createdAt: string;
  readonly expiresAt: string | null;
  readonly revokedAt: string | null;
  readonly lastUsedAt: string | null;
}

/** Oldest first, the revoked ones too; never a secret. */
export async function listAccessTokens(db: Db, scope: Scope): Promise<AccessToken[]> {
  const query = db("access_tokens").orderBy("id").select({
    id: "id",
    kind: "kind",
    name: "name",
    userId: "user_id",
    organizationId: "organization_id",
    createdAt: "created_at",
    expiresAt: "expires_at",
    revokedAt: "revoked_at",
    lastUsedAt: "last_used_at",
  });
  return (await scoped(query, scope, COLUMNS)) as AccessToken[];
}

/** False when there is no such valid token in scope. */
export async function revokeAccessToken(db: Db, scope: Scope, id: string, now: number): Promise<boolean> {
  return (await scoped(db("access_tokens").where({ id }).whereNull("revoked_at"), scope, COLUMNS).update({ revoked_at: isoOf(now) })) > 0;
}

/** The person's own ones that still work. */
export async function countPersonalTokens(db: Db, userId: string, now: number): Promise<number> {
  const row = (await db("access_tokens")
    .where({ user_id: userId, kind: "personal" })
    .whereNull("revoked_at")
    .andWhere((either) => void either.whereNull("expires_at").orWhere("expires_at", ">", isoOf(now)))
    .count({ count: "*" })
    .first()) as { count: number } | undefined;
  return row?.count ?? 0;
}

interface TokenRow {
  id: string;
  kind: "personal" | "service";
  name: string;
  user_id: string | null;
  organization_id: string;
  expires_at: string | null;
  last_used_at: string | null;
}

async function authenticateToken(
  db: Db,
  keys: SigningKeys,
  token: string,
  now: number,
): Promise<UserPrincipal | ServicePrincipal | undefined> {
  const row = await withKeys(keys, "token_hmac", (known) => findToken(db, known, token));
  if (!row || (row.expires_at !== null && Date.parse(row.expires_at) <= now)) return undefined;
  const principal =
    row.kind === "service"
      ? ({ kind: "service", id: row.id, name: row.name, organizationId: row.organization_id, credentialId: row.id } as const)
      : activePrincipal(row.user_id === null ? undefined : await findUser(db, row.user_id), row);
  if (principal && (row.last_used_at === null || Date.parse(row.last_used_at) < now - USE_RESOLUTION_MS))
    await db("access_tokens")
      .where({ id: row.id })
      .update({ last_used_at: isoOf(now) });
  return principal;
}

async function findToken(db: Db, keys: readonly SigningKey[], token: string): Promise<TokenRow | undefined> {
  const hashes = keys.map((key) => tokenHash(key, token));
  return (await db("access_tokens").whereIn("token_hash", hashes).whereNull("revoked_at").first()) as TokenRow | undefined;
}

/** In the organisation that the token was made in. */
function activePrincipal(user: User | undefined, { id, organization_id }: TokenRow): UserPrincipal | undefined {
  return user?.isActive ? userPrincipal({ ...user, organizationId: organization_id }, id) : undefined;
}
