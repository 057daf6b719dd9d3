import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Ajv2020 } from "ajv/dist/2020.js";
import fc from "fast-check";
import { openApiDocument } from "../../api/openapi.ts";
import { databases } from "../support/databases.ts";
import { PROVISION_KEY } from "../support/hub.ts";
import { startCast } from "./matrix-cast.ts";
import { type Document, type Operation, type RandomRequest, requestsOf, resolve } from "./random-requests.ts";

/** Of all operations together on each engine; `RANDOM_REQUESTS=100000 npm test -- test/attack/random-requests.test.ts` asks more. */
const REQUESTS = Number(process.env["RANDOM_REQUESTS"] ?? 3_600);
/** A password takes a tenth of a second, of one thread. */
const SLOW = new Set(["POST /api/v1/auth/login", "POST /api/v1/auth/register", "POST /api/v1/invitations/register", "POST /api/v1/setup"]);
/** Mails are written, and go to a log that nobody reads. */
const MAIL = { NODE_ENV: "development", HEXA_REGISTRATION: "open" };
/** It starts and stops processes' worth of devices, and has tests of its own. */
const LEFT_OUT = new Set(["POST /api/v1/demo"]);
/** Whoever it hits may do less, or nothing, afterwards. */
const LAST = new Set(["DELETE /api/v1/access-tokens/:id", "PATCH /api/v1/users/:id"]);
/** Ids of one collection that are remembered. */
const MAX_KNOWN = 40;
/** What devices ask, but for polls that would wait. */
const OF_DEVICES = /\/(sensor-report|state-report|task-result|devices\/register|result)$|\/commands\/pending$/;

const document = JSON.parse(JSON.stringify(openApiDocument("1.2.3"))) as Document;
const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ path, method, operation, name: `${method.toUpperCase()} ${nameOf(path)}` })),
);

function nameOf(path: string): string {
  return path.replace(/\{(\w+)\}/g, ":$1");
}

/** What is removed has to be there, and others want it first. */
function turnOf({ name, method }: { readonly name: string; readonly method: string }): number {
  return LAST.has(name) ? 2 : method === "delete" ? 1 : 0;
}

/** `automations` of `/api/v1/automations/{id}`. */
function collectionOf(path: string): string {
  return path.split("/").findLast((level) => !level.startsWith("{")) as string;
}

/** The ids that answers told, by what was asked. */
function createKnown() {
  const byCollection = new Map<string, string[]>();
  return {
    add(collection: string, ids: readonly string[]): void {
      const known = byCollection.get(collection) ?? [];
      byCollection.set(collection, known);
      for (const id of ids) if (known.length < MAX_KNOWN && !known.includes(id)) known.push(id);
    },
    of: (collection?: string): readonly string[] =>
      collection === undefined ? [...byCollection.values()].flat() : (byCollection.get(collection) ?? []),
  };
}

/** Checks a body against what the document says of this status. Throws for a status that it does not have. */
function createChecker() {
  const ajv = new Ajv2020({ strict: false, validateFormats: false, discriminator: false });
  ajv.addSchema({ $id: "document", components: document.components });
  const compiled = new Map<string, ReturnType<typeof ajv.compile>>();
  return (
    operation: Operation,
    { status, type, answer: body }: { readonly status: number; readonly type: string; readonly answer: unknown },
    name: string,
  ): void => {
    const response = operation.responses[String(status)];
    assert.ok(response, `${name} answered ${status}, which is not documented: ${JSON.stringify(body)}`);
    const content = resolve(document, response)["content"] as Record<string, { schema: object }> | undefined;
    if (!content) return assert.equal(body, undefined, `${name}: a body that is not documented`);
    const schema = content[type]?.schema;
    assert.ok(schema, `${name}: ${type} is not documented`);
    const key = JSON.stringify(schema);
    let validate = compiled.get(key);
    if (!validate) {
      const absolute = JSON.parse(key.replaceAll('"#/components/', '"document#/components/')) as object;
      compiled.set(key, (validate = ajv.compile(absolute)));
    }
    assert.ok(validate(body), `${name}: ${status} ${JSON.stringify(body)} does not match: ${JSON.stringify(validate.errors)}`);
  };
}

