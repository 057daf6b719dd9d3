import type { Knex } from "knex";
import { HubError } from "../core/errors.ts";
import { MOST, type Room, type Site } from "../core/place.ts";
import type { Scope } from "../core/principal.ts";
import { besideEntities, checkQuota, type EntityText, insertEntity, storableOrNull, writeEntity } from "./entity-rows.ts";
import type { Db } from "./open.ts";
import { lockOrganization } from "./organizations.ts";
import { getSite, type PlaceFilter, scopedPlaces } from "./sites.ts";
import { containing, isoOf, type Page, pageOf } from "./sql.ts";

export type RoomFields = EntityText & Pick<Room, "siteId" | "floor">;

/** On a site that is locked. Throws `quota_exceeded`. */
export async function createRoom(trx: Db, { id: siteId, organizationId }: Site, fields: Omit<RoomFields, "siteId">): Promise<Room> {
  await checkQuota(trx("rooms").where({ organization_id: organizationId }), MOST.rooms);
  const id = await insertEntity(trx, "room", organizationId, fields);
  await trx("rooms").insert({ id, organization_id: organizationId, site_id: siteId, floor: storableOrNull(fields.floor) });
  return await readRoom(trx, id);
}

/** Whoever sees single devices sees the rooms where they are. Throws `not_found`. */
export async function getRoom(db: Db, scope: Scope, id: string): Promise<Room> {
  const room = (await scopedPlaces(rooms(db), scope, "room").where("t.id", id).first()) as Room | undefined;
  if (!room) throw new HubError("not_found", "there is no such room");
  return room;
}

/** As {@link getRoom}; nobody else changes it until the transaction ends. */
export async function lockRoom(trx: Db, scope: Scope, id: string): Promise<Room> {
  await lockOrganization(trx, (await getRoom(trx, scope, id)).organizationId);
  return await getRoom(trx, scope, id);
}

/** Oldest first. */
export async function listRooms(db: Db, scope: Scope, filter: PlaceFilter & { readonly siteId?: string | undefined }): Promise<Page<Room>> {
  const { limit, after, search, siteId } = filter;
  const query = scopedPlaces(rooms(db), scope, "room")
    .orderBy("t.id")
    .limit(limit + 1);
  if (after !== undefined) query.where("t.id", ">", after);
  if (siteId !== undefined) query.where("t.site_id", siteId);
  if (search !== undefined) query.whereRaw("hub_lower(e.name) like ? escape '\\'", [containing(search)]);
  return pageOf((await query) as Room[], limit, ({ id }) => id);
}

/** Of one that is locked. Throws `not_found` for a site that its organisation has not. */
export async function updateRoom(trx: Db, { id, organizationId }: Room, fields: RoomFields): Promise<Room> {
  const site = await getSite(trx, { kind: "organization", organizationId }, fields.siteId);
  await writeEntity(trx, id, fields);
  await trx("rooms")
    .where({ id })
    .update({ site_id: site.id, floor: storableOrNull(fields.floor) });
  return await readRoom(trx, id);
}

/** One that is locked. The devices stay; gives how many were in it. */
export async function deleteRoom(trx: Db, id: string): Promise<number> {
  const devices = await trx("devices")
    .where({ room_id: id })
    .update({ room_id: null, updated_at: isoOf(Date.now()) });
  await trx("entities").where({ id }).del();
  return devices;
}

/** Where a device was and is: sites, or null outside of every room. */
export interface Moved {
  readonly from: string | null;
  readonly to: string | null;
}

/**
 * Puts a device into a room of its own organisation, or out of the one that it is in. Throws `not_found` for another organisation's room, and
 * when the device has left the organisation meanwhile.
 */
export async function placeDevice(trx: Db, device: { id: string; organizationId: string }, roomId: string | null): Promise<Moved> {
  const { id, organizationId } = device;
  await lockOrganization(trx, organizationId);
  const room = roomId === null ? null : await getRoom(trx, { kind: "organization", organizationId }, roomId);
  const from = await siteOfDevice(trx, id);
  const placed = await trx("devices")
    .where({ id, organization_id: organizationId })
    .update({ room_id: room?.id ?? null });
  if (placed === 0) throw new HubError("not_found", "there is no such device");
  return { from, to: room?.siteId ?? null };
}

/** null outside of every room. */
export async function siteOfDevice(db: Db, deviceId: string): Promise<string | null> {
  const row = (await db("devices as d").join("rooms as r", "r.id", "d.room_id").where("d.id", deviceId).first("r.site_id")) as
    | { site_id: string }
    | undefined;
  return row?.site_id ?? null;
}

const rooms = (db: Db): Knex.QueryBuilder => besideEntities(db, "rooms", { siteId: "t.site_id", floor: "t.floor" });

const readRoom = async (trx: Db, id: string): Promise<Room> => (await rooms(trx).where("t.id", id).first()) as Room;
