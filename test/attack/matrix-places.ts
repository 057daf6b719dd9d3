import assert from "node:assert/strict";
import { type Ids, MANAGERS, type Row, type Target } from "./matrix-row.ts";
import type { Cast, PersonName } from "./matrix-cast.ts";

/** Sites, rooms and what else is in an organisation, which the guest sees as far as his one device is there. */
const seesPlace = (who: PersonName, target: Target): number | "open" => {
  if (target === "missing") return 404;
  return who === "root" || target === "own" || target === "sibling" ? "open" : 404;
};
const seesProject = (who: PersonName, target: Target): number | "open" =>
  who === "guest" || who === "scoped" ? 404 : seesPlace(who, target);
const managesPlace = (who: PersonName, target: Target): number | "open" =>
  who === "root" || MANAGERS.includes(who) ? seesPlace(who, target) : 403;
/** Whoever links is in the organisation of both. */
const linksPlaces = (who: PersonName, target: Target): number | "open" => (who === "root" ? 404 : managesPlace(who, target));
const site = ({ site: id }: Ids): string => `/api/v1/sites/${id}`;
const room = ({ room: id }: Ids): string => `/api/v1/rooms/${id}`;
const project = ({ project: id }: Ids): string => `/api/v1/projects/${id}`;

/** Of the routes about places and what belongs together. */
export const PLACE_ROWS: Readonly<Record<string, Row>> = {
  "GET /api/v1/sites": {},
  "POST /api/v1/sites": { body: () => ({ name: "Villa", time_zone: "Europe/Zurich" }) },
  "GET /api/v1/sites/:id": { path: site, expects: seesPlace },
  "PATCH /api/v1/sites/:id": { path: site, body: () => ({ name: "Villa" }), expects: managesPlace },
  "DELETE /api/v1/sites/:id": { uses: ["site"], path: site, expects: managesPlace },
  "GET /api/v1/rooms": {},
  "POST /api/v1/rooms": { body: (ids) => ({ name: "Attic", site_id: ids.site }), expects: managesPlace },
  "GET /api/v1/rooms/:id": { path: room, expects: seesPlace },
  "PATCH /api/v1/rooms/:id": { path: room, body: () => ({ name: "Cellar" }), expects: managesPlace },
  "DELETE /api/v1/rooms/:id": { uses: ["room"], path: room, expects: managesPlace },
  "GET /api/v1/projects": {},
  "POST /api/v1/projects": { body: () => ({ name: "Heating" }) },
  "GET /api/v1/projects/:id": { path: project, expects: seesProject },
  "PATCH /api/v1/projects/:id": { path: project, body: () => ({ status: "paused" }), expects: managesPlace },
  "DELETE /api/v1/projects/:id": { uses: ["project"], path: project, expects: managesPlace },
  "GET /api/v1/projects/:id/members": { path: (ids) => `${project(ids)}/members`, expects: seesProject },
  "POST /api/v1/projects/:id/members": {
    path: (ids) => `${project(ids)}/members`,
    body: ({ device }) => ({ entity: device.id }),
    expects: managesPlace,
  },
  "DELETE /api/v1/projects/:id/members/:entity_id": {
    uses: ["project", "device"],
    path: (ids) => `${project(ids)}/members/${ids.device.id}`,
    expects: managesPlace,
  },
  "GET /api/v1/relationships": {},
  "POST /api/v1/relationships": {
    body: (ids) => ({ from_entity: ids.site, to_entity: ids.device.id, relationship_type: "feeds" }),
    expects: linksPlaces,
  },
  "DELETE /api/v1/relationships/:id": {
    uses: ["relationship"],
    path: ({ relationship }) => `/api/v1/relationships/${relationship}`,
    expects: managesPlace,
  },
  "GET /api/v1/entities": {},
  "GET /api/v1/entities/:id": { path: (ids) => `/api/v1/entities/${ids.site}`, expects: seesPlace },
  "PATCH /api/v1/entities/:id": {
    path: (ids) => `/api/v1/entities/${ids.room}`,
    body: () => ({ properties: { colour: "red" } }),
    expects: managesPlace,
  },
  "GET /api/v1/search": { path: () => "/api/v1/search?q=a" },
};

/** What these rows are about, in the one organisation or the other. */
export function placesIn(cast: Cast) {
  const made = async <K extends string>(isOurs: boolean, what: string, body: object): Promise<Record<K, { id: string }>> => {
    const answer = await cast.people[isOurs ? "owner" : "stranger"].api.call<Record<K, { id: string }>>("POST", `/api/v1/${what}`, body);
    assert.equal(answer.status, 201, JSON.stringify(answer.body));
    return answer.body;
  };
  const addSite = async (isOurs: boolean): Promise<string> =>
    (await made<"site">(isOurs, "sites", { name: `of ${isOurs}`, time_zone: "UTC" })).site.id;
  const addRoom = async (isOurs: boolean, siteId: string): Promise<string> =>
    (await made<"room">(isOurs, "rooms", { name: `of ${isOurs}`, site_id: siteId })).room.id;
  const addProject = async (isOurs: boolean): Promise<string> =>
    (await made<"project">(isOurs, "projects", { name: `of ${isOurs}` })).project.id;
  const link = async (isOurs: boolean, from: string, to: string): Promise<string> =>
    (await made<"relationship">(isOurs, "relationships", { from_entity: from, to_entity: to, relationship_type: "plans" })).relationship.id;
  async function addPlaces(isOurs: boolean, deviceId: string) {
    const [siteId, projectId] = [await addSite(isOurs), await addProject(isOurs)];
    const roomId = await addRoom(isOurs, siteId);
    const { api } = cast.people[isOurs ? "owner" : "stranger"];
    assert.equal((await api.call("PATCH", `/api/v1/devices/${deviceId}`, { room_id: roomId })).status, 200);
    return { site: siteId, room: roomId, project: projectId, relationship: await link(isOurs, projectId, siteId) };
  }

  const join = async (isOurs: boolean, projectId: string, entity: string): Promise<void> => {
    const { api } = cast.people[isOurs ? "owner" : "stranger"];
    assert.equal((await api.call("POST", `/api/v1/projects/${projectId}/members`, { entity })).status, 201);
  };

  /** For an attempt that uses it up. */
  async function renew(isOurs: boolean, ids: { -readonly [K in keyof Ids]: Ids[K] }, used: keyof Ids): Promise<void> {
    if (used === "site") ids.site = await addSite(isOurs);
    else if (used === "room") ids.room = await addRoom(isOurs, ids.site);
    else if (used === "project") ids.project = await addProject(isOurs);
    else if (used === "relationship") ids.relationship = await link(isOurs, await addProject(isOurs), ids.site);
  }

  return { addPlaces, join, renew };
}
