import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { databases, type TestDatabase } from "../support/databases.ts";
import { type AutomationScene, isOn, publish, startAutomationScene, turn } from "./automation-scene.ts";

for (const { name, skip, open } of databases()) {
  describe(`${name}: what an automation is`, { skip }, () => {
    let scene: AutomationScene;
    let database: TestDatabase;
    before(async () => {
      database = await open();
      scene = await startAutomationScene({ databaseUrl: database.url });
    });
    after(async () => {
      await scene[Symbol.asyncDispose]();
      await database[Symbol.asyncDispose]();
    });

    test("an edit is a new version that can be compared and taken back; what is off does not fire", async () => {
      const device = await scene.add();
      const { api } = scene.hub;
      const id = await scene.create({ triggers: [{ kind: "input_event", device: device.uid }], actions: [publish("first")] });
      const path = `/api/v1/automations/${id}`;
      const patch = async (body: object, etag?: string) => api.call("PATCH", path, body, etag === undefined ? {} : { "if-match": etag });
      assert.equal((await patch({ is_enabled: false })).status, 428);
      const { etag } = await scene.show(id);
      assert.equal((await patch({ actions: [publish("second")], note: "another word" }, etag)).status, 200);
      assert.equal((await patch({ is_enabled: false }, etag)).status, 412);
      assert.equal((await patch({ is_enabled: false }, (await scene.show(id)).etag)).status, 200);
      await device.press(0);
      const { body: diff } = await api.call("GET", `${path}/versions/1/diff`);
      assert.deepEqual(diff["changes"], [
        { path: "/actions/0/name", before: "first", after: "second" },
        { path: "/actions/0/payload", before: "first", after: "second" },
      ]);
      const restored = await api.call<{ automation: { version: number; actions: { name: string }[] } }>(
        "POST",
        `${path}/versions/1/restore`,
        undefined,
        { "if-match": (await scene.show(id)).etag },
      );
      assert.deepEqual([restored.status, restored.body.automation.version, restored.body.automation.actions[0]?.name], [200, 3, "first"]);
      const { body: versions } = await api.call<{ data: { version: number; note: string | null }[] }>("GET", `${path}/versions`);
      assert.deepEqual(
        versions.data.map(({ version, note }) => [version, note]),
        [
          [3, "version 1 again"],
          [2, "another word"],
          [1, null],
        ],
      );
      assert.equal((await scene.runs(id)).length, 0);
      assert.equal((await api.call("POST", `${path}/run`)).status, 409);
    });

    test("a dry run says what would have fired, and does nothing", async () => {
      const device = await scene.add();
      const id = await scene.create({
        triggers: [{ kind: "input_event", device: device.uid, input: 0 }],
        actions: [turn(device.uid, 0, "ON")],
        dedupe_s: 60,
        is_enabled: false,
      });
      await device.press(0);
      await device.press(0);
      await device.press(1);
      const tryOut = (body: object) =>
        scene.hub.api.call<{ fired: number; results: { fires: boolean; reason: string | null }[] }>(
          "POST",
          `/api/v1/automations/${id}/test`,
          body,
        );
      const { body } = await tryOut({ last: 100 });
      assert.deepEqual(
        body.results.map(({ fires, reason }) => [fires, reason]),
        [
          [true, null],
          [false, "duplicate"],
        ],
      );
      const given = await tryOut({
        signals: [{ kind: "event", type: "device.input_event", data: { uid: device.uid, input: 0, event: "click" } }],
      });
      assert.deepEqual([given.status, given.body.fired], [200, 1]);
      assert.equal((await tryOut({ last: 1, signals: [] })).status, 400);
      assert.equal(isOn(device, 0), false);
      assert.equal((await scene.runs(id)).length, 0);
    });

    test("bad definitions are refused with the place of the fault", async () => {
      const { uid } = scene;
      const good = { triggers: [{ kind: "input_event" }], actions: [publish("x")] };
      const table: [object, string][] = [
        [{ triggers: [{ kind: "input_event", device: "relay-nothere1" }] }, "/triggers/0/device"],
        [{ actions: [turn("relay-nothere1", 0, "ON")] }, "/actions/0/device"],
        [{ actions: [turn(uid, 9, "ON")] }, "/actions/0/device"],
        [{ actions: [{ kind: "scene", scene_id: crypto.randomUUID() }] }, "/actions/0/scene_id"],
        [{ condition: { kind: "state", device: uid, relay: 9, is: "ON" } }, "/condition/device"],
        [{ triggers: [{ kind: "schedule", recurrence: { kind: "cron", expression: "x" } }] }, "/triggers/0/recurrence/expression"],
        [{ triggers: [] }, "/triggers"],
        [{ actions: [{ kind: "notify", title: "x", users: [crypto.randomUUID()] }] }, "/actions/0/users/0"],
        [{ site_id: crypto.randomUUID() }, "/site_id"],
        [{ time_zone: "Mars/Olympus" }, "/time_zone"],
        [{ triggers: [{ kind: "event", type: "custom.x" }], actions: [{ kind: "event", type: "custom.x" }] }, "/actions/0/type"],
      ];
      for (const [more, path] of table) {
        const { status, body } = await scene.hub.api.call("POST", "/api/v1/automations", { name: "Bad", ...good, ...more });
        assert.deepEqual([status, (body["details"] as { path: string }[])[0]?.path], [400, path], JSON.stringify(body));
      }
    });
  });
}
