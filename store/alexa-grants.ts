import type { TokenScope } from "../core/principal.ts";
import { newId } from "../core/id.ts";
import type { BridgeState } from "../core/smart-home.ts";
import type { Encryption } from "./encryption.ts";
import type { Db } from "./open.ts";
import { fromJson, isoOf, rowsOf, toJson } from "./sql.ts";

/** What Login with Amazon gives for a code. */
export interface AmazonTokens {
  readonly access: string;
  readonly refresh: string;
  /** ms since 1970 */
  readonly expiresAt: number;
}

/** Somebody's right to tell Alexa things unasked. */
export interface AlexaGrant {
  readonly id: string;
  readonly organizationId: string;
  readonly userId: string;
  /** Of the credential by which it was linked. */
  readonly tokenScope: TokenScope | undefined;
  /** Another one after it was linked anew. */
  readonly revision: number;
  readonly status: Exclude<BridgeState["status"], "off">;
  readonly statusSince: string;
  readonly error: { readonly code: string; readonly message: string; readonly at: string } | null;
  /** Endpoints that Alexa has no room for. */
  readonly leftOut: number;
}

export interface NewGrant {
  readonly organizationId: string;
  readonly userId: string;
  readonly tokenScope: TokenScope | undefined;
  /** By which it is linked: it ends with it. */
  readonly credentialId: string;
  /** Of the code that was given for it, which Amazon may send again. */
  readonly codeHash: string;
  readonly tokens: AmazonTokens;
}

type Linker = Pick<NewGrant, "organizationId" | "userId">;

export async function hasGrantOf(db: Db, { organizationId, userId }: Linker, codeHash: string): Promise<boolean> {
  return (await grants(db).where({ organization_id: organizationId, user_id: userId, code_hash: codeHash }).first("id")) !== undefined;
}

/** In the place of the one before; what Alexa was told by that one it is told again. */
export async function putGrant(trx: Db, encryption: Encryption, grant: NewGrant, now: number): Promise<void> {
  const { organizationId, userId, tokenScope, credentialId, codeHash, tokens } = grant;
  const owner = { organization_id: organizationId, user_id: userId };
  const before = (await grants(trx).where(owner).forUpdate().first("id", "revision")) as Pick<Row, "id" | "revision"> | undefined;
  const id = before?.id ?? newId();
  const columns = {
    token_scope: tokenScope === undefined ? null : toJson(tokenScope),
    credential_id: credentialId,
    code_hash: codeHash,
    revision: (before?.revision ?? 0) + 1,
    ...(await sealed(trx, encryption, { id, organizationId }, tokens)),
    refreshing_until: null,
    ...statusColumns({ status: "connected", error: null }, now),
  };
  if (!before) return void (await grants(trx).insert({ id, ...owner, ...columns }));
  await grants(trx).where({ id }).update(columns);
  await endpoints(trx).where({ grant_id: id }).update({ description_hash: "" });
}

export async function listGrants(db: Db, organizationId?: string): Promise<AlexaGrant[]> {
  const query = grants(db).orderBy("id");
  if (organizationId !== undefined) query.where({ organization_id: organizationId });
  return ((await query) as Row[]).map(grantOf);
}

/** Those by which nothing is told any more: the credential has ended, or the person is not let in, or has left the organisation. */
export async function listEndedGrants(db: Db, now: number): Promise<AlexaGrant[]> {
  const rows = await rowsOf<Row>(
    db,
    `select g.* from alexa_grants g join users u on u.id = g.user_id
     where not u.is_active
     or (u.role <> 'admin' and not exists (
       select 1 from memberships m where m.user_id = g.user_id and m.organization_id = g.organization_id))
     or (g.credential_id is not null
       and not exists (
         select 1 from logins l where l.id = g.credential_id and l.user_id = g.user_id and l.ended_at is null and l.expires_at > ?
         and coalesce(l.organization_id, u.organization_id) = g.organization_id)
       and not exists (
         select 1 from access_tokens t where t.id = g.credential_id and t.user_id = g.user_id and t.organization_id = g.organization_id
         and t.revoked_at is null and (t.expires_at is null or t.expires_at > ?)))
     order by g.id`,
    [isoOf(now), isoOf(now)],
  );
  return rows.map(grantOf);
}

