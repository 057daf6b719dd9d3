import type { Context } from "koa";
import type { StoredAnswer } from "./idempotency.ts";
import { entityTag, isKnown } from "./preconditions.ts";
import type { Answer } from "./route.ts";

/** The answer to a change, as it is sent and kept for a repetition. */
export function changeAnswer({ status, body, version }: Answer): StoredAnswer {
  return { status, text: textOf(body), headers: version === undefined ? {} : { etag: entityTag(version) } };
}

export const errorAnswer = (status: number, envelope: unknown): StoredAnswer => ({ status, text: textOf(envelope), headers: {} });

/** What was asked for, or 304 when the caller has it; of a page with the way to the next one. */
export function readAnswer(ctx: Context, { status, body, version }: Answer): StoredAnswer {
  const text = textOf(body);
  if (status !== 200) return { status, text, headers: {} };
  const etag = entityTag(version, text);
  if (isKnown(ctx.req.headers, etag)) return { status: 304, text: "", headers: { etag } };
  const next = (body as { readonly next_cursor?: unknown } | undefined)?.next_cursor;
  return { status, text, headers: { etag, ...(typeof next === "string" ? { link: `<${nextPage(ctx, next)}>; rel="next"` } : {}) } };
}

export function send(ctx: Context, { status, text, headers }: StoredAnswer): void {
  ctx.set({ ...headers });
  ctx.status = status;
  if (text === "") {
    ctx.body = null;
    ctx.status = status;
    return;
  }
  ctx.type = "application/json; charset=utf-8";
  ctx.body = text;
}

/** Relative, so that it holds behind whatever proxy. */
function nextPage(ctx: Context, cursor: string): string {
  const query = new URLSearchParams(ctx.querystring);
  query.set("cursor", cursor);
  return `${ctx.path}?${query.toString()}`;
}

const textOf = (body: unknown): string => (body === undefined ? "" : JSON.stringify(body));
