import type { Capabilities } from "../core/device.ts";
import type { Db } from "./open.ts";
import { fromJson, idsParameter, rowsOf, toJson } from "./sql.ts";

/** The devices of the organisation among these, by uid. */
export async function devicesByUid(
  db: Db,
  organizationId: string,
  uids: readonly string[],
): Promise<Map<string, { id: string; capabilities: Capabilities }>> {
  if (uids.length === 0) return new Map();
  const rows = await rowsOf<{ id: string; uid: string; capabilities: unknown }>(
    db,
    `select id, uid, capabilities from devices where organization_id = ? and uid in ${idsParameter(db)}`,
    [organizationId, toJson(uids)],
  );
  return new Map(rows.map(({ id, uid, capabilities }) => [uid, { id, capabilities: fromJson(capabilities) as Capabilities }]));
}

const TABLES = {
  scene: "select id from scenes where organization_id = ? and id in",
  room: "select id from rooms where organization_id = ? and id in",
  site: "select id from sites where organization_id = ? and id in",
  user: "select user_id as id from memberships where organization_id = ? and user_id in",
  webhook: "select id from webhooks where organization_id = ? and id in",
  // Those of others are read by whoever has made theirs of them: not by a rule that they could change.
  template: "select id from task_templates where organization_id = ? and id in",
  hook: "select id from inbound_hooks where organization_id = ? and id in",
} as const;
export type NamedKind = keyof typeof TABLES;

/** Those of these ids that are things of the kind in the organisation. */
export async function idsOf(db: Db, organizationId: string, kind: NamedKind, ids: readonly string[]): Promise<ReadonlySet<string>> {
  if (ids.length === 0) return new Set();
  const rows = await rowsOf<{ id: string }>(db, `${TABLES[kind]} ${idsParameter(db)}`, [
    organizationId,
    toJson(ids.map((id) => id.toLowerCase())),
  ]);
  return new Set(rows.map(({ id }) => id));
}
