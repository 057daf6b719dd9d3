import type { IncomingHttpHeaders } from "node:http";
import type { Context } from "koa";
import { HubError } from "../core/errors.ts";
import { SESSION_COOKIE, type UserPrincipal } from "../core/principal.ts";
import { authenticateUserJwt, issueUserJwt, type Login, renewLogin } from "../store/logins.ts";
import { userPrincipal } from "../store/users.ts";
import type { ApiContext } from "./context.ts";
import type { SessionCookie } from "./route.ts";

/** What a browser sends with its cookie. */
export interface CookieRequest {
  readonly method: string;
  readonly headers: IncomingHttpHeaders;
  readonly token: string;
}

/** No form and no image can send it, and a script of another site has to ask first, which is refused. */
const CSRF_HEADER = "x-hexahub-csrf";
const OF_SESSION = new RegExp(`^${SESSION_COOKIE}=[^;]+`);
const SAFE_METHODS = new Set(["GET", "HEAD", "OPTIONS"]);
/** Renewed when so much of its time has passed since it was used last, so that not every request writes. */
const RENEWED_AFTER = 1 / 12;

export function tokenOf(ctx: Context): string | undefined {
  return ctx.cookies.get(SESSION_COOKIE);
}

export function sendCookie(ctx: Context, cookie: SessionCookie | undefined, isSecure: boolean): void {
  if (cookie === undefined) return;
  // What it finds out by itself knows nothing of a proxy.
  ctx.cookies.secure = isSecure;
  const options = { httpOnly: true, sameSite: "lax", secure: isSecure, path: "/", overwrite: true } as const;
  if (cookie === "cleared") ctx.cookies.set(SESSION_COOKIE, null, options);
  else {
    ctx.cookies.set(SESSION_COOKIE, cookie.token, { ...options, maxAge: cookie.maxAgeMs });
    // For how long, beside until when: the browser's clock may be set wrong.
    const lasting = `max-age=${Math.floor(cookie.maxAgeMs / 1_000)}`;
    ctx.set(
      "set-cookie",
      [ctx.response.headers["set-cookie"] ?? []].flat().map((one) => one.replace(OF_SESSION, `$&; ${lasting}`)),
    );
  }
}

/** The cookie of a login that has just begun or been renewed. */
export function cookieOf(
  { keys, clock }: Pick<ApiContext, "keys" | "clock">,
  login: Pick<Login, "id" | "userId" | "ttlMs">,
): SessionCookie {
  return { token: issueUserJwt(keys, { loginId: login.id, userId: login.userId }, login.ttlMs, clock()), maxAgeMs: login.ttlMs };
}

/**
 * Whose browser it is, and the cookie's successor where it is time for one. Throws `unauthorized`; and `forbidden` for a
 * change that the page of another site may have made the browser ask for.
 */
export async function authenticateCookie(
  context: Pick<ApiContext, "store" | "keys" | "clock" | "settings">,
  request: CookieRequest,
): Promise<{ readonly principal: UserPrincipal; readonly renewed?: SessionCookie }> {
  const { db } = context.store;
  const now = context.clock();
  const found = await authenticateUserJwt(db, context.keys, request.token, now);
  if (found === undefined) throw new HubError("unauthorized", "the session has ended: log in again");
  const { login } = found;
  const principal = userPrincipal(found.user, login.id);
  if (!SAFE_METHODS.has(request.method)) checkOrigin(context.settings.publicUrl, request.headers, principal);
  if (now - Date.parse(login.lastUsedAt) < login.ttlMs * RENEWED_AFTER) return { principal };
  // Of many requests at once, one renews it.
  return (await renewLogin(db, login, now)) ? { principal, renewed: cookieOf(context, login) } : { principal };
}

/** Whose browser was made to ask stands in the audit. */
export class CrossSiteRefusal extends HubError {
  readonly principal: UserPrincipal;

  constructor(principal: UserPrincipal, message = "a page of another site may not change anything here") {
    super("forbidden", message);
    this.principal = principal;
  }
}

function checkOrigin(publicUrl: string | undefined, headers: IncomingHttpHeaders, principal: UserPrincipal): void {
  if (headers[CSRF_HEADER] === undefined)
    throw new CrossSiteRefusal(principal, `with a session cookie a change needs the header ${CSRF_HEADER}: 1`);
  const site = headers["sec-fetch-site"];
  if (site !== undefined && site !== "same-origin") throw new CrossSiteRefusal(principal);
  const { origin, host } = headers;
  if (origin === undefined) return;
  const ours = [publicUrl, `http://${host}`].flatMap((url) => (url !== undefined && URL.canParse(url) ? [new URL(url).host] : []));
  if (!URL.canParse(origin) || !ours.includes(new URL(origin).host)) throw new CrossSiteRefusal(principal);
}
