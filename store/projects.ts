import type { Knex } from "knex";
import { HubError } from "../core/errors.ts";
import { MOST } from "../core/place.ts";
import type { Scope } from "../core/principal.ts";
import type { Project } from "../core/project.ts";
import { besideEntities, checkQuota, type EntityText, insertEntity, writeEntity } from "./entity-rows.ts";
import { getMember } from "./members.ts";
import type { Db } from "./open.ts";
import { lockOrganization } from "./organizations.ts";
import type { PlaceFilter } from "./sites.ts";
import { inTransaction } from "./transaction.ts";
import { containing, type Page, pageOf, scoped } from "./sql.ts";

export type ProjectFields = EntityText & Pick<Project, "leadId" | "status">;

/** Throws `quota_exceeded`, and `not_found` for a lead who is no member. */
export async function createProject(db: Db, organizationId: string, fields: ProjectFields): Promise<Project> {
  return await inTransaction(db, async (trx) => {
    await lockOrganization(trx, organizationId);
    await checkQuota(trx("projects").where({ organization_id: organizationId }), MOST.projects);
    if (fields.leadId !== null) await getMember(trx, organizationId, fields.leadId);
    const id = await insertEntity(trx, "project", organizationId, fields);
    await trx("projects").insert({ id, organization_id: organizationId, project_lead_id: fields.leadId, status: fields.status });
    return await readProject(trx, id);
  });
}

/** Whoever sees single devices sees no project. Throws `not_found`. */
export async function getProject(db: Db, scope: Scope, id: string): Promise<Project> {
  const project = (await seenProjects(db, scope).where("t.id", id).first()) as Project | undefined;
  if (!project) throw new HubError("not_found", "there is no such project");
  return project;
}

/** As {@link getProject}; nobody else changes it until the transaction ends. */
export async function lockProject(trx: Db, scope: Scope, id: string): Promise<Project> {
  await lockOrganization(trx, (await getProject(trx, scope, id)).organizationId);
  return await getProject(trx, scope, id);
}

/** Oldest first. */
export async function listProjects(
  db: Db,
  scope: Scope,
  { limit, after, search, status }: PlaceFilter & { readonly status?: Project["status"] | undefined },
): Promise<Page<Project>> {
  const query = seenProjects(db, scope)
    .orderBy("t.id")
    .limit(limit + 1);
  if (after !== undefined) query.where("t.id", ">", after);
  if (status !== undefined) query.where("t.status", status);
  if (search !== undefined) query.whereRaw("hub_lower(e.name) like ? escape '\\'", [containing(search)]);
  return pageOf((await query) as Project[], limit, ({ id }) => id);
}

/** Of one that is locked. Throws `not_found` for a lead who is no member. */
export async function updateProject(trx: Db, { id, organizationId }: Project, fields: ProjectFields): Promise<Project> {
  if (fields.leadId !== null) await getMember(trx, organizationId, fields.leadId);
  await writeEntity(trx, id, fields);
  await trx("projects").where({ id }).update({ project_lead_id: fields.leadId, status: fields.status });
  return await readProject(trx, id);
}

/** With the membership of everything that belongs to it. */
export async function deleteProject(trx: Db, id: string): Promise<void> {
  await trx("entities").where({ id }).del();
}

const projects = (db: Db): Knex.QueryBuilder => besideEntities(db, "projects", { leadId: "t.project_lead_id", status: "t.status" });

const seenProjects = (db: Db, scope: Scope): Knex.QueryBuilder => scoped(projects(db), scope, { organization: "t.organization_id" });

const readProject = async (trx: Db, id: string): Promise<Project> => (await projects(trx).where("t.id", id).first()) as Project;
