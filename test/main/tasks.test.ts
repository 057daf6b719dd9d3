import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { databases } from "../support/databases.ts";
import { until } from "../support/wait.ts";
import { ON, startTaskScene, type TaskScene } from "./task-scene.ts";

for (const { name, skip, open } of databases()) {
  describe(`${name}: tasks`, { skip }, () => {
    let scene: TaskScene;
    const stack = new AsyncDisposableStack();
    before(async () => {
      scene = stack.use(await startTaskScene({ databaseUrl: stack.use(await open()).url, env: { HEXA_COMMAND_TIMEOUT_MS: "1000" } }));
    });
    after(() => stack.disposeAsync());

    for (const knowsTasks of [true, false])
      test(`a device that ${knowsTasks ? "knows" : "does not know"} tasks does one, with its state, log and attempt`, async () => {
        const { uid, device } = await scene.add({ knowsTasks });
        const { id } = await scene.create(uid, {
          actions: [ON, { command: "set_relay", relay: 1, state: "TOGGLE" }, { command: "set_relay", relay: 1, state: "TOGGLE" }],
        });
        await scene.until(id, "completed");
        const { api } = scene.hub;
        const { data } = (
          await api.call<{ data: { attempt: number; status: string; actions: { state: string }[]; results: { status: string }[] }[] }>(
            "GET",
            `/api/v1/tasks/${id}/executions`,
          )
        ).body;
        assert.deepEqual(
          data.map(({ attempt, status, actions, results }) => ({
            attempt,
            status,
            states: actions.map(({ state }) => state),
            results: results.map((one) => one.status),
          })),
          [{ attempt: 1, status: "completed", states: ["ON", "ON", "OFF"], results: ["ok", "ok", "ok"] }],
        );
        assert.deepEqual(
          device.state.relays.slice(0, 2).map(({ state }) => state),
          ["ON", "OFF"],
        );
        assert.equal(device.executed.length, 3);
        const logs = (await api.call<{ data: { action: string }[] }>("GET", `/api/v1/tasks/${id}/logs`)).body.data.map(({ action }) =>
          action.replace(/^[0-9a-f-]{36}\./, ""),
        );
        assert.deepEqual(
          logs.filter((one) => one !== "task.running"),
          ["task.queued", "task.assigned", "1.0", "1.1", "1.2", "task.completed"],
        );
        const commands = (await api.call<{ data: { id: string; status: string }[] }>("GET", `/api/v1/devices/${uid}/commands`)).body.data;
        assert.deepEqual(
          commands.map(({ id: one, status }) => `${one} ${status}`).toSorted(),
          [0, 1, 2].map((index) => `${id}.1.${index} ok`),
        );
        const { actor } =
          (await api.call<{ data: { data: object; actor: { kind: string } }[] }>("GET", `/api/v1/events?type=device.state_changed&limit=1`))
            .body.data[0] ?? {};
        assert.equal(actor?.kind, "user", "who asked stands in what follows");
      });

    test("a device has one at a time, the most urgent first and then in the order of asking; what waits for it is done when it comes", async () => {
      const { uid, connect } = await scene.add({ isAway: true });
      const made: string[] = [];
      for (const priority of [3, 9, 3, 5])
        made.push(
          (
            await scene.create(uid, {
              priority,
              name: `p${priority}`,
              actions: [{ command: "set_relay", relay: made.length, state: "ON" }],
            })
          ).id,
        );
      const { status } = await scene.show(made[0] ?? "");
      assert.equal(status, "queued");
      const device = await connect();
      for (const id of made) await scene.until(id, "completed");
      assert.deepEqual(
        device.executed.map(({ command }) => "relay" in command && command.relay),
        [1, 3, 0, 2],
      );
    });

    test("a task waits for those it depends on, and fails with them", async () => {
      const { uid } = await scene.add();
      const { uid: away, connect } = await scene.add({ isAway: true });
      const first = await scene.create(away);
      const second = await scene.create(uid, { depends_on: [first.id] });
      const third = await scene.create(uid, { depends_on: [second.id] });
      const free = await scene.create(uid);
      await scene.until(free.id, "completed");
      assert.equal((await scene.show(second.id)).status, "queued");
      await connect();
      await scene.until(third.id, "completed");
      const { uid: never } = await scene.add({ isAway: true });
      const lost = await scene.create(never);
      const dependent = await scene.create(uid, { depends_on: [lost.id] });
      const last = await scene.create(uid, { depends_on: [dependent.id] });
      assert.equal((await scene.post(`tasks/${lost.id}/cancel`)).status, 200);
      assert.equal((await scene.until(last.id, "failed")).error_code, "conflict");
      const { status, body } = await scene.hub.api.call<{ details: { path: string }[] }>("POST", "/api/v1/tasks", {
        device: uid,
        name: "x",
        actions: [ON],
        depends_on: [lost.id],
      });
      assert.deepEqual([status, body.details[0]?.path], [400, "/depends_on/0"]);
    });

    test("one task of the organisation has a resource at a time", async () => {
      const slow = await scene.add({ faults: { slowMs: 700 } });
      const { uid } = await scene.add();
      const first = await scene.create(slow.uid, { resources: ["water", "power"] });
      await scene.until(first.id, "assigned", "running");
      const second = await scene.create(uid, { resources: ["water"] });
      const other = await scene.create(uid, { resources: ["gas"], priority: 0 });
      await scene.until(other.id, "completed");
      assert.equal((await scene.show(second.id)).status, "queued");
      await scene.until(second.id, "completed");
      assert.equal((await scene.show(first.id)).status, "completed");
    });

    test("what the device cannot do is tried again under another attempt, and then failed", async () => {
      const { uid, device } = await scene.add({ faults: { tasks: { failAt: 1 } } });
      const { id } = await scene.create(uid, { actions: [ON, ON, ON], retry: { attempts: 2, backoff_s: 1 } });
      const failed = await scene.until(id, "failed");
      assert.deepEqual([failed.attempt, failed.error_code], [3, "device_error"]);
      assert.equal(device.taskRuns(id), 3);
      device.faults = {};
      assert.equal((await scene.post(`tasks/${id}/retry`)).body.task.status, "queued");
      assert.equal((await scene.until(id, "completed")).attempt, 4);
    });

    test("an answer that is lost is asked for again, and the device does nothing twice", async () => {
      const { uid, device } = await scene.add({ faults: { silent: true } });
      const { id } = await scene.create(uid, { timeout_s: 1, retry: { attempts: 3, backoff_s: 1 } });
      await until(() => device.taskRuns(id) === 1, { what: "the silent device" });
      device.faults = {};
      assert.equal((await scene.until(id, "completed")).attempt, 1);
      assert.equal(device.taskRuns(id), 1);
      const { uid: mute } = await scene.add({ faults: { silent: true } });
      const lost = await scene.create(mute, { timeout_s: 1 });
      assert.equal((await scene.until(lost.id, "failed")).error_code, "command_timeout");
    });

    test("a result that does not verify changes nothing, and is audited", async () => {
      const { uid, device } = await scene.add({ faults: { tasks: { wrongSignature: true } } });
      const { id } = await scene.create(uid, { timeout_s: 2, retry: { attempts: 2, backoff_s: 1 } });
      await until(async () => (await scene.audit("task.result_refused")).some(({ details }) => details["task_id"] === id), {
        what: "the refusal",
      });
      assert.notEqual((await scene.show(id)).status, "completed");
      device.faults = {};
      await scene.until(id, "completed");
      assert.equal(device.taskRuns(id), 1);
    });

    test("a draft waits to be submitted; what is over or with its device cannot be cancelled", async () => {
      const { uid } = await scene.add();
      const draft = await scene.create(uid, { draft: true });
      assert.equal(draft.status, "draft");
      assert.equal((await scene.post(`tasks/${draft.id}/approve`, {})).body.code, "conflict");
      await scene.post(`tasks/${draft.id}/submit`);
      await scene.until(draft.id, "completed");
      assert.equal((await scene.post(`tasks/${draft.id}/cancel`)).body.code, "conflict");
      assert.equal((await scene.post(`tasks/${draft.id}/retry`)).body.code, "conflict");
      assert.equal((await scene.hub.api.call("DELETE", `/api/v1/tasks/${draft.id}`)).status, 204);
      assert.equal((await scene.hub.api.call("GET", `/api/v1/tasks/${draft.id}`)).status, 404);
    });

    test("a task of a template is filled in when it is made: by a request, and by an automation", async () => {
      const { uid, device } = await scene.add();
      const { api } = scene.hub;
      const made = await api.call<{ template: { id: string } }>("POST", "/api/v1/templates", {
        name: "One relay",
        actions: [{ command: "set_relay", relay: "{{relay}}", state: "ON" }],
        variables: [{ name: "relay", type: "integer", min: 0, max: 31 }],
      });
      assert.equal(made.status, 201, JSON.stringify(made.body));
      const { id } = made.body.template;
      const { body: task } = await scene.post("tasks", { device: uid, name: "Of a template", template: { id, variables: { relay: 2 } } });
      await scene.until(task.task.id, "completed");
      assert.deepEqual(device.executed.at(-1)?.command, { command: "set_relay", relay: 2, state: "ON" });
      for (const body of [{}, { actions: [ON], template: { id } }])
        assert.equal((await scene.post("tasks", { device: uid, name: "x", ...body })).status, 400);
      const wrong = await scene.post("tasks", { device: uid, name: "x", template: { id, variables: { relay: "two" } } });
      assert.equal(wrong.body.code, "validation_error");
      const start = (more: object): object => ({
        name: "x",
        triggers: [{ kind: "event", type: "custom.go" }],
        actions: [{ kind: "start", what: "task", id, ...more }],
      });
      assert.equal((await scene.post("automations", start({}))).status, 400);
      assert.equal((await scene.post("automations", start({ device: "relay-nothere1" }))).status, 400);
      const automation = await scene.post("automations", start({ device: uid, variables: { relay: 3 } }));
      assert.equal(automation.status, 201, JSON.stringify(automation.body));
      const told = await scene.post("events", { type: "custom.go", data: {} });
      assert.equal(told.status, 201, JSON.stringify(told.body));
      await until(() => device.executed.some(({ command }) => "relay" in command && command.relay === 3), {
        what: "the automation's task",
      });
      const shown = await api.call<{ template: { usage_count: number } }>("GET", `/api/v1/templates/${id}`);
      assert.equal(shown.body.template.usage_count, 2);
    });
  });
}
