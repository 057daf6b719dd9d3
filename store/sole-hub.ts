import { setTimeout as pause } from "node:timers/promises";
import { SetupError } from "../core/errors.ts";
import type { Store } from "./open.ts";

interface Connection {
  query(sql: string, values: unknown[]): Promise<{ rows: { locked: boolean }[] }>;
  on(event: "error", listener: () => void): void;
  end(): Promise<void>;
}

/** Any constant of the hub's own; the migrations' lock has another. */
const LOCK = 0x4865_7861_4875_6201n;
const PATIENCE_MS = 5_000;
const PAUSE_MS = 100;

/** `isShared`: with the other nodes of a cluster, which coordinate themselves over Redis. */
export interface ClaimOptions {
  readonly isShared?: boolean;
}

/**
 * Makes sure that no other hub works on this PostgreSQL database, or none but the nodes of one cluster: sessions and
 * rights are kept in memory, and two hubs that do not know of each other would contradict each other. The lock ends with
 * the process, kill -9 included; SQLite's folder lock does the same there. Throws {@link SetupError} when another hub
 * still has it after 5 s.
 */
export async function claimDatabase({ db, engine }: Store, { isShared = false }: ClaimOptions = {}): Promise<AsyncDisposable> {
  if (engine === "sqlite") return { async [Symbol.asyncDispose]() {} };
  const { client } = db as unknown as { client: { acquireRawConnection(): Promise<Connection> } };
  const connection = await client.acquireRawConnection();
  // A lost connection shows in every query of the pool; this one must only not end the process.
  connection.on("error", () => {});
  const take = isShared ? "pg_try_advisory_lock_shared" : "pg_try_advisory_lock";
  for (const end = performance.now() + PATIENCE_MS; ; await pause(PAUSE_MS)) {
    const { rows } = await connection.query(`select ${take}($1) as locked`, [LOCK.toString()]);
    if (rows[0]?.locked) return { [Symbol.asyncDispose]: () => connection.end() };
    if (performance.now() < end) continue;
    await connection.end();
    throw isShared
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
  }
}
