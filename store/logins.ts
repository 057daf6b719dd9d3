import { createHmac } from "node:crypto";
import jwt from "jsonwebtoken";
import { newId, newSecret } from "../core/id.ts";
import { keyObjectOf, verifyJwt } from "./credentials.ts";
import type { Db } from "./open.ts";
import { type SigningKey, type SigningKeys, tokenHash } from "./secrets.ts";
import { isoOf, placesFor, rowsOf, storableText } from "./sql.ts";
import { inTransaction } from "./transaction.ts";
import { type User, userOf, type UserRow, userRows } from "./users.ts";

/** What a person holds after logging in: one login is a family of refresh tokens, of which the last one counts. */
export interface Login {
  readonly id: string;
  readonly userId: string;
  /** The one that the person acts in; null for that of the user. */
  readonly organizationId: string | null;
  /** The program that the account is linked with by it; null where the person came themselves. */
  readonly clientId: string | null;
  /** What the program may, as OAuth writes it. */
  readonly scopes: string | null;
  readonly address: string | null;
  readonly userAgent: string | null;
  readonly ttlMs: number;
  readonly createdAt: string;
  readonly lastUsedAt: string;
  readonly expiresAt: string;
}

export interface NewLogin {
  readonly userId: string;
  /** How long it lives without being used. */
  readonly ttlMs: number;
  readonly address?: string | undefined;
  readonly userAgent?: string | undefined;
}

/** A login that goes on. */
export interface LoginTokens {
  readonly id: string;
  readonly ttlMs: number;
  /** Shown once, kept as HMAC-SHA-256. */
  readonly refreshToken: string;
}

/**
 * `reused`: somebody else has the token too, and the login has ended for both. `refused`: never given out, expired, or of a
 * login that has ended, or whose user is not active.
 */
export type Refreshed =
  | ({ readonly kind: "refreshed"; readonly user: User } & LoginTokens)
  | { readonly kind: "reused"; readonly id: string; readonly organizationId: string }
  | { readonly kind: "refused" };

const PREFIX = "hxr";
/** So long a token that was just replaced gives its successor again: to whoever lost the answer, or asked twice at once. */
const GRACE_MS = 10_000;
/** Ended logins are kept so long, for whoever asks what happened. */
const KEPT_MS = 30 * 86_400_000;
const MAX_AGENT = 256;
/** Of one person at a time: a program that logs in for every call must not fill the table. */
export const MAX_LOGINS = 100;

/** For a program, which keeps its tokens itself. */
export async function openLogin(db: Db, keys: SigningKeys, wanted: NewLogin, now: number): Promise<LoginTokens> {
  const refreshToken = newSecret(PREFIX);
  return await inTransaction(db, async (trx) => {
    const id = await openCookieLogin(trx, wanted, now);
    await insertToken(trx, tokenHash(keys.active("token_hmac"), refreshToken), id, now);
    return { id, ttlMs: wanted.ttlMs, refreshToken };
  });
}

/** For a browser, whose cookie is renewed while it is used. Returns the login's id. */
export async function openCookieLogin(db: Db, wanted: NewLogin, now: number): Promise<string> {
  const id = newId();
  await db("logins").insert(loginRow(wanted, id, now));
  return id;
}

export function loginRow(wanted: NewLogin, id: string, now: number) {
  return {
    id,
    user_id: wanted.userId,
    address: wanted.address ?? null,
    user_agent: wanted.userAgent === undefined ? null : storableText(wanted.userAgent).slice(0, MAX_AGENT),
    created_at: isoOf(now),
    ttl_ms: wanted.ttlMs,
    last_used_at: isoOf(now),
    expires_at: isoOf(now + wanted.ttlMs),
  };
}

/**
 * Replaces the token by its successor, once: whoever comes with it again within 10 s gets the same successor, as long as
 * that one was not used; after that the login ends. The caller's transaction must commit whatever comes out.
 */
