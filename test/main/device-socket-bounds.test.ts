import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, describe, test } from "node:test";
import WebSocket from "ws";
import type { Log } from "../../core/bus.ts";
import { startHub, type TestHub } from "../support/hub.ts";
import { until } from "../support/wait.ts";
import { person } from "./cluster-hubs.ts";
import { deviceUrl, openRelay, openSocket } from "./json-device.ts";

const MAX_BYTES = 16_384;
const RATE = 50;

type Device = Awaited<ReturnType<TestHub["api"]["addDevice"]>>;

/** Keeps every line as it would be written. */
function listen(lines: string[]): Log {
  const write = (data: object, message: string): void => {
    lines.push(
      `${message} ${JSON.stringify(data, (_key, value: unknown) => (value instanceof Error ? `${value.message} ${value.stack}` : value))}`,
    );
  };
  return { debug: write, info: write, warn: write, error: write };
}

describe("the socket of a device", () => {
  const resources = new AsyncDisposableStack();
  const lines: string[] = [];
  let hub: TestHub;
  let device: Device;
  before(async () => {
    const env = {
      HEXA_MAX_PACKET_BYTES: String(MAX_BYTES),
      HEXA_MQTT_PUBLISH_RATE: String(RATE),
      HEXA_MQTT_PUBLISH_BURST: String(RATE),
      HEXA_MQTT_KEEPALIVE_MAX_S: "10",
    };
    hub = resources.use(await startHub({ env, log: listen(lines) }));
    await hub.api.login();
    device = await hub.api.addDevice();
  });
  after(() => resources.disposeAsync());

  const wsUrl = (path: string): string => `${hub.http.replace(/^http/, "ws")}${path}`;

  test("is let in by a token in the query, in a header, and as a subprotocol that is not told back", async () => {
    const bare = wsUrl(`/ws/device?uid=${device.uid}`);
    const protocols = ["hexahub.device", `bearer.${device.token}`];
    const ways = [
      () => openSocket(deviceUrl(hub, device)),
      () => openSocket(bare, [], { headers: { authorization: `Bearer ${device.token}` } }),
      () => openSocket(bare, protocols),
    ];
    for (const open of ways) {
      await using one = await open();
      assert.equal((await one.ask({ type: "heartbeat" })).type, "ok");
      assert.ok(["", "hexahub.device"].includes(one.socket.protocol), one.socket.protocol);
    }
  });

  test("is closed with 4401 for whoever is no device", async () => {
    const { body } = await hub.api.call<{ token: string }>("POST", "/api/v1/access-tokens", { kind: "service", name: "panel-one" });
    const wrong = [
      wsUrl("/ws/device"),
      wsUrl(`/ws/device?uid=${device.uid}`),
      wsUrl(`/ws/device?uid=${device.uid}&token=wrong`),
      wsUrl(`/ws/device?uid=constructor&token=${device.token}`),
      wsUrl(`/ws/device?uid=%00&token=%ff`),
      wsUrl(`/ws/device?uid=${device.uid}&token=${"x".repeat(5_000)}`),
      // An account of a machine, whose name looks like a uid, may do so over MQTT.
      wsUrl(`/ws/device?uid=panel-one&token=${body.token}`),
    ];
    for (const url of wrong) {
      await using one = await openSocket(url);
      assert.equal(await one.closed, 4_401, url);
      assert.deepEqual(one.heard, []);
    }
  });

  test("is not opened for pages of other origins, whatever they have", async () => {
    const socket = new WebSocket(deviceUrl(hub, device), { headers: { origin: "https://elsewhere.example", cookie: "session_token=x" } });
    socket.on("error", () => undefined);
    const [, response] = (await once(socket, "unexpected-response")) as [unknown, { statusCode: number; resume(): void }];
    response.resume();
    assert.equal(response.statusCode, 403);
  });

  test("is closed with 4400 for what is no message, and says why", async () => {
    const deep = `{"type":"log","x":${"[".repeat(8_000)}${"]".repeat(8_000)}}`;
    for (const text of [
      "",
      "{",
      "null",
      "[]",
      "7",
      '"x"',
      "{}",
      '{"type":7}',
      '{"type":"Up/../x"}',
      '{"type":"log","id":{}}',
      "\0",
      deep,
    ]) {
      await using one = await openSocket(deviceUrl(hub, device));
      one.say(text);
      assert.equal(await one.closed, 4_400, text);
      const [error] = one.heard.filter(({ type }) => type === "error");
      assert.match(String(error?.["code"]), /^(bad_json|validation_error)$/, text);
    }
  });

  test("is closed with 1003 for a binary message and with 1009 for one that is too large", async () => {
    await using binary = await openSocket(deviceUrl(hub, device));
    binary.socket.send(Buffer.from('{"type":"heartbeat"}'));
    assert.equal(await binary.closed, 1_003);
    await using large = await openSocket(deviceUrl(hub, device));
    large.socket.send(JSON.stringify({ type: "log", level: "info", message: "x".repeat(MAX_BYTES * 2) }));
    assert.equal(await large.closed, 1_009);
  });

  test("answers a message that the hub does not take with its error, and goes on", async () => {
    await using one = await openSocket(deviceUrl(hub, device));
    const answers = [
      await one.ask({ type: "telemetry", values: {} }),
      await one.ask({ type: "telemetry", values: { t: 1 }, ts: Date.now() + 86_400_000 }),
      await one.ask({ type: "no_such_type" }),
      await one.ask({ type: "telemetry", values: { t: 1 } }),
    ];
    assert.deepEqual(
      answers.map(({ type, code }) => code ?? type),
      ["validation_error", "clock_out_of_range", "topic_unknown", "ok"],
    );
  });

  test("is read no faster than a device with MQTT may send, and loses nothing", async () => {
    await using one = await openSocket(deviceUrl(hub, device));
    await one.ask({ type: "heartbeat" });
    const began = performance.now();
    const count = RATE * 4;
    for (let id = 1_000; id < 1_000 + count; id++) one.say({ type: "heartbeat", id });
    await until(() => one.heard.filter(({ type, id }) => type === "ok" && Number(id) >= 1_000).length === count, { what: "all answers" });
    assert.ok(performance.now() - began > 2_000, `${performance.now() - began} ms`);
    assert.deepEqual(
      one.heard.filter(({ type, id }) => type === "ok" && Number(id) >= 1_000).map(({ id }) => id),
      Array.from({ length: count }, (_one, index) => 1_000 + index),
    );
  });

  test("is closed with 4408 when the device says nothing, and not while it does", async () => {
    await using silent = await openSocket(deviceUrl(hub, await hub.api.addDevice()));
    await using lively = await openSocket(deviceUrl(hub, device));
    const beating = setInterval(() => lively.say({ type: "heartbeat" }), 200);
    assert.equal(await silent.closed, 4_408);
    clearInterval(beating);
    assert.equal((await lively.ask({ type: "heartbeat" })).type, "ok");
  });

  test("acknowledges what was sent by `received`, so that it does not come again", async () => {
    const relay = await hub.api.addDevice();
    const first = await openSocket(deviceUrl(hub, relay));
    await first.ask({ type: "register", capabilities: { relays: 2 } });
    const command = { command: "set_relay", relay: 0, state: "ON", command_id: "received", timeout_ms: 4_000 };
    const sent = hub.api.call("POST", `/api/v1/devices/${relay.id}/commands`, command);
    await first.untilHeard(({ type }) => type === "command", "the command");
    first.say({ type: "received", id: "received" });
    await first.ask({ type: "heartbeat" });
    first.socket.terminate();
    await first.closed;
    await using second = await openSocket(deviceUrl(hub, relay));
    await second.ask({ type: "heartbeat" });
    await second.ask({ type: "heartbeat" });
    assert.deepEqual(
      second.heard.filter(({ type }) => type === "command"),
      [],
    );
    assert.equal((await second.ask({ type: "ack", command_id: "received", status: "ok", state: "ON" })).type, "ok");
    assert.equal((await sent).status, 200);
  });

  test("never has its token in the log, in the audit, or in what is passed on", async () => {
    const secret = await hub.api.addDevice();
    const heard: string[] = [];
    await using reader = await person(hub);
    const { client } = reader;
    client.on("message", (topic, payload) => heard.push(`${topic} ${payload.toString()}`));
    await client.subscribeAsync(`hexa/${secret.uid}/#`);
    await using relay = await openRelay(hub, secret);
    await relay.ask({ type: "register", device_id: secret.uid, device_token: secret.token, capabilities: { relays: 1 } });
    await using wrong = await openSocket(wsUrl(`/ws/device?uid=${secret.uid}&token=hxd_nearly-${secret.token}`));
    assert.equal(await wrong.closed, 4_401);
    relay.say("{");
    assert.equal(await relay.closed, 4_400);
    const refused = await fetch(new URL(`/ws/device?uid=${secret.uid}&token=${secret.token}`, hub.http));
    assert.doesNotMatch(await refused.text(), new RegExp(secret.token));
    await until(() => heard.some((line) => line.includes("/up/register")), { what: "the registration" });
    await until(() => lines.some((line) => line.includes("connection refused") && line.includes(secret.uid)), { what: "the refusal" });
    const { body } = await hub.api.call("GET", "/api/v1/audit?limit=100");
    for (const text of [...lines, ...heard, JSON.stringify(body)]) assert.ok(!text.includes(secret.token), text);
  });
});
