import type { Encryption } from "./encryption.ts";
import type { Db } from "./open.ts";
import { isoOf } from "./sql.ts";

/** For so long a secret goes on beside its successor. */
export const SECRET_OVERLAP_MS = 86_400_000;

type Table = "webhooks" | "inbound_hooks";

/** What a row of {@link Table} holds of its secrets. */
export interface SecretColumns {
  secret_encrypted: string;
  secret_key_id: string;
  former_secret_encrypted: string | null;
  former_secret_key_id: string | null;
  former_secret_until: string | null;
}

export interface SecretOwner {
  readonly table: Table;
  readonly id: string;
  readonly organizationId: string;
}

const placeOf = ({ table, id, organizationId }: SecretOwner, column: "secret_encrypted" | "former_secret_encrypted") =>
  ({ table, column, rowId: id, organizationId }) as const;

/** Of something new. */
export async function firstSecret(trx: Db, encryption: Encryption, owner: SecretOwner, secret: string): Promise<SecretColumns> {
  const { keyId, sealed } = await encryption.encrypt(trx, secret, placeOf(owner, "secret_encrypted"));
  return {
    secret_encrypted: sealed,
    secret_key_id: keyId,
    former_secret_encrypted: null,
    former_secret_key_id: null,
    former_secret_until: null,
  };
}

/** The one before goes on for a day; of two changes within a day the first secret ends at once. */
export async function nextSecret(
  trx: Db,
  encryption: Encryption,
  owner: SecretOwner,
  { row, secret, now }: { readonly row: SecretColumns; readonly secret: string; readonly now: number },
): Promise<SecretColumns> {
  const [former = ""] = await openSecrets(trx, encryption, owner, { row, now });
  const kept = await encryption.encrypt(trx, former, placeOf(owner, "former_secret_encrypted"));
  return {
    ...(await firstSecret(trx, encryption, owner, secret)),
    former_secret_encrypted: kept.sealed,
    former_secret_key_id: kept.keyId,
    former_secret_until: isoOf(now + SECRET_OVERLAP_MS),
  };
}

/** Those that hold now, the newest first. Throws `UnreadableText`. */
export async function openSecrets(
  db: Db,
  encryption: Encryption,
  owner: SecretOwner,
  { row, now }: { readonly row: SecretColumns; readonly now: number },
): Promise<string[]> {
  const open = (keyId: string, sealed: string, column: Parameters<typeof placeOf>[1]): Promise<string> =>
    encryption.decrypt(db, { keyId, sealed }, placeOf(owner, column));
  const secrets = [await open(row.secret_key_id, row.secret_encrypted, "secret_encrypted")];
  const { former_secret_encrypted: former, former_secret_key_id: keyId, former_secret_until: until } = row;
  if (former !== null && keyId !== null && until !== null && Date.parse(until) > now)
    secrets.push(await open(keyId, former, "former_secret_encrypted"));
  return secrets;
}
