import Type from "typebox";
import { actorOf } from "../../core/principal.ts";
import { Label, parseTemplate } from "../../core/template.ts";
import {
  createTemplate,
  deleteTemplate,
  getTemplate,
  lockTemplate,
  type TaskTemplate,
  updateTemplate,
} from "../../store/task-templates.ts";
import { listCategories, listTemplates, TEMPLATE_ORDERS } from "../../store/template-list.ts";
import { Cursor, IdParams, Limit, pageOf } from "../fields.ts";
import { changeable } from "../places/fields.ts";
import { defineRoute, type Effect } from "../route.ts";
import { type ChangeReason, type Changing, EditNote } from "../versions.ts";
import {
  answerOf,
  fieldsOf,
  note,
  OneTemplate,
  requestOf,
  summaryJson,
  TemplateRequest,
  TemplateSummaryView,
  templateVersion,
} from "./representation.ts";

const MOST_CATEGORIES = 200;
const Body = Type.Object({ ...TemplateRequest.properties, note: EditNote }, { additionalProperties: false, title: "NewTemplate" });
const change = changeable(TemplateRequest, "Template");
const Patch = Type.Unsafe<Record<string, unknown>>({
  ...change.Patch,
  properties: { ...(change.Patch as { properties?: object }).properties, note: EditNote },
});

export const EXAMPLE = {
  name: "Lights of an evening",
  category: "lighting",
  tags: ["evening"],
  actions: [
    { command: "set_relay", relay: "{{lamp}}", state: "ON" },
    { command: "set_light", light: 0, brightness: 40, transition: "{{fade}}" },
  ],
  variables: [
    { name: "lamp", type: "enum", values: [0, 1, 2, 3], label: "Relay of the lamp" },
    { name: "fade", type: "duration", max: 3_600, required: false },
  ],
};

export const list = defineRoute({
  method: "GET",
  path: "/api/v1/templates",
  tag: "Templates",
  summary: "The templates of your organisation, and the public ones of this hub",
  description:
    "Without what they do, which each of them says. Popular is what was used in the last 30 days; pages of it may overlap while it changes.",
  access: "automation.read",
  query: Type.Object(
    {
      limit: Limit(200, 50),
      cursor: Cursor,
      search: Type.Optional(Type.String({ minLength: 1, maxLength: 120, description: "Part of the name or the description" })),
      category: Type.Optional(Label),
      tag: Type.Optional(Label),
      visibility: Type.Optional(Type.Enum(["mine", "public"], { description: "Both without it" })),
      sort: Type.Optional(Type.Enum([...TEMPLATE_ORDERS], { description: "new without it" })),
    },
    { additionalProperties: false },
  ),
  replies: { 200: { description: "A page", schema: pageOf(TemplateSummaryView, "TemplatePage") } },
  async handler({
    context,
    principal,
    scope,
    query: { limit = 50, cursor: after, search, category, tag, visibility, sort: order = "new" },
  }) {
    const { organizationId } = principal;
    const of = visibility === undefined ? undefined : { kind: visibility, organizationId };
    const filter = { limit, order, now: context.clock(), after, search, category, tag, of };
    const page = await listTemplates(context.store.db, scope, filter);
    return { status: 200, body: { data: page.items.map((one) => summaryJson(one, principal)), next_cursor: page.next } };
  },
});

export const categories = defineRoute({
  method: "GET",
  path: "/api/v1/templates/categories",
  tag: "Templates",
  summary: "The categories of the templates that you can read",
  description: `Those with most templates first, at most ${MOST_CATEGORIES}.`,
  access: "automation.read",
  replies: {
    200: {
      description: "All of them",
      schema: Type.Object(
        { data: Type.Array(Type.Object({ category: Type.String(), count: Type.Integer() }), { maxItems: MOST_CATEGORIES }) },
        { title: "TemplateCategories" },
      ),
    },
  },
  handler: async ({ context, scope }) => ({
    status: 200,
    body: { data: await listCategories(context.store.db, scope, MOST_CATEGORIES) },
  }),
});

