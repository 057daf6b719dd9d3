import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import mqtt from "mqtt";
import mqttPacket, { type Packet } from "mqtt-packet";
import type { Log } from "../../core/bus.ts";
import { startHub } from "../support/hub.ts";
import { until } from "../support/wait.ts";

const SEED = Number(process.env["HEXA_TEST_SEED"] ?? 20_261_121);
const PACKETS = 20_000;
const LANES = 12;
/** Packets that one authenticated connection is given; its end is what most of them bring. */
const PER_SESSION = 8;
const MAX_GROWTH_BYTES = 48 * 1_048_576;

/** mulberry32: small, and the same everywhere. */
function randomOf(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

interface Login {
  readonly clientId: string;
  readonly username: string;
  readonly password: string;
}

const generate = (packet: object, protocolVersion: 4 | 5): Buffer => mqttPacket.generate(packet as Packet, { protocolVersion });

function connectPacket({ clientId, username, password }: Login, protocolVersion: 4 | 5, isClean = true): Buffer {
  const properties =
    protocolVersion === 5 ? { properties: { sessionExpiryInterval: 5, receiveMaximum: 10, userProperties: { a: "b" } } } : {};
  return generate(
    {
      cmd: "connect",
      protocolId: "MQTT",
      protocolVersion,
      clean: isClean,
      keepalive: 30,
      clientId,
      username,
      password: Buffer.from(password),
      ...properties,
    },
    protocolVersion,
  );
}

function validPackets(uid: string, version: 4 | 5): Buffer[] {
  const properties =
    version === 5 ? { properties: { responseTopic: "r", correlationData: Buffer.from("c"), messageExpiryInterval: 9, topicAlias: 3 } } : {};
  const publish = (topic: string, payload: string, qos: 0 | 1 | 2, extra: object = {}): object => ({
    cmd: "publish",
    topic,
    payload,
    qos,
    messageId: 7,
    dup: false,
    retain: false,
    ...properties,
    ...extra,
  });
  const will = { topic: `hexa/${uid}/availability`, payload: Buffer.from("offline"), qos: 1, retain: true };
  const login = { clientId: uid, username: uid, password: Buffer.from("hxd_wrong") };
  return [
    { cmd: "connect", protocolId: "MQTT", protocolVersion: version, clean: false, keepalive: 1, will, ...login },
    publish(`hexa/${uid}/up/telemetry`, '{"values":{"t":1}}', 0),
    publish(`hexa/${uid}/up/telemetry`, '[{"values":{"t":1,"u":"x"}}]', 1),
    publish(`hexa/${uid}/up/task_result`, '{"task_id":"t","results":[{"__proto__":{"x":1}}]}', 2),
    publish(`hexa/${uid}/up/ack`, '{"command_id":"x","status":"ok"}', 1),
    publish(`hexa/${uid}/availability`, "online", 1, { retain: true }),
    publish(`hexa/${uid}/relay/0/set`, "TOGGLE", 1),
    { cmd: "subscribe", messageId: 3, subscriptions: [{ topic: `hexa/${uid}/down/#`, qos: 1, nl: false, rap: false, rh: 0 }] },
    {
      cmd: "subscribe",
      messageId: 4,
      subscriptions: [
        { topic: "#", qos: 2, nl: true, rap: true, rh: 1 },
        { topic: "$share/g/+/+", qos: 0 },
      ],
    },
    { cmd: "unsubscribe", messageId: 5, unsubscriptions: [`hexa/${uid}/down/#`, "#"] },
    { cmd: "puback", messageId: 7 },
    { cmd: "pubrec", messageId: 7 },
    { cmd: "pubrel", messageId: 7 },
    { cmd: "pubcomp", messageId: 7 },
    { cmd: "pingreq" },
    { cmd: "disconnect" },
  ].map((packet) => generate(packet, version));
}

function mutated(original: Buffer, other: Buffer, random: (below: number) => number): Buffer {
  let bytes = Buffer.from(original);
  for (let left = 1 + random(3); left > 0; left--) {
    const at = random(Math.max(1, bytes.length));
    switch (random(8)) {
      case 0:
        bytes.writeUInt8((bytes[at] ?? 0) ^ (1 << random(8)), at);
        break;
      case 1:
        bytes.writeUInt8([0, 1, 0x7f, 0x80, 0xff][random(5)] ?? 0, at);
        break;
      case 2:
        bytes = bytes.subarray(0, Math.max(1, at));
        break;
      case 3:
        bytes = Buffer.concat([bytes.subarray(0, at), Buffer.from([random(256), random(256)]), bytes.subarray(at)]);
        break;
      case 4:
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(Math.min(bytes.length, at + 1 + random(4)))]);
        break;
      case 5:
        // The remaining length lies.
        if (bytes.length > 1) bytes.writeUInt8(random(256), 1);
        break;
      case 6:
        bytes = Buffer.concat([bytes.subarray(0, at), other.subarray(random(other.length))]);
        break;
      default:
        bytes.writeUInt8(((bytes[0] ?? 0) & 0xf0) | random(16), 0);
    }
    if (bytes.length === 0) bytes = Buffer.from([random(256)]);
  }
  return bytes;
}

/** Writes the packets and ends; resolves when the hub has closed its side as well. */
async function overTcp(port: number, packets: readonly Buffer[]): Promise<void> {
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => undefined);
  socket.resume();
  const closed = once(socket, "close");
  for (const packet of packets) socket.write(packet);
  socket.end();
  await closed;
}