export async function refreshLogin(db: Db, keys: SigningKeys, token: string, now: number): Promise<Refreshed> {
  if (!token.startsWith(`${PREFIX}_`)) return { kind: "refused" };
  const known = keys.all("token_hmac").map((key) => ({ key, hash: tokenHash(key, token) }));
  return await inTransaction(db, async (trx) => {
    const hashes = known.map(({ hash }) => hash);
    // The login before its tokens, as when it is removed with its person.
    const theirs = trx("refresh_tokens").whereIn("token_hash", hashes).select("login_id");
    await trx("logins").whereIn("id", theirs).forNoKeyUpdate().select("id");
    const [taken] = await rowsOf<TokenRow>(
      trx,
      `update refresh_tokens set replaced_at = ? where token_hash in (${placesFor(hashes)}) and replaced_at is null
       returning token_hash, login_id, replaced_at`,
      [isoOf(now), ...hashes],
    );
    const row = taken ?? ((await trx("refresh_tokens").whereIn("token_hash", hashes).first()) as TokenRow | undefined);
    if (!row) return { kind: "refused" };
    const live = await findLiveLogin(trx, row.login_id, now);
    if (!live) return { kind: "refused" };
    const { login, user } = live;
    const { key } = known.find(({ hash }) => hash === row.token_hash) as { key: SigningKey };
    const refreshToken = successorOf(key, token);
    const next = tokenHash(key, refreshToken);
    if (taken) await insertToken(trx, next, login.id, now);
    else if (now - Date.parse(row.replaced_at) > GRACE_MS || (await isReplaced(trx, next))) {
      await endLogin(trx, login.id, now);
      return { kind: "reused", id: login.id, organizationId: user.organizationId };
    }
    await renewLogin(trx, login, now);
    return { kind: "refreshed", user, id: login.id, ttlMs: login.ttlMs, refreshToken };
  });
}

/** A short-lived HS256 token with `sub`, `sid` (the login), `jti`, `iat` and `exp`, and `kid` in its header. */
export function issueUserJwt(
  keys: SigningKeys,
  { loginId, userId }: { readonly loginId: string; readonly userId: string },
  ttlMs: number,
  now: number,
): string {
  const key = keys.active("user_jwt");
  const claims = { sub: userId, sid: loginId, jti: newId(), iat: Math.floor(now / 1000), exp: Math.floor((now + ttlMs) / 1000) };
  return jwt.sign(claims, keyObjectOf(key), { algorithm: "HS256", keyid: key.kid });
}

/** The active user that the JWT speaks for, and the login that it belongs to, which goes on. */
export async function authenticateUserJwt(
  db: Db,
  keys: SigningKeys,
  token: string,
  now: number,
): Promise<{ readonly user: User; readonly login: Login } | undefined> {
  const claims = await verifyJwt(keys, "user_jwt", token, now);
  const loginId = claims?.["sid"];
  if (typeof loginId !== "string") return undefined;
  const found = await findLiveLogin(db, loginId, now);
  if (found?.user.id !== claims?.["sub"]) return undefined;
  return found && { ...found, user: { ...found.user, organizationId: found.login.organizationId ?? found.user.organizationId } };
}

/** From now on the person acts in this organisation by the login. False when it is no login that goes on. */
export async function setLoginOrganization(db: Db, id: string, organizationId: string): Promise<boolean> {
  return (await db("logins").where({ id }).whereNull("ended_at").update({ organization_id: organizationId })) > 0;
}

/** It was used, and lives on for its time. False when it was renewed since it was read. */
export async function renewLogin(
  db: Db,
  { id, ttlMs, lastUsedAt }: Pick<Login, "id" | "ttlMs" | "lastUsedAt">,
  now: number,
): Promise<boolean> {
  const renewed = await db("logins")
    .where({ id, last_used_at: lastUsedAt })
    .update({ last_used_at: isoOf(now), expires_at: isoOf(now + ttlMs) });
  return renewed > 0;
}

