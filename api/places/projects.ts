import Type, { type Static } from "typebox";
import { type Project, PROJECT_STATUSES } from "../../core/project.ts";
import {
  createProject,
  deleteProject,
  getProject,
  listProjects,
  lockProject,
  type ProjectFields,
  updateProject,
} from "../../store/projects.ts";
import { Cursor, IdParams, Limit, pageOf, Uuid } from "../fields.ts";
import { type AuditNote, defineRoute } from "../route.ts";
import { changeable, Description, Name, Search } from "./fields.ts";
import { placeVersion, projectJson, ProjectView } from "./representation.ts";

const Status = Type.Enum([...PROJECT_STATUSES]);
const Body = Type.Object(
  {
    name: Name,
    status: Type.Optional(Type.Enum([...PROJECT_STATUSES], { description: "`active` without one" })),
    project_lead_id: Type.Optional(Uuid),
    description: Type.Optional(Description),
  },
  { additionalProperties: false, title: "ProjectRequest" },
);
const change = changeable(Body, "Project");
const OneProject = Type.Object({ project: ProjectView }, { title: "OneProject" });

export const list = defineRoute({
  method: "GET",
  path: "/api/v1/projects",
  tag: "Places",
  summary: "The organisation's projects",
  description: "Whoever was given single devices sees none.",
  access: "device.read",
  query: Type.Object(
    { limit: Limit(200, 50), cursor: Cursor, search: Search, status: Type.Optional(Status) },
    { additionalProperties: false },
  ),
  replies: { 200: { description: "Oldest first", schema: pageOf(ProjectView, "ProjectPage") } },
  async handler({ context, scope, query: { limit = 50, cursor: after, search, status } }) {
    const page = await listProjects(context.store.db, scope, { limit, after, search, status });
    return { status: 200, body: { data: page.items.map(projectJson), next_cursor: page.next } };
  },
});

export const create = defineRoute({
  method: "POST",
  path: "/api/v1/projects",
  tag: "Places",
  summary: "Make a project",
  access: "place.manage",
  body: Body,
  bodyExample: { name: "Heating of 2027", status: "active" },
  replies: { 201: { description: "Made", schema: OneProject } },
  errors: ["not_found", "quota_exceeded"],
  handler: ({ principal, body, commit }) =>
    commit(async (db) => {
      const project = await createProject(db, principal.organizationId, fieldsOf(body));
      return { answer: answerOf(project, 201), audit: [note(project, "project.create", { name: project.name })] };
    }),
});

export const show = defineRoute({
  method: "GET",
  path: "/api/v1/projects/:id",
  tag: "Places",
  summary: "One project",
  access: "device.read",
  params: IdParams,
  replies: { 200: { description: "The project", schema: OneProject } },
  errors: ["not_found"],
  async handler({ context, scope, params }) {
    return answerOf(await getProject(context.store.db, scope, params.id.toLowerCase()), 200);
  },
});

export const update = defineRoute({
  method: "PATCH",
  path: "/api/v1/projects/:id",
  tag: "Places",
  summary: "Change a project",
  description: "A merge patch: null takes away what need not be there.",
  access: "place.manage",
  match: "optional",
  params: IdParams,
  body: change.Patch,
  bodyExample: { status: "done", project_lead_id: null },
  replies: { 200: { description: "As it is now", schema: OneProject } },
  errors: ["not_found"],
  handler: ({ scope, params, body, match, commit }) =>
    commit(async (db) => {
      const before = await lockProject(db, scope, params.id.toLowerCase());
      match(placeVersion(projectJson(before)));
      const project = await updateProject(db, before, fieldsOf(change.apply(projectJson(before), body)));
      return { answer: answerOf(project, 200), audit: [note(project, "project.update", { changed: Object.keys(body) })] };
    }),
});

export const remove = defineRoute({
  method: "DELETE",
  path: "/api/v1/projects/:id",
  tag: "Places",
  summary: "Remove a project",
  description: "The devices and people in it stay.",
  access: "place.manage",
  match: "optional",
  params: IdParams,
  replies: { 204: { description: "Gone" } },
  errors: ["not_found"],
  handler: ({ scope, params, match, commit }) =>
    commit(async (db) => {
      const project = await lockProject(db, scope, params.id.toLowerCase());
      match(placeVersion(projectJson(project)));
      await deleteProject(db, project.id);
      return { answer: { status: 204 }, audit: [note(project, "project.delete", { name: project.name })] };
    }),
});

function fieldsOf({ name, status, project_lead_id: leadId, description }: Static<typeof Body>): ProjectFields {
  return { name, status: status ?? "active", leadId: leadId?.toLowerCase() ?? null, description: description ?? null };
}

function answerOf(project: Project, status: 200 | 201) {
  const json = projectJson(project);
  return { status, version: placeVersion(json), body: { project: json } };
}

export function note({ id, organizationId }: Project, action: string, details: Record<string, unknown>): AuditNote {
  return { organizationId, action, resourceType: "project", resourceId: id, details };
}
