import { randomBytes } from "node:crypto";
import { HubError } from "../core/errors.ts";
import { newId } from "../core/id.ts";
import type { Db } from "./open.ts";
import { open, seal } from "./secrets.ts";
import { isoOf, rowsOf } from "./sql.ts";

/** A text under the key that the database calls so. */
export interface Encrypted {
  readonly keyId: string;
  readonly sealed: string;
}

/** Where a text is kept: it can be read there and nowhere else. */
export interface EncryptedPlace {
  readonly table: string;
  readonly column: string;
  readonly rowId: string;
  readonly organizationId: string;
}

export interface EncryptionKey {
  readonly id: string;
  readonly secret: Buffer;
}

/** A text that was changed, moved to another place, or whose key is gone. */
export class UnreadableText extends Error {
  override readonly name = "UnreadableText";
}

/** Encrypts single texts of rows with AES-256-GCM, under keys that are rows themselves, sealed with the master key. */
export interface Encryption {
  /** Under the active key, which stays the active one until the transaction ends; made with its first use. */
  encrypt(trx: Db, text: string, place: EncryptedPlace): Promise<Encrypted>;
  /** Throws {@link UnreadableText}. */
  decrypt(db: Db, encrypted: Encrypted, place: EncryptedPlace): Promise<string>;
  /** A new active key. undefined when there is one already. */
  generateKey(trx: Db, now: number): Promise<EncryptionKey | undefined>;
  /** Another key is active from now on; the former one waits until nothing is under it. Throws `conflict` while one waits already. */
  rotateKey(trx: Db, now: number): Promise<{ readonly active: string; readonly retiring: string | null }>;
  getKey(db: Db, id: string): Promise<EncryptionKey | undefined>;
}

/** Of a key that becomes another one while it is asked for. */
const ATTEMPTS = 5;

export function createEncryption(masterKey: Buffer): Encryption {
  /** Opened once; there are as many as rotations that do not come to their end, and one. */
  const known = new Map<string, EncryptionKey>();
  /** The keys that transactions hold on to. */
  const held = new WeakMap<Db, EncryptionKey>();
  const opened = ({ id, secret_sealed }: KeyRow): EncryptionKey => {
    let key = known.get(id);
    if (!key) known.set(id, (key = { id, secret: open(masterKey, secret_sealed, keyPlace(id)) }));
    return key;
  };

  async function activeKey(trx: Db): Promise<EncryptionKey> {
    const before = held.get(trx);
    if (before) return before;
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      // The lock: who retires the key waits for what is written under it. When that was done in between, PostgreSQL finds no row.
      const row = (await keys(trx).where({ state: "active" }).forShare().first()) as KeyRow | undefined;
      if (row) {
        const key = opened(row);
        if (trx.isTransaction) held.set(trx, key);
        return key;
      }
      await generateKey(trx, Date.now());
    }
    throw new HubError("unavailable", "the encryption key changes: ask again");
  }

  async function generateKey(trx: Db, now: number): Promise<EncryptionKey | undefined> {
    const key = { id: newId(), secret: randomBytes(32) };
    const made = await rowsOf(
      trx,
      "insert into encryption_keys (id, state, secret_sealed, created_at) values (?, 'active', ?, ?) on conflict do nothing returning id",
      [key.id, seal(masterKey, key.secret, keyPlace(key.id)), isoOf(now)],
    );
    return made.length === 0 ? undefined : key;
  }

  async function getKey(db: Db, id: string): Promise<EncryptionKey | undefined> {
    const key = known.get(id);
    if (key) return key;
    const row = (await keys(db).where({ id }).first()) as KeyRow | undefined;
    return row && opened(row);
  }

  return {
    generateKey,
    getKey,
    async encrypt(trx, text, place) {
      const { id, secret } = await activeKey(trx);
      return { keyId: id, sealed: seal(secret, Buffer.from(text), textPlace(id, place)) };
    },
    async decrypt(db, { keyId, sealed }, place) {
      const key = await getKey(db, keyId);
      if (!key) throw new UnreadableText("its key is gone");
      try {
        return open(key.secret, sealed, textPlace(keyId, place)).toString();
      } catch (cause) {
        throw new UnreadableText("it was changed or moved", { cause });
      }
    },
    async rotateKey(trx, now) {
      const rows = (await keys(trx).whereIn("state", ["active", "retiring"]).orderBy("id").forUpdate()) as KeyRow[];
      if (rows.some(({ state }) => state === "retiring")) throw new HubError("conflict", "the last change of the key is still going on");
      const retiring = rows[0]?.id ?? null;
      if (retiring !== null)
        await keys(trx)
          .where({ id: retiring })
          .update({ state: "retiring", retired_at: isoOf(now) });
      const active = await generateKey(trx, now);
      if (!active) throw new HubError("conflict", "somebody else changes the key at this moment");
      return { active: active.id, retiring };
    },
  };
}

interface KeyRow {
  id: string;
  state: "active" | "retiring" | "retired";
  secret_sealed: string;
}

function keys(db: Db) {
  return db("encryption_keys");
}

const keyPlace = (id: string): string => JSON.stringify(["encryption_keys", id]);
const textPlace = (keyId: string, { table, column, rowId, organizationId }: EncryptedPlace): string =>
  JSON.stringify([keyId, table, column, rowId, organizationId]);