async function overWebSocket(url: string, packets: readonly Buffer[]): Promise<void> {
  const socket = new WebSocket(url, "mqtt");
  const closed = new Promise<void>((resolve) => socket.addEventListener("close", () => resolve()));
  socket.addEventListener("open", () => {
    for (const packet of packets) socket.send(new Uint8Array(packet));
    socket.close();
  });
  await closed;
}

test(`the hub outlives ${PACKETS} mutated MQTT packets (seed ${SEED}) before and after CONNECT, and serves good clients meanwhile`, async () => {
  const errors: string[] = [];
  const log: Log = {
    debug() {},
    info() {},
    warn() {},
    error: (data, message) => void errors.push(`${message} ${String((data as { err?: unknown }).err)}`),
  };
  await using hub = await startHub({ log });
  await hub.api.login();
  const port = Number(new URL(hub.mqtt).port);
  const service = await hub.api.call<{ token: string }>("POST", "/api/v1/access-tokens", { kind: "service", name: "fuzzer" });
  const devices: { uid: string; token: string }[] = [];
  for (let count = 0; count <= LANES; count++) devices.push(await hub.api.addDevice());
  const good = devices[LANES] as { uid: string; token: string };
  const witness = await mqtt.connectAsync(hub.mqtt, {
    clientId: good.uid,
    username: good.uid,
    password: good.token,
    protocolVersion: 5,
    reconnectPeriod: 0,
  });
  let losses = 0;
  witness.on("close", () => losses++);
  let served = 0;
  const over = new AbortController();
  const serving = (async () => {
    while (!over.signal.aborted) {
      await witness.publishAsync(`hexa/${good.uid}/up/telemetry`, JSON.stringify({ values: { n: served } }), { qos: 1 });
      served++;
    }
  })();

  const random = randomOf(SEED);
  let sent = 0;
  async function lane(number: number): Promise<void> {
    const device = devices[number] as { uid: string; token: string };
    const packets = { 4: validPackets(device.uid, 4), 5: validPackets(device.uid, 5) };
    while (sent < PACKETS) {
      const version = random(2) === 0 ? 4 : 5;
      const pick = (): Buffer => packets[version][random(packets[version].length)] as Buffer;
      const isLoggedIn = random(3) > 0;
      const login =
        random(2) === 0
          ? { clientId: device.uid, username: device.uid, password: device.token }
          : { clientId: `fuzz-${number}`, username: "fuzzer", password: service.body.token };
      const list = Array.from({ length: isLoggedIn ? PER_SESSION : 1 }, () => mutated(pick(), pick(), random));
      sent += list.length;
      if (isLoggedIn) list.unshift(connectPacket(login, version, random(2) === 0));
      await (random(8) === 0 ? overWebSocket(hub.ws, list) : overTcp(port, list));
    }
  }
  const level = async (): Promise<number> => {
    await witness.publishAsync(`hexa/${good.uid}/up/heartbeat`, "{}", { qos: 1 });
    collectGarbage();
    return process.memoryUsage().heapUsed + process.memoryUsage().external;
  };
  const before = await level();
  await Promise.all(Array.from({ length: LANES }, (_, number) => lane(number)));
  over.abort();
  await serving;

  assert.equal(losses, 0);
  assert.ok(served > 50, `only ${served} readings were acknowledged beside it`);
  await until(
    async () => {
      const text = await (await fetch(`${hub.http}/metrics`)).text();
      return text.split("\n").includes("hexahub_mqtt_sessions 1");
    },
    { what: "the end of every session but the good one" },
  );
  await until(async () => (await level()) < before + MAX_GROWTH_BYTES, { what: "the memory to come back to its level" });
  const reply = await hub.api.call("GET", `/api/v1/readings?device=${good.uid}&key=n&limit=1`);
  assert.equal(reply.status, 200);
  assert.deepEqual([...new Set(errors)], []);
  await witness.endAsync();
});

test("a payload nested deeper than the databases bear is refused as invalid, and its connection stays", async () => {
  const errors: string[] = [];
  await using hub = await startHub({ log: { debug() {}, info() {}, warn() {}, error: (_data, message) => void errors.push(message) } });
  await hub.api.login();
  const { uid, token } = await hub.api.addDevice();
  const client = await mqtt.connectAsync(hub.mqtt, {
    clientId: uid,
    username: uid,
    password: token,
    protocolVersion: 5,
    reconnectPeriod: 0,
  });
  const publish = (payload: string): Promise<unknown> =>
    client.publishAsync(`hexa/${uid}/up/task_result`, payload, { qos: 1 }).then(
      () => 0,
      (error: { code: unknown }) => error.code,
    );
  const nested = (depth: number): string => `${"[".repeat(depth)}${"]".repeat(depth)}`;
  assert.equal(await publish(`{"task_id":"t","results":${nested(30)}}`), 0);
  for (const depth of [65, 1_500, 100_000]) {
    assert.equal(await publish(`{"task_id":"t","results":${nested(depth)}}`), 0x99, `${depth} in results`);
    assert.equal(await publish(`{"task_id":"t","results":[],"more":${nested(depth)}}`), 0x99, `${depth} in a field of its own`);
  }
  assert.deepEqual(errors, []);
  assert.equal(client.connected, true);
  await client.endAsync();
});

function collectGarbage(): void {
  setFlagsFromString("--expose-gc");
  (runInNewContext("gc") as () => void)();
}
