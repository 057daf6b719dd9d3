import Type from "typebox";
import { search as searchStore } from "../../store/search.ts";
import { nullable } from "../fields.ts";
import { defineRoute } from "../route.ts";
import { sightOf } from "./entities.ts";

const MOST_OF_A_KIND = 20;
const Named = { id: Type.String(), name: Type.String() };

export const search = defineRoute({
  method: "GET",
  path: "/api/v1/search",
  tag: "Places",
  summary: "Find devices, sites, rooms, projects and people",
  description: "By part of a name, uid, serial number or e-mail address; of each kind the 20 oldest of those that you may see.",
  access: "device.read",
  query: Type.Object({ q: Type.String({ minLength: 1, maxLength: 120 }) }, { additionalProperties: false }),
  replies: {
    200: {
      description: "What was found",
      schema: Type.Object(
        {
          devices: Type.Array(
            Type.Object(
              { ...Named, uid: Type.String(), room_id: nullable("string"), site_id: nullable("string") },
              { title: "FoundDevice" },
            ),
          ),
          sites: Type.Array(Type.Object(Named, { title: "FoundSite" })),
          rooms: Type.Array(Type.Object({ ...Named, site_id: Type.String() }, { title: "FoundRoom" })),
          projects: Type.Array(Type.Object({ ...Named, status: Type.String() }, { title: "FoundProject" })),
          people: Type.Array(
            Type.Object({ user_id: Type.String(), email: Type.String(), name: nullable("string") }, { title: "FoundPerson" }),
          ),
        },
        { title: "SearchResult" },
      ),
    },
  },
  async handler({ context, rights, scope, query }) {
    const found = await searchStore(context.store.db, sightOf(rights, scope), { text: query.q, limit: MOST_OF_A_KIND });
    return {
      status: 200,
      body: {
        devices: found.devices.map(({ id, uid, name, roomId, siteId }) => ({ id, uid, name, room_id: roomId, site_id: siteId })),
        sites: found.sites.map(({ id, name }) => ({ id, name })),
        rooms: found.rooms.map(({ id, name, siteId }) => ({ id, name, site_id: siteId })),
        projects: found.projects.map(({ id, name, status }) => ({ id, name, status })),
        people: found.people.map(({ userId, email, name }) => ({ user_id: userId, email, name: name || null })),
      },
    };
  },
});
