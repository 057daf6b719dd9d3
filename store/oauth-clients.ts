import { HubError } from "../core/errors.ts";
import { newId, newSecret } from "../core/id.ts";
import type { OauthScope } from "../core/oauth.ts";
import type { Scope } from "../core/principal.ts";
import type { Db } from "./open.ts";
import { lockOrganization } from "./organizations.ts";
import { type SigningKeys, tokenHash, withKeys } from "./secrets.ts";
import { fromJson, isoOf, type Page, pageOf, scoped, storableText, toJson } from "./sql.ts";
import { SECRET_OVERLAP_MS } from "./webhook-secrets.ts";

/** A program that people link their account with: Alexa, or whatever links accounts by OAuth 2.0. */
export interface OauthClient {
  readonly id: string;
  /** Whose it is. */
  readonly organizationId: string;
  /** Everybody on the hub may link with it, and not only who is in the organisation. */
  readonly isShared: boolean;
  readonly name: string;
  readonly redirectUris: readonly string[];
  readonly scopes: readonly OauthScope[];
  /** How many accounts are linked. */
  readonly links: number;
  readonly createdAt: string;
}

export type NewOauthClient = Omit<OauthClient, "id" | "links" | "createdAt">;

/** Of one organisation. */
export const MAX_OAUTH_CLIENTS = 20;

const COLUMNS = { organization: "c.organization_id" };

/** The secret is shown once and kept as HMAC-SHA-256. Throws `quota_exceeded`. */
export async function createOauthClient(
  trx: Db,
  keys: SigningKeys,
  wanted: NewOauthClient,
  now: number,
): Promise<{ readonly client: OauthClient; readonly secret: string }> {
  const { organizationId, isShared, name, redirectUris, scopes } = wanted;
  await lockOrganization(trx, organizationId);
  const found = (await trx("oauth_clients").where({ organization_id: organizationId }).count({ count: "*" }).first()) as { count: number };
  if (found.count >= MAX_OAUTH_CLIENTS)
    throw new HubError("quota_exceeded", `an organisation has at most ${MAX_OAUTH_CLIENTS} programs to link with`, {
      details: { oauth_clients: MAX_OAUTH_CLIENTS },
    });
  const id = newId();
  const secret = newSecret("hxc");
  const createdAt = isoOf(now);
  await trx("oauth_clients").insert({
    id,
    organization_id: organizationId,
    is_shared: isShared,
    name: storableText(name),
    secret_hash: tokenHash(keys.active("token_hmac"), secret),
    redirect_uris: toJson(redirectUris),
    scopes: toJson(scopes),
    created_at: createdAt,
  });
  return { client: { ...wanted, id, links: 0, createdAt }, secret };
}

/** Oldest first. */
export async function listOauthClients(
  db: Db,
  scope: Scope,
  { limit, after, now }: { readonly limit: number; readonly after: string | undefined; readonly now: number },
): Promise<Page<OauthClient>> {
  const query = scoped(clients(db, now), scope, COLUMNS)
    .orderBy("c.id")
    .limit(limit + 1);
  if (after !== undefined) query.where("c.id", ">", after);
  return pageOf(((await query) as Row[]).map(clientOf), limit, ({ id }) => id);
}

/** Whosever it is: whoever has been sent here by it names it. */
export async function findOauthClient(db: Db, id: string, now: number): Promise<OauthClient | undefined> {
  const row = (await clients(db, now).where("c.id", id).first()) as Row | undefined;
  return row && clientOf(row);
}

/** Whether it has shown who it is: by its secret, or within a day by the one before. */
export async function isOauthSecret(
  db: Db,
  keys: SigningKeys,
  { id, secret }: { readonly id: string; readonly secret: string },
  now: number,
): Promise<boolean> {
  const found: unknown = await withKeys<unknown>(keys, "token_hmac", async (known) => {
    const hashes = known.map((key) => tokenHash(key, secret));
    return await db("oauth_clients")
      .where({ id })
      .andWhere(
        (either) =>
          void either
            .whereIn("secret_hash", hashes)
            .orWhere((former) => void former.whereIn("former_secret_hash", hashes).where("former_secret_until", ">", isoOf(now))),
      )
      .first("id");
  });
  return found !== undefined;
}

/** The secret before it goes on for a day; of two changes within a day the first one ends at once. Throws `not_found`. */
export async function rotateOauthSecret(
  trx: Db,
  keys: SigningKeys,
  { scope, id }: { readonly scope: Scope; readonly id: string },
  now: number,
): Promise<{ readonly client: OauthClient; readonly secret: string }> {
  const client = await lockOauthClient(trx, scope, id, now);
  const secret = newSecret("hxc");
  await trx("oauth_clients")
    .where({ id })
    .update({
      former_secret_hash: trx.raw("secret_hash"),
      former_secret_until: isoOf(now + SECRET_OVERLAP_MS),
      secret_hash: tokenHash(keys.active("token_hmac"), secret),
    });
  return { client, secret };
}

/** With everything that was linked with it: gives it, and the links that it had. Throws `not_found`. */
export async function removeOauthClient(
  trx: Db,
  scope: Scope,
  id: string,
  now: number,
): Promise<{ readonly client: OauthClient; readonly linkIds: string[] }> {
  // A link that is being made waits for this, or is seen below.
  const client = await lockOauthClient(trx, scope, id, now);
  const links = (await trx("logins").where({ client_id: id }).select("id")) as { id: string }[];
  await trx("oauth_clients").where({ id }).del();
  return { client, linkIds: links.map((link) => link.id) };
}

async function lockOauthClient(trx: Db, scope: Scope, id: string, now: number): Promise<OauthClient> {
  await trx("oauth_clients").where({ id }).forUpdate().first("id");
  const row = (await scoped(clients(trx, now), scope, COLUMNS).where("c.id", id).first()) as Row | undefined;
  if (!row) throw new HubError("not_found", "there is no such program to link with");
  return clientOf(row);
}

interface Row {
  id: string;
  organizationId: string;
  isShared: boolean | number;
  name: string;
  redirectUris: unknown;
  scopes: unknown;
  links: number | string;
  createdAt: string;
}

function clients(db: Db, now: number) {
  const links = db("logins as l").whereRaw("l.client_id = c.id").whereNull("l.ended_at").where("l.expires_at", ">", isoOf(now)).count("*");
  return db("oauth_clients as c").select({
    id: "c.id",
    organizationId: "c.organization_id",
    isShared: "c.is_shared",
    name: "c.name",
    redirectUris: "c.redirect_uris",
    scopes: "c.scopes",
    links,
    createdAt: "c.created_at",
  });
}

const clientOf = (row: Row): OauthClient => ({
  ...row,
  isShared: Boolean(row.isShared),
  redirectUris: fromJson(row.redirectUris) as string[],
  scopes: fromJson(row.scopes) as OauthScope[],
  links: Number(row.links),
});
