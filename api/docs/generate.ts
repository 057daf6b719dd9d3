import { ERRORS } from "../../core/errors.ts";
import { configurationPage, environmentExample } from "./configuration-page.ts";
import { table } from "./markdown.ts";
import { topicsPage } from "./topics-page.ts";

/** The generated documents by their path from the root of the tree; the same input gives the same text. */
export function generatedFiles(input: { openapi: object }): Record<string, string> {
  return {
    ".env.example": environmentExample(),
    "docs/configuration.md": configurationPage(),
    "docs/errors.md": errorsPage(),
    "docs/openapi.json": `${JSON.stringify(inStableOrder(input.openapi), null, 2)}\n`,
    "docs/topics.md": topicsPage(),
  };
}

function errorsPage(): string {
  const rows = Object.entries(ERRORS)
    .toSorted(([codeA, a], [codeB, b]) => a.status - b.status || codeA.localeCompare(codeB, "en"))
    .map(([code, { status, title }]) => [`\`${code}\``, String(status), title]);
  return `# Error codes

Generated from core/errors.ts by \`npm run docs\`.

Over HTTP every error is \`{ "code", "message", "details", "request_id" }\` with the status below, or an RFC 9457 problem
with \`Accept: application/problem+json\`. Over MQTT a refused publish of a device is reported as the same code on
\`down/error\`. The code is the contract; the message is for people and may change.

${table(["code", "HTTP status", "meaning"], rows)}
`;
}

/** Paths and components by name: where a route is registered must not move half of the document. */
function inStableOrder(openapi: object): object {
  const { paths, components, ...rest } = openapi as { paths?: object; components?: Record<string, object> };
  return {
    ...rest,
    ...(paths === undefined ? {} : { paths: byKey(paths) }),
    ...(components === undefined
      ? {}
      : { components: byKey(Object.fromEntries(Object.entries(components).map(([name, group]) => [name, byKey(group)]))) }),
  };
}

function byKey(map: object): object {
  return Object.fromEntries(Object.entries(map).toSorted(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)));
}
