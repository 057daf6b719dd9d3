import { newId } from "../core/id.ts";
import type { Encryption } from "./encryption.ts";
import type { Db } from "./open.ts";
import { isoOf } from "./sql.ts";
import { inTransaction } from "./transaction.ts";

/** A bridge of HomeKit, as it was made once. */
export interface HomekitBridge {
  readonly number: number;
  readonly username: string;
  readonly port: number;
  readonly setupId: string;
  /** Of the account that it has at the hub. */
  readonly tokenId: string;
  readonly secrets: HomekitSecrets;
}

export interface HomekitSecrets {
  readonly pin: string;
  readonly accountName: string;
  readonly token: string;
}

interface Context {
  readonly db: Db;
  readonly encryption: Encryption;
}

/** By number. Throws `UnreadableText` where a key is gone. */
export async function readHomekitBridges({ db, encryption }: Context, organizationId: string): Promise<HomekitBridge[]> {
  const rows = (await db("homekit_bridges").where({ organization_id: organizationId }).orderBy("number")) as BridgeRow[];
  return await Promise.all(
    rows.map(async (row) => {
      const text = await encryption.decrypt(db, { keyId: row.secrets_key_id, sealed: row.secrets_encrypted }, placeOf(row));
      return {
        number: row.number,
        username: row.username,
        port: row.port,
        setupId: row.setup_id,
        tokenId: row.token_id,
        secrets: JSON.parse(text) as HomekitSecrets,
      };
    }),
  );
}

/** The bridge of that number, as it is from now on. */
export async function putHomekitBridge(
  { db, encryption }: Context,
  organizationId: string,
  { number, username, port, setupId, tokenId, secrets }: HomekitBridge,
  now: number,
): Promise<void> {
  await inTransaction(db, async (trx) => {
    const place = { organization_id: organizationId, number };
    const known = (await trx("homekit_bridges").where(place).first("id")) as { id: string } | undefined;
    const id = known?.id ?? newId();
    const { keyId, sealed } = await encryption.encrypt(trx, JSON.stringify(secrets), placeOf({ id, organization_id: organizationId }));
    await trx("homekit_bridges")
      .insert({
        id,
        ...place,
        username,
        port,
        setup_id: setupId,
        token_id: tokenId,
        secrets_encrypted: sealed,
        secrets_key_id: keyId,
        created_at: isoOf(now),
      })
      .onConflict("id")
      .merge(["username", "port", "setup_id", "token_id", "secrets_encrypted", "secrets_key_id"]);
  });
}

/** Forgets the organisation's bridges and what is on them. */
export async function removeHomekit(db: Db, organizationId: string): Promise<void> {
  await inTransaction(db, async (trx) => {
    await trx("homekit_accessories").where({ organization_id: organizationId }).del();
    await trx("homekit_bridges").where({ organization_id: organizationId }).del();
  });
}

/** Bridge by the device's id. */
export async function readHomekitAccessories(db: Db, organizationId: string): Promise<Map<string, number>> {
  const rows = (await db("homekit_accessories").where({ organization_id: organizationId })) as { device_id: string; bridge: number }[];
  return new Map(rows.map(({ device_id: id, bridge }) => [id, bridge]));
}

/** A device that was removed meanwhile is left out: it is told as gone next. */
export async function putHomekitAccessories(
  db: Db,
  organizationId: string,
  { added, gone }: { readonly added: ReadonlyMap<string, number>; readonly gone: readonly string[] },
): Promise<void> {
  await inTransaction(db, async (trx) => {
    for (const ids of chunksOf(gone))
      await trx("homekit_accessories").where({ organization_id: organizationId }).whereIn("device_id", ids).del();
    for (const entries of chunksOf([...added])) {
      const present = (await trx("devices")
        .whereIn(
          "id",
          entries.map(([id]) => id),
        )
        .select("id")) as { id: string }[];
      const ids = new Set(present.map(({ id }) => id));
      const rows = entries
        .filter(([id]) => ids.has(id))
        .map(([id, bridge]) => ({ device_id: id, organization_id: organizationId, bridge }));
      if (rows.length > 0) await trx("homekit_accessories").insert(rows).onConflict(["organization_id", "device_id"]).merge(["bridge"]);
    }
  });
}

/** SQLite takes 500 rows of an insert. */
const CHUNK = 250;

const chunksOf = <T>(all: readonly T[]): T[][] =>
  Array.from({ length: Math.ceil(all.length / CHUNK) }, (_, index) => all.slice(index * CHUNK, (index + 1) * CHUNK));

interface BridgeRow {
  id: string;
  organization_id: string;
  number: number;
  username: string;
  port: number;
  setup_id: string;
  token_id: string;
  secrets_encrypted: string;
  secrets_key_id: string;
}

const placeOf = ({ id, organization_id: organizationId }: Pick<BridgeRow, "id" | "organization_id">) =>
  ({ table: "homekit_bridges", column: "secrets_encrypted", rowId: id, organizationId }) as const;
