import Type from "typebox";
import { getOwnTemplate, lockTemplate, templateVersions } from "../../store/task-templates.ts";
import { differences } from "../automations/differences.ts";
import { numberOf, Version, VersionParams } from "../automations/versions.ts";
import { IdParams, Limit, pageOf } from "../fields.ts";
import { defineRoute } from "../route.ts";
import { contentOf, OneTemplate, type TemplateContent, templateVersion, TemplateVersionView, versionJson } from "./representation.ts";
import { changeTo } from "./templates.ts";

export const list = defineRoute({
  method: "GET",
  path: "/api/v1/templates/:id/versions",
  tag: "Templates",
  summary: "The versions of a template of your organisation, newest first",
  access: "automation.read",
  params: IdParams,
  query: Type.Object(
    { limit: Limit(50, 20), cursor: Type.Optional(Type.Integer({ minimum: 1, maximum: 999_999_999 })) },
    { additionalProperties: false },
  ),
  replies: { 200: { description: "A page", schema: pageOf(TemplateVersionView, "TemplateVersionPage") } },
  errors: ["not_found"],
  async handler({ context, scope, params, query: { limit = 20, cursor: after } }) {
    const { db } = context.store;
    const { id } = await getOwnTemplate(db, scope, params.id.toLowerCase(), context.clock());
    const page = await templateVersions.list(db, id, { limit, after });
    return { status: 200, body: { data: page.items.map(versionJson), next_cursor: page.next } };
  },
});

export const show = defineRoute({
  method: "GET",
  path: "/api/v1/templates/:id/versions/:version",
  tag: "Templates",
  summary: "One version of a template of your organisation",
  access: "automation.read",
  params: VersionParams,
  replies: {
    200: { description: "The version", schema: Type.Object({ version: TemplateVersionView }, { title: "OneTemplateVersion" }) },
  },
  errors: ["not_found"],
  async handler({ context, scope, params }) {
    const { db } = context.store;
    const { id } = await getOwnTemplate(db, scope, params.id.toLowerCase(), context.clock());
    return { status: 200, body: { version: versionJson(await templateVersions.get(db, id, numberOf(params.version))) } };
  },
});

export const diff = defineRoute({
  method: "GET",
  path: "/api/v1/templates/:id/versions/:version/diff",
  tag: "Templates",
  summary: "What one version has that another has not",
  access: "automation.read",
  params: VersionParams,
  query: Type.Object({ to: Type.Optional(Version) }, { additionalProperties: false }),
  replies: {
    200: {
      description: "From this version to the other, the present one without `to`",
      schema: Type.Object(
        {
          from: Type.Integer(),
          to: Type.Integer(),
          changes: Type.Array(
            Type.Object({
              path: Type.String({ description: "JSON Pointer" }),
              before: Type.Optional(Type.Unknown()),
              after: Type.Optional(Type.Unknown()),
            }),
          ),
        },
        { title: "TemplateDiff" },
      ),
    },
  },
  errors: ["not_found"],
  async handler({ context, scope, params, query }) {
    const { db } = context.store;
    const template = await getOwnTemplate(db, scope, params.id.toLowerCase(), context.clock());
    const from = await templateVersions.get(db, template.id, numberOf(params.version));
    const to = await templateVersions.get(db, template.id, query.to === undefined ? template.version : numberOf(query.to));
    const shown = ({ name, description, definition }: typeof from) => ({ name, description, ...definition });
    return { status: 200, body: { from: from.version, to: to.version, changes: differences(shown(from), shown(to)) } };
  },
});

export const restore = defineRoute({
  method: "POST",
  path: "/api/v1/templates/:id/versions/:version/restore",
  tag: "Templates",
  summary: "Make a former version the present one",
  description: "As a new version.",
  access: "automation.manage",
  match: "required",
  params: VersionParams,
  replies: { 200: { description: "As it is now", schema: OneTemplate } },
  errors: ["not_found"],
  handler: ({ context, principal, scope, params, match, commit }) =>
    commit(async (db) => {
      const before = await lockTemplate(db, scope, params.id.toLowerCase(), context.clock());
      match(templateVersion(before));
      const { version, name, description, definition } = await templateVersions.get(db, before.id, numberOf(params.version));
      const content = contentOf({ name, description, definition: definition as Omit<TemplateContent, "name" | "description"> });
      const about = { action: "template.restore", details: { restored: version }, reason: `version ${version} again` };
      return await changeTo({ context, db, principal }, before, { ...content, is_public: before.publicFrom !== null }, about);
    }),
});