export const create = defineRoute({
  method: "POST",
  path: "/api/v1/templates",
  tag: "Templates",
  summary: "Make a template: commands with variables",
  description:
    "docs/templates.md describes placeholders and variables. What cannot become commands is refused now, as far as that is sure.",
  access: "automation.manage",
  body: Body,
  bodyExample: EXAMPLE,
  replies: { 201: { description: "Made", schema: OneTemplate } },
  errors: ["quota_exceeded"],
  handler: ({ context, principal, body: { note: reason, ...body }, commit }) =>
    commit(async (db) => {
      parseTemplate(body);
      const edit = { actor: actorOf(principal), now: context.clock(), note: reason };
      const made = await createTemplate(db, principal.organizationId, fieldsOf(body), edit);
      return {
        answer: answerOf(made, principal, 201),
        audit: [{ ...note(made, "template.create", { name: made.name, is_public: made.publicFrom !== null }), after: made.definition }],
      };
    }),
});

export const show = defineRoute({
  method: "GET",
  path: "/api/v1/templates/:id",
  tag: "Templates",
  summary: "One template",
  access: "automation.read",
  params: IdParams,
  replies: { 200: { description: "The template", schema: OneTemplate } },
  errors: ["not_found"],
  async handler({ context, principal, scope, params }) {
    return answerOf(await getTemplate(context.store.db, scope, params.id.toLowerCase(), context.clock()), principal, 200);
  },
});

export const replace = defineRoute({
  method: "PUT",
  path: "/api/v1/templates/:id",
  tag: "Templates",
  summary: "Write a template anew",
  description: "What is left out is as in a new one: a template that was public is not any more.",
  access: "automation.manage",
  match: "required",
  params: IdParams,
  body: Body,
  bodyExample: EXAMPLE,
  replies: { 200: { description: "As it is now", schema: OneTemplate } },
  errors: ["not_found"],
  handler: ({ context, principal, scope, params, body: { note: reason, ...wanted }, match, commit }) =>
    commit(async (db) => {
      const before = await lockTemplate(db, scope, params.id.toLowerCase(), context.clock());
      match(templateVersion(before));
      return await changeTo({ context, db, principal }, before, wanted, { action: "template.update", details: {}, reason });
    }),
});

export const update = defineRoute({
  method: "PATCH",
  path: "/api/v1/templates/:id",
  tag: "Templates",
  summary: "Change a template",
  description:
    "A merge patch: lists are replaced as a whole. Every change of what it says is a new version. Others read what was public from the version on that was made public.",
  access: "automation.manage",
  match: "required",
  params: IdParams,
  body: Patch,
  bodyExample: { is_public: true },
  replies: { 200: { description: "As it is now", schema: OneTemplate } },
  errors: ["not_found"],
  handler: ({ context, principal, scope, params, body: { note: reason, ...patch }, match, commit }) =>
    commit(async (db) => {
      const before = await lockTemplate(db, scope, params.id.toLowerCase(), context.clock());
      match(templateVersion(before));
      const wanted = change.apply(requestOf(before), patch);
      return await changeTo({ context, db, principal }, before, wanted, {
        action: "template.update",
        details: { changed: Object.keys(patch) },
        reason: typeof reason === "string" ? reason : undefined,
      });
    }),
});

export const remove = defineRoute({
  method: "DELETE",
  path: "/api/v1/templates/:id",
  tag: "Templates",
  summary: "Remove a template",
  description: "Tasks that were made of it stay as they are; what would make more of them fails and says so.",
  access: "automation.manage",
  match: "required",
  params: IdParams,
  replies: { 204: { description: "Gone" } },
  errors: ["not_found"],
  handler: ({ context, scope, params, match, commit }) =>
    commit(async (db) => {
      const before = await lockTemplate(db, scope, params.id.toLowerCase(), context.clock());
      match(templateVersion(before));
      await deleteTemplate(db, before.id);
      return {
        answer: { status: 204 },
        audit: [{ ...note(before, "template.delete", { name: before.name }), before: before.definition }],
      };
    }),
});

/** What a change leaves behind, whoever makes it: a patch, or the way back to a former version. */
export async function changeTo(
  { context, db, principal }: Changing,
  before: TaskTemplate,
  wanted: TemplateRequest,
  { action, details, reason }: ChangeReason,
): Promise<Effect> {
  parseTemplate(wanted);
  const edit = { actor: actorOf(principal), now: context.clock(), note: reason };
  const after = await updateTemplate(db, before, fieldsOf(wanted), edit);
  const told = { ...details, version: after.version, is_public: after.publicFrom !== null };
  return {
    answer: answerOf(after, principal, 200),
    audit: [{ ...note(after, action, told), before: before.definition, after: after.definition }],
  };
}
