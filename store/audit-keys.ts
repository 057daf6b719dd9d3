import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { keyIdOf, type CheckpointStatement } from "../core/audit-statement.ts";
import { canonicalJson } from "../core/canonical-json.ts";
import { HubError } from "../core/errors.ts";
import { lockFirstStart } from "./first-start.ts";
import type { Db } from "./open.ts";
import { open, seal } from "./secrets.ts";
import { isoOf, rowsOf } from "./sql.ts";
import { inTransaction } from "./transaction.ts";

/** The key of a checkpoint's signature, as everybody may see it. */
export interface AuditKey {
  readonly keyId: string;
  /** PEM, SPKI */
  readonly publicKey: string;
  readonly createdAt: string;
  readonly retiredAt: string | null;
}

export interface AuditSigner {
  readonly keyId: string;
  readonly sign: (statement: CheckpointStatement) => string;
}

export interface AuditKeys {
  /** Made on first use; of nodes that start at once all get the same. */
  ensure(now: number): Promise<void>;
  signer(db: Db): Promise<AuditSigner>;
  /** Those that this hub has made, by their ids: what somebody has put into the database is not among them. */
  trusted(): Promise<Map<string, KeyObject>>;
  /** Oldest first. */
  list(): Promise<AuditKey[]>;
  /** The next key, which signs from now on. The private part of the one before it goes, so that nobody signs with it again. Throws `conflict`. */
  rotate(trx: Db, now: number): Promise<AuditKey>;
}

/** Nobody needs as many: each is kept for ever. */
export const MAX_AUDIT_KEYS = 100;

interface Row {
  readonly key_id: string;
  readonly public_key: string;
  readonly sealed: string;
  readonly created_at: string;
  readonly retired_at: string | null;
}
/** What is sealed: the public part too, so that nobody swaps it. */
interface Pair {
  readonly public_key: string;
  readonly private_key: string | null;
}

const placeOf = (keyId: string): string => `audit key ${keyId}`;

export function createAuditKeys(db: Db, masterKey: Buffer): AuditKeys {
  const pairOf = ({ key_id: keyId, sealed }: Row): Pair => JSON.parse(open(masterKey, sealed, placeOf(keyId)).toString("utf8")) as Pair;
  const sealPair = (keyId: string, pair: Pair): string => seal(masterKey, Buffer.from(JSON.stringify(pair)), placeOf(keyId));

  async function add(trx: Db, now: number): Promise<AuditKey> {
    const { publicKey, privateKey } = generateKeyPairSync("ed25519");
    const keyId = keyIdOf(publicKey);
    const pem = publicKey.export({ type: "spki", format: "pem" }).toString();
    const private_key = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
    const row = { key_id: keyId, public_key: pem, sealed: sealPair(keyId, { public_key: pem, private_key }), created_at: isoOf(now) };
    await trx("audit_keys").insert(row);
    return keyOf({ ...row, retired_at: null });
  }

  const active = async (from: Db): Promise<Row | undefined> =>
    (await from("audit_keys").whereNull("retired_at").forUpdate().first()) as Row | undefined;

  return {
    ensure: (now) =>
      inTransaction(db, async (trx) => {
        await lockFirstStart(trx);
        if (!(await active(trx))) await add(trx, now);
      }),
    async signer(from) {
      const row = await active(from);
      const pem = row && pairOf(row).private_key;
      if (!row || !pem) throw new Error("the audit has no key to sign with");
      const key = createPrivateKey(pem);
      return { keyId: row.key_id, sign: (statement) => sign(null, Buffer.from(canonicalJson(statement)), key).toString("base64url") };
    },
    async trusted() {
      const trusted = new Map<string, KeyObject>();
      for (const row of await listRows(db)) {
        const key = trustedKey(row, pairOf);
        if (key) trusted.set(row.key_id, key);
      }
      return trusted;
    },
    list: async () => (await listRows(db)).map(keyOf),
    async rotate(trx, now) {
      const before = await active(trx);
      const [{ count } = { count: 0 }] = await rowsOf<{ count: number }>(trx, "select count(*) as count from audit_keys");
      if (count >= MAX_AUDIT_KEYS) throw new HubError("conflict", `there are ${MAX_AUDIT_KEYS} keys, and no more are made`);
      // Of two that rotate at once the second one finds it retired.
      if (!before) throw new HubError("conflict", "somebody else has just made a key");
      await trx("audit_keys")
        .where({ key_id: before.key_id })
        .update({ retired_at: isoOf(now), sealed: sealPair(before.key_id, { ...pairOf(before), private_key: null }) });
      return await add(trx, now);
    },
  };
}

function trustedKey(row: Row, pairOf: (row: Row) => Pair): KeyObject | undefined {
  try {
    const pair = pairOf(row);
    const key = createPublicKey(pair.public_key);
    return pair.public_key === row.public_key && keyIdOf(key) === row.key_id ? key : undefined;
  } catch {
    // It was sealed with another master key, or by nobody.
    return undefined;
  }
}

const listRows = async (db: Db): Promise<Row[]> => (await db("audit_keys").orderBy(["created_at", "key_id"])) as Row[];

const keyOf = (row: Row): AuditKey => ({
  keyId: row.key_id,
  publicKey: row.public_key,
  createdAt: row.created_at,
  retiredAt: row.retired_at,
});
