import Type, { type Static } from "typebox";
import { ForbiddenDestination } from "../../core/destination.ts";
import { HubError } from "../../core/errors.ts";
import { newWebhookSecret } from "../../core/webhook-signature.ts";
import { findDeviceRefs } from "../../store/devices.ts";
import type { Db } from "../../store/open.ts";
import { dropPending } from "../../store/webhook-deliveries.ts";
import {
  createWebhook,
  deleteWebhook,
  getWebhook,
  listWebhooks,
  lockWebhook,
  rotateWebhookSecret,
  updateWebhook,
  type Webhook,
  type WebhookFields,
} from "../../store/webhooks.ts";
import type { ApiContext } from "../context.ts";
import { Cursor, DeviceReference, IdParams, Limit, pageOf } from "../fields.ts";
import { changeable } from "../places/fields.ts";
import { defineRoute } from "../route.ts";
import { noteOf, WebhookName, WebhookPattern, WebhookView, webhookJson, webhookVersion } from "./representation.ts";

const MAX_DEVICES = 100;

const Body = Type.Object(
  {
    name: WebhookName,
    url: Type.String({
      minLength: 1,
      maxLength: 2_048,
      description: "https:// or http://, in the internet or where HEXA_OUTBOUND_ALLOW says",
    }),
    events: Type.Array(WebhookPattern, { minItems: 1, maxItems: 50, uniqueItems: true }),
    devices: Type.Optional(
      Type.Array(DeviceReference, {
        minItems: 1,
        maxItems: MAX_DEVICES,
        uniqueItems: true,
        description: "Only events of these; without it all of the organisation",
      }),
    ),
    is_active: Type.Optional(Type.Boolean({ description: "true unless it says otherwise" })),
  },
  { additionalProperties: false, title: "WebhookRequest" },
);
const change = changeable(Body, "Webhook");
const OneWebhook = Type.Object({ webhook: WebhookView }, { title: "OneWebhook" });
const WithSecret = Type.Object(
  { webhook: WebhookView, secret: Type.String({ description: "`whsec_` and 32 bytes in base64; shown once" }) },
  { title: "WebhookWithSecret" },
);
const bodyExample = { name: "Pager", url: "https://hooks.example/hexahub", events: ["device.offline", "command.*"] };

export const list = defineRoute({
  method: "GET",
  path: "/api/v1/webhooks",
  tag: "Webhooks",
  summary: "The webhooks of your organisation",
  access: "webhook.manage",
  query: Type.Object({ limit: Limit(200, 50), cursor: Cursor }, { additionalProperties: false }),
  replies: { 200: { description: "In the order in which they were made", schema: pageOf(WebhookView, "WebhookPage") } },
  async handler({ context, principal, query: { limit = 50, cursor: after } }) {
    const page = await listWebhooks(context.store.db, principal.organizationId, { limit, after });
    return { status: 200, body: { data: page.items.map(webhookJson), next_cursor: page.next } };
  },
});

export const create = defineRoute({
  method: "POST",
  path: "/api/v1/webhooks",
  tag: "Webhooks",
  summary: "Have events sent to a URL",
  description:
    "Each event that matches is sent as CloudEvents 1.0 in JSON, signed as Standard Webhooks has it, at least once and in no promised order: `webhook-id` is the same for every attempt of a message. 2xx is success. Anything else, also a redirect, is tried again for up to 24 hours; 410 switches the webhook off, and so do five days without success. What webhooks do themselves (`webhook.*`) is sent to none; what an automation asks of a webhook (`webhook.requested`) is sent to that one alone, whatever it listens to.",
  access: "webhook.manage",
  body: Body,
  bodyExample,
  replies: { 201: { description: "Made", schema: WithSecret } },
  errors: ["not_found", "quota_exceeded"],
  handler: ({ context, principal, body, commit }) =>
    commit(async (db) => {
      const { organizationId, id: createdBy } = principal;
      const secret = newWebhookSecret();
      const fields = { ...(await fieldsOf(context, db, organizationId, body)), organizationId, createdBy, secret };
      const webhook = await createWebhook(db, context.encryption, fields, context.clock());
      return {
        answer: { status: 201, version: webhookVersion(webhook), body: { webhook: webhookJson(webhook), secret } },
        audit: [noteOf("webhook", webhook, "create", { name: webhook.name, events: webhook.events, host: new URL(webhook.url).hostname })],
        afterwards: () => context.webhooks.changed([organizationId]),
      };
    }),
});