/** Those that go on, oldest first. */
export async function listLogins(db: Db, userId: string, now: number): Promise<Login[]> {
  return (await db("logins")
    .where({ user_id: userId })
    .whereNull("ended_at")
    .where("expires_at", ">", isoOf(now))
    .orderBy("id")
    .select(COLUMNS)) as Login[];
}

/** Of so many logins that go on a person keeps those used last, and all links: ends the others, and gives their ids. */
export async function endSurplusLogins(db: Db, userId: string, now: number): Promise<string[]> {
  const at = isoOf(now);
  const rows = await rowsOf<{ id: string }>(
    db,
    `update logins set ended_at = ? where id in (select id from logins where user_id = ? and client_id is null and ended_at is null
     and expires_at > ? order by last_used_at desc, id desc limit 1000 offset ?) returning id`,
    [at, userId, at, MAX_LOGINS],
  );
  return rows.map(({ id }) => id);
}

/** False when it had ended before. */
export async function endLogin(db: Db, id: string, now: number): Promise<boolean> {
  return (
    (await db("logins")
      .where({ id })
      .whereNull("ended_at")
      .update({ ended_at: isoOf(now) })) > 0
  );
}

/** Ends all that the person has, but for one; gives their ids. */
export async function endLogins(db: Db, userId: string, except: string | undefined, now: number): Promise<string[]> {
  const query = db("logins").where({ user_id: userId }).whereNull("ended_at");
  if (except !== undefined) query.whereNot({ id: except });
  const rows = (await query.update({ ended_at: isoOf(now) }).returning("id")) as { id: string }[];
  return rows.map(({ id }) => id);
}

/** Removes those that ended or expired a month ago. Answers how many. */
export async function purgeLogins(db: Db, now: number): Promise<number> {
  const last = isoOf(now - KEPT_MS);
  return await db("logins").where("expires_at", "<=", last).orWhere("ended_at", "<=", last).del();
}

interface TokenRow {
  token_hash: string;
  login_id: string;
  replaced_at: string;
}

const COLUMNS = {
  id: "id",
  userId: "user_id",
  organizationId: "organization_id",
  clientId: "client_id",
  scopes: "scopes",
  address: "address",
  userAgent: "user_agent",
  ttlMs: "ttl_ms",
  createdAt: "created_at",
  lastUsedAt: "last_used_at",
  expiresAt: "expires_at",
} as const satisfies Record<keyof Login, string>;

/** With its user, who is active. */
export async function findLiveLogin(db: Db, id: string, now: number): Promise<{ readonly user: User; readonly login: Login } | undefined> {
  const query = userRows(db).join("logins as l", "l.user_id", "u.id").where("l.id", id).whereNull("l.ended_at");
  const columns = Object.fromEntries(Object.entries(COLUMNS).map(([name, column]) => [`login_${name}`, `l.${column}`]));
  const row = (await query.where("l.expires_at", ">", isoOf(now)).select(columns).first()) as
    | (UserRow & Record<string, unknown>)
    | undefined;
  if (!row) return undefined;
  const user = userOf(row);
  if (!user.isActive) return undefined;
  return { user, login: Object.fromEntries(Object.keys(COLUMNS).map((name) => [name, row[`login_${name}`]])) as unknown as Login };
}

async function insertToken(trx: Db, hash: string, loginId: string, now: number): Promise<void> {
  await trx("refresh_tokens").insert({ token_hash: hash, login_id: loginId, created_at: isoOf(now) });
}

async function isReplaced(db: Db, hash: string): Promise<boolean> {
  return (await db("refresh_tokens").where({ token_hash: hash }).whereNotNull("replaced_at").first("token_hash")) !== undefined;
}

/** Always the same for one token, and nobody's to guess without the hub's key. */
function successorOf(key: SigningKey, token: string): string {
  return `${PREFIX}_${createHmac("sha256", key.secret).update("successor of ").update(token).digest("base64url")}`;
}
