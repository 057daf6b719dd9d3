import { createReadStream, readdirSync, statSync } from "node:fs";
import path from "node:path";
import type { Context, Middleware } from "koa";

const BUILT = path.join(import.meta.dirname, "dist");
const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".json": "application/json; charset=utf-8",
  ".webmanifest": "application/manifest+json",
};
const ENCODINGS = [
  ["br", ".br"],
  ["gzip", ".gz"],
] as const;
/** Its name changes with what is in it. */
const HASHED = /^\/assets\//;
/** Scripts are the hub's own files and nothing else; where things are is counted by the page itself, in styles of elements. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "font-src 'self' data:",
  "connect-src 'self'",
  "manifest-src 'self'",
  "worker-src 'self'",
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join(";");
const NOT_BUILT =
  '<!doctype html><html lang="en"><meta charset="utf-8"><title>Hexahub</title><h1>Hexahub</h1><p>The console has not been built: stop the hub, say <code>npm run console</code>, and start it again.</p><p>The API works without it: <a href="/docs">its reference</a>.</p></html>';

/** Bytes by path in the URL, of each file and what it is compressed to. */
type Files = ReadonlyMap<string, number>;

/**
 * The console, as it was built: its files, and the page for every path that a browser asks for and nothing else answers. Paths of the API never are.
 * Nothing of it is in the API's document.
 */
export function serveConsole(folder = BUILT): Middleware {
  const files = filesOf(folder);
  return async (ctx, next) => {
    if (ctx.method !== "GET" && ctx.method !== "HEAD") return next();
    const isFile = ctx.path !== "/index.html" && TYPES[path.extname(ctx.path)] !== undefined && files.has(ctx.path);
    if (!isFile && !isPage(ctx)) return next();
    ctx.state.route = "/console";
    if (!files.has("/index.html")) {
      ctx.status = 503;
      ctx.type = "html";
      ctx.body = NOT_BUILT;
      return;
    }
    send(ctx, { folder, files, name: isFile ? ctx.path : "/index.html" });
  };
}

const isPage = (ctx: Context): boolean =>
  !/^\/(?:api|oauth|assets|docs)(?:\/|$)/.test(ctx.path) && path.extname(ctx.path) === "" && /\btext\/html\b/.test(ctx.get("accept"));

function send(ctx: Context, { folder, files, name }: { readonly folder: string; readonly files: Files; readonly name: string }): void {
  const [encoding, suffix] = ENCODINGS.find(([one, end]) => ctx.acceptsEncodings(one) === one && files.has(name + end)) ?? [undefined, ""];
  ctx.set("content-security-policy", POLICY);
  ctx.set("cache-control", HASHED.test(name) ? "public, max-age=31536000, immutable" : "no-cache");
  ctx.vary("accept-encoding");
  if (encoding !== undefined) ctx.set("content-encoding", encoding);
  ctx.type = TYPES[path.extname(name)] ?? "application/octet-stream";
  ctx.length = files.get(name + suffix) ?? 0;
  ctx.body = ctx.method === "HEAD" ? null : createReadStream(path.join(folder, name + suffix));
}

/** Looked through once: a name that is not among them never gets to the disk. */
function filesOf(folder: string): Files {
  try {
    const names = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((one) => one.isFile());
    return new Map(
      names.map((one) => {
        const file = path.join(one.parentPath, one.name);
        return [`/${path.relative(folder, file)}`, statSync(file).size];
      }),
    );
  } catch {
    return new Map();
  }
}
