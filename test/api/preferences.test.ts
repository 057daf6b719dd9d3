import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { addMember } from "../../store/members.ts";
import { setLoginOrganization } from "../../store/logins.ts";
import { databases } from "../support/databases.ts";
import { assertEnvelope, field, OPERATOR, startTestApi, statusesOf } from "./test-api.ts";

const PATH = "/api/v1/preferences";
const EMPTY = { dashboard_layout: {}, dashboard_settings: {}, device_view_state: {}, notification_settings: {} };

for (const { name, skip, open } of databases())
  describe(`preferences on ${name}`, { skip }, () => {
    test("are exactly four, each changed by itself, and a person's own in each organisation", async () => {
      await using database = await open();
      await using hub = await startTestApi({}, database.url);
      const [ann, bob] = [await hub.member(), await hub.member()];
      const show = async (who: { token: string }) => (await hub.ask("GET", PATH, { token: who.token })).json;
      const patch = (who: { token: string }, body: unknown, headers = {}) => hub.ask("PATCH", PATH, { token: who.token, body, headers });
      assert.deepEqual(await show(ann), EMPTY);
      const layout = { rows: [{ widgets: ["power", "ünïcode \u2028"] }], columns: 3 };
      const first = await patch(ann, { dashboard_layout: layout });
      assert.equal(first.status, 200, first.text);
      await patch(ann, { dashboard_settings: { theme: "dark", nested: { a: 1, b: 2 } } });
      await patch(ann, { dashboard_settings: { nested: { a: null, c: 3 } }, dashboard_layout: { columns: null } });
      const settings = { theme: "dark", nested: { b: 2, c: 3 } };
      assert.deepEqual(await show(ann), { ...EMPTY, dashboard_layout: { rows: layout.rows }, dashboard_settings: settings });
      await patch(ann, { dashboard_layout: null });
      assert.deepEqual(await show(ann), { ...EMPTY, dashboard_settings: settings });
      assert.deepEqual(await show(bob), EMPTY);

      const { db } = hub.context.store;
      await addMember(db, bob.organizationId, ann.userId, "viewer");
      const login = (await db("logins").where({ user_id: ann.userId }).first("id")) as { id: string };
      assert.ok(await setLoginOrganization(db, login.id, bob.organizationId));
      await hub.context.access.changed([ann.userId]);
      assert.deepEqual(await show(ann), EMPTY);
      await setLoginOrganization(db, login.id, ann.organizationId);
      assert.deepEqual(await show(ann), { ...EMPTY, dashboard_settings: settings });
    });

    test("refuse other keys, what is no object, and what is too large or too deep", async () => {
      await using database = await open();
      await using hub = await startTestApi({}, database.url);
      const { token } = await hub.member();
      let deep: object = {};
      for (let level = 0; level < 32; level++) deep = { deep };
      const half = { half: "x".repeat(40_000) };
      assert.equal((await hub.ask("PATCH", PATH, { token, body: { device_view_state: half } })).status, 200);
      for (const body of [
        {},
        { theme: "dark" },
        { dashboard_layout: [] },
        { dashboard_layout: "wide" },
        { dashboard_layout: deep },
        { dashboard_layout: { text: "x".repeat(65_536) } },
        // Together with what is there.
        { device_view_state: { other: half.half } },
      ])
        assertEnvelope(await hub.ask("PATCH", PATH, { token, body }), 400, "validation_error");
      assert.deepEqual((await hub.ask("GET", PATH, { token })).json, { ...EMPTY, device_view_state: half });
      const service = field(
        await hub.ask("POST", "/api/v1/access-tokens", { token, body: { kind: "service", name: `s${token.slice(-8)}` } }),
        "token",
      );
      for (const nobody of [service, OPERATOR]) {
        assertEnvelope(await hub.ask("GET", PATH, { token: nobody }), 403, "forbidden");
        assertEnvelope(await hub.ask("PATCH", PATH, { token: nobody, body: { dashboard_layout: {} } }), 403, "forbidden");
      }
    });

    test("changes at once all hold, and of two from the same version one", async () => {
      await using database = await open();
      await using hub = await startTestApi({}, database.url);
      const { token } = await hub.member();
      const patch = (body: object, headers = {}) => hub.ask("PATCH", PATH, { token, body, headers });
      const names = Object.keys(EMPTY);
      const asked = Array.from({ length: 24 }, (_, index) => patch({ [names[index % 4] as string]: { [`m${index}`]: index } }));
      for (const { status, text } of await Promise.all(asked)) assert.equal(status, 200, text);
      const { json, headers } = await hub.ask("GET", PATH, { token });
      assert.equal(Object.values(json).flatMap((one) => Object.keys(one as object)).length, 24);
      const tag = headers.get("etag") ?? "";
      assert.equal((await hub.ask("GET", PATH, { token, headers: { "if-none-match": tag } })).status, 304);
      const both = await Promise.all(["a", "b"].map((theme) => patch({ dashboard_settings: { theme } }, { "if-match": tag })));
      assert.deepEqual(statusesOf(both), [200, 412]);
      const { theme } = (await hub.ask("GET", PATH, { token })).json["dashboard_settings"] as { theme: string };
      assert.equal(theme, both[0]?.status === 200 ? "a" : "b");
    });
  });
