import type { Device } from "../core/device.ts";
import type { Room, Site } from "../core/place.ts";
import type { Project } from "../core/project.ts";
import { listDevices } from "./devices.ts";
import type { Sight } from "./entities.ts";
import type { Db } from "./open.ts";
import { listProjects } from "./projects.ts";
import { listRooms } from "./rooms.ts";
import { listSites } from "./sites.ts";
import { containing } from "./sql.ts";

export interface FoundPerson {
  readonly userId: string;
  readonly email: string;
  readonly name: string;
}

export interface Found {
  readonly devices: readonly Device[];
  readonly sites: readonly Site[];
  readonly rooms: readonly Room[];
  readonly projects: readonly Project[];
  readonly people: readonly FoundPerson[];
}

/** Of each kind the oldest ones with the text in their name, uid, serial number or e-mail address. */
export async function search(db: Db, { things, people }: Sight, { text, limit }: { text: string; limit: number }): Promise<Found> {
  const filter = { limit, search: text };
  return {
    devices: (await listDevices(db, things, filter)).items,
    sites: (await listSites(db, things, filter)).items,
    rooms: (await listRooms(db, things, filter)).items,
    projects: (await listProjects(db, things, filter)).items,
    people: await searchPeople(db, people, filter),
  };
}

async function searchPeople(db: Db, scope: Sight["people"], filter: { limit: number; search: string }): Promise<FoundPerson[]> {
  if (scope.kind === "devices") return [];
  const pattern = containing(filter.search);
  const query = db("users as u")
    .join("entities as e", "e.id", "u.id")
    .whereRaw("(hub_lower(e.name) like ? escape '\\' or hub_lower(u.email) like ? escape '\\')", [pattern, pattern])
    .orderBy("u.id")
    .limit(filter.limit)
    .select({ userId: "u.id", email: "u.email", name: "e.name" });
  if (scope.kind === "organization")
    query.whereIn("u.id", db("memberships").where({ organization_id: scope.organizationId }).select("user_id"));
  return (await query) as FoundPerson[];
}
