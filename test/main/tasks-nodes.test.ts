import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { inspect } from "node:util";
import { createClient } from "@redis/client";
import pg from "pg";
import type { Log } from "../../core/bus.ts";
import { startHub, spawnHub, type TestHub } from "../support/hub.ts";
import { startRedis } from "../support/services.ts";
import { temporaryFolder, until } from "../support/wait.ts";
import { acquaint, clusterMissing, type Ground, type Pair, startGround, startPair } from "./cluster-hubs.ts";
import { createAt, showAt, untilAt, wanderAt } from "./task-nodes-scene.ts";

const skip = clusterMissing();
/** Well below the look at everything that waits, every ten seconds. */
const AT_ONCE_MS = 2_000;

describe("tasks of two nodes", { skip }, () => {
  const resources = new AsyncDisposableStack();
  let pair: Pair;
  const errors: string[] = [];
  before(async () => {
    const log: Log = { debug() {}, info() {}, warn() {}, error: (data, message) => void errors.push(`${message} ${inspect(data)}`) };
    pair = resources.use(await startPair({ log }));
  });
  after(() => resources.disposeAsync());

  for (const knowsTasks of [true, false])
    test(`a task of one node is done at once and once by a device at the other that ${knowsTasks ? "knows" : "does not know"} tasks`, async () => {
      const { a, b } = pair;
      await using wanderer = await wanderAt(a, { knowsTasks });
      // The longest of several: any of them could fall just before a look at everything.
      for (let round = 0; round < 5; round++) {
        const from = performance.now();
        const { id } = await createAt(b, wanderer.uid);
        await untilAt(b, id, "completed");
        assert.ok(performance.now() - from < AT_ONCE_MS, `${performance.now() - from} ms`);
        assert.equal(wanderer.device.executed.length, round + 1);
      }
    });

  test("what is approved at one node is done at once by the device at the other", async () => {
    const { a, b } = pair;
    await using wanderer = await wanderAt(a, { isCritical: true });
    const { id, status } = await createAt(a, wanderer.uid);
    assert.equal(status, "awaiting_confirmation");
    const from = performance.now();
    assert.equal((await b.api.call("POST", `/api/v1/tasks/${id}/approve`, {})).status, 200);
    await untilAt(a, id, "completed");
    assert.ok(performance.now() - from < AT_ONCE_MS, `${performance.now() - from} ms`);
    assert.equal(wanderer.device.taskRuns(id), 1);
  });

  test("that a task waits is said in Redis, and whoever says so there makes the device's node look", async () => {
    const { a, b, ground } = pair;
    await using wanderer = await wanderAt(a);
    await using redis = await plainRedis(ground);
    const channel = `deliver:task:${wanderer.id}`;
    const heard: string[] = [];
    await redis.listener.subscribe(channel, (text) => heard.push(text));
    const { id } = await createAt(b, wanderer.uid);
    await untilAt(b, id, "completed");
    await until(() => heard.length > 0, { what: "the message in Redis" });
    assert.equal((JSON.parse(heard[0] as string) as { uid: string }).uid, wanderer.uid);

    const from = performance.now();
    const held = await taskThatNobodyTells(ground, { a, uid: wanderer.uid });
    for (const text of ["", "{", "null", "[]", '{"uid":7}']) await redis.speaker.publish(channel, text);
    await redis.speaker.publish(channel, JSON.stringify({ uid: wanderer.uid }));
    await untilAt(a, held, "completed");
    assert.ok(performance.now() - from < AT_ONCE_MS, `${performance.now() - from} ms`);
    assert.equal(wanderer.device.taskRuns(held), 1);
  });

  for (const knowsTasks of [true, false])
    test(`a device that ${knowsTasks ? "knows" : "does not know"} tasks goes to the other node and back while they come: each is done once, in their order`, async () => {
      const { a, b } = pair;
      await using wanderer = await wanderAt(a, { knowsTasks, faults: { slowMs: 30 } });
      const ids: string[] = [];
      const moving = (async () => {
        for (const hub of [b, a, b, a]) {
          await until(() => wanderer.device.executed.length >= ids.length / 2, { what: "some of them" });
          await wanderer.moveTo(hub);
        }
      })();
      for (let index = 0; index < 24; index++) {
        const hub = index % 2 === 0 ? a : b;
        ids.push((await createAt(hub, wanderer.uid, { actions: [{ command: "set_relay", relay: index % 4, state: "ON" }] })).id);
      }
      await moving;
      for (const id of ids) await untilAt(a, id, "completed", 30_000);
      assert.deepEqual(
        wanderer.device.executed.map(({ commandId }) => commandId),
        ids.map((id) => `${id}.1.0`),
      );
      assert.deepEqual(errors, []);
    });
});

