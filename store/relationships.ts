import { MEMBER_OF, type Relationship } from "../core/entity.ts";
import { HubError } from "../core/errors.ts";
import { newId } from "../core/id.ts";
import { MOST } from "../core/place.ts";
import type { Scope } from "../core/principal.ts";
import { isUniqueViolation } from "./database-errors.ts";
import { checkQuota } from "./entity-rows.ts";
import type { Db } from "./open.ts";
import { lockOrganization } from "./organizations.ts";
import { inTransaction } from "./transaction.ts";
import { engineOf, fromJson, idsParameter, isoOf, type Page, pageOf, rowsOf, scoped, toJson } from "./sql.ts";

export type NewRelationship = Pick<Relationship, "from" | "to" | "type" | "properties">;

/** Throws `not_found` for an entity that is not the organisation's, `conflict` for an edge that is there, and `quota_exceeded`. */
export async function createRelationship(db: Db, organizationId: string, edge: NewRelationship): Promise<Relationship> {
  return await inTransaction(db, async (trx) => {
    await lockOrganization(trx, organizationId);
    await requireEntities(trx, organizationId, [edge.from, edge.to]);
    await checkQuota(
      trx("relationships").where({ organization_id: organizationId }).whereNot({ relationship_type: "owns" }),
      MOST.relationships,
    );
    const row = {
      id: newId(),
      organization_id: organizationId,
      from_entity: edge.from,
      to_entity: edge.to,
      relationship_type: edge.type,
      properties: toJson(edge.properties),
      created_at: isoOf(Date.now()),
    };
    try {
      await trx("relationships").insert(row);
    } catch (error) {
      if (isUniqueViolation(error)) throw new HubError("conflict", "there is such a relationship already", { cause: error });
      throw error;
    }
    return relationshipOf(row);
  });
}

/** Throws `not_found`. */
export async function getRelationship(db: Db, scope: Scope, id: string): Promise<Relationship> {
  const row = (await scoped(db("relationships").where({ id }), scope, { organization: "organization_id" }).first()) as Row | undefined;
  if (!row) throw new HubError("not_found", "there is no such relationship");
  return relationshipOf(row);
}

/** False when it is gone already. */
export async function deleteRelationship(trx: Db, id: string): Promise<boolean> {
  return (await trx("relationships").where({ id }).del()) > 0;
}

/** The edge between these two. False when there was none. */
export async function deleteEdge(trx: Db, { from, to, type }: Omit<NewRelationship, "properties">): Promise<boolean> {
  return (await trx("relationships").where({ from_entity: from, to_entity: to, relationship_type: type }).del()) > 0;
}

export interface RelationshipFilter {
  readonly limit: number;
  readonly after?: string | undefined;
  /** At either end. */
  readonly entity?: string | undefined;
  readonly type?: string | undefined;
}

/** Oldest first. */
export async function listRelationships(db: Db, scope: Scope, filter: RelationshipFilter): Promise<Page<Relationship>> {
  const { limit, after, entity, type } = filter;
  const query = scoped(db("relationships"), scope, { organization: "organization_id" })
    .orderBy("id")
    .limit(limit + 1);
  if (after !== undefined) query.where("id", ">", after);
  if (type !== undefined) query.where("relationship_type", type);
  if (entity !== undefined) query.andWhere((either) => void either.where({ from_entity: entity }).orWhere({ to_entity: entity }));
  return pageOf(((await query) as Row[]).map(relationshipOf), limit, ({ id }) => id);
}

export interface ProjectMember {
  /** Of the edge: where the next page begins. */
  readonly id: string;
  readonly entityId: string;
  readonly type: string;
  readonly name: string;
  readonly since: string;
}

/** By the time of joining. */
export async function listProjectMembers(
  db: Db,
  projectId: string,
  { limit, after, withPeople }: { limit: number; after?: string | undefined; withPeople: boolean },
): Promise<Page<ProjectMember>> {
  const query = db("relationships as m")
    .join("entities as e", "e.id", "m.from_entity")
    .where({ "m.to_entity": projectId, "m.relationship_type": MEMBER_OF })
    .orderBy("m.id")
    .limit(limit + 1)
    .select({ id: "m.id", entityId: "e.id", type: "e.entity_type", name: "e.name", since: "m.created_at" });
  if (after !== undefined) query.where("m.id", ">", after);
  if (!withPeople) query.whereNot("e.entity_type", "user");
  return pageOf((await query) as ProjectMember[], limit, ({ id }) => id);
}

/** Throws `not_found` unless all of them are the organisation's, which is locked; they stay until the transaction ends. */
async function requireEntities(trx: Db, organizationId: string, ids: readonly string[]): Promise<void> {
  const wanted = new Set(ids);
  const found = await rowsOf(
    trx,
    `select e.id from entities e where e.id in ${idsParameter(trx)} and (
       e.id = ? or (e.organization_id = ? and e.entity_type <> 'user')
       or (e.entity_type = 'user' and exists (select 1 from memberships m where m.user_id = e.id and m.organization_id = ?)))
     ${engineOf(trx) === "postgres" ? "for key share of e" : ""}`,
    [toJson([...wanted]), organizationId, organizationId, organizationId],
  );
  if (found.length < wanted.size) throw new HubError("not_found", "there is no such entity");
}

interface Row {
  id: string;
  organization_id: string | null;
  from_entity: string;
  to_entity: string;
  relationship_type: string;
  properties: unknown;
  created_at: string;
}

const relationshipOf = (row: Row): Relationship => ({
  id: row.id,
  organizationId: row.organization_id,
  from: row.from_entity,
  to: row.to_entity,
  type: row.relationship_type,
  properties: fromJson(row.properties) as Record<string, unknown>,
  createdAt: row.created_at,
});
