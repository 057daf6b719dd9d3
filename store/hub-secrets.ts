import type { Db } from "./open.ts";
import { open, seal } from "./secrets.ts";
import { isoOf, rowsOf } from "./sql.ts";

export type HubSecret = "certificate_authority" | "audit_chain";

/** undefined when nobody kept it yet. Throws when another master key sealed it. */
export async function findHubSecret(db: Db, masterKey: Buffer, name: HubSecret): Promise<string | undefined> {
  const [row] = await rowsOf<{ sealed: string }>(db, "select sealed from hub_secrets where name = ?", [name]);
  return row && open(masterKey, row.sealed).toString("utf8");
}

export async function keepHubSecret(
  db: Db,
  masterKey: Buffer,
  { name, value, now }: { name: HubSecret; value: string; now: number },
): Promise<void> {
  await rowsOf(
    db,
    "insert into hub_secrets (name, sealed, changed_at) values (?, ?, ?) on conflict (name) do update set sealed = excluded.sealed, changed_at = excluded.changed_at",
    [name, seal(masterKey, Buffer.from(value)), isoOf(now)],
  );
}
