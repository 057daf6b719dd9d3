import type { TSchema } from "typebox";
import { ERRORS, type ErrorCode, HubError } from "../core/errors.ts";
import { isPermission } from "../core/permissions.ts";
import { isOfAccount } from "./authenticate.ts";
import { MERGE_PATCH } from "./body.ts";
import { ErrorEnvelope, headersOf as headersOfError } from "./errors.ts";
import { headerReferences, HEADERS, PARAMETERS } from "./openapi-headers.ts";
import { hoist } from "./openapi-schemas.ts";
import { requiresMatch } from "./preconditions.ts";
import { type Reply, type Route, type RouteAccess, takesIdempotencyKey } from "./route.ts";
import { ROUTES } from "./routes.ts";

type Json = Record<string, unknown>;

/** The OpenAPI 3.1 document of all routes. A schema with a title becomes a component. */
export function openApiDocument(version: string): Json {
  const components = new Map<string, unknown>();
  const paths: Record<string, Json> = {};
  for (const route of ROUTES) {
    const path = route.path.replace(/:(\w+)/g, "{$1}");
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: operationOf(route, components) };
  }
  const error = hoist(ErrorEnvelope, components);
  return {
    openapi: "3.1.0",
    info: {
      title: "Hexahub",
      version,
      description:
        "Devices, commands, readings and events of one hub. Every error has the same body; every mutation takes an idempotency key.",
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    servers: [{ url: "/", description: "The hub that serves this document, in production or local", "x-internal": false }],
    tags: [...new Set(ROUTES.map((route) => route.tag))].map((name) => ({ name })),
    paths,
    components: {
      schemas: {
        ...Object.fromEntries([...components].toSorted(([a], [b]) => a.localeCompare(b))),
        Problem: hoist({ ...problem }, new Map()),
      },
      responses: Object.fromEntries(statuses().map(([status, codes]) => [`Error${status}`, errorResponse(codes, error)])),
      headers: HEADERS,
      parameters: PARAMETERS,
      securitySchemes: {
        bearer: { type: "http", scheme: "bearer", description: "A user's access token, a personal or service token" },
        provisionKey: { type: "apiKey", in: "header", name: "x-provision-key", description: "The hub's DEVICE_PROVISION_KEY" },
        deviceUid: { type: "apiKey", in: "header", name: "x-device-uid" },
        sessionCookie: {
          type: "apiKey",
          in: "cookie",
          name: "session_token",
          description: "A browser's login; changes need the header x-hexahub-csrf too",
        },
        deviceToken: { type: "http", scheme: "bearer", description: "The device's token or JWT; x-device-token carries it too" },
      },
    },
  };
}

/** As long as it gets. */
const FILE: Json = { type: "string", maxLength: Number.MAX_SAFE_INTEGER };

const MEMBER: readonly Json[] = [{ bearer: [] }, { sessionCookie: [] }];
const SECURITY: Readonly<Partial<Record<RouteAccess, readonly Json[]>>> = {
  none: [],
  provision: [{ provisionKey: [] }],
  device: [{ deviceUid: [], deviceToken: [] }],
};

const MATCHES = { optional: "IfMatch", required: "IfMatchRequired", required_if_there: "IfMatchOfExisting" } as const;

const problem: Json = {
  type: "object",
  description: "RFC 9457, for requests that accept application/problem+json",
  required: ["type", "title", "status", "code", "request_id"],
  properties: {
    type: { type: "string" },
    title: { type: "string" },
    status: { type: "integer" },
    detail: { type: "string" },
    code: { type: "string" },
    details: {},
    request_id: { type: "string" },
  },
};

