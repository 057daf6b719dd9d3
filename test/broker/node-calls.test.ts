import assert from "node:assert/strict";
import { test } from "node:test";
import { createNodeCalls } from "../../broker/node-calls.ts";
import { openRealBus } from "./real-bus.ts";

/** The calls of three nodes on one bus. */
async function threeNodes() {
  const { bus, log, ...rest } = await openRealBus();
  const failures: object[] = [];
  const context = { bus, log: { ...log, error: (data: object) => void failures.push(data) }, peerCount: () => 2 };
  const [a, b, c] = [createNodeCalls(context), createNodeCalls(context), createNodeCalls(context)];
  return { a, b, c, failures, [Symbol.asyncDispose]: () => rest[Symbol.asyncDispose]() };
}

test("every other node does what is asked, and the answers come back to the one that asks", async () => {
  await using nodes = await threeNodes();
  const { a, b, c } = nodes;
  a.handle("double", () => assert.fail("it asked itself"));
  b.handle("double", async (request) => (request as number) * 2);
  c.handle("double", async (request) => (request as number) * 20);
  const answers = await Promise.all([a.askOthers("double", 1, 5_000), a.askOthers("double", 2, 5_000)]);
  assert.deepEqual(
    answers.map((one) => (one as number[]).toSorted((x, y) => x - y)),
    [
      [2, 20],
      [4, 40],
    ],
  );
});

test("work that fails or is not known is an answer without a value, and the others count", async () => {
  await using nodes = await threeNodes();
  const { a, b, c, failures } = nodes;
  b.handle("work", async () => "done");
  c.handle("work", async () => {
    throw new Error("broken");
  });
  assert.deepEqual(new Set(await a.askOthers("work", {}, 5_000)), new Set(["done", undefined]));
  assert.equal(failures.length, 1);
  assert.deepEqual(await a.askOthers("unheard of", {}, 5_000), [undefined, undefined]);
});

test("a node that does not answer keeps nobody waiting longer than the limit, and a late answer harms nobody", async () => {
  await using nodes = await threeNodes();
  const { a, b, c } = nodes;
  const { promise, resolve } = Promise.withResolvers<string>();
  b.handle("work", async () => "in time");
  c.handle("work", () => promise);
  const from = performance.now();
  assert.deepEqual(await a.askOthers("work", {}, 50), ["in time"]);
  assert.ok(performance.now() - from < 2_000);
  resolve("late");
  c.handle("work", async () => "again");
  assert.deepEqual(new Set(await a.askOthers("work", {}, 5_000)), new Set(["again", "in time"]));
});

test("a node that is alone asks nobody", async () => {
  await using real = await openRealBus();
  using calls = createNodeCalls({ ...real, peerCount: () => 0 });
  assert.deepEqual(await calls.askOthers("work", {}, 60_000), []);
});
