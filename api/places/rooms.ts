import Type, { type Static } from "typebox";
import type { Room } from "../../core/place.ts";
import { createRoom, deleteRoom, getRoom, listRooms, lockRoom, type RoomFields, updateRoom } from "../../store/rooms.ts";
import { usersGrantedOn } from "../../store/site-grants.ts";
import { lockSite } from "../../store/sites.ts";
import { Cursor, IdParams, Limit, line, pageOf, Uuid } from "../fields.ts";
import { type AuditNote, defineRoute } from "../route.ts";
import { changeable, Description, Name, Search } from "./fields.ts";
import { placeVersion, roomJson, RoomView } from "./representation.ts";

const Body = Type.Object(
  { name: Name, site_id: Uuid, floor: Type.Optional(line(60)), description: Type.Optional(Description) },
  { additionalProperties: false, title: "RoomRequest" },
);
const change = changeable(Body, "Room");
const OneRoom = Type.Object({ room: RoomView }, { title: "OneRoom" });

export const list = defineRoute({
  method: "GET",
  path: "/api/v1/rooms",
  tag: "Places",
  summary: "The rooms that you may see",
  description: "Whoever was given single devices sees the rooms where they are.",
  access: "device.read",
  query: Type.Object(
    { limit: Limit(200, 50), cursor: Cursor, search: Search, site_id: Type.Optional(Uuid) },
    { additionalProperties: false },
  ),
  replies: { 200: { description: "Oldest first", schema: pageOf(RoomView, "RoomPage") } },
  async handler({ context, scope, query: { limit = 50, cursor: after, search, site_id: siteId } }) {
    const page = await listRooms(context.store.db, scope, { limit, after, search, siteId: siteId?.toLowerCase() });
    return { status: 200, body: { data: page.items.map(roomJson), next_cursor: page.next } };
  },
});

export const create = defineRoute({
  method: "POST",
  path: "/api/v1/rooms",
  tag: "Places",
  summary: "Make a room on a site",
  access: "place.manage",
  body: Body,
  bodyExample: { name: "Kitchen", site_id: "0193b0f2-7c1e-7d3a-9a51-3f1d5f0c7a10", floor: "Ground floor" },
  replies: { 201: { description: "Made", schema: OneRoom } },
  errors: ["not_found", "quota_exceeded"],
  handler: ({ scope, body, commit }) =>
    commit(async (db) => {
      const { siteId, ...fields } = fieldsOf(body);
      const room = await createRoom(db, await lockSite(db, scope, siteId), fields);
      return { answer: answerOf(room, 201), audit: [note(room, "room.create", { name: room.name, site_id: siteId })] };
    }),
});

export const show = defineRoute({
  method: "GET",
  path: "/api/v1/rooms/:id",
  tag: "Places",
  summary: "One room",
  access: "device.read",
  params: IdParams,
  replies: { 200: { description: "The room", schema: OneRoom } },
  errors: ["not_found"],
  async handler({ context, scope, params }) {
    return answerOf(await getRoom(context.store.db, scope, params.id.toLowerCase()), 200);
  },
});

export const update = defineRoute({
  method: "PATCH",
  path: "/api/v1/rooms/:id",
  tag: "Places",
  summary: "Change a room",
  description:
    "A merge patch. On another site of the organisation its devices go with it, and what was granted on the one and the other site follows within a second.",
  access: "place.manage",
  match: "optional",
  params: IdParams,
  body: change.Patch,
  bodyExample: { name: "Big kitchen", floor: null },
  replies: { 200: { description: "As it is now", schema: OneRoom } },
  errors: ["not_found"],
  handler: ({ context, scope, params, body, match, commit }) =>
    commit(async (db) => {
      const before = await lockRoom(db, scope, params.id.toLowerCase());
      match(placeVersion(roomJson(before)));
      const room = await updateRoom(db, before, fieldsOf(change.apply(roomJson(before), body)));
      const hasMoved = room.siteId !== before.siteId;
      if (hasMoved) await context.alerts.moved(db, room.organizationId);
      const granted = hasMoved ? await usersGrantedOn(db, [before.siteId, room.siteId]) : [];
      const details = { changed: Object.keys(body), ...(hasMoved ? { site_id: room.siteId, before: before.siteId } : {}) };
      return {
        answer: answerOf(room, 200),
        audit: [note(room, "room.update", details)],
        afterwards: () => context.access.changed(granted),
      };
    }),
});

export const remove = defineRoute({
  method: "DELETE",
  path: "/api/v1/rooms/:id",
  tag: "Places",
  summary: "Remove a room",
  description: "Its devices stay, in no room.",
  access: "place.manage",
  match: "optional",
  params: IdParams,
  replies: { 204: { description: "Gone" } },
  errors: ["not_found"],
  handler: ({ context, scope, params, match, commit }) =>
    commit(async (db) => {
      const room = await lockRoom(db, scope, params.id.toLowerCase());
      match(placeVersion(roomJson(room)));
      const granted = await usersGrantedOn(db, [room.siteId]);
      const devices = await deleteRoom(db, room.id);
      await context.alerts.moved(db, room.organizationId);
      return {
        answer: { status: 204 },
        audit: [note(room, "room.delete", { name: room.name, devices })],
        afterwards: () => context.access.changed(granted),
      };
    }),
});

function fieldsOf({ name, site_id: siteId, floor, description }: Static<typeof Body>): RoomFields {
  return { name, siteId: siteId.toLowerCase(), floor: floor ?? null, description: description ?? null };
}

function answerOf(room: Room, status: 200 | 201) {
  const json = roomJson(room);
  return { status, version: placeVersion(json), body: { room: json } };
}

function note({ id, organizationId }: Room, action: string, details: Record<string, unknown>): AuditNote {
  return { organizationId, action, resourceType: "room", resourceId: id, details };
}
