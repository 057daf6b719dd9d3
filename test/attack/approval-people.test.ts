import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { databases } from "../support/databases.ts";
import { ApiClient } from "../support/hub.ts";
import { until } from "../support/wait.ts";
import { type DoorScene, must, startDoorScene } from "./door-scene.ts";

const ON = { command: "set_relay", relay: 0, state: "ON" } as const;
const SLOW = { timeout: 60_000 };
const ROUNDS = 20;

interface Made {
  readonly task: { readonly id: string; readonly status: string };
}

for (const { name, skip, open } of databases()) {
  describe(`${name}: whoever approves`, { skip }, () => {
    const stack = new AsyncDisposableStack();
    let scene: DoorScene;
    before(async () => {
      scene = stack.use(await startDoorScene(stack.use(await open()).url));
    });
    after(() => stack.disposeAsync());
    const made = async (api: ApiClient, uid: string, more: object = {}): Promise<string> =>
      (await must<Made>(api, 201, ["POST", "tasks", { device: uid, name: "A risk", actions: [ON], ...more }])).task.id;
    const verdict = async (api: ApiClient, id: string, verb: string): Promise<readonly [number, string]> => {
      const { status, body } = await api.call<{ code?: string }>("POST", `/api/v1/tasks/${id}/${verb}`, {});
      return [status, body.code ?? ""];
    };

    test("approves what waits, and nobody sends it by asking once more", SLOW, async () => {
      const target = await scene.add("mqtt", "critical");
      const device = await target.connect();
      const { operator, owner } = scene.people;
      const id = await made(operator.api, target.uid);
      await must(owner.api, 200, ["PATCH", `devices/${target.uid}`, { sensitivity: "low" }]);
      for (const verb of ["submit", "retry"]) assert.deepEqual(await verdict(operator.api, id, verb), [409, "conflict"]);
      assert.equal((await scene.task(id)).status, "awaiting_confirmation");
      assert.equal(await scene.decide(id, "approve"), 200);
      await scene.until(id, "completed");
      for (const verb of ["submit", "retry", "approve"])
        assert.deepEqual(await verdict(operator.api, id, verb), verb === "approve" ? [403, "forbidden"] : [409, "conflict"]);
      assert.equal(device.executed.length, 1);
    });

    test("shows their PIN, also for what begins to wait just now", SLOW, async () => {
      const target = await scene.add("mqtt", "critical");
      const device = await target.connect();
      const { admin } = scene.people;
      await scene.setPolicy({ pin_required: true });
      const codes = new Set<string>();
      for (let round = 0; round < ROUNDS; round++) {
        const id = await made(admin.api, target.uid, { draft: true });
        const first = round % 2 === 0 ? "submit" : "approve";
        const answers = [verdict(admin.api, id, first)];
        for (let turn = 0; turn < round % 8; turn++) await new Promise((resolve) => setImmediate(resolve));
        answers.push(verdict(admin.api, id, first === "submit" ? "approve" : "submit"));
        const both = await Promise.all(answers);
        const [status, code] = both[first === "submit" ? 1 : 0] ?? assert.fail();
        assert.notEqual(status, 200);
        codes.add(code);
        assert.equal((await scene.task(id)).status, "awaiting_confirmation");
      }
      assert.ok(codes.has("pin_required"), [...codes].join(", "));
      assert.equal(device.executed.length, 0);
    });

    test("is somebody else than who is behind it, with four eyes", SLOW, async () => {
      const target = await scene.add("mqtt", "critical");
      const { uid } = target;
      const device = await target.connect();
      const { admin, operator, owner } = scene.people;
      await scene.setPolicy({ four_eyes: true });
      const refused = [403, "forbidden"];

      // A service of one's own asks.
      const { token } = await must<{ token: string }>(admin.api, 201, ["POST", "access-tokens", { kind: "service", name: "mine" }]);
      const service = Object.assign(new ApiClient(scene.hub.http), { token });
      const bySelf = await made(service, uid, { expires_in_s: 1 });
      assert.deepEqual(await verdict(admin.api, bySelf, "approve"), refused);

      // Somebody else's draft is put on its way, and what has failed is tried again.
      const draft = await made(operator.api, uid, { draft: true });
      assert.equal((await verdict(admin.api, draft, "submit"))[0], 200);
      assert.deepEqual(await verdict(admin.api, draft, "approve"), refused);
      assert.equal((await verdict(owner.api, draft, "approve"))[0], 200);
      await scene.until(draft, "completed");

      // What one has written asks.
      const action = { kind: "command", device: uid, command: ON };
      await must(admin.api, 201, [
        "POST",
        "automations",
        { name: "By itself", triggers: [{ kind: "event", type: "custom.go" }], actions: [action] },
      ]);
      await must(admin.api, 201, [
        "POST",
        "schedules",
        { name: "Soon", recurrence: { kind: "interval", every_s: 1 }, actions: [action], overlap: "skip" },
      ]);
      await must(owner.api, 201, ["POST", "events", { type: "custom.go", data: {} }]);
      for (const actor of ["rule", "schedule"]) {
        const id = await until(async () => (await scene.tasks(uid, "awaiting_confirmation")).find((one) => one.actor.kind === actor)?.id, {
          what: `what the ${actor} asks for`,
        });
        assert.deepEqual(await verdict(admin.api, id, "approve"), refused, actor);
        // Who has set off the automation has asked for it, too.
        assert.equal((await verdict(owner.api, id, "approve"))[0], actor === "rule" ? 403 : 200, actor);
      }
      assert.ok(device.executed.length <= 2);
    });
  });
}
