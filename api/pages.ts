import { createReadStream } from "node:fs";
import { readFile } from "node:fs/promises";
import type { IncomingHttpHeaders } from "node:http";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { authenticateMember, requireAccess } from "./authenticate.ts";
import type { ApiContext } from "./context.ts";
import { openApiDocument } from "./openapi.ts";
import { DOCS_PAGE, DOCS_SCRIPT } from "./reference/page.ts";
import type { Remote } from "./remote.ts";
import { STYLE_SHEET } from "./oauth/style-sheet.ts";

export interface Content {
  readonly type: string;
  readonly body: string | Readable;
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Something that is read, and no part of the JSON API: absent from OpenAPI. */
export interface Page {
  readonly path: string;
  render(context: ApiContext, request: { headers: IncomingHttpHeaders; remote: Remote }): Promise<Content> | Content;
}

const HTML = "text/html; charset=utf-8";
const SCRIPT = "text/javascript; charset=utf-8";
const CSS = "text/css; charset=utf-8";
const CACHED = { "cache-control": "public, max-age=3600" };

export const PAGES: readonly Page[] = [
  { path: "/style.css", render: () => ({ type: CSS, body: STYLE_SHEET, headers: CACHED }) },
  {
    path: "/openapi.json",
    render: (context) => ({ type: "application/json; charset=utf-8", body: JSON.stringify(openApiDocument(context.settings.version)) }),
  },
  { path: "/docs", render: () => ({ type: HTML, body: DOCS_PAGE }) },
  { path: "/docs/start.js", render: () => ({ type: SCRIPT, body: DOCS_SCRIPT, headers: CACHED }) },
  { path: "/docs/swagger-ui.css", render: () => ({ type: CSS, body: swaggerFile("swagger-ui.css"), headers: CACHED }) },
  { path: "/docs/swagger-ui-bundle.js", render: () => ({ type: SCRIPT, body: swaggerFile("swagger-ui-bundle.js"), headers: CACHED }) },
  {
    path: "/ca.pem",
    render: async (context) => ({ type: "application/x-pem-file", body: await readFile(context.settings.caFile, "utf8") }),
  },
  { path: "/metrics", render: renderMetrics },
];

/** Open on the hub's own machine; from elsewhere for administrators. */
async function renderMetrics(context: ApiContext, request: { headers: IncomingHttpHeaders; remote: Remote }): Promise<Content> {
  if (!request.remote.isLocal) requireAccess("platform", context.access.of(await authenticateMember(context, request.headers)));
  return { type: context.metrics.contentType, body: await context.metrics.text() };
}

function swaggerFile(name: string): Readable {
  return createReadStream(fileURLToPath(import.meta.resolve(`@fastify/swagger-ui/static/${name}`)));
}
