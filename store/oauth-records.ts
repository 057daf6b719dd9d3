import type { Db } from "./open.ts";
import { type SigningKeys, tokenHash, withKeys } from "./secrets.ts";
import { fromJson, isoOf, toJson } from "./sql.ts";
import { inTransaction } from "./transaction.ts";

/** What the OAuth server remembers of one code, token or log-in under way. */
export interface OauthRecord {
  readonly payload: Readonly<Record<string, unknown>>;
  /** The link that it belongs to. */
  readonly loginId: string | null;
  readonly isConsumed: boolean;
}

export interface RecordId {
  readonly kind: string;
  /** What its holder shows: kept as HMAC-SHA-256. */
  readonly id: string;
}

export interface NewRecord extends RecordId {
  readonly loginId: string | null;
  readonly payload: Readonly<Record<string, unknown>>;
  readonly ttlMs: number;
}

/** Log-ins under way, of the whole hub: whoever begins more pushes the oldest out. */
const MAX_UNDER_WAY = 1_000;
/** Access tokens of one link: whoever gets more ends the oldest. */
const MAX_ACCESS_TOKENS = 20;

/** Made, or made anew. */
export async function saveRecord(db: Db, keys: SigningKeys, record: NewRecord, now: number): Promise<void> {
  const { kind, id, loginId, ttlMs } = record;
  const row = { payload: toJson(record.payload), expires_at: isoOf(now + ttlMs) };
  await inTransaction(db, async (trx) => {
    if ((await ofId(trx, keys, record).update(row)) > 0) return;
    const idHash = tokenHash(keys.active("token_hmac"), id);
    await trx("oauth_records").insert({ ...row, id_hash: idHash, kind, login_id: loginId, created_at: isoOf(now) });
    if (kind === "AccessToken") await removeSurplus(trx, { kind, login_id: loginId }, MAX_ACCESS_TOKENS);
    if (kind === "Interaction") await removeSurplus(trx, { kind }, MAX_UNDER_WAY);
  });
}

/** undefined when it has expired. */
export async function findRecord(db: Db, keys: SigningKeys, { kind, id }: RecordId, now: number): Promise<OauthRecord | undefined> {
  return await withKeys(keys, "token_hmac", async (known) => {
    const hashes = known.map((key) => tokenHash(key, id));
    const row = (await db("oauth_records").where({ kind }).whereIn("id_hash", hashes).where("expires_at", ">", isoOf(now)).first()) as
      | { payload: unknown; login_id: string | null; consumed_at: string | null }
      | undefined;
    if (!row) return undefined;
    return { payload: fromJson(row.payload) as OauthRecord["payload"], loginId: row.login_id, isConsumed: row.consumed_at !== null };
  });
}

/** True for one caller, however many come at once. */
export async function consumeRecord(db: Db, keys: SigningKeys, which: RecordId, now: number): Promise<boolean> {
  return (
    (await ofId(db, keys, which)
      .whereNull("consumed_at")
      .update({ consumed_at: isoOf(now) })) > 0
  );
}

export async function removeRecord(db: Db, keys: SigningKeys, which: RecordId): Promise<void> {
  await ofId(db, keys, which).del();
}

/** Those of one kind that belong to the link. */
export async function removeRecordsOf(db: Db, loginId: string, kind: string): Promise<void> {
  await db("oauth_records").where({ login_id: loginId, kind }).del();
}

/** Removes what has expired. Answers how many. */
export async function purgeOauthRecords(db: Db, now: number): Promise<number> {
  return await db("oauth_records").where("expires_at", "<=", isoOf(now)).del();
}

function ofId(db: Db, keys: SigningKeys, { kind, id }: RecordId) {
  const hashes = keys.all("token_hmac").map((key) => tokenHash(key, id));
  return db("oauth_records").where({ kind }).whereIn("id_hash", hashes);
}

async function removeSurplus(trx: Db, those: { readonly kind: string; readonly login_id?: string | null }, most: number): Promise<void> {
  const surplus = trx("oauth_records")
    .where(those)
    .orderBy([
      { column: "created_at", order: "desc" },
      { column: "id_hash", order: "desc" },
    ])
    .limit(most)
    .offset(most)
    .select("id_hash");
  await trx("oauth_records").whereIn("id_hash", surplus).del();
}