function operationOf(route: Route, components: Map<string, unknown>): Json {
  const parameters = [
    ...parametersIn("path", route.params, components),
    ...parametersIn("query", route.query, components),
    ...(takesIdempotencyKey(route) ? [{ $ref: "#/components/parameters/IdempotencyKey" }] : []),
    ...(isTagged(route) ? [{ $ref: "#/components/parameters/IfNoneMatch" }] : []),
    ...(route.match === undefined ? [] : [{ $ref: `#/components/parameters/${MATCHES[route.match]}` }]),
  ];
  const replies = Object.entries(route.replies).map(([status, reply]) => [
    status,
    {
      description: reply.description,
      headers: headersOf(route, Number(status), reply),
      ...(reply.types === undefined ? {} : { content: Object.fromEntries(reply.types.map((type) => [type, { schema: FILE }])) }),
      ...(reply.schema === undefined
        ? {}
        : {
            content: {
              "application/json": {
                schema: hoist(reply.schema, components),
                ...(reply.example === undefined ? {} : { example: reply.example }),
              },
            },
          }),
    },
  ]);
  const errors = [...new Set(errorsOf(route).map((code) => ERRORS[code].status))].toSorted((a, b) => a - b);
  return {
    operationId: operationId(route),
    tags: [route.tag],
    summary: route.summary,
    description: [
      route.description,
      route.access === "platform"
        ? "For administrators of the hub."
        : isPermission(route.access)
          ? `Takes the permission \`${route.access}\`.`
          : undefined,
      `Errors: ${errorsOf(route)
        .map((code) => `\`${code}\``)
        .join(", ")}.`,
    ]
      .filter((part) => part !== undefined)
      .join("\n\n"),
    security: SECURITY[route.access] ?? MEMBER,
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(route.raw === undefined ? {} : { requestBody: { content: rawContent(route.raw) } }),
    ...(route.body === undefined
      ? {}
      : {
          requestBody: {
            required: true,
            content: Object.fromEntries(
              ["application/json", ...(route.method === "PATCH" ? [MERGE_PATCH] : [])].map((type) => [
                type,
                {
                  schema: hoist(route.body, components),
                  ...(route.bodyExample === undefined ? {} : { example: route.bodyExample }),
                },
              ]),
            ),
          },
        }),
    responses: {
      ...Object.fromEntries(replies),
      ...(isTagged(route) ? { 304: { description: "You have it already", headers: headerReferences(["ETag"]) } } : {}),
      ...Object.fromEntries(errors.map((status) => [String(status), { $ref: `#/components/responses/Error${status}` }])),
    },
  };
}

function rawContent({ maxBytes, types }: NonNullable<Route["raw"]>): Json {
  return Object.fromEntries(types.map((type) => [type, { schema: type.endsWith("json") ? {} : { type: "string", maxLength: maxBytes } }]));
}

/** A file is sent before all of it is known. */
function isTagged({ method, replies }: Route): boolean {
  return method === "GET" && replies[200]?.types === undefined;
}

function headersOf(route: Route, status: number, reply: Reply): Json {
  const { properties = {} }: { readonly properties?: object } = reply.schema ?? {};
  const hasTag = (isTagged(route) && status === 200) || (route.match !== undefined && reply.schema !== undefined);
  return headerReferences([...(hasTag ? ["ETag"] : []), ...("next_cursor" in properties ? ["Link"] : [])]);
}

/** What a route can answer beside its replies: its own errors, and those of its access, its input and its method. */
function errorsOf(route: Route): ErrorCode[] {
  const implied: ErrorCode[] = ["validation_error"];
  if (route.access !== "none") implied.push("unauthorized");
  if (route.access === "platform" || isPermission(route.access) || isOfAccount(route)) implied.push("forbidden");
  if (route.method !== "GET") implied.push("bad_json", "payload_too_large", "unsupported_media_type");
  if (takesIdempotencyKey(route)) implied.push("idempotency_conflict", "idempotency_in_progress");
  if (route.method !== "GET") implied.push("precondition_failed");
  if (requiresMatch(route)) implied.push("precondition_required");
  implied.push("rate_limited", "https_required", "internal_error");
  return [...new Set([...implied, ...(route.errors ?? [])])];
}

function operationId(route: Route): string {
  const words = route.path
    .replace(/^\/api\/v1/, "")
    .split("/")
    .filter((level) => level !== "")
    .map((level) => (level.startsWith(":") ? `by-${level.slice(1)}` : level));
  return [route.method.toLowerCase(), ...words].join("-").replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
}

function parametersIn(where: "path" | "query", schema: TSchema, components: Map<string, unknown>): Json[] {
  const { properties = {}, required = [] } = schema as { properties?: Record<string, Json>; required?: string[] };
  return Object.entries(properties).map(([name, property]) => {
    const { description, ...rest } = property;
    return {
      name,
      in: where,
      required: where === "path" || required.includes(name),
      ...(description === undefined ? {} : { description }),
      schema: hoist(rest, components),
    };
  });
}

function statuses(): [number, ErrorCode[]][] {
  const codes = Object.keys(ERRORS) as ErrorCode[];
  const used = new Set(ROUTES.flatMap((route) => errorsOf(route)).map((code) => ERRORS[code].status));
  return [...used].toSorted((a, b) => a - b).map((status) => [status, codes.filter((code) => ERRORS[code].status === status)]);
}

function errorResponse(codes: readonly ErrorCode[], envelope: unknown): Json {
  return {
    description: codes.map((code) => `\`${code}\`: ${ERRORS[code].title}`).join("\n\n"),
    headers: headerReferences(codes.some((code) => "retry-after" in headersOfError(new HubError(code, ""))) ? ["Retry-After"] : []),
    content: { "application/json": { schema: envelope }, "application/problem+json": { schema: { $ref: "#/components/schemas/Problem" } } },
  };
}
