import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import mqtt from "mqtt";
import type { VirtualDevice } from "../../firmware/virtual/device.ts";
import { mosquittoMissing, type Service, startMosquitto } from "../support/services.ts";
import { until } from "../support/wait.ts";
import { type HubSide, startDevice, startHubSide } from "./hub-side.ts";

describe("the virtual device on a foreign broker", { skip: mosquittoMissing() }, () => {
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

  const relayOf = (device: VirtualDevice, index: number): string | undefined => device.state.relays[index]?.state;

  for (const protocolVersion of [4, 5] as const) {
    test(`says online, registers its capabilities and reports its outputs on protocol ${protocolVersion}`, async () => {
      await using device = await startDevice(broker.url, { protocolVersion, model: "Bench" });
      assert.equal(device.connected, true);
      assert.equal(device.registered?.uid, device.uid);
      const [register] = hub.up(device.uid, "register");
      assert.deepEqual(register, { capabilities: device.capabilities, firmware_version: "virtual-1.0.0", model: "Bench" });
      const [report] = await until(() => hub.up(device.uid, "state_report").length === 1 && hub.up(device.uid, "state_report"), {
        what: "the first state report",
      });
      assert.deepEqual(
        report?.relays,
        [0, 1, 2, 3].map((index) => ({ index, state: "OFF" })),
      );
      assert.deepEqual(report?.lights, [{ index: 0, state: "OFF", brightness: 100 }]);
      assert.deepEqual(hub.availability(device.uid), ["online"]);
    });

    test(`gets the commands of its absence once at the next connect on protocol ${protocolVersion}`, async () => {
      await using device = await startDevice(broker.url, { protocolVersion });
      await device.disconnect();
      await hub.command(device.uid, { command_id: "while-away", command: "set_relay", relay: 1, state: "ON" });
      const executed = device.next("executed");
      await device.reconnect();
      await executed;
      assert.equal(relayOf(device, 1), "ON");
      assert.deepEqual(
        device.executed.map((one) => one.commandId),
        ["while-away"],
      );
    });
  }

  test("acknowledges a command with its state, and reports the output afterwards", async () => {
    await using device = await startDevice(broker.url);
    await hub.command(device.uid, { command_id: "a1", command: "set_relay", relay: 2, state: "ON" });
    assert.deepEqual(await hub.untilAcks(device.uid, 1), [{ command_id: "a1", status: "ok", state: "ON" }]);
    const reports = await until(() => hub.up(device.uid, "state_report").length === 2 && hub.up(device.uid, "state_report"), {
      what: "the report after the command",
    });
    assert.deepEqual(reports[1], { relays: [{ index: 2, state: "ON" }] });
    const order = hub.heard.filter(({ topic }) => topic.startsWith(`hexa/${device.uid}/up/`)).map(({ topic }) => topic.split("/")[3]);
    assert.deepEqual(order, ["register", "state_report", "ack", "state_report"]);
  });

  test("reports after a command what somebody has switched in between, not what the command did", async () => {
    await using device = await startDevice(broker.url, { faults: { slowMs: 50 } });
    const executed = device.next("executed");
    await hub.command(device.uid, { command_id: "b1", command: "set_relay", relay: 1, state: "ON" });
    await executed;
    await device.setRelayLocally(1, "OFF");
    const relays = [{ index: 1, state: "OFF" }];
    const reports = () => hub.up(device.uid, "state_report").slice(1);
    assert.deepEqual(await hub.untilAcks(device.uid, 1), [{ command_id: "b1", status: "ok", state: "ON" }]);
    await until(() => reports().length === 2, { what: "the report after the command" });
    assert.deepEqual(reports(), [{ relays }, { relays }]);
  });

  test("switches a light with brightness, and all relays at once", async () => {
    await using device = await startDevice(broker.url);
    await hub.command(device.uid, { command_id: "l1", command: "set_light", light: 0, brightness: 40, color_temp: 2700 });
    await hub.command(device.uid, { command_id: "r1", command: "set_all_relays", state: "ON" });
    const [light, relays] = await hub.untilAcks(device.uid, 2);
    assert.deepEqual(light?.state, { relays: [], lights: [{ index: 0, state: "ON", brightness: 40, color_temp: 2700 }] });
    assert.deepEqual(relays?.state, { relays: [0, 1, 2, 3].map((index) => ({ index, state: "ON" })), lights: [] });
    assert.deepEqual(device.state.lights, [{ index: 0, state: "ON", brightness: 40, color_temp: 2700 }]);
  });

  test("leaves a light off whose colour alone is set", async () => {
    await using device = await startDevice(broker.url);
    await hub.command(device.uid, { command_id: "c1", command: "set_light", light: 0, color_temp: 4000 });
    await hub.untilAcks(device.uid, 1);
    assert.deepEqual(device.state.lights, [{ index: 0, state: "OFF", brightness: 100, color_temp: 4000 }]);
  });

  test("counts infrared frames with their repetitions", async () => {
    await using device = await startDevice(broker.url);
    await hub.command(device.uid, {
      command_id: "i1",
      command: "ir_send",
      timings: [9000, -4500, 560, -560],
      carrier_hz: 38_000,
      repeat: 2,
    });
    await hub.untilAcks(device.uid, 1);
    assert.equal(device.irSent, 3);
  });

  test("does a repeated command id once and answers it again with the same answer", async () => {
    await using device = await startDevice(broker.url);
    for (let sent = 0; sent < 3; sent++)
      await hub.command(device.uid, { command_id: "t1", command: "set_relay", relay: 0, state: "TOGGLE" });
    const acks = await hub.untilAcks(device.uid, 3);
    assert.deepEqual(
      acks,
      [0, 1, 2].map(() => ({ command_id: "t1", status: "ok", state: "ON" })),
    );
    assert.equal(device.executed.length, 1);
    assert.equal(relayOf(device, 0), "ON");
  });

  test("remembers command ids over a power cycle", async () => {
    await using device = await startDevice(broker.url);
    await hub.command(device.uid, { command_id: "p1", command: "set_relay", relay: 0, state: "TOGGLE" });
    await hub.untilAcks(device.uid, 1);
    await device.kill();
    await hub.command(device.uid, { command_id: "p1", command: "set_relay", relay: 0, state: "TOGGLE" });
    await device.reconnect();
    await hub.untilAcks(device.uid, 2);
    assert.equal(device.executed.length, 1);
    assert.equal(relayOf(device, 0), "ON");
  });

  test("remembers the last 256 command ids and forgets older ones", async () => {
    await using device = await startDevice(broker.url);
    const ids = Array.from({ length: 257 }, (_, index) => `m${index}`);
    for (const command_id of ids) await hub.command(device.uid, { command_id, command: "identify" });
    await hub.untilAcks(device.uid, 257);
    await hub.command(device.uid, { command_id: "m1", command: "identify" });
    await hub.untilAcks(device.uid, 258);
    assert.equal(device.executed.length, 257);
    await hub.command(device.uid, { command_id: "m0", command: "identify" });
    await hub.untilAcks(device.uid, 259);
    assert.equal(device.executed.length, 258);
  });

  test("lets a command pass whose time is over", async () => {
    await using device = await startDevice(broker.url);
    await hub.command(device.uid, {
      command_id: "old",
      command: "set_relay",
      relay: 0,
      state: "ON",
      expires_at: new Date(Date.now() - 1).toISOString(),
    });
    await hub.command(device.uid, { command_id: "new", command: "identify" });
    assert.deepEqual(
      (await hub.untilAcks(device.uid, 1)).map((ack) => ack.command_id),
      ["new"],
    );
    assert.equal(relayOf(device, 0), "OFF");
    assert.equal(device.expired, 1);
  });

  const impossible: [string, Record<string, unknown> & { command: string }, RegExp][] = [
    ["it does not know", { command: "fly" }, /unsupported_command/],
    ["for a relay it lacks", { command: "set_relay", relay: 9, state: "ON" }, /unsupported_command/],
    ["with a field missing", { command: "set_relay", relay: 0 }, /validation_error/],
  ];
  for (const [what, fields, reason] of impossible) {
    test(`answers a command ${what} with an error`, async () => {
      await using device = await startDevice(broker.url);
      await hub.command(device.uid, { command_id: "bad", ...fields });
      const [ack] = await hub.untilAcks(device.uid, 1);
      assert.equal(ack?.status, "error");
      assert.match(ack?.error ?? "", reason);
      assert.equal(device.executed.length, 0);
    });
  }

  test("leaves fields aside that a newer hub adds", async () => {
    await using device = await startDevice(broker.url);
    await hub.command(device.uid, { command_id: "f1", command: "set_relay", relay: 0, state: "ON", invented_later: true });
    assert.equal((await hub.untilAcks(device.uid, 1))[0]?.status, "ok");
  });

  test("survives payloads that are not JSON", async () => {
    await using device = await startDevice(broker.url);
    await using other = await startDevice(broker.url);
    await other.publish(`hexa/${device.uid}/down/command`, "{", { qos: 1 });
    await hub.command(device.uid, { command_id: "after", command: "identify" });
    assert.equal((await hub.untilAcks(device.uid, 1))[0]?.command_id, "after");
  });

  test("reports a switch that somebody pressed, a click and a reading", async () => {
    await using device = await startDevice(broker.url);
    await device.setRelayLocally(3, "ON");
    await device.press(1);
    await device.sendTelemetry({ temperature: 21.5 }, 1_700_000_000_000);
    await until(() => hub.up(device.uid, "telemetry").length === 1, { what: "the reading" });
    assert.deepEqual(hub.up(device.uid, "state_report")[1], { relays: [{ index: 3, state: "ON" }] });
    assert.deepEqual(hub.up(device.uid, "input_event"), [{ input: 1, event: "click" }]);
    assert.deepEqual(hub.up(device.uid, "telemetry"), [{ ts: 1_700_000_000_000, values: { temperature: 21.5 } }]);
  });

  test("sends heartbeats and its own readings at their intervals", async () => {
    await using device = await startDevice(broker.url, {
      heartbeatMs: 20,
      behaviour: { everyMs: 20, sample: (now, state) => ({ at: now, relays: state.relays.length }) },
    });
    await until(() => hub.up(device.uid, "heartbeat").length >= 2 && hub.up(device.uid, "telemetry").length >= 2, {
      what: "two heartbeats and two readings",
    });
    assert.equal(typeof hub.up(device.uid, "heartbeat")[0]?.uptime_s, "number");
    assert.partialDeepStrictEqual(hub.up(device.uid, "telemetry")[0], { values: { relays: 4 } });
  });

  test("keeps the retained configuration and the errors it is told", async () => {
    await hub.down("configured-1", "config", { power_restore: "last" }, true);
    await using device = await startDevice(broker.url, { uid: "configured-1" });
    await until(() => device.config, { what: "the retained configuration" });
    assert.deepEqual(device.config, { power_restore: "last" });
    const refused = device.next("refused");
    await hub.down(device.uid, "error", { code: "validation_error", message: "no", topic: "hexa/x/up/log", details: null });
    assert.equal((await refused).code, "validation_error");
    assert.deepEqual(
      device.errors.map((error) => error.code),
      ["validation_error"],
    );
  });

  test("leaves its will when it is killed, and is online again after reconnecting", async () => {
    await using device = await startDevice(broker.url);
    await device.kill();
    await until(() => hub.availability(device.uid).length === 2, { what: "the will" });
    await device.reconnect();
    await until(() => hub.availability(device.uid).length === 3, { what: "the new online" });
    assert.deepEqual(hub.availability(device.uid), ["online", "offline", "online"]);
    await using late = await mqtt
      .connectAsync(broker.url)
      .then((client) => Object.assign(client, { [Symbol.asyncDispose]: () => client.endAsync(true) }));
    const retained = new Promise<string>((resolve) => late.once("message", (_topic, payload) => resolve(payload.toString())));
    await late.subscribeAsync(`hexa/${device.uid}/availability`, { qos: 1 });
    assert.equal(await retained, "online");
  });

  test("says offline before it disconnects in order", async () => {
    const device = await startDevice(broker.url);
    await device[Symbol.asyncDispose]();
    await until(() => hub.availability(device.uid).length === 2, { what: "the offline" });
    assert.deepEqual(hub.availability(device.uid), ["online", "offline"]);
    await assert.rejects(device.sendTelemetry({ temperature: 1 }), /not connected/);
  });

  test("rejects what was being sent when the connection is cut", async () => {
    await using device = await startDevice(broker.url);
    const sent = device.sendTelemetry({ temperature: 1 });
    const cut = device.kill();
    await assert.rejects(sent, /lost its connection/);
    await cut;
    assert.equal(device.connected, false);
  });
});

test("a device rejects its start where there is no hub", async () => {
  await assert.rejects(startDevice("mqtt://127.0.0.1:1"), /ECONNREFUSED|closed/);
});
