import { HubError } from "../core/errors.ts";
import { newId, newSecret } from "../core/id.ts";
import type { Permission } from "../core/permissions.ts";
import type { Scope, ServicePrincipal, ServicePurpose, TokenScope, UserPrincipal } from "../core/principal.ts";
import { isUniqueViolation } from "./database-errors.ts";
import { authenticateUserJwt } from "./logins.ts";
import { authenticateLink } from "./oauth-links.ts";
import type { Db } from "./open.ts";
import { type SigningKey, type SigningKeys, tokenHash, withKeys } from "./secrets.ts";
import { fromJson, isoOf, type Page, pageOf, scoped, storableText, toJson } from "./sql.ts";
import { inTransaction } from "./transaction.ts";
import { findUser, type User, userPrincipal } from "./users.ts";

const COLUMNS = { organization: "organization_id" };
const PREFIX = { personal: "hxp", service: "hxs" } as const;
/** How exact `lastUsedAt` is: noting every use would be a write for every request. */
const USE_RESOLUTION_MS = 3_600_000;
/** Those that have ended are kept so long, for whoever asks what happened. */
const KEPT_MS = 30 * 86_400_000;

/** Valid ones at a time, of one person. */
export const MAX_PERSONAL_TOKENS = 100;
/** Valid ones at a time, of one organisation. */
export const MAX_SERVICES = 1_000;

export interface NewAccessToken extends TokenScope {
  readonly kind: "personal" | "service";
  /** A service's name is also its MQTT username. */
  readonly name: string;
  /** Of a service. */
  readonly purpose?: ServicePurpose | undefined;
  readonly userId?: string | null | undefined;
  /** The person who makes it. */
  readonly createdBy?: string | null | undefined;
  readonly organizationId: string;
  readonly expiresAt?: string | null | undefined;
}

/**
 * The token is shown once and kept as HMAC-SHA-256. Throws `conflict` when another service has the name, and
 * `quota_exceeded` when there are as many as there may be.
 */
export async function createAccessToken(db: Db, keys: SigningKeys, wanted: NewAccessToken): Promise<{ id: string; token: string }> {
  const id = newId();
  const token = newSecret(PREFIX[wanted.kind]);
  const { permissions, deviceIds } = wanted;
  const now = Date.now();
  try {
    await inTransaction(db, async (trx) => {
      await requireRoom(trx, wanted, now);
      await trx("access_tokens").insert({
        id,
        kind: wanted.kind,
        name: storableText(wanted.name),
        purpose: wanted.purpose ?? null,
        user_id: wanted.userId ?? null,
        created_by: wanted.createdBy ?? wanted.userId ?? null,
        organization_id: wanted.organizationId,
        token_hash: tokenHash(keys.active("token_hmac"), token),
        permissions: permissions === undefined ? null : toJson(permissions),
        device_ids: deviceIds === undefined ? null : toJson(deviceIds),
        created_at: isoOf(now),
        expires_at: wanted.expiresAt ?? null,
      });
    });
  } catch (error) {
    if (isUniqueViolation(error)) throw new HubError("conflict", "a service with this name exists already", { cause: error });
    throw error;
  }
  return { id, token };
}

