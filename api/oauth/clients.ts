import Type, { type Static } from "typebox";
import { HubError } from "../../core/errors.ts";
import { faultOfRedirectUri, OAUTH_SCOPE_NAMES } from "../../core/oauth.ts";
import { createOauthClient, listOauthClients, type OauthClient, removeOauthClient, rotateOauthSecret } from "../../store/oauth-clients.ts";
import { Cursor, IdParams, Limit, line, pageOf } from "../fields.ts";
import { defineRoute } from "../route.ts";

const TAG = "Account linking";
const MAX_REDIRECT_URIS = 10;

const Scopes = Type.Array(Type.Enum(OAUTH_SCOPE_NAMES), {
  minItems: 1,
  maxItems: OAUTH_SCOPE_NAMES.length,
  uniqueItems: true,
  description: "What it may ask people for: `devices` is to see and switch them, `devices.read` to see them, `scenes` to see scenes",
});

const OauthClientView = Type.Object(
  {
    client_id: Type.String(),
    name: Type.String(),
    organization_id: Type.String(),
    is_shared: Type.Boolean({ description: "Everybody on the hub may link with it, each with an organisation of theirs" }),
    redirect_uris: Type.Array(Type.String()),
    scopes: Type.Array(Type.String()),
    links: Type.Integer({ description: "Accounts that are linked with it" }),
    created_at: Type.String(),
  },
  { title: "OauthClient" },
);

const WithSecret = Type.Object({ client: OauthClientView, client_secret: Type.String() }, { title: "OauthClientWithSecret" });

const clientJson = ({ id, organizationId, isShared, redirectUris, createdAt, ...same }: OauthClient): Static<typeof OauthClientView> => ({
  client_id: id,
  name: same.name,
  organization_id: organizationId,
  is_shared: isShared,
  redirect_uris: [...redirectUris],
  scopes: [...same.scopes],
  links: same.links,
  created_at: createdAt,
});

export const create = defineRoute({
  method: "POST",
  path: "/api/v1/oauth-clients",
  tag: TAG,
  summary: "Let people link their account with a program, such as Alexa",
  description:
    "For the owner of an organisation: whoever holds the secret keeps access for as long as people leave it linked. Only members of the organisation can link with it, and only with this organisation. With `is_shared`, which takes an administrator of the hub, everybody can, each with an organisation of theirs. People are asked what they allow on /oauth/authorize; the program gets its tokens from /oauth/token.",
  access: "organization.manage",
  body: Type.Object(
    {
      name: line(60, "As people read it when they are asked"),
      redirect_uris: Type.Array(Type.String({ minLength: 1, maxLength: 512 }), {
        minItems: 1,
        maxItems: MAX_REDIRECT_URIS,
        uniqueItems: true,
        description: "Where people are sent back to, each in full: https://, or http:// to the person's own machine",
      }),
      scopes: Scopes,
      is_shared: Type.Optional(Type.Boolean()),
    },
    { additionalProperties: false, title: "OauthClientRequest" },
  ),
  bodyExample: { name: "Alexa", redirect_uris: ["https://layla.amazon.com/api/skill/link/M2AAAAAAAAAAAA"], scopes: ["devices"] },
  replies: {
    201: { description: "The client, with its secret, which is shown once", schema: WithSecret },
  },
  errors: ["quota_exceeded"],
  handler: ({ context, principal: { organizationId }, rights, body, commit }) => {
    const isShared = body.is_shared === true;
    if (isShared && rights.kind !== "platform") throw new HubError("forbidden", "only an administrator of the hub makes a shared one");
    requireFit(body.redirect_uris);
    return commit(async (db) => {
      const wanted = { organizationId, isShared, name: body.name, redirectUris: body.redirect_uris, scopes: body.scopes };
      const { client, secret } = await createOauthClient(db, context.keys, wanted, context.clock());
      const view = clientJson(client);
      return {
        answer: { status: 201, body: { client: view, client_secret: secret } },
        audit: [{ ...noteOn(client, "oauth_client.create"), after: view }],
      };
    });
  },
});

export const list = defineRoute({
  method: "GET",
  path: "/api/v1/oauth-clients",
  tag: TAG,
  summary: "The programs that people can link their account with, never their secrets",
  access: "organization.manage",
  query: Type.Object({ limit: Limit(100, 100), cursor: Cursor }, { additionalProperties: false }),
  replies: {
    200: { description: "A page of those of the organisation, oldest first", schema: pageOf(OauthClientView, "OauthClientPage") },
  },
  async handler({ context, scope, query: { limit = 100, cursor: after } }) {
    const page = await listOauthClients(context.store.db, scope, { limit, after, now: context.clock() });
    return { status: 200, body: { data: page.items.map(clientJson), next_cursor: page.next } };
  },
});

export const rotateSecret = defineRoute({
  method: "POST",
  path: "/api/v1/oauth-clients/:id/rotate-secret",
  tag: TAG,
  summary: "Give a program another secret",
  description:
    "For 24 hours both secrets are right, so that the program can go on to the new one in between; given another one once more, the first ends at once. What is linked stays so.",
  access: "organization.manage",
  params: IdParams,
  replies: { 200: { description: "The client, with its new secret, which is shown once", schema: WithSecret } },
  errors: ["not_found"],
  handler: ({ context, scope, params, commit }) =>
    commit(async (db) => {
      const { client, secret } = await rotateOauthSecret(db, context.keys, { scope, id: params.id.toLowerCase() }, context.clock());
      return {
        answer: { status: 200, body: { client: clientJson(client), client_secret: secret } },
        audit: [noteOn(client, "oauth_client.rotate_secret")],
      };
    }),
});

export const remove = defineRoute({
  method: "DELETE",
  path: "/api/v1/oauth-clients/:id",
  tag: TAG,
  summary: "Unlink every account from a program, and forget it",
  description: "Its tokens stop to work at once. One person unlinks theirs with DELETE /api/v1/auth/logins/{id}.",
  access: "organization.manage",
  params: IdParams,
  replies: { 204: { description: "Gone" } },
  errors: ["not_found"],
  handler: ({ context, scope, params, commit }) =>
    commit(async (db) => {
      const { client, linkIds } = await removeOauthClient(db, scope, params.id.toLowerCase(), context.clock());
      return {
        answer: { status: 204 },
        audit: [{ ...noteOn(client, "oauth_client.remove"), before: clientJson(client) }],
        afterwards: async () => {
          await context.sessions.disconnect({ credentialIds: linkIds }, "revoked");
        },
      };
    }),
});

function requireFit(uris: readonly string[]): void {
  const details = uris.flatMap((uri, index) => {
    const fault = faultOfRedirectUri(uri);
    return fault === undefined ? [] : [{ path: `/redirect_uris/${index}`, message: fault }];
  });
  if (details.length > 0) throw new HubError("validation_error", "an address that nobody can be sent back to", { details });
}

function noteOn({ id, organizationId, ...client }: OauthClient, action: string) {
  const { name, isShared, redirectUris, scopes, links } = client;
  const details = { name, is_shared: isShared, redirect_uris: redirectUris, scopes, links };
  return { organizationId, action, resourceType: "oauth_client", resourceId: id, details };
}