/** undefined when it was taken back or linked anew. Throws `UnreadableText`. */
export async function findTokens(
  db: Db,
  encryption: Encryption,
  { id, organizationId, revision }: Pick<AlexaGrant, "id" | "organizationId" | "revision">,
): Promise<AmazonTokens | undefined> {
  const row = (await grants(db).where({ id, revision }).first()) as Row | undefined;
  if (!row) return undefined;
  const open = (keyId: string, text: string, column: string): Promise<string> =>
    encryption.decrypt(db, { keyId, sealed: text }, { table: "alexa_grants", column, rowId: id, organizationId });
  return {
    access: await open(row.access_key_id, row.access_encrypted, "access_encrypted"),
    refresh: await open(row.refresh_key_id, row.refresh_encrypted, "refresh_encrypted"),
    expiresAt: Date.parse(row.access_expires_at),
  };
}

/**
 * From now on nobody else refreshes the grant's tokens, until they are put or released or the time is up: Amazon may take a refresh token
 * once. False while somebody else does. A time that is further away than it can be is one of a clock that was wrong.
 */
export async function claimRefresh(
  db: Db,
  { id, revision }: Pick<AlexaGrant, "id" | "revision">,
  { now, forMs }: { readonly now: number; readonly forMs: number },
): Promise<boolean> {
  const isFree = "(refreshing_until is null or refreshing_until < ? or refreshing_until > ?)";
  const claimed = await grants(db)
    .where({ id, revision })
    .whereRaw(isFree, [isoOf(now), isoOf(now + forMs)])
    .update({ refreshing_until: isoOf(now + forMs) });
  return claimed > 0;
}

export async function releaseRefresh(db: Db, { id, revision }: Pick<AlexaGrant, "id" | "revision">): Promise<void> {
  await grants(db).where({ id, revision }).update({ refreshing_until: null });
}

/** Ends the claim. */
export async function putTokens(
  trx: Db,
  encryption: Encryption,
  { id, organizationId, revision }: Pick<AlexaGrant, "id" | "organizationId" | "revision">,
  tokens: AmazonTokens,
): Promise<void> {
  await grants(trx)
    .where({ id, revision })
    .update({ ...(await sealed(trx, encryption, { id, organizationId }, tokens)), refreshing_until: null });
}

export interface GrantStatus {
  readonly status: AlexaGrant["status"];
  readonly error: { readonly code: string; readonly message: string } | null;
}

export async function noteGrant(
  db: Db,
  { id, revision }: Pick<AlexaGrant, "id" | "revision">,
  status: GrantStatus,
  now: number,
): Promise<void> {
  await grants(db).where({ id, revision }).update(statusColumns(status, now));
}

export async function noteLeftOut(db: Db, id: string, leftOut: number): Promise<void> {
  await grants(db).where({ id }).update({ left_out: leftOut });
}

/** False when it was linked anew, or is gone. */
export async function deleteGrant(trx: Db, { id, revision }: Pick<AlexaGrant, "id" | "revision">): Promise<boolean> {
  return (await grants(trx).where({ id, revision }).delete()) > 0;
}

export async function deleteGrants(trx: Db, organizationId: string): Promise<void> {
  await grants(trx).where({ organization_id: organizationId }).delete();
}

/** What Alexa was told of an endpoint by a grant. */
export interface ToldEndpoint {
  readonly id: string;
  /** Of its description. */
  readonly hash: string;
  /** By property. */
  readonly state: Readonly<Record<string, unknown>>;
}

