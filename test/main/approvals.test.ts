import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { databases } from "../support/databases.ts";
import { ADMIN } from "../support/hub.ts";
import { until } from "../support/wait.ts";
import { ON, startTaskScene, type TaskScene } from "./task-scene.ts";

for (const { name, skip, open } of databases()) {
  describe(`${name}: approvals`, { skip }, () => {
    let scene: TaskScene;
    const stack = new AsyncDisposableStack();
    before(async () => {
      scene = stack.use(await startTaskScene({ databaseUrl: stack.use(await open()).url }));
    });
    after(() => stack.disposeAsync());

    const command = (uid: string, body: object = {}) =>
      scene.hub.api.call<{ status: string; task_id: string; command_id: string; code: string }>("POST", `/api/v1/devices/${uid}/commands`, {
        ...ON,
        ...body,
      });

    test("a command for a critical device waits for somebody, and is done once it is approved, under its own id", async () => {
      const { uid, device } = await scene.add({ isCritical: true });
      const asked = await command(uid, { command_id: `c-${uid}` });
      assert.deepEqual([asked.status, asked.body.status, asked.body.command_id], [202, "awaiting_confirmation", `c-${uid}`]);
      assert.equal((await command(uid, { command_id: `c-${uid}` })).body.task_id, asked.body.task_id, "the same id is the same task");
      assert.equal((await command(uid, { command_id: `c-${uid}`, relay: 1 })).body.code, "command_id_conflict");
      const waiting = await scene.show(asked.body.task_id);
      assert.ok((waiting.risk?.score ?? 0) >= 70 && waiting.risk?.reasons.some(({ rule }) => rule === "sensitivity"));
      assert.equal(device.executed.length, 0);
      const [audited] = (await scene.audit("task.await")).filter(({ resource_id }) => resource_id === waiting.id);
      assert.ok(Array.isArray(audited?.details["reasons"]) && audited.details["score"] === waiting.risk?.score, JSON.stringify(audited));
      assert.equal((await scene.post(`tasks/${waiting.id}/approve`, { payload_hash: "something-else" })).body.code, "conflict");
      const approved = await scene.post(`tasks/${waiting.id}/approve`, { payload_hash: waiting.payload_hash, note: "I am beside it" });
      assert.equal(approved.status, 200, JSON.stringify(approved.body));
      await scene.until(waiting.id, "completed");
      assert.deepEqual(
        device.executed.map(({ commandId }) => commandId.replace(waiting.id, "task")),
        ["task.1.0"],
      );
      assert.deepEqual([(await command(uid, { command_id: `c-${uid}` })).body.status, device.executed.length], ["ok", 1]);
    });

    test("what is rejected, cancelled or not decided in time never reaches the device", async () => {
      const { uid, device } = await scene.add({ isCritical: true, knowsTasks: false });
      const ids = ["rejected", "cancelled", "expired"].map((one) => `${one}-${uid}`);
      const tasks = await Promise.all(ids.map(async (id) => (await command(uid, { command_id: id })).body.task_id));
      assert.equal((await scene.post(`tasks/${tasks[0]}/reject`, { note: "no" })).body.task.status, "rejected");
      assert.equal((await scene.post(`tasks/${tasks[1]}/cancel`)).body.task.status, "cancelled");
      await scene.expire(tasks[2] ?? "");
      await scene.until(tasks[2] ?? "", "expired");
      for (const id of ids) assert.equal((await command(uid, { command_id: id })).body.code, "approval_refused");
      for (const id of tasks) assert.equal((await scene.post(`tasks/${id}/approve`, {})).body.code, "conflict");
      assert.equal(device.executed.length, 0);
      for (const action of ["task.reject", "task.cancel", "task.expire"])
        assert.ok(
          (await scene.audit(action)).some(({ resource_id }) => tasks.includes(resource_id)),
          action,
        );
    });

    test("with four eyes nobody approves what they asked for; with PINs nobody without theirs", async () => {
      const { uid } = await scene.add({ isCritical: true });
      const put = async (body: object) => {
        const { headers } = await scene.hub.api.call("GET", "/api/v1/risk-policy");
        return await scene.hub.api.call("PUT", "/api/v1/risk-policy", body, { "if-match": headers.get("etag") ?? "" });
      };
      const changed = await put({ four_eyes: true });
      assert.equal(changed.status, 200, JSON.stringify(changed.body));
      const { id } = await scene.create(uid);
      assert.equal((await scene.post(`tasks/${id}/approve`, {})).body.code, "forbidden");
      assert.equal((await scene.post(`tasks/${id}/reject`, {})).body.task.status, "rejected");
      assert.equal((await put({ four_eyes: false, pin_required: true })).status, 200);
      const { id: second } = await scene.create(uid);
      assert.equal((await scene.post(`tasks/${second}/approve`, {})).body.code, "pin_required");
      assert.equal((await scene.post(`tasks/${second}/approve`, { pin: "0000" })).body.code, "pin_wrong");
      const set = await scene.hub.api.call("PUT", "/api/v1/account/approval-pin", { pin: "2718", password: ADMIN.password });
      assert.ok(set.status < 300, JSON.stringify(set.body));
      assert.equal((await scene.post(`tasks/${second}/approve`, { pin: "2718" })).status, 200);
      await scene.until(second, "completed");
      assert.equal((await put({ four_eyes: false, pin_required: false })).status, 200);
    });

    test("the broker tells whoever publishes that somebody has to approve it, and shows the true state again", async () => {
      const { uid, device } = await scene.add({ isCritical: true });
      await device.setRelayLocally(0, "OFF");
      const client = stack.use(await scene.person());
      await until(() => client.received.some(({ topic, payload }) => topic === `hexa/${uid}/relay/0/state` && payload === "OFF"), {
        what: "the state",
      });
      client.received.length = 0;
      const reason = await client.publish(`hexa/${uid}/relay/0/set`, "ON");
      assert.match(reason ?? "", /^awaiting_confirmation: task /);
      const [, id = ""] = /^awaiting_confirmation: task (\S+)$/.exec(reason ?? "") ?? [];
      assert.equal((await scene.show(id)).status, "awaiting_confirmation");
      await until(() => client.received.some(({ topic, payload }) => topic === `hexa/${uid}/relay/0/state` && payload === "OFF"), {
        what: "the true state",
      });
      assert.equal(
        client.received.some(({ topic }) => topic.endsWith("/set")),
        false,
        "it went no further",
      );
      await until(() => client.received.some(({ topic }) => topic.endsWith("events/task.awaiting_confirmation")), { what: "the event" });
      assert.equal(device.executed.length, 0);
      await scene.post(`tasks/${id}/approve`, {});
      await scene.until(id, "completed");
      await until(() => client.received.some(({ topic, payload }) => topic === `hexa/${uid}/relay/0/state` && payload === "ON"), {
        what: "the new state",
      });
    });
  });
}