// One after the other: each has a database and a Redis of its own.
describe("tasks of a node that dies, and without Redis", { skip }, () => {
  for (const knowsTasks of [true, false])
    test(`kill -9 of the node while a slow device that ${knowsTasks ? "knows" : "does not know"} tasks has one: it gets it at the other, and does it once`, {
      timeout: 90_000,
    }, async () => {
      await using stack = new AsyncDisposableStack();
      const ground = stack.use(await startGround());
      const shared = { databaseUrl: ground.databaseUrl, redisUrl: ground.redisUrl, env: { HEXA_COMMAND_TIMEOUT_MS: "20000" } };
      const b = stack.use(await startHub(shared));
      const a = stack.use(await spawnHub({ ...shared, dataDir: stack.use(temporaryFolder()).path }));
      await Promise.all([a.api.login(), b.api.login()]);
      await acquaint(a, b);
      const wanderer = stack.use(await wanderAt(a, { knowsTasks, faults: { slowMs: 1_500 } }));
      const { device, uid } = wanderer;
      const { id } = await createAt(a, uid);
      const next = await createAt(a, uid);
      await until(() => device.executed.length === 1, { what: "the device to have the task" });
      await a.kill9();
      let given = 0;
      device.events.on(knowsTasks ? "task" : "command", () => given++);
      device.faults = {};
      await wanderer.moveTo(b);
      const back = performance.now();
      await until(() => given > 0, { what: "the task at the other node", timeoutMs: 5_000 });
      await untilAt(b, id, "completed");
      await untilAt(b, next.id, "completed");
      assert.ok(performance.now() - back < 5_000, `${performance.now() - back} ms`);
      assert.deepEqual(
        device.executed.map(({ commandId }) => commandId),
        [`${id}.1.0`, `${next.id}.1.0`],
      );
      if (knowsTasks) assert.deepEqual([device.taskRuns(id), device.taskRuns(next.id)], [1, 1]);
    });

  /** How Redis goes, and what brings it back. */
  const OUTAGES = [
    {
      how: "ended and started anew",
      forMs: 0,
      async begin({ redis }: Ground, stack: AsyncDisposableStack) {
        await redis[Symbol.asyncDispose]();
        return async () => void stack.use(await startRedis([], redis.port));
      },
    },
    {
      how: "stopped for 30 s",
      forMs: 30_000,
      async begin({ redis }: Ground) {
        process.kill(redis.pid, "SIGSTOP");
        return async () => void process.kill(redis.pid, "SIGCONT");
      },
    },
  ] as const;
  for (const outage of OUTAGES)
    test(`Redis is ${outage.how}: each node serves its own devices meanwhile, and what the other was asked for is done soon after`, {
      timeout: 120_000,
    }, async (context) => {
      await using stack = new AsyncDisposableStack();
      const { ground, a, b } = stack.use(await startPair());
      const atA = stack.use(await wanderAt(a));
      const atB = stack.use(await wanderAt(b));
      const end = await outage.begin(ground, stack);
      const began = performance.now();
      const crossing = [await createAt(b, atA.uid), await createAt(a, atB.uid)];
      const own: number[] = [];
      const serve = async (hub: TestHub, uid: string): Promise<void> => {
        do {
          const from = performance.now();
          await untilAt(hub, (await createAt(hub, uid)).id, "completed");
          own.push(performance.now() - from);
        } while (performance.now() - began < outage.forMs);
      };
      await Promise.all([serve(a, atA.uid), serve(b, atB.uid)]);
      context.diagnostic(`${own.length} tasks of own devices, the longest ${Math.round(Math.max(...own))} ms`);
      assert.ok(Math.max(...own) < AT_ONCE_MS, `${Math.max(...own)} ms`);
      await end();
      for (const { id } of crossing) await untilAt(a, id, "completed");
      // As before: the signals are heard again.
      await until(
        async () => {
          const from = performance.now();
          await untilAt(b, (await createAt(b, atA.uid)).id, "completed");
          return performance.now() - from < AT_ONCE_MS;
        },
        { what: "a task across that is done at once", timeoutMs: 40_000 },
      );
      for (const { device } of [atA, atB]) {
        const done = device.executed.map(({ commandId }) => commandId);
        assert.equal(new Set(done).size, done.length);
      }
    });
});

async function plainRedis({ redisUrl }: Ground) {
  const speaker = createClient({ url: redisUrl });
  const listener = speaker.duplicate();
  await Promise.all([speaker.connect(), listener.connect()]);
  return {
    speaker,
    listener,
    async [Symbol.asyncDispose]() {
      speaker.destroy();
      listener.destroy();
    },
  };
}

/** One that came into the queue past every node, as if what was said of it had been lost. */
async function taskThatNobodyTells({ databaseUrl }: Ground, { a, uid }: { readonly a: TestHub; readonly uid: string }): Promise<string> {
  const { id } = await createAt(a, uid, { draft: true });
  const db = new pg.Client({ connectionString: databaseUrl });
  await db.connect();
  await db.query("update tasks set status = 'queued', queued_at = created_at where id = $1", [id]);
  await db.end();
  assert.equal((await showAt(a, id)).status, "queued");
  return id;
}
