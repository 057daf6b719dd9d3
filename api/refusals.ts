import type { IncomingHttpHeaders } from "node:http";
import { HubError } from "../core/errors.ts";
import { actorOf, type Principal } from "../core/principal.ts";
import type { ApiContext } from "./context.ts";
import type { Route } from "./route.ts";
import { CrossSiteRefusal } from "./session-cookie.ts";

export interface RefusedRequest {
  readonly route: Pick<Route, "method" | "path" | "access">;
  readonly principal?: Principal | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly hasCookie: boolean;
  readonly source: string;
  readonly requestId: string;
}

/** Tells the audit of a request that was refused for who asked, or for what they showed. */
export function noteRefusal(
  { security, directory }: Pick<ApiContext, "security" | "directory">,
  request: RefusedRequest,
  error: unknown,
): void {
  if (!(error instanceof HubError)) return;
  const { route, principal, source, requestId } = request;
  const about = { source, requestId, details: { method: route.method, route: route.path } };
  if (error instanceof CrossSiteRefusal) {
    const { principal: user } = error;
    return security.note({ ...about, action: "request.cross_site", actor: actorOf(user), organizationId: user.organizationId });
  }
  // To look at what is not one's to see is no attempt on anything.
  if (error.code === "forbidden" && principal && principal.kind !== "device" && route.method !== "GET")
    return security.note({ ...about, action: "request.forbidden", actor: actorOf(principal), organizationId: principal.organizationId });
  if ((error.code === "pin_wrong" || error.code === "pin_locked") && principal?.kind === "user")
    return security.note({ ...about, action: "user.pin_refused", actor: actorOf(principal), organizationId: principal.organizationId });
  // Its refusals stand in the audit already.
  const isLogin = route.path === "/api/v1/auth/login";
  if (isLogin && error.code === "rate_limited") return security.note({ ...about, action: "user.login_blocked", organizationId: null });
  if (error.code !== "unauthorized" || isLogin || !hasShown(request)) return;
  const uid = request.headers["x-device-uid"];
  const device = route.access === "device" && typeof uid === "string" ? directory.find(uid) : undefined;
  security.note({
    ...about,
    action: "credential.refused",
    organizationId: device?.organizationId ?? null,
    ...(device ? { resource: { resourceType: "device", resourceId: device.id } } : {}),
  });
}

/** Whoever comes without anything has guessed nothing; in a body there is always something. */
function hasShown({ headers, hasCookie, route }: RefusedRequest): boolean {
  const named = ["authorization", "x-device-token", "x-provision-key"] as const;
  return hasCookie || route.access === "none" || named.some((name) => headers[name] !== undefined);
}
