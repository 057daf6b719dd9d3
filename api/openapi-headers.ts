type Json = Record<string, unknown>;

/** What answers carry beside their body. */
export const HEADERS: Readonly<Record<string, Json>> = {
  ETag: { description: "Names this state of the resource, for If-None-Match and If-Match", schema: text(64) },
  Link: { description: "Of a page with one behind it: the way there, rel=next (RFC 8288)", schema: text(8_192) },
  RateLimit: {
    description: "What is left of the account's or address's requests, and when it begins anew; absent without a limit",
    schema: text(256),
  },
  "Retry-After": { description: "Seconds to wait", schema: text(16) },
  "x-request-id": { description: "The request's own, or one of the hub's: finds it in the log", schema: text(128) },
  traceparent: { description: "W3C Trace Context: the trace of the request, with the hub's span", schema: text(64) },
  "Access-Control-Allow-Origin": { description: "The page's origin, where HEXA_API_ORIGINS names it; else absent", schema: text(1_024) },
};

const ALWAYS = ["RateLimit", "x-request-id", "traceparent", "Access-Control-Allow-Origin"];

/** References to those of every answer, and to these. */
export function headerReferences(names: readonly string[]): Json {
  return Object.fromEntries([...names, ...ALWAYS].map((name) => [name, { $ref: `#/components/headers/${name}` }]));
}

const MATCH = "The ETag of what you have read: 412 when somebody changed it since";

export const PARAMETERS: Readonly<Record<string, Json>> = {
  IfNoneMatch: parameter("if-none-match", 4_096, "The ETag of what you have: 304 when it is still that"),
  IfMatch: parameter("if-match", 4_096, `${MATCH}; without it, whatever is there`),
  IfMatchRequired: { ...parameter("if-match", 4_096, `${MATCH}; \`*\` for whatever is there. Without it 428`), required: true },
  IfMatchOfExisting: parameter("if-match", 4_096, `${MATCH}; 428 without it where something is there already`),
  IdempotencyKey: parameter(
    "idempotency-key",
    255,
    "A repetition within 24 hours gets the first answer but for 429 and 5xx, with the header idempotency-replayed: true",
  ),
};

function parameter(name: string, maxLength: number, description: string): Json {
  return { name, in: "header", required: false, schema: { type: "string", minLength: 1, maxLength }, description };
}

function text(maxLength: number): Json {
  return { type: "string", maxLength };
}
