import fc, { type Arbitrary } from "fast-check";

type Json = Record<string, unknown>;

/** An OpenAPI document, as far as requests follow from it. */
export interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: Json;
}
export interface Operation {
  readonly parameters?: readonly Json[];
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: Json }>> };
  readonly responses: Readonly<Record<string, Json>>;
}
export interface RandomRequest {
  readonly method: string;
  /** Filled in, with its query. */
  readonly path: string;
  readonly body: string | undefined;
  readonly headers: Readonly<Record<string, string>>;
}

/** What a `$ref` leads to. */
export function resolve(document: Document, node: Json): Json {
  const reference = node["$ref"];
  if (typeof reference !== "string") return node;
  const found = reference
    .slice(2)
    .split("/")
    .reduce<unknown>((at, level) => (at as Json)[level], document);
  return resolve(document, found as Json);
}

/**
 * Requests of one operation: what the document describes, with ids that are there now and then, and what it does not:
 * fields that are missing or too many, values of another type, queries that nobody knows, bodies that are no JSON.
 * `known` gives the ids that answers told: those of a collection, or all.
 */
export function requestsOf(
  document: Document,
  { path, method, operation }: { readonly path: string; readonly method: string; readonly operation: Operation },
  known: (collection?: string) => readonly string[],
): Arbitrary<RandomRequest> {
  const parameters = (operation.parameters ?? []).map((one) => resolve(document, one));
  const of = (place: string): Json[] => parameters.filter((one) => one["in"] === place);
  const idsOf = (collection?: string): Arbitrary<string> =>
    fc.integer({ min: 0, max: 999 }).map((index) => known(collection)[index % Math.max(1, known(collection).length)] ?? "none");
  const ids = idsOf();
  const value = (schema: Json): Arbitrary<unknown> => valuesOf(document, schema, ids);
  const text = (schema: Json, collection?: string): Arbitrary<string> =>
    fc.oneof(
      { weight: 4, arbitrary: value(schema).map((one) => (typeof one === "string" ? one : JSON.stringify(one))) },
      { weight: 2, arbitrary: ids },
      { weight: collection === undefined ? 0 : 6, arbitrary: idsOf(collection) },
      { weight: 1, arbitrary: fc.string({ unit: "grapheme", maxLength: 40 }) },
    );
  const inPath = fc.tuple(
    ...[...path.matchAll(/([^/]+)\/\{(\w+)\}/g)].map(([, collection, name]) =>
      text(of("path").find((one) => one["name"] === name)?.["schema"] as Json, collection),
    ),
  );
  const inQuery = fc.tuple(
    ...of("query").map((one) => maybe(one["required"] === true ? 0.9 : 0.3, text(one["schema"] as Json))),
    maybe(0.1, fc.string({ maxLength: 8 })),
  );
  const schema = operation.requestBody?.content["application/json"]?.schema;
  const bodies = schema === undefined ? fc.constant(undefined) : bodiesOf(value(schema));
  const key = maybe(0.2, fc.constantFrom("one", "two", "x".repeat(300), "ü"));
  const conditions = fc.record(
    Object.fromEntries(
      of("header")
        .filter((one) => String(one["name"]).startsWith("if-"))
        .map((one) => [String(one["name"]), fc.constantFrom("*", '"none"', 'W/"none"', "no tag")]),
    ),
    { requiredKeys: [] },
  );
  const usual: Readonly<Record<string, string>> = "428" in operation.responses ? { "if-match": "*" } : {};
  const often = fc.oneof({ weight: 4, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: conditions });
  return fc.tuple(inPath, inQuery, bodies, key, often).map(([levels, queries, body, idempotencyKey, conditional]): RandomRequest => {
    let index = 0;
    const filled = path.replace(/\{\w+\}/g, () => levelOf(levels[index++] ?? ""));
    const names = [...of("query").map((one) => String(one["name"])), "unknown"];
    const query = names.flatMap((name, at) =>
      queries[at] === undefined ? [] : [`${name}=${encodeURIComponent(queries[at].toWellFormed())}`],
    );
    return {
      method: method.toUpperCase(),
      path: query.length === 0 ? filled : `${filled}?${query.join("&")}`,
      body,
      headers: { ...conditional, ...(idempotencyKey === undefined ? {} : { "idempotency-key": encodeURIComponent(idempotencyKey) }) },
    };
  });
}

