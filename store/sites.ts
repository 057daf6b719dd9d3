import type { Knex } from "knex";
import { HubError } from "../core/errors.ts";
import { MOST, type Site } from "../core/place.ts";
import type { Scope } from "../core/principal.ts";
import { besideEntities, checkQuota, type EntityText, insertEntity, storableOrNull, writeEntity } from "./entity-rows.ts";
import type { Db } from "./open.ts";
import { lockOrganization } from "./organizations.ts";
import { inTransaction } from "./transaction.ts";
import { containing, engineOf, idsParameter, isoOf, type Page, pageOf, rowsOf, toJson } from "./sql.ts";

export type SiteFields = EntityText & Pick<Site, "timeZone" | "latitude" | "longitude" | "address">;

export interface PlaceFilter {
  readonly limit: number;
  readonly after?: string | undefined;
  /** Part of the name. */
  readonly search?: string | undefined;
}

/** Throws `quota_exceeded`. */
export async function createSite(db: Db, organizationId: string, fields: SiteFields): Promise<Site> {
  return await inTransaction(db, async (trx) => {
    await lockOrganization(trx, organizationId);
    await checkQuota(trx("sites").where({ organization_id: organizationId }), MOST.sites);
    const id = await insertEntity(trx, "site", organizationId, fields);
    await trx("sites").insert({ id, organization_id: organizationId, ...columnsOf(fields) });
    return await readSite(trx, id);
  });
}

/** Whoever sees single devices sees the sites where they are. Throws `not_found`. */
export async function getSite(db: Db, scope: Scope, id: string): Promise<Site> {
  const site = (await seenSites(db, scope).where("t.id", id).first()) as Site | undefined;
  if (!site) throw new HubError("not_found", "there is no such site");
  return site;
}

/** As {@link getSite}; nobody else changes it until the transaction ends. */
export async function lockSite(trx: Db, scope: Scope, id: string): Promise<Site> {
  await lockOrganization(trx, (await getSite(trx, scope, id)).organizationId);
  return await getSite(trx, scope, id);
}

/** What a site of the organisation says to schedules. It is not removed until the transaction ends. */
export async function findPlace(
  trx: Db,
  organizationId: string,
  id: string,
): Promise<Pick<Site, "timeZone" | "latitude" | "longitude"> | undefined> {
  const lock = engineOf(trx) === "postgres" ? "for key share" : "";
  const [row] = await rowsOf<{ time_zone: string; latitude: number | null; longitude: number | null }>(
    trx,
    `select time_zone, latitude, longitude from sites where organization_id = ? and id = ? ${lock}`,
    [organizationId, id],
  );
  return row && { timeZone: row.time_zone, latitude: row.latitude, longitude: row.longitude };
}

/** Oldest first. */
export async function listSites(db: Db, scope: Scope, { limit, after, search }: PlaceFilter): Promise<Page<Site>> {
  const query = seenSites(db, scope)
    .orderBy("t.id")
    .limit(limit + 1);
  if (after !== undefined) query.where("t.id", ">", after);
  if (search !== undefined) query.whereRaw("hub_lower(e.name) like ? escape '\\'", [containing(search)]);
  return pageOf((await query) as Site[], limit, ({ id }) => id);
}

/** Of one that is locked. */
export async function updateSite(trx: Db, id: string, fields: SiteFields): Promise<Site> {
  await writeEntity(trx, id, fields);
  await trx("sites").where({ id }).update(columnsOf(fields));
  return await readSite(trx, id);
}

/** One that is locked, with its rooms and what was granted on it. The devices stay; gives how many were in it, and the rooms. */
export async function deleteSite(trx: Db, id: string): Promise<{ rooms: number; devices: number }> {
  const rooms = () => trx("rooms").where({ site_id: id }).select("id");
  const devices = await trx("devices")
    .whereIn("room_id", rooms())
    .update({ room_id: null, updated_at: isoOf(Date.now()) });
  const count = await trx("entities").whereIn("id", rooms()).del();
  await trx("entities").where({ id }).del();
  return { rooms: count, devices };
}

/** Narrows sites or rooms, `t`, to those where somebody sees everything, or one of the devices that they may see. */
export function scopedPlaces<Q extends Knex.QueryBuilder>(query: Q, scope: Scope, kind: "site" | "room"): Q {
  if (scope.kind === "platform") return query;
  query.where("t.organization_id", scope.organizationId);
  if (scope.kind === "devices") {
    const rooms = `select room_id from devices where organization_id = ? and id in ${idsParameter(query)}`;
    query.whereRaw(`t.id in (${kind === "room" ? rooms : `select site_id from rooms where id in (${rooms})`})`, [
      scope.organizationId,
      toJson(scope.deviceIds),
    ]);
  }
  return query;
}

const sites = (db: Db): Knex.QueryBuilder =>
  besideEntities(db, "sites", { timeZone: "t.time_zone", latitude: "t.latitude", longitude: "t.longitude", address: "t.address" });

const seenSites = (db: Db, scope: Scope): Knex.QueryBuilder => scopedPlaces(sites(db), scope, "site");

const readSite = async (trx: Db, id: string): Promise<Site> => (await sites(trx).where("t.id", id).first()) as Site;

const columnsOf = ({ timeZone, latitude, longitude, address }: SiteFields) => ({
  time_zone: timeZone,
  latitude,
  longitude,
  address: storableOrNull(address),
});
