import { setTimeout as pause } from "node:timers/promises";
import type { Bus, Duties, Log } from "../core/bus.ts";
import { newAudit } from "../core/event.ts";
import { HUB_TOPICS } from "../core/hub-topics.ts";
import { SYSTEM } from "../core/principal.ts";
import { insertAudit } from "./audit.ts";
import { type Encryption, UnreadableText } from "./encryption.ts";
import type { Db } from "./open.ts";
import { isoOf, rowSource, rowsOf, toJson } from "./sql.ts";
import { inTransaction } from "./transaction.ts";

/** Every column with a text that is kept encrypted, in a table with `id` and `organization_id`. */
const COLUMNS = [
  { table: "contacts", column: "phone_encrypted", keyColumn: "phone_key_id" },
  { table: "contacts", column: "email_encrypted", keyColumn: "email_key_id" },
  { table: "webhooks", column: "secret_encrypted", keyColumn: "secret_key_id" },
  { table: "webhooks", column: "former_secret_encrypted", keyColumn: "former_secret_key_id" },
  { table: "inbound_hooks", column: "secret_encrypted", keyColumn: "secret_key_id" },
  { table: "inbound_hooks", column: "former_secret_encrypted", keyColumn: "former_secret_key_id" },
  { table: "alexa_grants", column: "access_encrypted", keyColumn: "access_key_id" },
  { table: "alexa_grants", column: "refresh_encrypted", keyColumn: "refresh_key_id" },
  { table: "homekit_bridges", column: "secrets_encrypted", keyColumn: "secrets_key_id" },
  { table: "homekit_bridges", column: "storage_encrypted", keyColumn: "storage_key_id" },
] as const;
type Column = (typeof COLUMNS)[number];

/** Which key encrypts, and how far the change from the one before it is. */
export interface EncryptionProgress {
  readonly state: "idle" | "rotating";
  /** null before the first use. */
  readonly keyId: string | null;
  readonly keyCreatedAt: string | null;
  /** Encrypted texts; those under the active key; those under a former one, since nobody can read them. */
  readonly total: number;
  readonly done: number;
  readonly unreadable: number;
}

export async function readProgress(db: Db): Promise<EncryptionProgress> {
  const keys = await rowsOf<{ id: string; state: string; created_at: string }>(
    db,
    "select id, state, created_at from encryption_keys where state <> 'retired'",
  );
  const active = keys.find(({ state }) => state === "active");
  const counts = { active: 0, retiring: 0, retired: 0 };
  for (const { table, keyColumn } of COLUMNS) {
    const rows = await rowsOf<{ state: keyof typeof counts; count: number }>(
      db,
      `select k.state, count(*) as count from ${table} t join encryption_keys k on k.id = t.${keyColumn} group by k.state`,
    );
    for (const { state, count } of rows) counts[state] += count;
  }
  return {
    state: keys.some(({ state }) => state === "retiring") ? "rotating" : "idle",
    keyId: active?.id ?? null,
    keyCreatedAt: active?.created_at ?? null,
    total: counts.active + counts.retiring + counts.retired,
    done: counts.active,
    unreadable: counts.retired,
  };
}

export interface RotationContext {
  readonly db: Db;
  readonly encryption: Encryption;
  readonly log: Log;
}

const BATCH = 100;
const LOOK_EVERY_MS = 60_000;
const RETRY_MS = 1_000;

/** Encrypts again what is under a key that retires: on one node of a cluster, from where another one, or this one, has stopped. */
export function startRotation(context: RotationContext & { readonly duties: Duties; readonly bus: Bus }): AsyncDisposable {
  const { duties, bus, log } = context;
  let told = Promise.withResolvers<void>();
  const subscription = bus.subscribe(HUB_TOPICS.encryption, () => told.resolve());
  const duty = duties.hold("encryption", async (signal) => {
    while (!signal.aborted) {
      told = Promise.withResolvers();
      const isDone = await reencryptAll(context, signal).then(
        () => true,
        (error: unknown) => {
          log.error({ err: error }, "what is encrypted could not be encrypted again; it is tried again");
          return false;
        },
      );
      const wait = new AbortController();
      const ended = AbortSignal.any([signal, wait.signal]);
      await Promise.race([
        pause(isDone ? LOOK_EVERY_MS : RETRY_MS, undefined, { signal: ended, ref: false }).catch(() => undefined),
        ...(isDone ? [told.promise] : []),
      ]);
      wait.abort();
    }
  });
  return {
    async [Symbol.asyncDispose]() {
      subscription[Symbol.dispose]();
      await duty[Symbol.asyncDispose]();
    },
  };
}