for (const { name: database, skip, open } of databases()) {
  describe(`${database}: whatever is asked`, { skip }, () => {
    test("is answered as the document says, and never with a failure of the hub", { timeout: 600_000 }, async (context) => {
      await using place = await open();
      await using cast = await startCast(place.url, MAIL);
      const check = createChecker();
      const known = createKnown();
      known.add("devices", [cast.ours, cast.theirs, cast.granted.uid]);
      known.add("users", [cast.granted.id, cast.people.viewer.userId]);
      // Whoever may do most gets furthest.
      const people = [...Object.values(cast.people), ...Array.from({ length: 8 }, () => cast.people.owner)];
      const callers = people.map(({ token }) => ({ authorization: `Bearer ${token}` }));
      const device = { "x-device-uid": cast.granted.uid, "x-device-token": cast.granted.token };
      const statuses = new Map<number, number>();
      let asked = 0;
      const failures: string[] = [];

      async function ask(one: (typeof operations)[number], request: RandomRequest, caller: number): Promise<void> {
        const headers = {
          ...request.headers,
          ...callers[caller % (callers.length + 1)],
          ...(OF_DEVICES.test(request.path) ? device : {}),
          ...(request.path.includes("/provision/") ? { "x-provision-key": PROVISION_KEY } : {}),
          ...(request.body === undefined ? {} : { "content-type": "application/json" }),
        };
        const { method, path, body } = request;
        const response = await fetch(new URL(path, cast.hub.http), { method, headers, ...(body === undefined ? {} : { body }) });
        // A stream has no end: what comes first is enough.
        const isStream = response.headers.get("content-type")?.startsWith("text/event-stream") === true;
        const text = isStream ? "" : await response.text();
        if (isStream) await response.body?.cancel();
        const name = `${method} ${path} ${body ?? ""}`;
        asked++;
        statuses.set(response.status, (statuses.get(response.status) ?? 0) + 1);
        const type = (response.headers.get("content-type") ?? "").split(";")[0] as string;
        const answer = isStream
          ? ""
          : text === "" && type === ""
            ? undefined
            : /[/+]json/.test(type)
              ? (JSON.parse(text) as unknown)
              : text;
        // 503 and 504 are answers of devices and limits, which stand in the document.
        assert.notEqual(response.status, 500, `${name}: ${text}`);
        check(one.operation, { status: response.status, type, answer }, name);
        const found = [...text.matchAll(/"(?:id|device_uid|user_id)":"([^"]{5,40})"/g)].map((match) => match[1] as string);
        known.add(collectionOf(one.path), found.slice(0, 5));
      }

      for (const one of operations.toSorted((a, b) => turnOf(a) - turnOf(b))) {
        if (LEFT_OUT.has(one.name)) continue;
        const share = SLOW.has(one.name) ? 0.2 : one.method === "delete" ? 2.5 : 1.2;
        const numRuns = Math.ceil((REQUESTS / operations.length) * share);
        const { failed, errorInstance, counterexample } = await fc.check(
          fc.asyncProperty(
            requestsOf(document, one, (collection) => known.of(collection)),
            fc.nat({ max: 1_000 }),
            (request, caller) => ask(one, request, caller),
          ),
          { numRuns, endOnFailure: true },
        );
        if (failed) failures.push(`${one.name}: ${JSON.stringify(counterexample)}\n${String(errorInstance)}`);
      }
      assert.deepEqual(failures, []);
      context.diagnostic(`${asked} requests, ${JSON.stringify(Object.fromEntries([...statuses].toSorted(([a], [b]) => a - b)))}`);
      assert.ok(asked >= Math.min(REQUESTS, 2_500), `${asked}`);
      assert.ok(
        [200, 201, 204, 304, 400, 401, 403, 404].every((status) => statuses.has(status)),
        JSON.stringify([...statuses]),
      );
    });
  });
}