export async function readTold(db: Db, grantId: string): Promise<Map<string, ToldEndpoint>> {
  const rows = (await endpoints(db).where({ grant_id: grantId })) as EndpointRow[];
  return new Map(
    rows.map(({ endpoint_id: id, description_hash: hash, state }) => [
      id,
      { id, hash, state: fromJson(state) as Readonly<Record<string, unknown>> },
    ]),
  );
}

/** At most a few hundred at once; those of a grant that was taken back meanwhile are passed over. */
export async function putTold(db: Db, grant: Pick<AlexaGrant, "id" | "organizationId">, told: readonly ToldEndpoint[]): Promise<void> {
  if (told.length === 0) return;
  const held = (await grants(db).where({ id: grant.id }).forShare().first("id")) as unknown;
  if (held === undefined) return;
  await endpoints(db)
    .insert(
      told.map(({ id, hash, state }) => ({
        grant_id: grant.id,
        endpoint_id: id,
        organization_id: grant.organizationId,
        description_hash: hash,
        state: toJson(state),
      })),
    )
    .onConflict(["grant_id", "endpoint_id"])
    .merge(["description_hash", "state"]);
}

export async function dropTold(db: Db, grantId: string, ids: readonly string[]): Promise<void> {
  await endpoints(db).where({ grant_id: grantId }).whereIn("endpoint_id", ids).delete();
}

/** Alexa is told everything again. */
export async function forgetDescriptions(db: Db, organizationId: string): Promise<void> {
  await endpoints(db).where({ organization_id: organizationId }).update({ description_hash: "" });
}

export async function countTold(db: Db, organizationId: string): Promise<number> {
  const [row] = await rowsOf<{ n: number | string }>(
    db,
    "select count(distinct endpoint_id) as n from alexa_endpoints where organization_id = ?",
    [organizationId],
  );
  return Number(row?.n ?? 0);
}

interface Row {
  id: string;
  organization_id: string;
  user_id: string;
  token_scope: unknown;
  revision: number;
  access_encrypted: string;
  access_key_id: string;
  access_expires_at: string;
  refresh_encrypted: string;
  refresh_key_id: string;
  status: AlexaGrant["status"];
  status_since: string;
  error_code: string | null;
  error_message: string | null;
  error_at: string | null;
  left_out: number;
}

interface EndpointRow {
  endpoint_id: string;
  description_hash: string;
  state: unknown;
}

const grants = (db: Db) => db("alexa_grants");
const endpoints = (db: Db) => db("alexa_endpoints");

function grantOf(row: Row): AlexaGrant {
  const { error_code: code, error_message: message, error_at: at } = row;
  return {
    id: row.id,
    organizationId: row.organization_id,
    userId: row.user_id,
    tokenScope: row.token_scope === null ? undefined : (fromJson(row.token_scope) as TokenScope),
    revision: row.revision,
    status: row.status,
    statusSince: row.status_since,
    error: code === null || message === null || at === null ? null : { code, message, at },
    leftOut: row.left_out,
  };
}

const statusColumns = ({ status, error }: GrantStatus, now: number) => ({
  status,
  status_since: isoOf(now),
  error_code: error?.code ?? null,
  error_message: error?.message ?? null,
  error_at: error ? isoOf(now) : null,
});

async function sealed(
  trx: Db,
  encryption: Encryption,
  { id: rowId, organizationId }: Pick<AlexaGrant, "id" | "organizationId">,
  { access, refresh, expiresAt }: AmazonTokens,
) {
  const place = { table: "alexa_grants", rowId, organizationId };
  const one = await encryption.encrypt(trx, access, { ...place, column: "access_encrypted" });
  const other = await encryption.encrypt(trx, refresh, { ...place, column: "refresh_encrypted" });
  return {
    access_encrypted: one.sealed,
    access_key_id: one.keyId,
    access_expires_at: isoOf(expiresAt),
    refresh_encrypted: other.sealed,
    refresh_key_id: other.keyId,
  };
}
