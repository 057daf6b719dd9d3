import { clickhouseTarget } from "../core/clickhouse-settings.ts";
import { setTimeout as pause } from "node:timers/promises";
import { crc32 } from "node:zlib";
import { SetupError } from "../core/errors.ts";
import type { Store } from "./open.ts";

interface Connection {
  query(sql: string, values: unknown[]): Promise<{ rows: { locked?: boolean }[] }>;
  on(event: "error", listener: () => void): void;
  end(): Promise<void>;
}

/** Any constant of the hub's own; the migrations' lock has another. */
const LOCK = 0x4865_7861_4875_6201n;
/** Of the same kind: with where a node ships to. */
const SHIPPING_LOCK = 0x4865_7863;
const PATIENCE_MS = 5_000;
const PAUSE_MS = 100;

/** `isShared`: with the other nodes of a cluster, which coordinate themselves over Redis. */
export interface ClaimOptions {
  readonly isShared?: boolean;
  /** The ClickHouse that this node puts down for what it stores. The others have to have the same, or it would miss what they store. */
  readonly clickhouseUrl?: string | undefined;
}

/**
 * Makes sure that no other hub works on this PostgreSQL database, or none but the nodes of one cluster: sessions and
 * rights are kept in memory, and two hubs that do not know of each other would contradict each other. The lock ends with
 * the process, kill -9 included; SQLite's folder lock does the same there. Throws {@link SetupError} when another hub
 * still has it after 5 s, or nodes of one cluster are to ship to different places.
 */
export async function claimDatabase(
  { db, engine }: Store,
  { isShared = false, clickhouseUrl }: ClaimOptions = {},
): Promise<AsyncDisposable> {
  if (engine === "sqlite") return { async [Symbol.asyncDispose]() {} };
  const { client } = db as unknown as { client: { acquireRawConnection(): Promise<Connection> } };
  const connection = await client.acquireRawConnection();
  // A lost connection shows in every query of the pool; this one must only not end the process.
  connection.on("error", () => {});
  const take = isShared ? "pg_try_advisory_lock_shared" : "pg_try_advisory_lock";
  const claimed = async () => (await connection.query(`select ${take}($1) as locked`, [LOCK.toString()])).rows[0]?.locked === true;
  try {
    if (!(await within(claimed))) throw inUse(isShared);
    if (isShared) await agreeOnShipping(connection, clickhouseUrl === undefined ? "none" : clickhouseTarget(clickhouseUrl));
  } catch (error) {
    await connection.end();
    throw error;
  }
  return { [Symbol.asyncDispose]: () => connection.end() };
}

/** Each node says with a lock where it ships to, and looks whether another one says otherwise. */
async function agreeOnShipping(connection: Connection, target: string): Promise<void> {
  // Of 32 bits with a sign.
  const place = crc32(target) >>> 1;
  await connection.query("select pg_advisory_lock_shared($1::int, $2::int)", [SHIPPING_LOCK, place]);
  const agreed = async () =>
    (
      await connection.query(
        `select 1 from pg_locks where locktype = 'advisory' and classid = $1 and objid <> $2
         and database = (select oid from pg_database where datname = current_database())`,
        [SHIPPING_LOCK, place],
      )
    ).rows.length === 0;
  if (await within(agreed)) return;
  throw new SetupError(
    "the other nodes have another ClickHouse, or one of you has none: it would miss what the others store",
    "CLICKHOUSE_URL",
    "stop all nodes, and start them with the same CLICKHOUSE_URL",
  );
}

/** Whether it comes true while somebody may be just stopping. */
async function within(isTrue: () => Promise<boolean>): Promise<boolean> {
  for (const end = performance.now() + PATIENCE_MS; ; await pause(PAUSE_MS)) {
    if (await isTrue()) return true;
    if (performance.now() >= end) return false;
  }
}

const inUse = (isShared: boolean): SetupError =>
  isShared
    ? new SetupError(
        "the database is in use by a hub that is alone",
        "DATABASE_URL",
        "stop that hub and start it again with the same REDIS_URL as this one",
      )
    : new SetupError(
        "the database is in use by another hub",
        "DATABASE_URL",
        "stop that hub first, or give all hubs on this database the same REDIS_URL",
      );
