import cors from "@koa/cors";
import type { Middleware } from "koa";

/** What a page of another site may read of an answer beside its body. */
const EXPOSED = ["etag", "link", "ratelimit", "ratelimit-policy", "retry-after", "x-request-id", "idempotency-replayed", "traceparent"];
const ALLOWED = ["authorization", "content-type", "idempotency-key", "if-match", "if-none-match", "traceparent", "x-request-id"];
const PREFLIGHT_S = 600;

/** Lets pages of these origins ask with a bearer token. Never with the cookie: that is for the hub's own pages. */
export function crossOrigin(origins: readonly string[]): Middleware {
  return cors({
    origin: (ctx) => {
      const origin = ctx.get("origin");
      return origins.includes("*") ? "*" : origins.includes(origin) ? origin : "";
    },
    allowMethods: ["GET", "POST", "PUT", "PATCH", "DELETE"],
    allowHeaders: ALLOWED,
    exposeHeaders: EXPOSED,
    maxAge: PREFLIGHT_S,
  });
}
