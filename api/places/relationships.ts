import Type from "typebox";
import { KEPT_TYPES, type Relationship } from "../../core/entity.ts";
import { HubError } from "../../core/errors.ts";
import { createRelationship, deleteRelationship, getRelationship, listRelationships } from "../../store/relationships.ts";
import { Cursor, IdParams, Limit, pageOf, Uuid } from "../fields.ts";
import { type AuditNote, defineRoute } from "../route.ts";
import { checkSize, Properties } from "./fields.ts";
import { relationshipJson, RelationshipView } from "./representation.ts";

const RelationshipType = Type.String({ pattern: "^[a-z_]{1,100}$", description: `not ${[...KEPT_TYPES].join(", ")}, which the hub keeps` });

export const list = defineRoute({
  method: "GET",
  path: "/api/v1/relationships",
  tag: "Places",
  summary: "What is linked with what",
  description: "Also what the hub keeps itself: who owns a device, and what belongs to a project.",
  access: "device.read",
  query: Type.Object(
    {
      limit: Limit(200, 50),
      cursor: Cursor,
      entity: Type.Optional(Type.Unsafe<string>({ ...Uuid, description: "At either end" })),
      type: Type.Optional(Type.String({ pattern: "^[a-z_]{1,100}$" })),
    },
    { additionalProperties: false },
  ),
  replies: { 200: { description: "Oldest first", schema: pageOf(RelationshipView, "RelationshipPage") } },
  async handler({ context, scope, query: { limit = 50, cursor: after, entity, type } }) {
    const page = await listRelationships(context.store.db, scope, { limit, after, entity: entity?.toLowerCase(), type });
    return { status: 200, body: { data: page.items.map(relationshipJson), next_cursor: page.next } };
  },
});

export const create = defineRoute({
  method: "POST",
  path: "/api/v1/relationships",
  tag: "Places",
  summary: "Link two entities of your organisation",
  access: "place.manage",
  body: Type.Object(
    { from_entity: Uuid, to_entity: Uuid, relationship_type: RelationshipType, properties: Type.Optional(Properties) },
    { additionalProperties: false, title: "RelationshipRequest" },
  ),
  bodyExample: {
    from_entity: "0193b0f2-7c1e-7d3a-9a51-3f1d5f0c7a10",
    to_entity: "0193b0f2-7c1e-7d3a-9a51-3f1d5f0c7a11",
    relationship_type: "powers",
    properties: { fuse: "F4" },
  },
  replies: { 201: { description: "Linked", schema: Type.Object({ relationship: RelationshipView }, { title: "RelationshipMade" }) } },
  errors: ["not_found", "conflict", "quota_exceeded"],
  handler: ({ principal, body, commit }) =>
    commit(async (db) => {
      refuseKept(body.relationship_type);
      const properties = body.properties ?? {};
      checkSize(properties);
      const edge = await createRelationship(db, principal.organizationId, {
        from: body.from_entity.toLowerCase(),
        to: body.to_entity.toLowerCase(),
        type: body.relationship_type,
        properties,
      });
      return { answer: { status: 201, body: { relationship: relationshipJson(edge) } }, audit: [note(edge, "relationship.create")] };
    }),
});

export const remove = defineRoute({
  method: "DELETE",
  path: "/api/v1/relationships/:id",
  tag: "Places",
  summary: "Take a link away",
  access: "place.manage",
  params: IdParams,
  replies: { 204: { description: "Gone" } },
  errors: ["not_found", "conflict"],
  handler: ({ scope, params, commit }) =>
    commit(async (db) => {
      const edge = await getRelationship(db, scope, params.id.toLowerCase());
      refuseKept(edge.type);
      if (!(await deleteRelationship(db, edge.id))) throw new HubError("not_found", "there is no such relationship");
      return { answer: { status: 204 }, audit: [note(edge, "relationship.delete")] };
    }),
});

function refuseKept(type: string): void {
  if (KEPT_TYPES.has(type)) throw new HubError("conflict", `the hub keeps ${type} itself`, { details: { relationship_type: type } });
}

function note({ id, organizationId, from, to, type }: Relationship, action: string): AuditNote {
  return {
    organizationId,
    action,
    resourceType: "relationship",
    resourceId: id,
    details: { from_entity: from, to_entity: to, relationship_type: type },
  };
}
