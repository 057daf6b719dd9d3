import assert from "node:assert/strict";
import { test } from "node:test";
import { openApiDocument } from "../../api/openapi.ts";
import { PAGES } from "../../api/pages.ts";
import { ROUTES } from "../../api/routes.ts";
import { parserFor } from "../../core/validate.ts";

type Json = Record<string, unknown>;
const document = JSON.parse(JSON.stringify(openApiDocument("1.2.3"))) as {
  openapi: string;
  info: Json;
  paths: Record<string, Record<string, Json>>;
  components: Json;
};
const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
);

test("the document describes every route and no page", () => {
  assert.equal(document.openapi, "3.1.0");
  const described = operations.map(({ path, method }) => `${method.toUpperCase()} ${path.replace(/\{(\w+)\}/g, ":$1")}`);
  assert.deepEqual(described.toSorted(), ROUTES.map((route) => `${route.method} ${route.path}`).toSorted());
  for (const page of PAGES) assert.equal(document.paths[page.path], undefined, page.path);
});

test("every reference leads somewhere", () => {
  const references = [...JSON.stringify(document).matchAll(/"\$ref":"([^"]+)"/g)].map((match) => match[1] ?? "");
  assert.ok(references.length > 100);
  for (const reference of new Set(references)) {
    const target = reference
      .slice(2)
      .split("/")
      .reduce<unknown>((node, level) => (node as Json | undefined)?.[level], document);
    assert.ok(target !== undefined, reference);
  }
});

test("operation ids are unique and every operation says how it fails", () => {
  const ids = operations.map(({ operation }) => operation["operationId"]);
  assert.equal(new Set(ids).size, ids.length);
  for (const { path, method, operation } of operations) {
    const statuses = Object.keys(operation["responses"] as Json);
    assert.ok(
      statuses.some((status) => Number(status) < 300),
      `${method} ${path} has no success`,
    );
    assert.ok(statuses.includes("400") && statuses.includes("500"), `${method} ${path} lacks errors`);
  }
});

test("the examples pass the routes' own schemas", () => {
  const examples = ROUTES.filter((route) => route.bodyExample !== undefined);
  assert.ok(examples.length >= 6);
  for (const route of examples) assert.doesNotThrow(() => parserFor(route.body ?? {})(route.bodyExample), `${route.method} ${route.path}`);
});

test("path parameters of a route are those of its pattern", () => {
  for (const route of ROUTES) {
    const inPath = [...route.path.matchAll(/:(\w+)/g)].map((match) => match[1]);
    assert.deepEqual(Object.keys((route.params as { properties?: object }).properties ?? {}), inPath, route.path);
  }
});

/** Where a schema lets a value be as large as it likes: nothing that comes in may. */
function openEnds(schema: unknown, path: string): string[] {
  if (Array.isArray(schema)) return schema.flatMap((one, index) => openEnds(one, `${path}/${index}`));
  if (typeof schema !== "object" || schema === null) return [];
  const one = schema as Json;
  const types = [one["type"]].flat();
  const lacks = (...names: string[]): boolean => names.every((name) => one[name] === undefined);
  const isBoundPattern = typeof one["pattern"] === "string" && one["pattern"].startsWith("^") && !/[*+]|,\}/.test(one["pattern"]);
  const own = [
    types.includes("string") && lacks("maxLength", "enum", "const") && !isBoundPattern,
    types.includes("array") && lacks("maxItems"),
    // A number has the range of a double, and what is done with it has its own.
    types.includes("integer") && (lacks("minimum", "exclusiveMinimum") || lacks("maximum", "exclusiveMaximum")),
  ];
  const inner = Object.entries(one).flatMap(([name, value]) => (name === "description" ? [] : openEnds(value, `${path}/${name}`)));
  return own.includes(true) ? [path, ...inner] : inner;
}

test("every text, number and list that a request brings has its limit", () => {
  const open = ROUTES.flatMap(({ method, path, params, query, body }) => openEnds({ params, query, body }, `${method} ${path}`));
  assert.deepEqual(open, []);
});

test("a value that tells which schema it is has that schema", () => {
  const schemas = document.components["schemas"] as Record<string, Json>;
  const told = Object.values(schemas).filter((schema) => schema["discriminator"] !== undefined);
  assert.ok(told.length > 5);
  for (const { title, oneOf, discriminator } of told) {
    const { propertyName, mapping = {} } = discriminator as { propertyName: string; mapping?: Record<string, string> };
    const branches = (oneOf as { $ref: string }[]).map(({ $ref }) => $ref);
    assert.deepEqual(new Set(Object.values(mapping)), new Set(branches), String(title));
    for (const [value, reference] of Object.entries(mapping)) {
      const { properties } = schemas[reference.split("/").at(-1) ?? ""] as {
        properties: Record<string, { const?: string; enum?: string[] }>;
      };
      const property = properties[propertyName];
      assert.ok(property?.const === value || property?.enum?.includes(value), `${String(title)}: ${value}`);
    }
  }
});

test("whoever has to say what a change is made from is told so", () => {
  const wanted = { required: true, required_if_there: false, optional: false } as const;
  for (const { method, path, match } of ROUTES) {
    const operation = document.paths[path.replaceAll(/:(\w+)/g, "{$1}")]?.[method.toLowerCase()] ?? {};
    const names = ((operation["parameters"] ?? []) as { $ref?: string }[]).map(({ $ref }) => $ref?.split("/").at(-1) ?? "");
    const [name, ...more] = names.filter((one) => one.startsWith("IfMatch"));
    assert.deepEqual(more, []);
    const parameter = (document.components["parameters"] as Record<string, Json>)[name ?? ""];
    assert.equal(parameter?.["required"], match && wanted[match], `${method} ${path}`);
    const is428 = (operation["responses"] as Json)["428"] !== undefined;
    assert.equal(is428, match === "required" || match === "required_if_there", `${method} ${path}`);
  }
});
