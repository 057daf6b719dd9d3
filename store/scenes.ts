import { HubError } from "../core/errors.ts";
import { newId } from "../core/id.ts";
import type { Scope } from "../core/principal.ts";
import type { Scene, SceneCommand } from "../core/scene.ts";
import type { Db } from "./open.ts";
import { lockOrganization } from "./organizations.ts";
import { containing, fromJson, isoOf, type Page, pageOf, scoped, storableText, toJson } from "./sql.ts";

export type SceneFields = Pick<Scene, "name" | "description" | "commands">;

const COLUMNS = { organization: "organization_id" };
const MOST_SCENES = 1_000;

/** Throws `quota_exceeded`. */
export async function createScene(trx: Db, organizationId: string, fields: SceneFields, now: number): Promise<Scene> {
  await lockOrganization(trx, organizationId);
  const { count } = (await trx("scenes").where({ organization_id: organizationId }).count({ count: "*" }).first()) as {
    count: number | string;
  };
  if (Number(count) >= MOST_SCENES) throw new HubError("quota_exceeded", `an organisation has at most ${MOST_SCENES} scenes`);
  const id = newId();
  await trx("scenes").insert({
    id,
    organization_id: organizationId,
    ...columnsOf(fields),
    version: 1,
    created_at: isoOf(now),
    updated_at: isoOf(now),
  });
  return sceneOf((await trx("scenes").where({ id }).first()) as Row);
}

/** Throws `not_found`. */
export async function getScene(db: Db, scope: Scope, id: string): Promise<Scene> {
  const row = (await scoped(db("scenes").where({ id }), scope, COLUMNS).first()) as Row | undefined;
  if (!row) throw notFound();
  return sceneOf(row);
}

/** As {@link getScene}; nobody else changes it until the transaction ends. */
export async function lockScene(trx: Db, scope: Scope, id: string): Promise<Scene> {
  const row = (await scoped(trx("scenes").where({ id }), scope, COLUMNS).forUpdate().first()) as Row | undefined;
  if (!row) throw notFound();
  return sceneOf(row);
}

/** Oldest first. */
export async function listScenes(
  db: Db,
  scope: Scope,
  { limit, after, search }: { limit: number; after?: string | undefined; search?: string | undefined },
): Promise<Page<Scene>> {
  const query = scoped(db("scenes"), scope, COLUMNS)
    .orderBy("id")
    .limit(limit + 1);
  if (after !== undefined) query.where("id", ">", after);
  if (search !== undefined) query.whereRaw("hub_lower(name) like ? escape '\\'", [containing(search)]);
  return pageOf(((await query) as Row[]).map(sceneOf), limit, ({ id }) => id);
}

/** Of one that is locked. */
export async function updateScene(trx: Db, { id, version }: Scene, fields: SceneFields, now: number): Promise<Scene> {
  await trx("scenes")
    .where({ id })
    .update({ ...columnsOf(fields), version: version + 1, updated_at: isoOf(now) });
  return sceneOf((await trx("scenes").where({ id }).first()) as Row);
}

export async function deleteScene(trx: Db, id: string): Promise<void> {
  await trx("scenes").where({ id }).del();
}

interface Row {
  id: string;
  organization_id: string;
  name: string;
  description: string | null;
  commands: unknown;
  version: number;
  created_at: string;
  updated_at: string;
}

const notFound = (): HubError => new HubError("not_found", "there is no such scene");

const columnsOf = ({ name, description, commands }: SceneFields) => ({
  name: storableText(name),
  description: description === null ? null : storableText(description),
  commands: toJson(commands),
});

const sceneOf = (row: Row): Scene => ({
  id: row.id,
  organizationId: row.organization_id,
  name: row.name,
  description: row.description,
  commands: fromJson(row.commands) as SceneCommand[],
  version: row.version,
  createdAt: row.created_at,
  updatedAt: row.updated_at,
});
