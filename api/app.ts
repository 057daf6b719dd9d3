import { randomUUID } from "node:crypto";
import Router, { type RouterMiddleware } from "@koa/router";
import Koa, { type Context, type Middleware } from "koa";
import helmet from "koa-helmet";
import { HubError } from "../core/errors.ts";
import { serveConsole } from "./admin/console.ts";
import type { ApiContext } from "./context.ts";
import { crossOrigin } from "./cors.ts";
import { dispatch, type RequestState } from "./dispatch.ts";
import { asHubError, envelopeOf, headersOf, problemOf } from "./errors.ts";
import { accountLinking } from "./oauth/account-linking.ts";
import { PAGES } from "./pages.ts";
import { type Remote, remoteReader } from "./remote.ts";
import { ROUTES } from "./routes.ts";
import { traceOf, traceparent } from "./trace.ts";

/** The Koa application: what surrounds every request, then the routes and pages. */
export function createApp(context: ApiContext): Koa<RequestState> {
  const app = new Koa<RequestState>();
  // Only failures of Koa itself come here, such as a broken socket in the middle of an answer.
  app.on("error", (error: unknown) => context.log.debug({ err: error }, "connection failed"));
  const remoteOf = remoteReader(context.settings.trustProxy);
  app.use(observe(context));
  app.use(securityHeaders(context));
  if (context.settings.apiOrigins.length > 0) app.use(crossOrigin(context.settings.apiOrigins));
  app.use(httpsGuard(context, (ctx) => remoteOf(ctx.req)));
  const router = new Router<RequestState>();
  for (const route of ROUTES)
    router.register(route.path, [route.method], dispatch(context, route, remoteOf) as RouterMiddleware<RequestState>);
  for (const page of PAGES) {
    router.register(page.path, ["GET"], async (ctx) => {
      ctx.state.route = page.path;
      const content = await page.render(context, { headers: ctx.req.headers, remote: remoteOf(ctx.req) });
      for (const [name, value] of Object.entries(content.headers ?? {})) ctx.set(name, value);
      ctx.status = content.status ?? 200;
      ctx.type = content.type;
      ctx.body = content.body;
    });
  }
  for (const { path, method, serve } of accountLinking(context, remoteOf))
    router.register(path, [method], serve as RouterMiddleware<RequestState>);
  app.use(router.routes());
  app.use(serveConsole());
  app.use((ctx) => refuseUnmatched(ctx));
  return app;
}

/** Request id, trace, error envelope, log line and metrics: the outermost layer, so that nothing escapes it. */
function observe(context: ApiContext): Middleware<RequestState> {
  return async (ctx, next) => {
    const started = performance.now();
    const given = ctx.get("x-request-id");
    const requestId = /^[A-Za-z0-9._:-]{1,128}$/.test(given) ? given : `req-${randomUUID()}`;
    ctx.state.requestId = requestId;
    ctx.set("x-request-id", requestId);
    const trace = traceOf(ctx.get("traceparent"));
    ctx.state.trace = trace;
    ctx.set("traceparent", traceparent(trace));
    ctx.set("cache-control", "no-store");
    try {
      await next();
    } catch (cause) {
      const error = asHubError(cause);
      answerError(ctx, error, requestId);
      const where = { err: cause, request_id: requestId, trace_id: trace.traceId, method: ctx.method, route: ctx.state.route ?? "unknown" };
      if (error.code === "internal_error") context.log.error(where, "request failed");
      else if (error.code === "storage_full" || error.code === "unavailable") context.log.warn(where, "request refused");
    }
    const ms = performance.now() - started;
    const route = ctx.state.route ?? "unknown";
    const method = KNOWN_METHODS.has(ctx.method) ? ctx.method : "other";
    context.metrics.count("hexahub_http_requests_total", { method, route, status: String(ctx.status) });
    context.metrics.observe("hexahub_http_request_duration_seconds", ms / 1000, { method, route });
    context.log[QUIET.has(route) ? "debug" : "info"](
      { method, route, status: ctx.status, ms: Math.round(ms * 10) / 10, request_id: requestId, trace_id: trace.traceId },
      "request",
    );
  };
}

const KNOWN_METHODS = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]);
/** Asked by machines every few seconds. */
const QUIET = new Set(["/health", "/metrics", "/api/v1/devices/sensor-report"]);

function answerError(ctx: Context, error: HubError, requestId: string): void {
  const wantsProblem = ctx.get("accept").includes("application/problem+json");
  ctx.status = error.status;
  for (const [name, value] of Object.entries(headersOf(error))) ctx.set(name, value);
  ctx.type = wantsProblem ? "application/problem+json; charset=utf-8" : "application/json; charset=utf-8";
  ctx.body = JSON.stringify(wantsProblem ? problemOf(error, requestId) : envelopeOf(error, requestId));
}

function securityHeaders(context: ApiContext): Middleware {
  return helmet({
    contentSecurityPolicy: {
      useDefaults: false,
      directives: {
        defaultSrc: ["'none'"],
        scriptSrc: ["'self'"],
        styleSrc: ["'self'"],
        imgSrc: ["'self'", "data:"],
        fontSrc: ["'self'", "data:"],
        connectSrc: ["'self'"],
        formAction: ["'self'"],
        baseUri: ["'none'"],
        frameAncestors: ["'none'"],
      },
    },
    // A hub that also answers plain HTTP must not lock browsers out of it.
    strictTransportSecurity: context.settings.enforceHttps ? { maxAge: 31_536_000, includeSubDomains: false } : false,
    referrerPolicy: { policy: "no-referrer" },
  });
}

function httpsGuard(context: ApiContext, remoteOf: (ctx: Context) => Remote): Middleware {
  return async (ctx, next) => {
    if (context.settings.enforceHttps) {
      const remote = remoteOf(ctx);
      if (!remote.isSecure && !remote.isLocal)
        throw new HubError("https_required", "ask over HTTPS; plain HTTP is answered on the hub's own machine only");
    }
    await next();
  };
}

function refuseUnmatched(ctx: Context): never {
  const layers = (ctx as { matched?: { methods: string[] }[] }).matched ?? [];
  const allowed = [...new Set(layers.flatMap((layer) => layer.methods))];
  if (allowed.length === 0) throw new HubError("not_found", "there is no such path");
  ctx.set("allow", allowed.join(", "));
  throw new HubError("method_not_allowed", `this path takes ${allowed.join(", ")}`, { details: { allow: allowed } });
}
