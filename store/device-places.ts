import type { Scope } from "../core/principal.ts";
import type { Db } from "./open.ts";
import { scoped } from "./sql.ts";

/** Of a site or a room; undefined where neither is asked for, which is all of them. */
export async function deviceIdsIn(
  db: Db,
  scope: Scope,
  { siteId, roomId }: { readonly siteId?: string | undefined; readonly roomId?: string | undefined },
): Promise<string[] | undefined> {
  if (siteId === undefined && roomId === undefined) return undefined;
  const query = scoped(db("devices as d").join("rooms as r", "r.id", "d.room_id"), scope, {
    organization: "d.organization_id",
    device: "d.id",
  });
  if (siteId !== undefined) query.where("r.site_id", siteId);
  if (roomId !== undefined) query.where("r.id", roomId);
  const rows: { id: string }[] = await query.select("d.id");
  return rows.map(({ id }) => id);
}
