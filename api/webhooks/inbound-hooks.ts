import Type from "typebox";
import { HubError } from "../../core/errors.ts";
import { HOOK_SCHEMES, type HookScheme } from "../../core/webhook.ts";
import { isWebhookSecret, newWebhookSecret } from "../../core/webhook-signature.ts";
import {
  createHook,
  deleteHook,
  getHook,
  type InboundHook,
  listHooks,
  lockHook,
  rotateHookSecret,
  updateHook,
} from "../../store/inbound-hooks.ts";
import { Cursor, IdParams, Limit, pageOf } from "../fields.ts";
import { changeable } from "../places/fields.ts";
import { defineRoute } from "../route.ts";
import { InboundHookView, inboundHookJson, noteOf, WebhookName, webhookVersion } from "./representation.ts";

const Secret = Type.Optional(
  Type.String({
    minLength: 16,
    maxLength: 200,
    pattern: "^[\\x21-\\x7e]*$",
    description: "The sender's; for `standard` as `whsec_` and 24 to 64 bytes in base64. Without it the hub makes one",
  }),
);
const Fields = Type.Object(
  { name: WebhookName, is_active: Type.Optional(Type.Boolean({ description: "true unless it says otherwise" })) },
  { additionalProperties: false, title: "InboundHookFields" },
);
const Body = Type.Object(
  {
    ...Fields.properties,
    scheme: Type.Enum([...HOOK_SCHEMES], {
      description:
        "How the sender proves who it is: `standard`, a Standard Webhooks signature with time and id, which alone tells a repeated message; `sha256`, HMAC-SHA-256 of the body in `x-hub-signature-256`; `token`, the secret itself in `x-hook-token`",
    }),
    secret: Secret,
  },
  { additionalProperties: false, title: "InboundHookRequest" },
);
const change = changeable(Fields, "InboundHook");
const OneHook = Type.Object({ hook: InboundHookView }, { title: "OneInboundHook" });
const WithSecret = Type.Object(
  { hook: InboundHookView, secret: Type.String({ description: "Shown once" }) },
  { title: "InboundHookWithSecret" },
);

export const list = defineRoute({
  method: "GET",
  path: "/api/v1/inbound-hooks",
  tag: "Webhooks",
  summary: "The inbound webhooks of your organisation",
  access: "webhook.manage",
  query: Type.Object({ limit: Limit(200, 50), cursor: Cursor }, { additionalProperties: false }),
  replies: { 200: { description: "In the order in which they were made", schema: pageOf(InboundHookView, "InboundHookPage") } },
  async handler({ context, principal, query: { limit = 50, cursor: after } }) {
    const page = await listHooks(context.store.db, principal.organizationId, { limit, after });
    return { status: 200, body: { data: page.items.map(inboundHookJson), next_cursor: page.next } };
  },
});

export const create = defineRoute({
  method: "POST",
  path: "/api/v1/inbound-hooks",
  tag: "Webhooks",
  summary: "Make an address that others may call",
  description: "Whoever calls it with the secret makes a `webhook.received` event of the organisation.",
  access: "webhook.manage",
  body: Body,
  bodyExample: { name: "Repository", scheme: "sha256" },
  replies: { 201: { description: "Made", schema: WithSecret } },
  errors: ["quota_exceeded"],
  handler: ({ context, principal, body, commit }) =>
    commit(async (db) => {
      const { organizationId, id: createdBy } = principal;
      const { name, scheme, is_active: isActive = true } = body;
      const secret = secretFor(scheme, body.secret);
      const hook = await createHook(db, context.encryption, { organizationId, createdBy, name, scheme, isActive, secret }, context.clock());
      return {
        answer: { status: 201, version: webhookVersion(hook), body: { hook: inboundHookJson(hook), secret } },
        audit: [noteOf("inbound_hook", hook, "create", { name, scheme })],
      };
    }),
});

export const show = defineRoute({
  method: "GET",
  path: "/api/v1/inbound-hooks/:id",
  tag: "Webhooks",
  summary: "One inbound webhook",
  access: "webhook.manage",
  params: IdParams,
  replies: { 200: { description: "The inbound webhook", schema: OneHook } },
  errors: ["not_found"],
  async handler({ context, principal, params }) {
    return answerOf(await getHook(context.store.db, principal.organizationId, params.id.toLowerCase()));
  },
});

export const update = defineRoute({
  method: "PATCH",
  path: "/api/v1/inbound-hooks/:id",
  tag: "Webhooks",
  summary: "Rename an inbound webhook, switch it off or on again",
  access: "webhook.manage",
  match: "required",
  params: IdParams,
  body: change.Patch,
  bodyExample: { is_active: false },
  replies: { 200: { description: "As it is now", schema: OneHook } },
  errors: ["not_found"],
  handler: ({ context, principal, params, body, match, commit }) =>
    commit(async (db) => {
      const before = await lockHook(db, principal.organizationId, params.id.toLowerCase());
      match(webhookVersion(before));
      const { name, is_active: isActive = true } = change.apply(inboundHookJson(before), body);
      const hook = await updateHook(db, before, { name, isActive }, context.clock());
      return { answer: answerOf(hook), audit: [noteOf("inbound_hook", hook, "update", { changed: Object.keys(body) })] };
    }),
});

export const remove = defineRoute({
  method: "DELETE",
  path: "/api/v1/inbound-hooks/:id",
  tag: "Webhooks",
  summary: "Remove an inbound webhook",
  access: "webhook.manage",
  match: "required",
  params: IdParams,
  replies: { 204: { description: "Gone" } },
  errors: ["not_found"],
  handler: ({ principal, params, match, commit }) =>
    commit(async (db) => {
      const hook = await lockHook(db, principal.organizationId, params.id.toLowerCase());
      match(webhookVersion(hook));
      await deleteHook(db, hook.id);
      return { answer: { status: 204 }, audit: [noteOf("inbound_hook", hook, "delete", { name: hook.name })] };
    }),
});

export const rotateSecret = defineRoute({
  method: "POST",
  path: "/api/v1/inbound-hooks/:id/rotate-secret",
  tag: "Webhooks",
  summary: "Give an inbound webhook another secret",
  description: "For 24 hours both secrets are right.",
  access: "webhook.manage",
  match: "optional",
  params: IdParams,
  body: Type.Object({ secret: Secret }, { additionalProperties: false, title: "InboundHookSecretRequest" }),
  bodyExample: {},
  replies: { 200: { description: "The new secret", schema: WithSecret } },
  errors: ["not_found"],
  handler: ({ context, principal, params, body, match, commit }) =>
    commit(async (db) => {
      const before = await lockHook(db, principal.organizationId, params.id.toLowerCase());
      match(webhookVersion(before));
      const secret = secretFor(before.scheme, body.secret);
      const hook = await rotateHookSecret(db, context.encryption, before, { secret, now: context.clock() });
      return {
        answer: { status: 200, version: webhookVersion(hook), body: { hook: inboundHookJson(hook), secret } },
        audit: [noteOf("inbound_hook", hook, "rotate_secret")],
      };
    }),
});

function answerOf(hook: InboundHook) {
  return { status: 200, version: webhookVersion(hook), body: { hook: inboundHookJson(hook) } };
}

/** Throws `validation_error`. */
function secretFor(scheme: HookScheme, given: string | undefined): string {
  if (given === undefined) return newWebhookSecret();
  if (scheme !== "standard" || isWebhookSecret(given)) return given;
  throw new HubError("validation_error", "/secret is not whsec_ and 24 to 64 bytes in base64", {
    details: [{ path: "/secret", message: "is not whsec_ and 24 to 64 bytes in base64" }],
  });
}
