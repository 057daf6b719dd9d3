import Type from "typebox";
import { HubError } from "../../core/errors.ts";
import { automationVersions, getAutomation, lockAutomation } from "../../store/automations.ts";
import { Cursor, IdParams, Limit, pageOf, Uuid } from "../fields.ts";
import { defineRoute } from "../route.ts";
import { changeTo } from "./automations.ts";
import { differences } from "./differences.ts";
import { automationVersion, AutomationView, type AutomationRequest, versionJson, VersionView } from "./representation.ts";

/** What is no number is no version, as one that is not there. */
export const Version = Type.String({ minLength: 1, maxLength: 64, description: "A version's number" });
export const numberOf = (version: string): number => (/^[1-9]\d{0,8}$/.test(version) ? Number(version) : 0);
export const VersionParams = Type.Object({ id: Uuid, version: Version }, { additionalProperties: false });

export const list = defineRoute({
  method: "GET",
  path: "/api/v1/automations/:id/versions",
  tag: "Automations",
  summary: "The versions of an automation, newest first",
  access: "automation.read",
  params: IdParams,
  query: Type.Object({ limit: Limit(100, 20), cursor: Cursor }, { additionalProperties: false }),
  replies: { 200: { description: "A page", schema: pageOf(VersionView, "AutomationVersionPage") } },
  errors: ["not_found"],
  async handler({ context, scope, params, query: { limit = 20, cursor } }) {
    const { id } = await getAutomation(context.store.db, scope, params.id.toLowerCase());
    if (cursor !== undefined && !/^[1-9]\d{0,8}$/.test(cursor))
      throw new HubError("validation_error", "/cursor is none of this list", {
        details: [{ path: "/cursor", message: "is none of this list" }],
      });
    const page = await automationVersions.list(context.store.db, id, { limit, after: cursor === undefined ? undefined : Number(cursor) });
    return { status: 200, body: { data: page.items.map(versionJson), next_cursor: page.next } };
  },
});

export const show = defineRoute({
  method: "GET",
  path: "/api/v1/automations/:id/versions/:version",
  tag: "Automations",
  summary: "One version of an automation",
  access: "automation.read",
  params: VersionParams,
  replies: { 200: { description: "The version", schema: Type.Object({ version: VersionView }, { title: "OneAutomationVersion" }) } },
  errors: ["not_found"],
  async handler({ context, scope, params }) {
    const { id } = await getAutomation(context.store.db, scope, params.id.toLowerCase());
    return { status: 200, body: { version: versionJson(await automationVersions.get(context.store.db, id, numberOf(params.version))) } };
  },
});

export const diff = defineRoute({
  method: "GET",
  path: "/api/v1/automations/:id/versions/:version/diff",
  tag: "Automations",
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
        { title: "AutomationDiff" },
      ),
    },
  },
  errors: ["not_found"],
  async handler({ context, scope, params, query }) {
    const { db } = context.store;
    const automation = await getAutomation(db, scope, params.id.toLowerCase());
    const [from, to] = [
      await automationVersions.get(db, automation.id, numberOf(params.version)),
      await automationVersions.get(db, automation.id, query.to === undefined ? automation.version : numberOf(query.to)),
    ];
    const shown = ({ name, description, definition }: typeof from) => ({ name, description, ...definition });
    return { status: 200, body: { from: from.version, to: to.version, changes: differences(shown(from), shown(to)) } };
  },
});

export const restore = defineRoute({
  method: "POST",
  path: "/api/v1/automations/:id/versions/:version/restore",
  tag: "Automations",
  summary: "Make a former version the present one",
  description: "As a new version. What it names has to be there still.",
  access: "automation.manage",
  match: "required",
  params: VersionParams,
  replies: {
    200: {
      description: "As it is now",
      schema: Type.Object({ automation: AutomationView, next_runs: Type.Array(Type.String()) }, { title: "RestoredAutomation" }),
    },
  },
  errors: ["not_found"],
  handler: ({ context, principal, scope, params, match, commit }) =>
    commit(async (db) => {
      const before = await lockAutomation(db, scope, params.id.toLowerCase());
      match(automationVersion(before));
      const { version, name, description, definition } = await automationVersions.get(db, before.id, numberOf(params.version));
      const wanted = {
        ...definition,
        name,
        ...(description === null ? {} : { description }),
        is_enabled: before.isEnabled,
      } as AutomationRequest;
      const about = { action: "automation.restore", details: { restored: version }, reason: `version ${version} again` };
      return await changeTo({ context, db, principal }, before, wanted, about);
    }),
});
