import { newId } from "../core/id.ts";
import type { Db } from "./open.ts";
import { fromJson, isoOf, placesFor, rowsOf, toJson } from "./sql.ts";

const LIVES_MS = 24 * 3_600_000;
const TAKEOVER_MS = 60_000;
/** Tells this process's unfinished rows from those that a dead one left. */
const OWNER = newId();
/** Of the process, as its name is: how many attempts of each name run in it or ask whether they may. */
const running = new Map<string, number>();

export interface IdempotencyName {
  readonly principalId: string;
  readonly endpoint: string;
  readonly key: string;
}

export type IdempotencyAnswer =
  | { readonly kind: "first" }
  | { readonly kind: "replay"; readonly status: number; readonly body: string; readonly headers: Readonly<Record<string, string>> }
  | { readonly kind: "conflict" }
  | { readonly kind: "in_progress" };

interface BodyHash {
  readonly bodyHash: string;
  /** The same body's with other keys: between two attempts the hub may have gone on to the next one. */
  readonly otherHashes?: readonly string[];
}

/**
 * `first` gives the key to the caller, who must finish or abandon it, and then release it. A key lives 24 hours. One that another process
 * left unfinished for a minute is given away again, to the same request only; one that nothing in this process works on, at once.
 */
export async function beginIdempotent(db: Db, attempt: IdempotencyName & BodyHash & { readonly now: number }): Promise<IdempotencyAnswer> {
  const name = nameOf(attempt);
  running.set(name, (running.get(name) ?? 0) + 1);
  let answer: IdempotencyAnswer | undefined;
  try {
    answer = await askForKey(db, attempt);
    // Whoever comes from now on finds this one at it, and takes nothing.
    if (answer.kind === "in_progress" && running.get(name) === 1 && (await takeOver(db, attempt))) answer = { kind: "first" };
    return answer;
  } finally {
    if (answer?.kind !== "first") releaseIdempotent(attempt);
  }
}

/** Nothing in this process works on it any more: unless it is finished, the next attempt may have it. */
export function releaseIdempotent(name: IdempotencyName): void {
  const left = (running.get(nameOf(name)) ?? 0) - 1;
  if (left > 0) running.set(nameOf(name), left);
  else running.delete(nameOf(name));
}

/** Belongs into the transaction of the effect, so that effect and answer are kept together or not at all. */
export async function finishIdempotent(
  db: Db,
  name: IdempotencyName,
  answer: {
    readonly status: number;
    readonly body: string;
    readonly now: number;
    readonly headers?: Readonly<Record<string, string>> | undefined;
  },
): Promise<void> {
  await db("idempotency_keys")
    .where(columnsOf(name))
    .update({ status: answer.status, body: answer.body, headers: answer.headers === undefined ? null : toJson(answer.headers) });
}

/** Frees the key of a request that had no effect. */
export async function abandonIdempotent(db: Db, name: IdempotencyName): Promise<void> {
  await db("idempotency_keys").where(columnsOf(name)).whereNull("status").del();
}

/** Of a hub that is alone with its database: what is unfinished when it starts was left by one that died. */
export async function abandonUnfinished(db: Db): Promise<void> {
  await db("idempotency_keys").whereNull("status").whereNot("owner", OWNER).del();
}

/** Removes the keys that have had their day. Answers how many. */
export async function purgeIdempotencyKeys(db: Db, now: number): Promise<number> {
  return await db("idempotency_keys")
    .where("created_at", "<=", isoOf(now - LIVES_MS))
    .del();
}

/** What this process has left unfinished, when the database failed perhaps. */
async function takeOver(db: Db, attempt: IdempotencyName & BodyHash & { readonly now: number }): Promise<boolean> {
  const { bodyHash, now, otherHashes = [] } = attempt;
  const taken = await db("idempotency_keys")
    .where(columnsOf(attempt))
    .where({ owner: OWNER })
    .whereNull("status")
    .whereIn("request_body_hash", [bodyHash, ...otherHashes])
    .update({ request_body_hash: bodyHash, created_at: isoOf(now) });
  return taken > 0;
}

async function askForKey(db: Db, attempt: IdempotencyName & BodyHash & { readonly now: number }): Promise<IdempotencyAnswer> {
  const { principalId, endpoint, key, bodyHash, now, otherHashes = [] } = attempt;
  const hashes = [bodyHash, ...otherHashes];
  const expired = isoOf(now - LIVES_MS);
  const taken = await rowsOf(
    db,
    `insert into idempotency_keys (principal_id, endpoint, idem_key, request_body_hash, owner, created_at) values (?, ?, ?, ?, ?, ?)
     on conflict (principal_id, endpoint, idem_key) do update
       set request_body_hash = excluded.request_body_hash, owner = excluded.owner, created_at = excluded.created_at, status = null, body = null, headers = null
       where idempotency_keys.created_at <= ?
          or (idempotency_keys.status is null and idempotency_keys.owner <> excluded.owner and idempotency_keys.created_at <= ? and idempotency_keys.request_body_hash in (${placesFor(hashes)}))
     returning idem_key`,
    [principalId, endpoint, key, bodyHash, OWNER, isoOf(now), expired, isoOf(now - TAKEOVER_MS), ...hashes],
  );
  if (taken.length > 0) return { kind: "first" };
  const row = (await db("idempotency_keys").where(columnsOf(attempt)).first("request_body_hash", "status", "body", "headers")) as
    | { request_body_hash: string; status: number | null; body: string | null; headers: unknown }
    | undefined;
  // The first request was abandoned just now.
  if (!row) return await askForKey(db, attempt);
  if (!hashes.includes(row.request_body_hash)) return { kind: "conflict" };
  if (row.status === null) return { kind: "in_progress" };
  return { kind: "replay", status: row.status, body: row.body ?? "", headers: fromJson(row.headers ?? {}) as Record<string, string> };
}

const nameOf = ({ principalId, endpoint, key }: IdempotencyName): string => JSON.stringify([principalId, endpoint, key]);

function columnsOf({ principalId, endpoint, key }: IdempotencyName): { principal_id: string; endpoint: string; idem_key: string } {
  return { principal_id: principalId, endpoint, idem_key: key };
}