export const show = defineRoute({
  method: "GET",
  path: "/api/v1/webhooks/:id",
  tag: "Webhooks",
  summary: "One webhook",
  access: "webhook.manage",
  params: IdParams,
  replies: { 200: { description: "The webhook", schema: OneWebhook } },
  errors: ["not_found"],
  async handler({ context, principal, params }) {
    return answerOf(await getWebhook(context.store.db, principal.organizationId, params.id.toLowerCase()));
  },
});

export const update = defineRoute({
  method: "PATCH",
  path: "/api/v1/webhooks/:id",
  tag: "Webhooks",
  summary: "Change a webhook, switch it off or on again",
  description: "A merge patch. What waits for a webhook that is switched off is dropped; it can be replayed.",
  access: "webhook.manage",
  match: "required",
  params: IdParams,
  body: change.Patch,
  bodyExample: { events: ["*"], is_active: true },
  replies: { 200: { description: "As it is now", schema: OneWebhook } },
  errors: ["not_found"],
  handler: ({ context, principal, params, body, match, commit }) =>
    commit(async (db) => {
      const { organizationId } = principal;
      const before = await lockWebhook(db, organizationId, params.id.toLowerCase());
      match(webhookVersion(before));
      const wanted = change.apply(webhookJson(before), body);
      const fields = await fieldsOf(context, db, organizationId, body.devices === undefined ? { ...wanted, devices: undefined } : wanted);
      const kept = body.devices === undefined ? { ...fields, deviceIds: before.deviceIds } : fields;
      const webhook = await updateWebhook(db, before, kept, context.timers.now());
      const dropped = webhook.isActive ? 0 : await dropPending(db, webhook.id, context.timers.now());
      return {
        answer: answerOf(webhook),
        audit: [noteOf("webhook", webhook, "update", { changed: Object.keys(body), ...(dropped > 0 ? { dropped } : {}) })],
        afterwards: () => context.webhooks.changed([organizationId]),
      };
    }),
});

export const remove = defineRoute({
  method: "DELETE",
  path: "/api/v1/webhooks/:id",
  tag: "Webhooks",
  summary: "Remove a webhook with what waits for it",
  access: "webhook.manage",
  match: "required",
  params: IdParams,
  replies: { 204: { description: "Gone" } },
  errors: ["not_found"],
  handler: ({ context, principal, params, match, commit }) =>
    commit(async (db) => {
      const webhook = await lockWebhook(db, principal.organizationId, params.id.toLowerCase());
      match(webhookVersion(webhook));
      await deleteWebhook(db, webhook.id);
      return {
        answer: { status: 204 },
        audit: [noteOf("webhook", webhook, "delete", { name: webhook.name })],
        afterwards: () => context.webhooks.changed([webhook.organizationId]),
      };
    }),
});

export const rotateSecret = defineRoute({
  method: "POST",
  path: "/api/v1/webhooks/:id/rotate-secret",
  tag: "Webhooks",
  summary: "Give a webhook another secret",
  description: "For 24 hours both secrets sign, so that the receiver can go on to the new one in between.",
  access: "webhook.manage",
  match: "optional",
  params: IdParams,
  replies: { 200: { description: "The new secret", schema: WithSecret } },
  errors: ["not_found"],
  handler: ({ context, principal, params, match, commit }) =>
    commit(async (db) => {
      const before = await lockWebhook(db, principal.organizationId, params.id.toLowerCase());
      match(webhookVersion(before));
      const secret = newWebhookSecret();
      const webhook = await rotateWebhookSecret(db, context.encryption, before, { secret, now: context.clock() });
      return {
        answer: { status: 200, version: webhookVersion(webhook), body: { webhook: webhookJson(webhook), secret } },
        audit: [noteOf("webhook", webhook, "rotate_secret")],
      };
    }),
});

function answerOf(webhook: Webhook) {
  return { status: 200, version: webhookVersion(webhook), body: { webhook: webhookJson(webhook) } };
}

type Wanted = Omit<Static<typeof Body>, "devices"> & { readonly devices?: readonly string[] | undefined };

/** Throws `validation_error` for a URL that is not to be asked, and `not_found` for devices that the organisation has not. */
async function fieldsOf(
  { destinations }: Pick<ApiContext, "destinations">,
  db: Db,
  organizationId: string,
  { name, url, events, devices, is_active: isActive = true }: Wanted,
): Promise<WebhookFields> {
  try {
    destinations.parse(url);
  } catch (error) {
    if (!(error instanceof ForbiddenDestination)) throw error;
    throw new HubError("validation_error", `/url ${error.message}`, { details: [{ path: "/url", message: error.message }] });
  }
  const found = devices && (await findDeviceRefs(db, { kind: "organization", organizationId }, devices));
  if (devices && !found) throw new HubError("not_found", "there is no such device");
  return { name, url, events, deviceIds: found?.map(({ id }) => id) ?? null, isActive };
}
