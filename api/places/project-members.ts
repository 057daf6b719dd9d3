import Type from "typebox";
import { MEMBER_OF } from "../../core/entity.ts";
import { HubError } from "../../core/errors.ts";
import { scopeOf } from "../../core/permissions.ts";
import { getEntity } from "../../store/entities.ts";
import { getProject, lockProject } from "../../store/projects.ts";
import { createRelationship, deleteEdge, listProjectMembers } from "../../store/relationships.ts";
import { Cursor, IdParams, Limit, pageOf, Uuid } from "../fields.ts";
import { defineRoute } from "../route.ts";
import { note } from "./projects.ts";

const MemberView = Type.Object(
  { entity_id: Type.String(), entity_type: Type.String(), name: Type.String(), added_at: Type.String() },
  { title: "ProjectMember" },
);

export const list = defineRoute({
  method: "GET",
  path: "/api/v1/projects/:id/members",
  tag: "Places",
  summary: "The devices and people of a project",
  access: "device.read",
  params: IdParams,
  query: Type.Object({ limit: Limit(200, 50), cursor: Cursor }, { additionalProperties: false }),
  replies: { 200: { description: "By the time of joining", schema: pageOf(MemberView, "ProjectMemberPage") } },
  errors: ["not_found"],
  async handler({ context, rights, scope, params, query: { limit = 50, cursor: after } }) {
    const { db } = context.store;
    const project = await getProject(db, scope, params.id.toLowerCase());
    const withPeople = scopeOf(rights, "member.read").kind !== "devices";
    const page = await listProjectMembers(db, project.id, { limit, after, withPeople });
    const data = page.items.map(({ entityId, type, name, since }) => ({ entity_id: entityId, entity_type: type, name, added_at: since }));
    return { status: 200, body: { data, next_cursor: page.next } };
  },
});

export const add = defineRoute({
  method: "POST",
  path: "/api/v1/projects/:id/members",
  tag: "Places",
  summary: "Put a device or a person into a project",
  access: "place.manage",
  params: IdParams,
  body: Type.Object({ entity: Uuid }, { additionalProperties: false, title: "ProjectMemberRequest" }),
  bodyExample: { entity: "0193b0f2-7c1e-7d3a-9a51-3f1d5f0c7a10" },
  replies: {
    201: {
      description: "It is in",
      schema: Type.Object({ project_id: Type.String(), entity_id: Type.String() }, { title: "ProjectJoined" }),
    },
  },
  errors: ["not_found", "conflict", "quota_exceeded"],
  handler: ({ scope, params, body, commit }) =>
    commit(async (db) => {
      const project = await lockProject(db, scope, params.id.toLowerCase());
      const own = { kind: "organization", organizationId: project.organizationId } as const;
      const entity = await getEntity(db, { things: own, people: own }, body.entity.toLowerCase());
      if (entity.type !== "user" && !entity.type.startsWith("device.")) throw new HubError("conflict", "a project has devices and people");
      await createRelationship(db, project.organizationId, { from: entity.id, to: project.id, type: MEMBER_OF, properties: {} });
      return {
        answer: { status: 201, body: { project_id: project.id, entity_id: entity.id } },
        audit: [note(project, "project.add_member", { entity_id: entity.id, entity_type: entity.type })],
      };
    }),
});

export const remove = defineRoute({
  method: "DELETE",
  path: "/api/v1/projects/:id/members/:entity_id",
  tag: "Places",
  summary: "Take a device or a person out of a project",
  access: "place.manage",
  params: Type.Object({ id: Uuid, entity_id: Uuid }, { additionalProperties: false }),
  replies: { 204: { description: "It is out" } },
  errors: ["not_found"],
  handler: ({ scope, params, commit }) =>
    commit(async (db) => {
      const project = await lockProject(db, scope, params.id.toLowerCase());
      const entityId = params.entity_id.toLowerCase();
      if (!(await deleteEdge(db, { from: entityId, to: project.id, type: MEMBER_OF })))
        throw new HubError("not_found", "it is not in the project");
      return { answer: { status: 204 }, audit: [note(project, "project.remove_member", { entity_id: entityId })] };
    }),
});
