import { MOST } from "../core/place.ts";
import type { DeviceRole } from "../core/permissions.ts";
import { checkQuota } from "./entity-rows.ts";
import type { Db } from "./open.ts";
import { idsParameter, isoOf, rowsOf, toJson } from "./sql.ts";

/** A role on every device that is on the site, those that come later too. */
export interface SiteGrant {
  readonly userId: string;
  readonly siteId: string;
  readonly role: DeviceRole;
  readonly createdAt: string;
}

/** Gives the member a role on the site, or another one than before; both are of the organisation, which is locked. Throws `quota_exceeded`. */
export async function putSiteGrant(trx: Db, organizationId: string, { userId, siteId, role }: Omit<SiteGrant, "createdAt">): Promise<void> {
  const changed = await trx("site_grants").where({ user_id: userId, site_id: siteId }).update({ role });
  if (changed > 0) return;
  await checkQuota(trx("site_grants").where({ organization_id: organizationId }), MOST.siteGrants);
  const row = { user_id: userId, site_id: siteId, organization_id: organizationId, role, created_at: isoOf(Date.now()) };
  await trx("site_grants").insert(row);
}

/** False when there was none. */
export async function removeSiteGrant(db: Db, organizationId: string, userId: string, siteId: string): Promise<boolean> {
  return (await db("site_grants").where({ organization_id: organizationId, user_id: userId, site_id: siteId }).del()) > 0;
}

export async function listSiteGrants(db: Db, organizationId: string): Promise<SiteGrant[]> {
  return (await db("site_grants")
    .where({ organization_id: organizationId })
    .orderBy(["user_id", "site_id"])
    .select({ userId: "user_id", siteId: "site_id", role: "role", createdAt: "created_at" })) as SiteGrant[];
}

/** Whose rights change when something comes to these sites or goes from them. */
export async function usersGrantedOn(db: Db, siteIds: readonly (string | null)[]): Promise<string[]> {
  const ids = siteIds.filter((id) => id !== null);
  if (ids.length === 0) return [];
  const sql = `select distinct user_id from site_grants where site_id in ${idsParameter(db)}`;
  return (await rowsOf<{ user_id: string }>(db, sql, [toJson(ids)])).map(({ user_id }) => user_id);
}
