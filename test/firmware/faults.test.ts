import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { mosquittoMissing, type Service, startMosquitto } from "../support/services.ts";
import { until } from "../support/wait.ts";
import { type HubSide, startDevice, startHubSide } from "./hub-side.ts";

describe("the virtual device's faults", { skip: mosquittoMissing() }, () => {
  let broker: Service;
  let hub: HubSide;
  before(async () => {
    broker = await startMosquitto(["set_tcp_nodelay true"]);
    hub = await startHubSide(broker.url);
  });
  after(async () => {
    await hub?.[Symbol.asyncDispose]();
    await broker?.[Symbol.asyncDispose]();
  });

  test("silent does the command and neither acknowledges nor reports it", async () => {
    await using device = await startDevice(broker.url, { faults: { silent: true } });
    const executed = device.next("executed");
    await hub.command(device.uid, { command_id: "s1", command: "set_relay", relay: 0, state: "ON" });
    await executed;
    device.faults = {};
    await hub.command(device.uid, { command_id: "s2", command: "identify" });
    assert.deepEqual(
      (await hub.untilAcks(device.uid, 1)).map((ack) => ack.command_id),
      ["s2"],
    );
    assert.equal(hub.up(device.uid, "state_report").length, 1);
    // It is known by then, so the hub's second try gets the answer and no second effect.
    await hub.command(device.uid, { command_id: "s1", command: "set_relay", relay: 0, state: "ON" });
    await hub.untilAcks(device.uid, 2);
    assert.equal(device.executed.length, 2);
  });

  test("slow acknowledges later, and a repetition meanwhile has no second effect", async () => {
    await using device = await startDevice(broker.url, { faults: { slowMs: 200 } });
    const startedAt = performance.now();
    await hub.command(device.uid, { command_id: "w1", command: "set_relay", relay: 0, state: "TOGGLE" });
    await hub.command(device.uid, { command_id: "w1", command: "set_relay", relay: 0, state: "TOGGLE" });
    assert.deepEqual(await hub.untilAcks(device.uid, 1), [{ command_id: "w1", status: "ok", state: "ON" }]);
    assert.ok(performance.now() - startedAt >= 190);
    assert.equal(device.executed.length, 1);
  });

  test("a liar acknowledges ok and reports the opposite", async () => {
    await using device = await startDevice(broker.url, { faults: { lie: true } });
    await hub.command(device.uid, { command_id: "x1", command: "set_relay", relay: 1, state: "ON" });
    assert.deepEqual(await hub.untilAcks(device.uid, 1), [{ command_id: "x1", status: "ok", state: "ON" }]);
    const reports = await until(() => hub.up(device.uid, "state_report").length === 2 && hub.up(device.uid, "state_report"), {
      what: "the contradicting report",
    });
    assert.deepEqual(reports[1], { relays: [{ index: 1, state: "OFF" }] });
  });

  test("refuse answers with the error and does nothing", async () => {
    await using device = await startDevice(broker.url, { faults: { refuse: "overheated" } });
    await hub.command(device.uid, { command_id: "e1", command: "set_relay", relay: 0, state: "ON" });
    assert.deepEqual(await hub.untilAcks(device.uid, 1), [{ command_id: "e1", status: "error", error: "overheated" }]);
    assert.equal(device.executed.length, 0);
    assert.equal(device.state.relays[0]?.state, "OFF");
  });

  test("doubleAck sends every acknowledgement twice", async () => {
    await using device = await startDevice(broker.url, { faults: { doubleAck: true } });
    await hub.command(device.uid, { command_id: "d1", command: "identify" });
    const acks = await hub.untilAcks(device.uid, 2);
    assert.deepEqual(acks[0], acks[1]);
    assert.equal(device.executed.length, 1);
  });

  test("flap loses the connection again and again, and no command is lost or done twice", async () => {
    await using device = await startDevice(broker.url);
    device.faults = { flap: { everyMs: 60 } };
    const ids = Array.from({ length: 40 }, (_, index) => `flap-${index}`);
    for (const [sent, command_id] of ids.entries()) {
      await hub.command(device.uid, { command_id, command: "set_relay", relay: 0, state: "TOGGLE" });
      await until(() => device.executed.length > sent, { what: `the effect of ${command_id}` });
    }
    await until(() => hub.availability(device.uid).filter((text) => text === "offline").length >= 2, { what: "two wills" });
    device.faults = {};
    assert.deepEqual(
      device.executed.map((one) => one.commandId),
      ids,
    );
  });

  test("restart acknowledges, goes away without a word and comes back", async () => {
    await using device = await startDevice(broker.url);
    await hub.command(device.uid, { command_id: "z1", command: "restart" });
    await hub.untilAcks(device.uid, 1);
    await until(() => hub.availability(device.uid).length === 3, { what: "offline and online" });
    assert.deepEqual(hub.availability(device.uid), ["online", "offline", "online"]);
    assert.equal(device.executed.length, 1);
  });
});
