import { HubError } from "../core/errors.ts";
import { newId } from "../core/id.ts";
import { type OauthScope, parseScopes, permissionsOfScopes } from "../core/oauth.ts";
import type { UserPrincipal } from "../core/principal.ts";
import { findLiveLogin, type Login, loginRow, renewLogin } from "./logins.ts";
import { findRecord } from "./oauth-records.ts";
import type { Db } from "./open.ts";
import { listOrganizations, type Organization } from "./organizations.ts";
import type { SigningKeys } from "./secrets.ts";
import { isoOf, rowsOf } from "./sql.ts";
import { inTransaction } from "./transaction.ts";
import { passwordCredentialId, type User, userPrincipal } from "./users.ts";

/** An account that is linked with a program: a login, so that it ends by whatever ends logins. */
export interface Link extends Login {
  readonly organizationId: string;
  readonly clientId: string;
  readonly scopes: string;
}

export interface NewLink {
  readonly userId: string;
  /** The password by which the person came in, as {@link passwordCredentialId} names it. */
  readonly passwordId: string;
  readonly organizationId: string;
  readonly clientId: string;
  readonly scopes: readonly OauthScope[];
  readonly address: string;
  readonly userAgent: string | undefined;
}

/** A link that nobody uses ends; it is used whenever the program gets a new token. */
const TTL_MS = 365 * 86_400_000;
/** For the program to come for its first token. */
const FIRST_USE_MS = 600_000;
/** Of one person with one program: more of them push out those used last. */
const MAX_LINKS = 10;
/** Of an access token, which programs get by the hour. */
const ACCESS_TOKEN = /^hxl_[A-Za-z0-9_-]{43}$/;

/**
 * Gives its id, and those of older ones that it has ended. Throws `unauthorized` when the password was changed meanwhile or the
 * person is not active, and `forbidden` when they, or the program, do not belong to the organisation.
 */
export async function openLink(trx: Db, wanted: NewLink, now: number): Promise<{ readonly id: string; readonly ended: string[] }> {
  const { userId, organizationId, clientId } = wanted;
  // Whoever changes one of these waits, and then ends this link too.
  const user = (await trx("users").where({ id: userId }).forShare().first("password_hash", "is_active")) as
    | { password_hash: string; is_active: boolean | number }
    | undefined;
  const isRight = user !== undefined && passwordCredentialId({ id: userId, passwordHash: user.password_hash }) === wanted.passwordId;
  if (!isRight || !user.is_active) throw new HubError("unauthorized", "the password was changed meanwhile: begin again");
  const member: unknown = await trx("memberships")
    .where({ user_id: userId, organization_id: organizationId })
    .forShare()
    .first("organization_id");
  const client = (await trx("oauth_clients").where({ id: clientId }).forShare().first("organization_id", "is_shared")) as
    | { organization_id: string; is_shared: boolean | number }
    | undefined;
  const isOpen = client !== undefined && (Boolean(client.is_shared) || client.organization_id === organizationId);
  if (!member || !isOpen) throw new HubError("forbidden", "this program and you are not both in that organisation");
  const id = newId();
  const row = loginRow({ ...wanted, ttlMs: TTL_MS }, id, now);
  await trx("logins").insert({
    ...row,
    organization_id: organizationId,
    client_id: clientId,
    scopes: wanted.scopes.join(" "),
    expires_at: isoOf(now + FIRST_USE_MS),
  });
  return { id, ended: await endSurplusLinks(trx, wanted, now) };
}

/** Those of the person that the program may be linked with, oldest first. */
export async function linkableOrganizations(
  db: Db,
  userId: string,
  client: { readonly organizationId: string; readonly isShared: boolean },
): Promise<Organization[]> {
  const query = db("memberships").where({ user_id: userId });
  if (!client.isShared) query.where({ organization_id: client.organizationId });
  const rows = (await query.select("organization_id")) as { organization_id: string }[];
  const ids = rows.map((row) => row.organization_id);
  return ids.length === 0 ? [] : await listOrganizations(db, ids);
}

/** One that goes on, with its person, who is active. */
export async function findLink(db: Db, id: string, now: number): Promise<{ readonly user: User; readonly link: Link } | undefined> {
  const found = await findLiveLogin(db, id, now);
  if (!found || found.login.clientId === null) return undefined;
  return { user: found.user, link: found.login as Link };
}

/** The program has come for a token: the link lives on. False when it has ended. */
export async function renewLink(db: Db, id: string, now: number): Promise<boolean> {
  return await inTransaction(db, async (trx) => {
    const found = await findLink(trx, id, now);
    if (found) await renewLogin(trx, found.link, now);
    return found !== undefined;
  });
}

/** The person that the program's access token speaks for, within what they allowed it. */
export async function authenticateLink(db: Db, keys: SigningKeys, token: string, now: number): Promise<UserPrincipal | undefined> {
  const record = ACCESS_TOKEN.test(token) ? await findRecord(db, keys, { kind: "AccessToken", id: token }, now) : undefined;
  const found = record?.loginId ? await findLink(db, record.loginId, now) : undefined;
  if (!found) return undefined;
  const { user, link } = found;
  const granted = typeof record?.payload["scope"] === "string" ? record.payload["scope"] : "";
  const scopes = parseScopes(link.scopes).filter((scope) => parseScopes(granted).includes(scope));
  const principal = userPrincipal({ ...user, organizationId: link.organizationId }, link.id);
  return { ...principal, tokenScope: { permissions: permissionsOfScopes(scopes) } };
}

async function endSurplusLinks(trx: Db, { userId, clientId }: NewLink, now: number): Promise<string[]> {
  const at = isoOf(now);
  const rows = await rowsOf<{ id: string }>(
    trx,
    `update logins set ended_at = ? where id in (select id from logins where user_id = ? and client_id = ? and ended_at is null
     order by last_used_at desc, id desc limit 1000 offset ?) returning id`,
    [at, userId, clientId, MAX_LINKS],
  );
  return rows.map(({ id }) => id);
}
