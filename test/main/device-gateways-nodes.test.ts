import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { until } from "../support/wait.ts";
import { clusterMissing, type Pair, startPair } from "./cluster-hubs.ts";
import { deviceUrl, openRelay, openSocket, presenceOf } from "./json-device.ts";
import { polling } from "./polling-device.ts";

const ON = { command: "set_relay", relay: 0, state: "ON", timeout_ms: 15_000 };

describe("devices of the gateways and two nodes", { skip: clusterMissing() }, () => {
  const resources = new AsyncDisposableStack();
  let pair: Pair;
  before(async () => {
    pair = resources.use(await startPair());
  });
  after(() => resources.disposeAsync());

  test("a command of one node reaches a socket of the other", async () => {
    const { a, b } = pair;
    const device = await a.api.addDevice();
    await using relay = await openRelay(b, device);
    assert.equal((await a.api.call("POST", `/api/v1/devices/${device.id}/commands`, ON)).status, 200);
    // The other node has the session now, which ends the first.
    await using moved = await openSocket(deviceUrl(a, device));
    await moved.ask({ type: "heartbeat" });
    assert.equal(await relay.closed, 4_409);
  });

  test("a device polls at one node, then at the other: what it has not answered is given again, and once it is answered nowhere", async () => {
    const { a, b } = pair;
    const added = await a.api.addDevice();
    const [atA, atB] = [polling(a, added), polling(b, added)];
    await atA.poll();
    await until(async () => (await presenceOf(b, added.id)) === "online", {
      what: "the device",
    });
    const sent = b.api.call("POST", `/api/v1/devices/${added.id}/commands`, { ...ON, command_id: "wandering" });
    const isGiven = (one: { command_id?: string }): boolean => one.command_id === "wandering";
    await until(async () => (await atA.poll(2)).some(isGiven), { what: "the command at the first node" });
    await until(async () => (await atB.poll(2)).some(isGiven), { what: "the command at the second node" });
    // Its session is at the second; the answer comes to the first.
    assert.equal(await atA.answer("wandering"), 202);
    assert.equal((await sent).status, 200);
    await until(async () => !(await atB.poll()).some(isGiven), { what: "the second node to hear of the answer" });
    assert.ok(!(await atA.poll()).some(isGiven));
  });

  test("a poll that waits at one node ends with nothing when the device polls at the other", async () => {
    const { a, b } = pair;
    const added = await a.api.addDevice();
    const [atA, atB] = [polling(a, added), polling(b, added)];
    await atA.poll();
    let answer: unknown;
    const waiting = atA.poll(25).then((given) => (answer = given));
    await until(async () => (await atB.poll()).length === 0 && answer, { what: "the waiting poll to end" });
    assert.deepEqual(await waiting, []);
  });

  test("a credential that is revoked at one node ends the socket and the poll at the other within a second", async () => {
    const { a, b } = pair;
    const [first, second] = [await a.api.addDevice(), await a.api.addDevice()];
    await using relay = await openRelay(b, first);
    const device = polling(b, second);
    await device.poll();
    const waiting = device.ask("GET", "/api/v1/commands/pending?wait=25");
    const began = performance.now();
    for (const { id } of [first, second]) assert.equal((await a.api.call("POST", `/api/v1/devices/${id}/revoke`, {})).status, 200);
    assert.equal(await relay.closed, 4_401);
    assert.equal((await waiting).status, 401);
    assert.ok(performance.now() - began < 1_000);
  });
});