/** Until nothing that can be read is under a key that retires, or `signal` aborts. */
export async function reencryptAll(context: RotationContext, signal: AbortSignal): Promise<void> {
  const { db } = context;
  const retiring = await rowsOf<{ id: string }>(db, "select id from encryption_keys where state = 'retiring' order by id");
  for (const { id: keyId } of retiring) {
    for (const column of COLUMNS) {
      let after: string | undefined = "";
      while (after !== undefined && !signal.aborted) after = await reencryptBatch(context, column, { keyId, after });
    }
    if (!signal.aborted) await retire(context, keyId);
  }
}

/** The last id of the batch; undefined at the end. */
async function reencryptBatch(
  { db, encryption, log }: RotationContext,
  { table, column, keyColumn }: Column,
  { keyId, after }: { keyId: string; after: string },
): Promise<string | undefined> {
  return await inTransaction(db, async (trx) => {
    const rows = await rowsOf<{ id: string; organization_id: string; sealed: string }>(
      trx,
      `select id, organization_id, ${column} as sealed from ${table} where ${keyColumn} = ? and id > ? order by id limit ${BATCH}`,
      [keyId, after],
    );
    const renewed: { id: string; former: string; sealed: string; key_id: string }[] = [];
    for (const { id, organization_id: organizationId, sealed: former } of rows) {
      const place = { table, column, rowId: id, organizationId };
      try {
        const text = await encryption.decrypt(trx, { keyId, sealed: former }, place);
        const { sealed, keyId: newKeyId } = await encryption.encrypt(trx, text, place);
        renewed.push({ id, former, sealed, key_id: newKeyId });
      } catch (error) {
        if (!(error instanceof UnreadableText)) throw error;
        log.error({ err: error, table, column, id }, "an encrypted text cannot be read and stays under its former key");
      }
    }
    // What somebody has changed meanwhile is under the active key already.
    await rowsOf(
      trx,
      `update ${table} set ${column} = r.sealed, ${keyColumn} = r.key_id from ${rowSource(trx, RENEWED)}
       where ${table}.id = r.id and ${table}.${column} = r.former`,
      [toJson(renewed)],
    );
    return rows.length < BATCH ? undefined : rows.at(-1)?.id;
  });
}

const RENEWED = { id: "text", former: "text", sealed: "text", key_id: "text" } as const;

const UNUSED = COLUMNS.map(({ table, keyColumn }) => `not exists (select 1 from ${table} t where t.${keyColumn} = encryption_keys.id)`);

/** The key goes, with others that nothing is under any more, or stays for what it was not possible to read. */
async function retire({ db, log }: RotationContext, keyId: string): Promise<void> {
  const now = Date.now();
  const removed = await inTransaction(db, async (trx) => {
    await trx("encryption_keys")
      .where({ id: keyId })
      .update({ state: "retired", retired_at: isoOf(now) });
    const gone = await rowsOf<{ id: string }>(
      trx,
      `delete from encryption_keys where state = 'retired' and ${UNUSED.join(" and ")} returning id`,
    );
    const about = {
      organizationId: null,
      action: "encryption.key_removed",
      resourceType: "encryption_key",
      details: {},
      actor: SYSTEM,
      now,
    };
    await insertAudit(
      trx,
      gone.map(({ id }) => newAudit({ ...about, resourceId: id })),
    );
    return gone.map(({ id }) => id);
  });
  log.info({ key_id: keyId, removed }, "everything that can be read is under the active encryption key");
}
