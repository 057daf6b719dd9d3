import Type from "typebox";
import { Command } from "../../core/command.ts";
import { scopeOf } from "../../core/permissions.ts";
import type { Member } from "../../core/principal.ts";
import { GivenVariables } from "../../core/template.ts";
import { getDevice } from "../../store/devices.ts";
import type { Db } from "../../store/open.ts";
import { templateActions } from "../../store/template-actions.ts";
import { findUser } from "../../store/users.ts";
import { DeviceReference, IdParams } from "../fields.ts";
import { defineRoute } from "../route.ts";

/** Where no device is named, and no task is made. */
const SAMPLE = { device: { uid: "sample-000000", name: "Sample" }, task: { id: "00000000-0000-7000-8000-000000000000" } };

export const preview = defineRoute({
  method: "POST",
  path: "/api/v1/templates/:id/preview",
  tag: "Templates",
  summary: "What a template would do with these values",
  description: "Nothing is done and nothing is kept. Without a device, what is said of it is that of a sample.",
  access: "automation.read",
  idempotent: false,
  params: IdParams,
  body: Type.Object(
    {
      variables: Type.Optional(GivenVariables),
      version: Type.Optional(Type.Integer({ minimum: 1, maximum: 999_999_999, description: "The present one without it" })),
      device: Type.Optional(DeviceReference),
    },
    { additionalProperties: false, title: "TemplatePreviewRequest" },
  ),
  bodyExample: { variables: { lamp: 2 } },
  replies: {
    200: {
      description: "The commands",
      schema: Type.Object({ version: Type.Integer(), actions: Type.Array(Command) }, { title: "TemplatePreview" }),
    },
  },
  errors: ["not_found"],
  async handler({ context, principal, rights, scope, params, body }) {
    const { db } = context.store;
    const { variables = {}, version, device: ref } = body;
    const device = ref === undefined ? SAMPLE.device : await getDevice(db, scopeOf(rights, "device.read"), ref);
    const builtins = { now: context.clock(), task: SAMPLE.task, device, user: { name: await nameOf(db, principal) } };
    const made = await templateActions(db, scope, { id: params.id.toLowerCase(), version, variables, builtins });
    return { status: 200, body: { version: made.version, actions: made.actions } };
  },
});

/** What a template calls whoever fills it in. */
export async function nameOf(db: Db, principal: Member): Promise<string> {
  if (principal.kind === "user") return (await findUser(db, principal.id))?.name ?? "";
  return principal.kind === "service" ? principal.name : principal.kind;
}