/** A user's JWT, a personal or a service token, or that of a program that somebody linked their account with. undefined for everything else, and for users who are not active. */
export async function authenticateBearer(
  db: Db,
  keys: SigningKeys,
  token: string,
  now: number,
): Promise<UserPrincipal | ServicePrincipal | undefined> {
  if (/^hx[ps]_/.test(token)) return await authenticateToken(db, keys, token, now);
  if (token.startsWith("hxl_")) return await authenticateLink(db, keys, token, now);
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

export interface AccessToken extends TokenScope {
  readonly id: string;
  readonly kind: "personal" | "service";
  readonly name: string;
  readonly purpose: ServicePurpose | null;
  readonly userId: string | null;
  readonly organizationId: string;
  readonly createdAt: string;
  readonly expiresAt: string | null;
  readonly revokedAt: string | null;
  readonly lastUsedAt: string | null;
}

export interface AccessTokenFilter {
  /** Of this person alone. */
  readonly userId?: string | undefined;
  readonly limit: number;
  readonly after?: string | undefined;
}

/** Oldest first, those that ended lately too; never a secret. */
export async function listAccessTokens(db: Db, scope: Scope, { userId, limit, after }: AccessTokenFilter): Promise<Page<AccessToken>> {
  const query = accessTokens(db, scope, userId)
    .orderBy("id")
    .limit(limit + 1);
  if (after !== undefined) query.where("id", ">", after);
  const rows = (await query) as AccessTokenRow[];
  return pageOf(rows.map(accessTokenOf), limit, ({ id }) => id);
}

/** `userId`: only when it is this person's. */
export async function findAccessToken(
  db: Db,
  scope: Scope,
  { id, userId }: { readonly id: string; readonly userId?: string | undefined },
): Promise<AccessToken | undefined> {
  const row = (await accessTokens(db, scope, userId).where({ id }).first()) as AccessTokenRow | undefined;
  return row && accessTokenOf(row);
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

/** Removes those that ended a month ago. Answers how many. */
export async function purgeAccessTokens(db: Db, now: number): Promise<number> {
  const last = isoOf(now - KEPT_MS);
  return await db("access_tokens").where("expires_at", "<=", last).orWhere("revoked_at", "<=", last).del();
}

interface TokenRow {
  id: string;
  kind: "personal" | "service";
  name: string;
  purpose: ServicePurpose | null;
  user_id: string | null;
  organization_id: string;
  permissions: unknown;
  device_ids: unknown;
  expires_at: string | null;
  last_used_at: string | null;
}

type AccessTokenRow = Omit<AccessToken, keyof TokenScope> & Pick<TokenRow, "permissions" | "device_ids">;

function accessTokens(db: Db, scope: Scope, userId: string | undefined) {
  const query = db("access_tokens").select({
    id: "id",
    kind: "kind",
    name: "name",
    purpose: "purpose",
    userId: "user_id",
    organizationId: "organization_id",
    permissions: "permissions",
    device_ids: "device_ids",
    createdAt: "created_at",
    expiresAt: "expires_at",
    revokedAt: "revoked_at",
    lastUsedAt: "last_used_at",
  });
  if (userId !== undefined) query.where({ user_id: userId });
  return scoped(query, scope, COLUMNS);
}

function accessTokenOf({ permissions, device_ids, ...row }: AccessTokenRow): AccessToken {
  return { ...row, ...tokenScope({ permissions, device_ids }) };
}

/** Absent is what the token is not limited by. */
function tokenScope({ permissions, device_ids }: Pick<TokenRow, "permissions" | "device_ids">): TokenScope | undefined {
  if (permissions === null && device_ids === null) return undefined;
  return {
    ...(permissions === null ? {} : { permissions: fromJson(permissions) as Permission[] }),
    ...(device_ids === null ? {} : { deviceIds: fromJson(device_ids) as string[] }),
  };
}

/** Of two at once the second one waits for the first, and counts it. Throws `quota_exceeded`. */
async function requireRoom(trx: Db, { kind, userId, organizationId }: NewAccessToken, now: number): Promise<void> {
  const isPersonal = kind === "personal";
  const owner = isPersonal ? { id: userId ?? null } : { id: organizationId };
  await trx(isPersonal ? "users" : "organizations")
    .where(owner)
    .forNoKeyUpdate()
    .first("id");
  const valid = trx("access_tokens")
    .where({ kind, [isPersonal ? "user_id" : "organization_id"]: owner.id })
    .whereNull("revoked_at")
    .andWhere((either) => void either.whereNull("expires_at").orWhere("expires_at", ">", isoOf(now)));
  const row = (await valid.count({ count: "*" }).first()) as { count: number | string } | undefined;
  const most = isPersonal ? MAX_PERSONAL_TOKENS : MAX_SERVICES;
  if (Number(row?.count ?? 0) < most) return;
  throw new HubError(
    "quota_exceeded",
    isPersonal
      ? `you have ${most} valid tokens: revoke one first`
      : `the organisation has ${most} valid accounts of machines: revoke one first`,
  );
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
      ? servicePrincipal(row)
      : activePrincipal(row.user_id === null ? undefined : await findUser(db, row.user_id), row);
  if (principal && (row.last_used_at === null || Date.parse(row.last_used_at) < now - USE_RESOLUTION_MS))
    await db("access_tokens")
      .where({ id: row.id })
      .update({ last_used_at: isoOf(now) });
  return principal;
}

/** Of a token that would be right if it were not too old. */
export async function isExpiredToken(db: Db, keys: SigningKeys, token: string, now: number): Promise<boolean> {
  const row = await withKeys(keys, "token_hmac", (known) => findToken(db, known, token));
  return row !== undefined && row.expires_at !== null && Date.parse(row.expires_at) <= now;
}

async function findToken(db: Db, keys: readonly SigningKey[], token: string): Promise<TokenRow | undefined> {
  const hashes = keys.map((key) => tokenHash(key, token));
  return (await db("access_tokens").whereIn("token_hash", hashes).whereNull("revoked_at").first()) as TokenRow | undefined;
}

function servicePrincipal(row: TokenRow): ServicePrincipal {
  const { id, name, purpose, organization_id: organizationId } = row;
  return { kind: "service", id, name, organizationId, credentialId: id, ...(purpose === null ? {} : { purpose }), ...limitedBy(row) };
}

/** In the organisation that the token was made in. */
function activePrincipal(user: User | undefined, row: TokenRow): UserPrincipal | undefined {
  return user?.isActive ? { ...userPrincipal({ ...user, organizationId: row.organization_id }, row.id), ...limitedBy(row) } : undefined;
}

function limitedBy(row: TokenRow): Pick<UserPrincipal, "tokenScope"> {
  const limits = tokenScope(row);
  return limits === undefined ? {} : { tokenScope: limits };
}
