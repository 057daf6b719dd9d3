import assert from "node:assert/strict";
import { test } from "node:test";
import { until } from "../support/wait.ts";
import { clusterMissing, relayAt, startPair } from "./cluster-hubs.ts";

const skip = clusterMissing();
const ON = { command: "set_relay", relay: 0, state: "ON" };

test("commands from either node reach a device at one of them, and both tell what became of them", { skip }, async (t) => {
  await using pair = await startPair();
  const { a, b } = pair;
  const account = await a.api.addDevice();
  const path = `/api/v1/devices/${account.uid}/commands`;

  await t.test("a device that is nowhere is offline for both", async () => {
    for (const hub of [a, b]) assert.equal((await hub.api.call("POST", path, ON)).body["code"], "device_offline");
  });

  await t.test("a command that waits is sent by the node at which the device appears", async () => {
    const { status, body } = await a.api.call("POST", path, { ...ON, relay: 3, queue_for_s: 60 });
    assert.deepEqual([status, body["status"]], [202, "queued"]);
    await using device = await relayAt(b, account);
    await until(() => device.executed.some(({ commandId }) => commandId === body["command_id"]), { what: "the command that waited" });
  });

  await using device = await relayAt(b, account);
  await until(async () => (await a.api.call("POST", path, ON)).status === 200, { what: "the other node to know where the device is" });

  await t.test("the acknowledgement that another node commits is answered as quickly as the own", async () => {
    const medianMs = async (hub: typeof a): Promise<number> => {
      const times: number[] = [];
      for (let round = 0; round < 15; round++) {
        const from = performance.now();
        const { status, body } = await hub.api.call("POST", path, { ...ON, state: round % 2 ? "ON" : "OFF" });
        times.push(performance.now() - from);
        assert.deepEqual([status, body["status"], body["state"]], [200, "ok", round % 2 ? "ON" : "OFF"]);
      }
      return times.toSorted((x, y) => x - y)[7] as number;
    };
    const [far, near] = [await medianMs(a), await medianMs(b)];
    t.diagnostic(`median of a command: ${far.toFixed(1)} ms from the other node, ${near.toFixed(1)} ms from the device's own`);
    assert.ok(far < near + 100, `${far} ms and ${near} ms`);
  });

  await t.test("TOGGLE counts from what the other node has done", async () => {
    const states: unknown[] = [];
    for (const hub of [a, b, a, b, b, a])
      states.push((await hub.api.call("POST", path, { ...ON, relay: 1, state: "TOGGLE" })).body["state"]);
    assert.deepEqual(states, ["ON", "OFF", "ON", "OFF", "ON", "OFF"]);
  });

  await t.test("the same command id at both nodes is one effect and one answer", async () => {
    device.faults = { slowMs: 200 };
    const request = { ...ON, command_id: "twice" };
    const answers = await Promise.all([a, b, a, b].map((hub) => hub.api.call("POST", path, request)));
    device.faults = {};
    assert.deepEqual(
      answers.map(({ status, body }) => [status, body["status"], body["latency_ms"]]),
      answers.map(() => [200, "ok", answers[0]?.body["latency_ms"]]),
    );
    assert.equal(device.executed.filter(({ commandId }) => commandId === "twice").length, 1);
  });

  await t.test("an acknowledgement that races the time limit of another node has one outcome for everybody", async () => {
    for (let round = 0; round < 12; round++) {
      device.faults = { slowMs: 100 };
      const id = `race-${round}`;
      const { status } = await a.api.call("POST", path, { ...ON, command_id: id, timeout_ms: 100 + (round % 4) * 3 });
      device.faults = {};
      const again = await b.api.call("POST", path, { ...ON, command_id: id });
      assert.equal(again.status, status, `round ${round}`);
      const { body } = await b.api.call<{ data: { id: string; status: string }[] }>("GET", `${path}?limit=50`);
      const row = body.data.find((one) => one.id === id);
      assert.equal(row?.status, status === 200 ? "ok" : "timeout");
    }
  });

  await t.test("whoever waits at one node is told at once when the device is released at the other", async () => {
    device.faults = { silent: true };
    const waiting = a.api.call("POST", path, { ...ON, command_id: "released", timeout_ms: 30_000 });
    const isSent = async (): Promise<boolean> => {
      const { body } = await b.api.call<{ data: { id: string }[] }>("GET", `${path}?limit=5`);
      return body.data.some(({ id }) => id === "released");
    };
    await until(isSent, { what: "the command to be sent" });
    const from = performance.now();
    assert.equal((await b.api.call("POST", `/api/v1/devices/${account.uid}/release`)).status, 200);
    assert.equal((await waiting).body["code"], "device_not_claimed");
    assert.ok(performance.now() - from < 3_000);
  });
});
