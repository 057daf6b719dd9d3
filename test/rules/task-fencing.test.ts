import assert from "node:assert/strict";
import { PLATFORM } from "../../core/principal.ts";
import { isLatestRoute, noteArrivals } from "../../store/task-routes.ts";
import { listExecutions } from "../../store/task-executions.ts";
import { getTask } from "../../store/tasks.ts";
import { forEachEngine } from "../store/engines.ts";
import { until } from "../support/wait.ts";
import { openTaskScene as openScene, type TaskNode as Node } from "./task-scene.ts";

const ROUNDS = 15;

forEachEngine(({ test }) => {
  test("the later of a device's sessions has the greater number, and one counts alone", async (db) => {
    await using scene = await openScene(db);
    const { id } = scene.device;
    const numbers = await Promise.all(["a", "b", "a", "b"].map(async (node) => (await noteArrivals(db, [id, id], node)).get(id) as number));
    assert.deepEqual(
      numbers.toSorted((x, y) => x - y),
      [1, 2, 3, 4],
    );
    for (const number of numbers) assert.equal(await isLatestRoute(db, id, number), number === 4);
    assert.equal((await noteArrivals(db, ["no such device"], "a")).size, 0);
  });

  test("a node that has not heard that its session is over hands out nothing; the other does", async (db) => {
    await using scene = await openScene(db);
    const { device, make, finish } = scene;
    const [a, b] = [scene.node("a"), scene.node("b")];
    const first = await make();
    a.executor.deviceReachable(device);
    await until(() => a.sent.length === 1, { what: "the first task" });
    // It is with the device when that goes to the other node: there it comes once more, as the same attempt.
    b.executor.deviceReachable(device);
    await until(() => b.sent.length === 1, { what: "the first task once more" });
    assert.deepEqual([a.sent, b.sent], [[`${first.id} 1`], [`${first.id} 1`]]);
    await finish(first);
    const second = await make();
    a.executor.wake(device);
    a.executor.sweep();
    // Everything that it had in its hands is done then.
    await a.executor[Symbol.asyncDispose]();
    assert.equal((await getTask(db, PLATFORM, second.id)).status, "queued");
    b.executor.wake(device);
    await until(() => b.sent.length === 2, { what: "the second task" });
    assert.deepEqual([a.sent.length, b.sent[1]], [1, `${second.id} 1`]);
  });

  test("one node hands a task out while the device comes to the other: it is one attempt, and the other has it, too", async (db) => {
    await using scene = await openScene(db);
    const { device, make, finish } = scene;
    const nodes = [scene.node("a"), scene.node("b")] as const;
    nodes[0].executor.deviceReachable(device);
    for (let round = 0; round < ROUNDS; round++) {
      const [here, there] = [nodes[round % 2], nodes[(round + 1) % 2]] as [Node, Node];
      const task = await make();
      const name = `${task.id} 1`;
      here.executor.wake(device);
      if (round % 3 !== 0) await new Promise((resolve) => setImmediate(resolve));
      there.executor.deviceReachable(device);
      await until(() => there.sent.includes(name), { what: "the task at the node that the device has come to" });
      const executions = await listExecutions(db, task.id);
      assert.deepEqual(
        executions.map(({ attempt }) => attempt),
        [1],
      );
      assert.equal((await getTask(db, PLATFORM, task.id)).sends, 1);
      await finish(task);
    }
    const names = nodes.flatMap(({ sent }) => sent);
    assert.equal(new Set(names).size, ROUNDS, "each is one attempt of one task");
  });

  test("a session that could not be noted is noted when the node looks at what waits", async (db) => {
    await using scene = await openScene(db);
    const { device, make, errors } = scene;
    const { executor, sent } = scene.node("a");
    await db.raw("alter table task_routes rename to task_routes_away");
    const task = await make();
    executor.deviceReachable(device);
    await until(() => errors.length === 1, { what: "the failure" });
    assert.deepEqual(errors, ["a device's session could not be noted"]);
    await db.raw("alter table task_routes_away rename to task_routes");
    executor.sweep();
    await until(() => sent.length === 1, { what: "the task" });
    assert.deepEqual(sent, [`${task.id} 1`]);
  });

  test("what is cancelled while it is handed out is either: and what waits behind it is handed out in any case", async (db) => {
    await using scene = await openScene(db);
    const { device, make, cancel, finish, errors } = scene;
    const { executor, sent } = scene.node("a");
    executor.deviceReachable(device);
    for (let round = 0; round < ROUNDS; round++) {
      const [one, other] = [await make(), await make()];
      executor.wake(device);
      if (round % 2 === 0) await new Promise((resolve) => setImmediate(resolve));
      const isCancelled = await cancel(one).then(
        () => true,
        () => false,
      );
      if (!isCancelled) {
        await until(() => sent.includes(`${one.id} 1`), { what: "the one" });
        await finish(one);
        executor.wake(device);
      }
      await until(() => sent.includes(`${other.id} 1`), { what: "the other" });
      assert.equal(sent.includes(`${one.id} 1`), !isCancelled);
      await finish(other);
    }
    assert.deepEqual(errors, []);
  });
});
