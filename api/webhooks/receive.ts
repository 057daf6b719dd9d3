import Type from "typebox";
import { HubError } from "../../core/errors.ts";
import { newEvent } from "../../core/event.ts";
import type { HookScheme } from "../../core/webhook.ts";
import { isSignedSha256, isSignedStandard, isToken, newWebhookSecret } from "../../core/webhook-signature.ts";
import { findCalledHook, holdHook, noteHookMessage } from "../../store/inbound-hooks.ts";
import type { IncomingBody } from "../body.ts";
import { IdParams, nullable } from "../fields.ts";
import { defineRoute } from "../route.ts";
import { receivedBody } from "./received-body.ts";

const MAX_BODY_BYTES = 65_536;
/** Of a hook that is not there: as much work, and never right. */
const NOBODYS = newWebhookSecret();

const Received = Type.Object(
  {
    event_id: nullable("string", { description: "null for a message that was received before" }),
    is_repeated: Type.Boolean(),
  },
  { title: "HookReceived" },
);

export const receive = defineRoute({
  method: "POST",
  path: "/api/v1/hooks/:id",
  tag: "Webhooks",
  summary: "Tell an organisation something",
  description:
    "For whoever knows the secret of an inbound webhook. JSON, a form of at most 1,000 fields or text, at most 64 KiB. Makes a `webhook.received` event. A Standard Webhooks message that comes again, by its `webhook-id`, has no second effect.",
  access: "none",
  idempotent: false,
  params: IdParams,
  raw: { maxBytes: MAX_BODY_BYTES, types: ["application/json", "application/x-www-form-urlencoded", "text/plain"] },
  replies: { 202: { description: "Received", schema: Received } },
  errors: ["unauthorized", "not_found"],
  async handler({ context, params, incoming, caller, commit }) {
    const now = context.clock();
    const called = await findCalledHook(context.store.db, context.encryption, params.id.toLowerCase(), now);
    await context.rateLimits.callHook(called?.hook.id, caller.address);
    if (!incoming) throw new Error("the route reads its body by itself");
    const messageId = proofOf(called?.hook.scheme ?? "standard", called?.secrets ?? [NOBODYS], incoming, now);
    if (!called) throw new HubError("not_found", "there is no such inbound webhook");
    if (messageId === undefined) throw new HubError("unauthorized", "the signature or token is missing, wrong or too old");
    const { hook } = called;
    const { contentType, body } = receivedBody(incoming);
    return await commit(async (db) => {
      if (!(await holdHook(db, hook.id))) throw new HubError("not_found", "there is no such inbound webhook");
      const isNew = messageId === "none" || (await noteHookMessage(db, hook.id, messageId.text, now));
      if (!isNew) return { answer: { status: 202, body: { event_id: null, is_repeated: true } }, audit: [] };
      const event = newEvent(
        "webhook.received",
        { organizationId: hook.organizationId, entityId: hook.id, actor: { kind: "bridge", id: hook.id }, now },
        { hook_id: hook.id, name: hook.name, content_type: contentType, body },
      );
      // The event says it all; who made the hook, and its secret, stands in the audit.
      return { answer: { status: 202, body: { event_id: event.id, is_repeated: false } }, audit: [], events: [event] };
    });
  },
});

const MAX_ID_CHARS = 256;

/** Names the message where its sender signs a name; undefined when it is nobody's who has the secret. */
function proofOf(
  scheme: HookScheme,
  secrets: readonly string[],
  { bytes, headers }: IncomingBody,
  now: number,
): { readonly text: string } | "none" | undefined {
  const header = (name: string): string => {
    const value = headers[name];
    return typeof value === "string" ? value : "";
  };
  if (scheme === "token") return isToken(secrets, header("x-hook-token")) ? "none" : undefined;
  if (scheme === "sha256") return isSignedSha256(secrets, bytes, header("x-hub-signature-256")) ? "none" : undefined;
  const [id, time, signatures] = [header("webhook-id"), header("webhook-timestamp"), header("webhook-signature")];
  const message = { id, timestampS: /^\d{1,12}$/.test(time) ? Number(time) : 0, body: bytes, signatures };
  const isRight = isSignedStandard(secrets, message, now) && id !== "" && id.length <= MAX_ID_CHARS;
  return isRight ? { text: id } : undefined;
}