/** What comes in `share` of all cases. */
function maybe<T>(share: number, of: Arbitrary<T>): Arbitrary<T | undefined> {
  const weight = Math.round(share * 100);
  return fc.oneof({ weight: 100 - weight, arbitrary: fc.constant(undefined) }, { weight, arbitrary: of });
}

/** Of a path; an empty one, and one of dots alone, would make it another path. */
function levelOf(text: string): string {
  return /^\.{0,2}$/.test(text) ? "-" : encodeURIComponent(text.toWellFormed());
}

function bodiesOf(values: Arbitrary<unknown>): Arbitrary<string | undefined> {
  const spoilt = fc.tuple(values, fc.string({ maxLength: 12 }), fc.jsonValue({ maxDepth: 3 })).chain(([good, name, junk]) => {
    const keys = typeof good === "object" && good !== null ? Object.keys(good) : [];
    const one = keys.length === 0 ? name : (keys[name.length % keys.length] as string);
    return fc.constantFrom<unknown>(
      { ...(good as object), [name]: junk },
      { ...(good as object), [one]: junk },
      { ...(good as object), [one]: undefined },
      junk,
      [good],
    );
  });
  return fc.oneof(
    { weight: 6, arbitrary: values.map((one) => JSON.stringify(one)) },
    { weight: 3, arbitrary: spoilt.map((one) => JSON.stringify(one) ?? "null") },
    { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 60 }) },
    { weight: 1, arbitrary: fc.constant(undefined) },
  );
}

function valuesOf(document: Document, node: Json, ids: Arbitrary<string>): Arbitrary<unknown> {
  const schema = resolve(document, node);
  const of = (one: unknown): Arbitrary<unknown> => valuesOf(document, one as Json, ids);
  const either = (schema["anyOf"] ?? schema["oneOf"]) as Json[] | undefined;
  if (either) return fc.oneof(...either.map(of));
  if ("const" in schema) return fc.constant(schema["const"]);
  if (Array.isArray(schema["enum"])) return fc.constantFrom(...(schema["enum"] as unknown[]));
  const [type] = [schema["type"]].flat() as string[];
  switch (type) {
    case "object":
      return objectsOf(schema, of);
    case "array":
      return fc.array(of(schema["items"] ?? {}), {
        minLength: Number(schema["minItems"] ?? 0),
        maxLength: Math.min(Number(schema["maxItems"] ?? 5), Number(schema["minItems"] ?? 0) + 5),
      });
    case "string":
      return textsOf(schema, ids);
    case "integer":
      return fc.integer({ min: Number(schema["minimum"] ?? -10), max: Number(schema["maximum"] ?? 2_147_483_647) });
    case "number":
      return fc.double({ noNaN: true, noDefaultInfinity: true });
    case "boolean":
      return fc.boolean();
    default:
      return fc.jsonValue({ maxDepth: 2 });
  }
}

function objectsOf(schema: Json, of: (one: unknown) => Arbitrary<unknown>): Arbitrary<unknown> {
  const properties = (schema["properties"] ?? {}) as Record<string, unknown>;
  const required = (schema["required"] ?? []) as string[];
  const named = fc.record(Object.fromEntries(Object.entries(properties).map(([name, one]) => [name, of(one)])), {
    requiredKeys: required.filter((name) => name in properties),
  });
  const patterns = Object.entries((schema["patternProperties"] ?? {}) as Record<string, unknown>);
  const [pattern] = patterns;
  if (!pattern) return named;
  const further = fc.dictionary(fc.stringMatching(new RegExp(pattern[0])), of(pattern[1]), { minKeys: 1, maxKeys: 4 });
  return fc.tuple(named, further).map(([one, more]) => ({ ...one, ...more }));
}

function textsOf(schema: Json, ids: Arbitrary<string>): Arbitrary<string> {
  if (schema["format"] === "email") return fc.emailAddress();
  const maxLength = Math.min(Number(schema["maxLength"] ?? 40), 80);
  const minLength = Math.min(Number(schema["minLength"] ?? 0), maxLength);
  const pattern = schema["pattern"];
  const plain = fc.string({ minLength, maxLength, unit: "grapheme" });
  if (typeof pattern !== "string") return fc.oneof(plain, ids);
  return fc.oneof({ weight: 2, arbitrary: fc.stringMatching(new RegExp(pattern)) }, { weight: 2, arbitrary: ids }, plain);
}
