import type { Encryption } from "./encryption.ts";
import type { Db } from "./open.ts";
import { inTransaction } from "./transaction.ts";

/** A bridge, and the folder on one of the nodes that Homebridge keeps things of it in. */
export interface StoragePlace {
  readonly organizationId: string;
  readonly number: number;
  readonly folderId: string;
}

interface Context {
  readonly db: Db;
  readonly encryption: Encryption;
}

/**
 * What was saved of the bridge's storage by another folder than this one: `undefined` where this one has it, and its own is
 * as new or newer. `isAnybodys`: no folder has it yet. Throws `UnreadableText`.
 */
export async function findForeignStorage(
  { db, encryption }: Context,
  { folderId, ...place }: StoragePlace,
): Promise<{ readonly isAnybodys: boolean; readonly text: string | null } | undefined> {
  const row = await rowOf(db, place);
  if (row?.storage_folder === folderId) return undefined;
  const { storage_encrypted: sealed, storage_key_id: keyId } = row ?? {};
  const text = row && sealed && keyId ? await encryption.decrypt(db, { keyId, sealed }, placeOf(row)) : null;
  return { isAnybodys: !row?.storage_folder, text };
}

/** From now on this folder has the bridge's storage, and what another one would save is refused. */
export async function claimStorage(db: Db, { organizationId, number, folderId }: StoragePlace): Promise<void> {
  await db("homekit_bridges").where({ organization_id: organizationId, number }).update({ storage_folder: folderId });
}

/** False where another folder has it by now, or the bridge is gone. */
export async function saveStorage({ db, encryption }: Context, { folderId, ...place }: StoragePlace, text: string): Promise<boolean> {
  return await inTransaction(db, async (trx) => {
    const row = await rowOf(trx, place);
    if (row?.storage_folder !== folderId) return false;
    const { keyId, sealed } = await encryption.encrypt(trx, text, placeOf(row));
    const saved = { storage_encrypted: sealed, storage_key_id: keyId };
    return (await trx("homekit_bridges").where({ id: row.id, storage_folder: folderId }).update(saved)) > 0;
  });
}

interface StorageRow {
  id: string;
  organization_id: string;
  storage_encrypted: string | null;
  storage_key_id: string | null;
  storage_folder: string | null;
}

const rowOf = async (db: Db, { organizationId, number }: Omit<StoragePlace, "folderId">): Promise<StorageRow | undefined> =>
  (await db("homekit_bridges").where({ organization_id: organizationId, number }).first()) as StorageRow | undefined;

const placeOf = ({ id, organization_id: organizationId }: StorageRow) =>
  ({ table: "homekit_bridges", column: "storage_encrypted", rowId: id, organizationId }) as const;
