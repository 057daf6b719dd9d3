import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestHub } from "../support/hub.ts";
import { until } from "../support/wait.ts";
import { clusterMissing, startPair } from "./cluster-hubs.ts";

const skip = clusterMissing();
const WITHIN_MS = 1_000;
const PATH = "/api/v1/settings/alerts.limit";

async function valueAt({ api }: TestHub): Promise<unknown> {
  return (await api.call("GET", PATH)).body["value"];
}

async function set({ api }: TestHub, value: unknown): Promise<void> {
  const { status, body } = await api.call("PUT", PATH, { value }, { "if-match": "*" });
  assert.equal(status, 200, JSON.stringify(body));
}

test("a setting and a feature flag that change at one node have changed at the other within a second", { skip }, async (t) => {
  await using pair = await startPair();
  const { a, b, ground } = pair;
  assert.equal((await a.api.call("PUT", PATH, { value: 0 })).status, 201);

  await t.test("whichever it is", async () => {
    for (let round = 1; round <= 10; round++) {
      const [one, other] = round % 2 === 0 ? [a, b] : [b, a];
      await set(one, round);
      assert.equal(await valueAt(one), round);
      await until(async () => (await valueAt(other)) === round, { what: `value ${round} at the other node`, timeoutMs: WITHIN_MS });
    }
    const made = await a.api.call<{ id: string }>("POST", "/api/v1/feature-flags", { name: "charts" });
    const isOn = async ({ api }: TestHub) =>
      (await api.call<{ flags: { charts?: { enabled: boolean } } }>("GET", "/api/v1/feature-flags/evaluate")).body.flags.charts?.enabled;
    for (const hub of [a, b]) assert.equal(await isOn(hub), false);
    await b.api.call("PATCH", `/api/v1/feature-flags/${made.body.id}`, { enabled: true }, { "if-match": "*" });
    await until(async () => isOn(a), { what: "the flag at the other node", timeoutMs: WITHIN_MS });
  });

  await t.test("and what one has read from the database, the other has from Redis", async () => {
    const reads = async (level: string): Promise<number> => {
      const text = await (await fetch(new URL("/metrics", b.http))).text();
      return Number(new RegExp(`hexahub_cache_reads_total{cache="settings",level="${level}"} (\\d+)`).exec(text)?.[1] ?? 0);
    };
    await set(a, "through Redis");
    await until(async () => (await valueAt(b)) === "through Redis", { what: "the change", timeoutMs: WITHIN_MS });
    await set(a, "once more");
    assert.equal(await valueAt(a), "once more");
    const before = await reads("shared");
    await until(async () => (await valueAt(b)) === "once more", { what: "the change", timeoutMs: WITHIN_MS });
    assert.equal(await reads("shared"), before + 1);
    const memory = await reads("memory");
    await valueAt(b);
    assert.ok((await reads("memory")) > memory);
  });

  await t.test("also where Redis stands still at the change, as soon as it goes on", async () => {
    process.kill(ground.redis.pid, "SIGSTOP");
    try {
      const since = performance.now();
      await set(a, "meanwhile");
      assert.equal(await valueAt(a), "meanwhile");
      assert.ok(performance.now() - since < 2_000, `${performance.now() - since} ms`);
    } finally {
      process.kill(ground.redis.pid, "SIGCONT");
    }
    await until(async () => (await valueAt(b)) === "meanwhile", { what: "the change at the other node" });
  });
});
