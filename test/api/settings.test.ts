import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { PLATFORM } from "../../core/principal.ts";
import { listAudit } from "../../store/audit.ts";
import { databases } from "../support/databases.ts";
import { type Answered, assertEnvelope, OPERATOR, startTestApi, statusesOf, type TestApi } from "./test-api.ts";

const PATH = "/api/v1/settings";
const PLATFORM_PATH = "/api/v1/platform/settings";

interface Place {
  readonly hub: TestApi;
  readonly owner: Awaited<ReturnType<TestApi["member"]>>;
  readonly get: (path: string, token?: string) => Promise<Answered>;
  readonly put: (path: string, value: unknown, headers?: Record<string, string>, token?: string) => Promise<Answered>;
  readonly remove: (path: string, headers?: Record<string, string>) => Promise<Answered>;
}

const tagOf = ({ headers }: Answered): string => headers.get("etag") ?? "none";
const entriesOf = ({ json }: Answered): unknown[] =>
  (json["data"] as { key: string; value: unknown; source: string }[]).map(({ key, value, source }) => [key, value, source]);

for (const { name, skip, open } of databases())
  describe(`settings on ${name}`, { skip }, () => {
    async function inPlace(work: (place: Place) => Promise<void>): Promise<void> {
      await using database = await open();
      await using hub = await startTestApi({}, database.url);
      const owner = await hub.member();
      const tokenFor = (path: string, token = owner.token) => (path.startsWith(PLATFORM_PATH) ? OPERATOR : token);
      await work({
        hub,
        owner,
        get: (path, token) => hub.ask("GET", path, { token: tokenFor(path, token) }),
        put: (path, value, headers = {}, token) => hub.ask("PUT", path, { token: tokenFor(path, token), body: { value }, headers }),
        remove: (path, headers = {}) => hub.ask("DELETE", path, { token: tokenFor(path), headers }),
      });
    }

    test("any JSON comes back as it was set, for each service by itself", async () => {
      await inPlace(async ({ get, put }) => {
        const values = {
          "a.null": null,
          "a.text": "ünï \u2028 \\",
          "a.number": 1.5,
          "b.list": [1, [], {}],
          "b.object": { b: 1, a: { c: [] } },
        };
        for (const [key, value] of Object.entries(values)) {
          const made = await put(`${PATH}/${key}`, value);
          assert.equal(made.status, 201, made.text);
          assert.deepEqual(made.json["value"], value);
          const shown = await get(`${PATH}/${key}`);
          assert.deepEqual(shown.json, made.json);
          assert.deepEqual([shown.json["service"], shown.json["version"]], [key[0], 1]);
        }
        assert.deepEqual(entriesOf(await get(`${PATH}?service=b`)), [
          ["b.list", values["b.list"], "organization"],
          ["b.object", values["b.object"], "organization"],
        ]);
        assert.equal(entriesOf(await get(PATH)).length, 5);
        assert.deepEqual(entriesOf(await get(`${PATH}?service=c`)), []);
      });
    });

    test("an organisation's value comes before the platform's, and no other organisation sees it", async () => {
      await inPlace(async ({ hub, owner, get, put, remove }) => {
        const other = await hub.member();
        assert.equal((await put(`${PLATFORM_PATH}/alerts.limit`, 10)).status, 201);
        assert.equal((await put(`${PATH}/alerts.limit`, 20)).status, 201);
        assert.equal((await put(`${PATH}/alerts.mine`, "secretly named")).status, 201);
        const source = async (token: string) => {
          const { value, source: of } = (await get(`${PATH}/alerts.limit`, token)).json;
          return [value, of];
        };
        assert.deepEqual(await source(owner.token), [20, "organization"]);
        assert.deepEqual(await source(other.token), [10, "platform"]);
        assert.deepEqual(entriesOf(await get(PATH, other.token)), [["alerts.limit", 10, "platform"]]);
        assert.deepEqual(entriesOf(await get(PLATFORM_PATH)), [["alerts.limit", 10, "platform"]]);
        assertEnvelope(await get(`${PATH}/alerts.mine`, other.token), 404, "not_found");
        assertEnvelope(await get(`${PLATFORM_PATH}/alerts.mine`), 404, "not_found");

        // The platform's value is not the organisation's to change: its ETag opens nothing.
        const theirs = await get(`${PATH}/alerts.limit`, other.token);
        assertEnvelope(await put(`${PATH}/alerts.limit`, 30, { "if-match": tagOf(theirs) }, other.token), 412, "precondition_failed");
        assert.equal((await put(`${PATH}/alerts.limit`, 30, {}, other.token)).status, 201);

        assert.equal((await remove(`${PATH}/alerts.limit`, { "if-match": tagOf(await get(`${PATH}/alerts.limit`)) })).status, 204);
        assert.deepEqual(await source(owner.token), [10, "platform"]);
        assertEnvelope(await remove(`${PATH}/alerts.limit`, { "if-match": "*" }), 404, "not_found");
      });
    });

    test("a change names what it is made from: of two at once one holds, and of two who make it too", async () => {
      await inPlace(async ({ get, put, remove }) => {
        const path = `${PATH}/alerts.limit`;
        const made = await Promise.all([put(path, 1), put(path, 2)]);
        assert.deepEqual(statusesOf(made), [201, 428]);
        const [first] = made.filter(({ status }) => status === 201) as [Answered];
        assertEnvelope(await put(path, 3), 428, "precondition_required");
        assertEnvelope(await put(path, 3, { "if-none-match": "*" }), 412, "precondition_failed");
        assertEnvelope(await remove(path), 428, "precondition_required");
        const both = await Promise.all([put(path, 3, { "if-match": tagOf(first) }), put(path, 4, { "if-match": tagOf(first) })]);
        assert.deepEqual(statusesOf(both), [200, 412]);
        const now = await get(path);
        assert.deepEqual([now.json["value"], now.json["version"]], [both[0]?.status === 200 ? 3 : 4, 2]);
        assertEnvelope(await remove(path, { "if-match": tagOf(first) }), 412, "precondition_failed");
        assert.equal((await remove(path, { "if-match": tagOf(now) })).status, 204);
        // Made again it is another one, whatever its number says.
        assert.equal((await put(path, 5, { "if-none-match": "*" })).status, 201);
        assertEnvelope(await put(path, 6, { "if-match": tagOf(first) }), 412, "precondition_failed");
      });
    });

    test("what looks like a secret, is too large or has no such name is refused", async () => {
      await inPlace(async ({ hub, get, put }) => {
        let deep: unknown = 1;
        for (let level = 0; level < 33; level++) deep = [deep];
        for (const [key, value] of [
          ["mail.password", "x"],
          ["mail.api_key", "x"],
          ["mail.accessToken", "x"],
          ["mail.client-secret", "x"],
          ["mail.server", { host: "mail.example.org", password: "hunter2" }],
          ["mail.servers", [{ host: "mail.example.org" }, { auth: { apiKey: "hunter2" } }]],
          ["mail.text", "x".repeat(65_535)],
          ["mail.deep", deep],
          ["nodot", 1],
          ["Mail.host", 1],
          [".host", 1],
          ["mail.", 1],
          [`mail.${"x".repeat(124)}`, 1],
        ] as const) {
          const answer = await put(`${PATH}/${key}`, value);
          assertEnvelope(answer, 400, "validation_error");
          assert.ok(!answer.text.includes("hunter2"));
        }
        assertEnvelope(await hub.ask("PUT", `${PATH}/mail.host`, { token: OPERATOR, body: {} }), 400, "validation_error");
        assert.match(field(await put(`${PATH}/mail.password`, "x")), /environment/);
        assert.equal((await put(`${PATH}/chart.series`, [{ key: "temperature" }])).status, 201);
        assert.deepEqual(entriesOf(await get(PATH)).length, 1);
      });
    });

    test("there is an end to how many, and how much, an organisation can set", async () => {
      await inPlace(async ({ hub, owner, put }) => {
        const large = "x".repeat(65_000);
        const answers: number[] = [];
        for (let index = 0; index < 20; index++) answers.push((await put(`${PATH}/large.number_${index}`, large)).status);
        assert.deepEqual([answers.filter((status) => status === 201).length, answers.at(-1)], [16, 429]);
        const other = await hub.member();
        for (let index = 0; index < 200; index++)
          assert.equal((await put(`${PATH}/small.number_${index}`, index, {}, other.token)).status, 201);
        assertEnvelope(await put(`${PATH}/small.more`, 1, {}, other.token), 429, "quota_exceeded");
        const { items } = await listAudit(
          hub.context.store.db,
          { kind: "organization", organizationId: owner.organizationId },
          { limit: 200 },
        );
        assert.equal(items.length, 16);
        assert.ok(JSON.stringify(items).length < 16_000, "the audit is no second place for large values");
      });
    });

    test("everybody with a role reads them, owners write them, and the audit has what was and what is", async () => {
      await inPlace(async ({ hub, owner, get, put }) => {
        const { db } = hub.context.store;
        const path = `${PATH}/alerts.limit`;
        const made = await put(path, 1);
        assert.equal((await put(path, { now: 2 }, { "if-match": tagOf(made) })).status, 200);
        for (const role of ["viewer", "operator", "admin"] as const) {
          await db("memberships").where({ user_id: owner.userId }).update({ role });
          await hub.context.access.changed([owner.userId]);
          assert.equal((await get(path)).status, 200);
          assertEnvelope(await put(path, 3, { "if-match": "*" }), 403, "forbidden");
        }
        await db("memberships").where({ user_id: owner.userId }).update({ role: null });
        await hub.context.access.changed([owner.userId]);
        assertEnvelope(await get(path), 403, "forbidden");
        for (const [method, body] of [["GET"], ["PUT", { value: 1 }], ["DELETE"]] as const) {
          const asked = { token: owner.token, ...(body === undefined ? {} : { body }) };
          assertEnvelope(await hub.ask(method, `${PLATFORM_PATH}/alerts.limit`, asked), 403, "forbidden");
        }
        const { items } = await listAudit(db, PLATFORM, { limit: 10, action: "setting.put" });
        assert.deepEqual(
          items.map(({ details, actor }) => [actor.id, details]),
          [
            [owner.userId, { key: "alerts.limit", version: 2, before: { value: 1 }, after: { value: { now: 2 } } }],
            [owner.userId, { key: "alerts.limit", version: 1, before: null, after: { value: 1 } }],
          ],
        );
      });
    });

    test("are read from memory until they change", async () => {
      await inPlace(async ({ hub, get, put }) => {
        const { db } = hub.context.store;
        const path = `${PATH}/alerts.limit`;
        const made = await put(path, 1);
        assert.equal((await get(path)).json["value"], 1);
        await db("service_settings").update({ content: "99" });
        assert.equal((await get(path)).json["value"], 1);
        await put(`${PATH}/alerts.other`, 1);
        assert.equal((await get(path)).json["value"], 99);
        assert.equal((await put(path, 2, { "if-match": tagOf(made) })).status, 200);
        assert.equal((await get(path)).json["value"], 2);
      });
    });
  });

const field = ({ json }: Answered): string => String(json["message"]);
