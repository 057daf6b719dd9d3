import { generateKeyPairSync } from "node:crypto";
import type { Context } from "koa";
import { Provider, type TokenModel } from "oidc-provider";
import { OAUTH_SCOPE_NAMES } from "../../core/oauth.ts";
import { findOauthClient, isOauthSecret } from "../../store/oauth-clients.ts";
import { findUser } from "../../store/users.ts";
import { derivedKey } from "../../store/secrets.ts";
import type { ApiContext } from "../context.ts";
import { adapterFor } from "./adapter.ts";
import { problemPage } from "./pages.ts";
import { AUTHORIZE_PATH, linkPath, REVOKE_PATH, TOKEN_PATH } from "./paths.ts";

const DAY_S = 86_400;

/** The OAuth 2.0 server: authorization code with or without PKCE, for programs with a secret. Loaded when somebody links an account. */
export function createProvider(context: ApiContext, issuer: URL): Provider {
  const provider = new Provider(issuer.origin, configurationOf(context));
  provider.use(async (ctx, next) => {
    knowItsAddress(ctx, issuer);
    await fillScope(context, ctx);
    await next();
  });
  provider.on("error", (error: unknown) => context.log.debug({ err: error }, "connection failed"));
  provider.on("server_error", (_ctx: unknown, error: unknown) => context.log.error({ err: error }, "account linking failed"));
  markTokens(provider.AccessToken, "hxl");
  markTokens(provider.RefreshToken, "hxlr");
  provider.Client.prototype.compareClientSecret = function compare(secret) {
    return isOauthSecret(context.store.db, context.keys, { id: this.clientId, secret }, context.clock());
  };
  return provider;
}

/** Behind a prefix that secret scanners, and the hub itself, can recognise. */
function markTokens({ prototype }: TokenModel, prefix: string): void {
  const made = prototype.generateTokenId;
  prototype.generateTokenId = function generate() {
    return `${prefix}_${made.call(this)}`;
  };
}

/** Of the cookies that hold a log-in under way, which any node may go on with. */
export const cookieKeys = ({ keys }: Pick<ApiContext, "keys">): string[] =>
  keys.all("token_hmac").map((key) => derivedKey(key, "account linking").toString("base64url"));

function configurationOf(context: ApiContext) {
  const cookie = { httpOnly: true, sameSite: "lax", signed: true, overwrite: true };
  return {
    adapter: (kind: string) => adapterFor(context, kind),
    clientAuthMethods: ["client_secret_basic", "client_secret_post"],
    clientBasedCORS: () => false,
    clientDefaults: { id_token_signed_response_alg: "ES256" },
    cookies: {
      keys: cookieKeys(context),
      names: { session: "hexa_link_session", interaction: "hexa_link", resume: "hexa_link_resume" },
      long: cookie,
      short: cookie,
    },
    // Links outlive the browser that made them.
    expiresWithSession: () => false,
    features: {
      devInteractions: { enabled: false },
      dPoP: { enabled: false },
      pushedAuthorizationRequests: { enabled: false },
      resourceIndicators: { enabled: false },
      revocation: {
        enabled: true,
        allowedPolicy: (_ctx: unknown, client: { clientId: string }, token: { clientId: string }) => token.clientId === client.clientId,
      },
      rpInitiatedLogout: { enabled: false },
      userinfo: { enabled: false },
    },
    async findAccount(_ctx: unknown, id: string) {
      const user = await findUser(context.store.db, id);
      return user?.isActive ? { accountId: id, claims: () => ({ sub: id }) } : undefined;
    },
    formats: { bitsOfOpaqueRandomness: 256 },
    interactions: { url: (_ctx: unknown, { uid }: { uid: string }) => linkPath(uid) },
    // Alexa does not ask for offline_access, and goes on for ever.
    issueRefreshToken: () => true,
    // It wants one, and signs nothing with it: nobody gets an ID token here.
    jwks: { keys: [generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ format: "jwk" })] },
    // Each link is asked for and logged in for anew.
    loadExistingGrant: (ctx: GrantContext) => {
      const grantId = ctx.oidc.result?.consent?.grantId;
      return grantId === undefined ? undefined : ctx.oidc.provider.Grant.find(grantId);
    },
    // Alexa sends none; the secret shows who it is.
    pkce: { required: () => false },
    renderError(ctx: Context, { error, error_description }: { error: string; error_description?: string }) {
      ctx.type = "html";
      ctx.body = problemPage(error_description ?? error);
    },
    responseTypes: ["code"],
    rotateRefreshToken: false,
    routes: { authorization: AUTHORIZE_PATH, token: TOKEN_PATH, revocation: REVOKE_PATH },
    scopes: OAUTH_SCOPE_NAMES,
    ttl: { AccessToken: 3_600, AuthorizationCode: 300, Grant: 365 * DAY_S, Interaction: 600, RefreshToken: 3_650 * DAY_S, Session: 600 },
  };
}

interface GrantContext {
  readonly oidc: {
    readonly provider: Provider;
    readonly result?: { readonly consent?: { readonly grantId?: string } };
  };
}

/** By the hub's own setting, never by what a request says of its host. */
function knowItsAddress(ctx: Context, issuer: URL): void {
  Object.defineProperties(ctx.request, {
    protocol: { value: issuer.protocol.slice(0, -1) },
    host: { value: issuer.host },
    href: { value: `${issuer.origin}${ctx.path}${ctx.search}` },
  });
}

/** Whoever names no scope asks for all that the program has (RFC 6749, section 3.3). */
async function fillScope({ store, clock }: Pick<ApiContext, "store" | "clock">, ctx: Context): Promise<void> {
  const { client_id: id, scope } = ctx.query;
  if (ctx.path !== AUTHORIZE_PATH || scope !== undefined || typeof id !== "string") return;
  const client = await findOauthClient(store.db, id, clock());
  if (client) ctx.query = { ...ctx.query, scope: client.scopes.join(" ") };
}
