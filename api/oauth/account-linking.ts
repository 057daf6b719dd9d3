import type { IncomingMessage } from "node:http";
import type { Middleware } from "koa";
import { HubError } from "../../core/errors.ts";
import { isFitIssuer, OAUTH_SCOPE_NAMES } from "../../core/oauth.ts";
import type { ApiContext } from "../context.ts";
import type { RequestState } from "../dispatch.ts";
import { asHubError, headersOf } from "../errors.ts";
import { addressKey } from "../rate-limits.ts";
import type { Remote } from "../remote.ts";
import { problemPage } from "./pages.ts";
import { AUTHORIZE_PATH, LINK_PATH, METADATA_PATH, REVOKE_PATH, TOKEN_PATH } from "./paths.ts";

type Ctx = Parameters<Middleware<RequestState>>[0];
type Serve = (ctx: Ctx, issuer: URL, remote: Remote) => Promise<void> | void;

interface Door {
  readonly path: string;
  readonly method: "GET" | "POST";
  readonly serve: Middleware<RequestState>;
}

/** oidc-provider reads an address of this length; what is longer would be kept for a while too. */
const MAX_URL_CHARS = 4_096;

/** The OAuth 2.0 server, which is loaded when it is asked for the first time: most hubs have no use for it. */
export function accountLinking(context: ApiContext, remoteOf: (request: IncomingMessage) => Remote): readonly Door[] {
  let loading: ReturnType<typeof load> | undefined;
  const server = async (issuer: URL) => {
    loading ??= load(context, issuer).catch((error: unknown) => {
      loading = undefined;
      throw error;
    });
    const loaded = await loading;
    // Those that sign may have changed since.
    loaded.provider.keys = loaded.cookieKeys(context);
    return loaded;
  };
  const pass: Serve = async (ctx, issuer) => {
    if (ctx.url.length > MAX_URL_CHARS) throw new HubError("validation_error", "the address is longer than 4096 characters");
    const { handle } = await server(issuer);
    // It answers by itself.
    ctx.respond = false;
    await handle(ctx);
  };
  const visit = async (ctx: Ctx, issuer: URL, { address }: Remote) => {
    const { provider } = await server(issuer);
    return { context, provider, ctx, caller: { address, userAgent: ctx.req.headers["user-agent"] } };
  };
  const guard = (serve: Serve): Middleware<RequestState> => guarded(context, remoteOf, serve);
  return [
    { path: METADATA_PATH, method: "GET", serve: guard(tellWhere) },
    { path: AUTHORIZE_PATH, method: "GET", serve: withPages(guard(pass)) },
    { path: `${AUTHORIZE_PATH}/:uid`, method: "GET", serve: withPages(guard(pass)) },
    { path: TOKEN_PATH, method: "POST", serve: guard(pass) },
    { path: REVOKE_PATH, method: "POST", serve: guard(pass) },
    {
      path: LINK_PATH,
      method: "GET",
      serve: withPages(guard(async (...asked) => (await server(asked[1])).showLinkPage(await visit(...asked)))),
    },
    {
      path: LINK_PATH,
      method: "POST",
      serve: withPages(guard(async (...asked) => (await server(asked[1])).takeLinkForm(await visit(...asked)))),
    },
  ];
}

async function load(context: ApiContext, issuer: URL) {
  const { cookieKeys, createProvider } = await import("./provider.ts");
  const { showLinkPage, takeLinkForm } = await import("./link-page.ts");
  const provider = createProvider(context, issuer);
  const callback = provider.callback();
  return { provider, showLinkPage, takeLinkForm, cookieKeys, handle: (ctx: Ctx): Promise<void> => callback(ctx.req, ctx.res) };
}

/** Counts the request by its address, and knows by which address the hub is linked. Throws `rate_limited` and `unavailable`. */
function guarded(context: ApiContext, remoteOf: (request: IncomingMessage) => Remote, serve: Serve): Middleware<RequestState> {
  return async (ctx) => {
    ctx.state.route = (ctx as { _matchedRoute?: string })._matchedRoute ?? ctx.path;
    const remote = remoteOf(ctx.req);
    const { headers, refusal } = await context.rateLimits.spend(addressKey(remote.address));
    ctx.set({ ...headers });
    if (refusal) throw refusal;
    await serve(ctx, issuerOf(context), remote);
  };
}

/** A person reads what goes wrong. */
function withPages(serve: Middleware<RequestState>): Middleware<RequestState> {
  return async (ctx, next) => {
    try {
      await serve(ctx, next);
    } catch (cause) {
      const error = asHubError(cause);
      if (error.status >= 500 && error.code !== "unavailable") throw cause;
      ctx.status = error.status;
      for (const [name, value] of Object.entries(headersOf(error))) ctx.set(name, value);
      ctx.type = "html";
      ctx.body = problemPage(error.message);
    }
  };
}

/** Throws `unavailable`: what programs are told of the hub has to be where they reach it, and nobody else can listen. */
function issuerOf({ settings: { publicUrl } }: ApiContext): URL {
  if (publicUrl === undefined) throw new HubError("unavailable", "accounts cannot be linked: HEXA_PUBLIC_URL is not set");
  const issuer = new URL(publicUrl);
  if (!isFitIssuer(issuer)) throw new HubError("unavailable", "accounts cannot be linked: HEXA_PUBLIC_URL does not begin with https://");
  return issuer;
}

const tellWhere: Serve = (ctx, issuer) => {
  ctx.body = metadataOf(issuer);
};

/** RFC 8414 */
const metadataOf = ({ origin }: URL) => ({
  issuer: origin,
  authorization_endpoint: `${origin}${AUTHORIZE_PATH}`,
  token_endpoint: `${origin}${TOKEN_PATH}`,
  revocation_endpoint: `${origin}${REVOKE_PATH}`,
  scopes_supported: OAUTH_SCOPE_NAMES,
  response_types_supported: ["code"],
  grant_types_supported: ["authorization_code", "refresh_token"],
  token_endpoint_auth_methods_supported: ["client_secret_basic", "client_secret_post"],
  revocation_endpoint_auth_methods_supported: ["client_secret_basic", "client_secret_post"],
  code_challenge_methods_supported: ["S256"],
  authorization_response_iss_parameter_supported: true,
});
