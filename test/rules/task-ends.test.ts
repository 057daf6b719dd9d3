import assert from "node:assert/strict";
import { HubError } from "../../core/errors.ts";
import { newClaimCode } from "../../core/id.ts";
import { PLATFORM, SYSTEM } from "../../core/principal.ts";
import { MOST_OPEN_OF_DEVICE, type Task, type TaskStatus } from "../../core/task.ts";
import { deleteDevice } from "../../store/devices.ts";
import type { Db } from "../../store/open.ts";
import { createOrganization } from "../../store/organizations.ts";
import { claimDevice, releaseDevice } from "../../store/ownership.ts";
import { rowsOf } from "../../store/sql.ts";
import { getTask } from "../../store/tasks.ts";
import { inTransaction } from "../../store/transaction.ts";
import { forEachEngine } from "../store/engines.ts";
import { until } from "../support/wait.ts";
import { openTaskScene } from "./task-scene.ts";

const statusOf = async (db: Db, { id }: Pick<Task, "id">): Promise<TaskStatus> => (await getTask(db, PLATFORM, id)).status;
const isCode =
  (code: string) =>
  (error: unknown): boolean =>
    error instanceof HubError && error.code === code;

forEachEngine(({ test, engine }) => {
  test("what leaves with a device is ended, and so is what waits for it", async (db) => {
    await using scene = await openTaskScene(db);
    const { device, make, organizationId } = scene;
    const { executor, sent } = scene.node("a");
    const tasks = [await make(), await make(), await make({ isDraft: true })] as const;
    const other = await scene.addDevice("Gate");
    const behind = await make({ device: other, dependsOn: [tasks[1].id] });
    const last = await make({ device: other, dependsOn: [behind.id] });
    executor.deviceReachable(device);
    await until(() => sent.length === 1, { what: "the first task" });
    await inTransaction(db, (trx) => scene.desk.endTasksOf(trx, device.id, SYSTEM));
    assert.deepEqual(await Promise.all(tasks.map((one) => statusOf(db, one))), ["failed", "cancelled", "cancelled"]);
    scene.timers.begin();
    for (const one of [behind, last]) await until(async () => (await statusOf(db, one)) === "failed", { what: "the end of what waits" });
    const audited = await rowsOf<{ action: string }>(
      db,
      "select action from audit_outbox where organization_id = ? and action not like 'task.submit' order by action",
      [organizationId],
    );
    assert.deepEqual(
      audited.map(({ action }) => action),
      ["task.cancel", "task.cancel", "task.fail", "task.fail", "task.fail"],
    );
    assert.deepEqual(scene.errors, []);
  });

  test("a former owner's task does not reach the device of the next one, nor stand in the way of theirs", async (db) => {
    await using scene = await openTaskScene(db);
    const { device, make } = scene;
    const { executor, sent } = scene.node("a");
    const former = await make({ timeoutMs: 86_400_000 });
    executor.deviceReachable(device);
    await until(() => sent.length === 1, { what: "the former owner's task" });
    // As an older build has left it.
    const claimCode = newClaimCode();
    await releaseDevice(db, PLATFORM, device.id, claimCode);
    const { id: organizationId } = await createOrganization(db, { name: "Next" });
    const claimed = await claimDevice(db, { claimCode, organizationId, userId: null, now: Date.now() });
    assert.ok(claimed);
    const own = await make({ organizationId, device: claimed });
    executor.deviceReachable({ ...device, organizationId });
    await until(async () => (await statusOf(db, former)) === "failed", { what: "the end of the former owner's task" });
    executor.wake({ ...device, organizationId });
    await until(() => sent.length === 2, { what: "the next owner's task" });
    assert.deepEqual(sent, [`${former.id} 1`, `${own.id} 1`]);
  });

  test("what depends on a task that has gone with its device is not done", async (db) => {
    await using scene = await openTaskScene(db);
    const { device, make } = scene;
    const { executor, sent } = scene.node("a");
    const valve = await scene.addDevice("Valve");
    const closed = await make({ device: valve });
    const gate = await make({ dependsOn: [closed.id] });
    await deleteDevice(db, PLATFORM, valve.id);
    executor.deviceReachable(device);
    await until(async () => (await statusOf(db, gate)) === "failed", { what: "the end of what depends on it" });
    assert.deepEqual(sent, []);
    assert.equal((await getTask(db, PLATFORM, gate.id)).error, "it depends on a task that is not there any more");
  });

  test("what waits for others lets pass whatever does not", async (db) => {
    await using scene = await openTaskScene(db);
    const { device, make } = scene;
    const { executor, sent } = scene.node("a");
    const away = await scene.addDevice("Away");
    const [first, holder] = [await make({ device: away }), await make({ device: away, resources: ["water"] })];
    await inTransaction(db, (trx) =>
      trx("task_resources").insert({ organization_id: scene.organizationId, name: "water", task_id: holder.id }),
    );
    for (let count = 0; count < 25; count++)
      await make(count % 2 === 0 ? { dependsOn: [first.id], priority: 9 } : { resources: ["water"], priority: 9 });
    const free = await make({ priority: 0 });
    executor.deviceReachable(device);
    await until(() => sent.length === 1, { what: "the task that waits for nothing" });
    assert.deepEqual(sent, [`${free.id} 1`]);
  });

  test("an envelope that goes out again is good for as long as the hub waits, and no longer", async (db) => {
    await using scene = await openTaskScene(db);
    const { device, make } = scene;
    const { executor, envelopes } = scene.node("a");
    const task = await make({ timeoutMs: 60_000 });
    executor.deviceReachable(device);
    await until(() => envelopes.length === 1, { what: "the task" });
    executor.deviceReachable(device);
    await until(() => envelopes.length === 2, { what: "the task again" });
    const [first, again] = envelopes.map(({ expires_at: at }) => Date.parse(at)) as [number, number];
    assert.ok(Math.abs(again - first) <= 1, `${again - first} ms later`);
    // Its timer is being fired: whoever fires it decides.
    await scene.timers[Symbol.asyncDispose]();
    await db("timers").where({ kind: "task", timer_key: task.id }).del();
    executor.deviceReachable(device);
    await executor[Symbol.asyncDispose]();
    assert.equal(envelopes.length, 2);
  });

  test("what a device did too late is its state all the same, once, and the task stays failed", async (db) => {
    await using scene = await openTaskScene(db);
    const { device, make } = scene;
    const { executor, sent } = scene.node("a");
    const task = await make({ timeoutMs: 50 });
    executor.deviceReachable(device);
    await until(() => sent.length === 1, { what: "the task" });
    scene.timers.begin();
    await until(async () => (await statusOf(db, task)) === "failed", { what: "the end of its time" });
    assert.equal((await scene.answer(task)).length, 1);
    assert.equal((await scene.answer(task)).length, 0);
    assert.equal(await statusOf(db, task), "failed");
    assert.deepEqual(scene.errors, []);
  });

  test("a lost answer of a device without envelopes fails the task, whatever it says of retries; a refusal does not", async (db) => {
    await using scene = await openTaskScene(db);
    const plain = await scene.addDevice("Plain", false);
    const asked: string[] = [];
    let code: "command_timeout" | "device_error" = "command_timeout";
    const { executor } = scene.node("a", (request) => {
      asked.push(request.commandId ?? "");
      return Promise.reject(new HubError(code, "on purpose"));
    });
    const retry = { attempts: 2, backoff_s: 1 };
    const lost = await scene.make({ device: plain, retry, actions: [{ command: "ir_send", timings: [100, -100] }] });
    executor.deviceReachable(plain);
    await until(async () => (await statusOf(db, lost)) === "failed", { what: "the end of the task" });
    assert.deepEqual(asked, [`${lost.id}.1.0`]);
    assert.equal((await getTask(db, PLATFORM, lost.id)).errorCode, "command_timeout");
    code = "device_error";
    const refused = await scene.make({ device: plain, retry });
    executor.wake(plain);
    await until(async () => (await getTask(db, PLATFORM, refused.id)).notBefore !== null, { what: "its way back" });
    assert.equal(await statusOf(db, refused), "queued");
  });

  test("what a device without envelopes has not been asked for yet is left when the task's time is over", async (db) => {
    await using scene = await openTaskScene(db);
    const plain = await scene.addDevice("Plain", false);
    const asked: string[] = [];
    const task = await scene.make({ device: plain, actions: [{ command: "identify" }, { command: "identify" }] });
    const { executor } = scene.node("a", async ({ commandId = "" }) => {
      asked.push(commandId);
      await db("tasks").where({ id: task.id }).update({ status: "failed" });
      return { commandId, taskId: task.id, status: "ok", latencyMs: 1, state: null };
    });
    executor.deviceReachable(plain);
    await until(() => asked.length === 1, { what: "the first command" });
    await executor[Symbol.asyncDispose]();
    assert.deepEqual(asked, [`${task.id}.1.0`]);
  });

  test("a tree of tasks ends with its root, some at a time", async (db) => {
    await using scene = await openTaskScene(db);
    const root = await scene.make();
    const others = await Promise.all([1, 2, 3].map((number) => scene.addDevice(`Device ${number}`)));
    let parents = [root];
    let count = 0;
    for (const device of others) {
      const children: Task[] = [];
      for (const parent of parents)
        for (let child = 0; child < 4; child++, count++) children.push(await scene.make({ device, dependsOn: [parent.id] }));
      parents = children;
    }
    await scene.cancel(root);
    scene.timers.begin();
    const failed = async (): Promise<number> =>
      Number((await rowsOf<{ n: number }>(db, "select count(*) as n from tasks where status = 'failed'"))[0]?.n);
    await until(async () => (await failed()) === count, { what: "the end of all" });
    assert.equal((await rowsOf(db, "select 1 from timers where kind = 'task'")).length, 0);
    assert.deepEqual(scene.errors, []);
  });

  test("who ends tasks while their timers fire waits for nobody in a ring", async (db) => {
    await using scene = await openTaskScene(db);
    const { device } = scene;
    const tasks: Task[] = [];
    for (let count = 0; count < 120; count++) tasks.push(await scene.make({ device, waitMs: 1 }));
    scene.timers.begin();
    const cancelled = await Promise.allSettled(tasks.toReversed().map((one) => scene.cancel(one)));
    for (const one of cancelled) if (one.status === "rejected") assert.ok(isCode("conflict")(one.reason), String(one.reason));
    const open = async (): Promise<number> => (await rowsOf(db, "select 1 from tasks where status = 'queued'")).length;
    await until(async () => (await open()) === 0, { what: "the end of all" });
    assert.deepEqual(scene.errors, []);
  });

  test("a draft alone is submitted, and a task that no envelope holds is not made", async (db) => {
    await using scene = await openTaskScene(db);
    const { desk, make } = scene;
    const submit = ({ id }: Task): Promise<Task> => inTransaction(db, (trx) => desk.submitDraft(trx, id, SYSTEM));
    const draft = await make({ isDraft: true });
    assert.equal((await submit(draft)).status, "queued");
    for (const status of ["awaiting_confirmation", "queued", "assigned", "running", "failed", "expired"]) {
      await db("tasks").where({ id: draft.id }).update({ status });
      await assert.rejects(submit(draft), isCode("conflict"), status);
    }
    const timings = Array.from({ length: 2_048 }, (_, index) => (index % 2 === 0 ? 9_000 : -9_000));
    const send = { command: "ir_send", timings } as const;
    await assert.rejects(make({ actions: Array.from({ length: 8 }, () => send) }), isCode("payload_too_large"));
    assert.equal((await make({ actions: [send] })).status, "queued");
  });

  if (engine === "sqlite")
    test("so many tasks of one device wait, and no more", async (db) => {
      await using scene = await openTaskScene(db);
      const { device, make } = scene;
      await inTransaction(db, async (trx) => {
        for (let count = 0; count < MOST_OPEN_OF_DEVICE; count++)
          await scene.desk.submit(trx, {
            organizationId: scene.organizationId,
            device,
            name: "One",
            actions: [{ command: "identify" }],
            actor: SYSTEM,
            source: "rest",
          });
      });
      await assert.rejects(make(), isCode("quota_exceeded"));
      assert.equal((await make({ device: await scene.addDevice("Other") })).status, "queued");
    });
});
