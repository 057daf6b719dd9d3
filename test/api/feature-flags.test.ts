import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { newId } from "../../core/id.ts";
import { PLATFORM } from "../../core/principal.ts";
import { listAudit } from "../../store/audit.ts";
import { databases } from "../support/databases.ts";
import { type Answered, assertEnvelope, field, OPERATOR, startTestApi, statusesOf, type TestApi } from "./test-api.ts";

const PATH = "/api/v1/feature-flags";
const tagOf = ({ headers }: Answered): string => headers.get("etag") ?? "none";

for (const { name, skip, open } of databases())
  describe(`feature flags on ${name}`, { skip }, () => {
    async function inPlace(
      work: (hub: TestApi, ask: (method: string, path: string, body?: object, ifMatch?: string) => Promise<Answered>) => Promise<void>,
    ) {
      await using database = await open();
      await using hub = await startTestApi({ version: "1.4.0" }, database.url);
      await work(hub, (method, path, body, ifMatch) =>
        hub.ask(method, path, {
          token: OPERATOR,
          ...(body === undefined ? {} : { body }),
          headers: ifMatch === undefined ? {} : { "if-match": ifMatch },
        }),
      );
    }
    const evaluated = async (hub: TestApi, token: string, query = ""): Promise<Record<string, { enabled: boolean; reason: string }>> => {
      const answer = await hub.ask("GET", `${PATH}/evaluate${query}`, { token });
      assert.equal(answer.status, 200, answer.text);
      return answer.json["flags"] as Record<string, { enabled: boolean; reason: string }>;
    };

    test("a flag is made, changed by whoever has read it, and removed", async () => {
      await inPlace(async (hub, ask) => {
        const made = await ask("POST", PATH, { name: "charts" });
        assert.equal(made.status, 201, made.text);
        const id = field(made, "id");
        assert.deepEqual(made.json, {
          id,
          name: "charts",
          description: "",
          enabled: false,
          conditions: [],
          rollout_percentage: 100,
          target_users: [],
          metadata: {},
          version: 1,
          created_at: made.json["created_at"],
          updated_at: made.json["updated_at"],
        });
        const path = `${PATH}/${id}`;
        const shown = await ask("GET", path);
        assert.deepEqual(shown.json, made.json);
        assert.deepEqual((await ask("GET", PATH)).json["data"], [made.json]);

        assertEnvelope(await ask("PATCH", path, { enabled: true }), 428, "precondition_required");
        const metadata = { team: "charts", ticket: { number: 7, link: "x" } };
        const patches = [
          { enabled: true, metadata },
          { enabled: true, rollout_percentage: 12.34, metadata },
        ];
        const both = await Promise.all(patches.map((patch) => ask("PATCH", path, patch, tagOf(shown))));
        assert.deepEqual(statusesOf(both), [200, 412]);
        const changed = both.find(({ status }) => status === 200) as Answered;
        assert.equal(changed.json["version"], 2);
        const merged = await ask("PATCH", path, { metadata: { team: null, ticket: { link: null } }, conditions: [] }, tagOf(changed));
        assert.deepEqual(merged.json["metadata"], { ticket: { number: 7 } });
        assert.equal(merged.json["enabled"], true);

        assertEnvelope(await ask("POST", PATH, { name: "charts" }), 409, "conflict");
        const twice = await Promise.all([ask("POST", PATH, { name: "twice" }), ask("POST", PATH, { name: "twice" })]);
        assert.deepEqual(statusesOf(twice), [201, 409]);
        const other = twice.find(({ status }) => status === 201) as Answered;
        assertEnvelope(await ask("PATCH", `${PATH}/${field(other, "id")}`, { name: "charts" }, tagOf(other)), 409, "conflict");
        assertEnvelope(await ask("PATCH", `${PATH}/${newId()}`, { enabled: true }, "*"), 404, "not_found");
        assertEnvelope(await ask("DELETE", path, undefined, tagOf(shown)), 412, "precondition_failed");
        assertEnvelope(await ask("DELETE", path), 428, "precondition_required");
        assert.equal((await ask("DELETE", path, undefined, tagOf(merged))).status, 204);
        assertEnvelope(await ask("GET", path), 404, "not_found");
        assert.deepEqual(Object.keys(await evaluated(hub, OPERATOR)), ["twice"]);
        const { items } = await listAudit(hub.context.store.db, PLATFORM, { limit: 10, resourceId: id });
        assert.deepEqual(
          items.map(({ action }) => action),
          ["feature_flag.delete", "feature_flag.update", "feature_flag.update", "feature_flag.create"],
        );
      });
    });

    test("bad definitions are refused, and a patch that would make one", async () => {
      await inPlace(async (_hub, ask) => {
        const made = await ask("POST", PATH, { name: "charts" });
        const path = `${PATH}/${field(made, "id")}`;
        const bad = [
          { rollout_percentage: 101 },
          { conditions: [{ operator: "matches", attribute: "role", value: ".*" }] },
          { conditions: [{ operator: "eq", attribute: "role", value: "king" }] },
          { target_users: ["ann"] },
          { target_users: Array.from({ length: 1_001 }, () => newId()) },
          { metadata: { text: "x".repeat(20_000) } },
          { unknown: 1 },
        ];
        for (const body of bad) {
          assertEnvelope(await ask("POST", PATH, { name: "other", ...body }), 400, "validation_error");
          assertEnvelope(await ask("PATCH", path, body, tagOf(made)), 400, "validation_error");
        }
        for (const body of [{}, { name: null }, { enabled: null }, { id: newId() }])
          assertEnvelope(await ask("PATCH", path, body, tagOf(made)), 400, "validation_error");
        assertEnvelope(await ask("POST", PATH, {}), 400, "validation_error");
        assert.deepEqual((await ask("GET", path)).json, made.json);
      });
    });

    test("each is asked for by its name, and who asks for it decides", async () => {
      await inPlace(async (hub, ask) => {
        const [owner, viewer] = [await hub.member(), await hub.member("user", "viewer")];
        const conditions = [{ operator: "eq", attribute: "role", value: "owner" }];
        const nobody = [{ operator: "eq", attribute: "role", value: "admin" }];
        for (const definition of [
          { name: "off", target_users: [owner.userId] },
          { name: "all", enabled: true },
          { name: "none", enabled: true, rollout_percentage: 0 },
          { name: "owners", enabled: true, conditions },
          { name: "named", enabled: true, conditions: nobody, target_users: [viewer.userId.toUpperCase()] },
          { name: "here", enabled: true, conditions: [{ operator: "in", attribute: "organization_id", values: [viewer.organizationId] }] },
          { name: "example", enabled: true, conditions: [{ operator: "eq", attribute: "email_domain", value: "example.com" }] },
          { name: "new", enabled: true, conditions: [{ operator: "gte", attribute: "version", value: "1.5.0" }] },
        ])
          assert.equal((await ask("POST", PATH, definition)).status, 201);
        const on = async (token: string, query = "") =>
          Object.entries(await evaluated(hub, token, query))
            .filter(([, { enabled }]) => enabled)
            .map(([flag]) => flag);
        assert.deepEqual(await on(owner.token), ["all", "example", "owners"]);
        assert.deepEqual(await on(viewer.token), ["all", "example", "here", "named"]);
        assert.deepEqual(await on(owner.token, "?version=1.5.0"), ["all", "example", "new", "owners"]);
        assert.deepEqual(await on(OPERATOR), ["all"]);
        assert.deepEqual(await on(OPERATOR, `?user_id=${viewer.userId}`), await on(viewer.token));
        assert.deepEqual(await on(owner.token, `?user_id=${owner.userId}`), await on(owner.token));
        const reasons = await evaluated(hub, owner.token);
        assert.deepEqual(
          ["off", "all", "none", "named"].map((flag) => reasons[flag]?.reason),
          ["disabled", "inside_rollout", "outside_rollout", "condition"],
        );
        assert.equal((await evaluated(hub, viewer.token))["named"]?.reason, "target_user");

        assertEnvelope(await hub.ask("GET", `${PATH}/evaluate?user_id=${viewer.userId}`, { token: owner.token }), 403, "forbidden");
        assertEnvelope(await hub.ask("GET", `${PATH}/evaluate?user_id=${newId()}`, { token: OPERATOR }), 404, "not_found");
        assertEnvelope(await hub.ask("GET", `${PATH}/evaluate?version=new`, { token: owner.token }), 400, "validation_error");
        for (const [method, path, body] of [
          ["GET", PATH],
          ["POST", PATH, { name: "mine" }],
          ["GET", `${PATH}/${newId()}`],
          ["PATCH", `${PATH}/${newId()}`, { enabled: true }],
          ["DELETE", `${PATH}/${newId()}`],
        ] as const)
          assertEnvelope(await hub.ask(method, path, { token: owner.token, ...(body ? { body } : {}) }), 403, "forbidden");
      });
    });

    test("there is an end to how many there are", async () => {
      await inPlace(async (_hub, ask) => {
        for (let index = 0; index < 200; index++) assert.equal((await ask("POST", PATH, { name: `flag_${index}` })).status, 201);
        assertEnvelope(await ask("POST", PATH, { name: "one_more" }), 429, "quota_exceeded");
      });
    });
  });
