import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { describe, test } from "node:test";
import { connect as connectTls } from "node:tls";
import mqtt from "mqtt";
import { startHub } from "../support/hub.ts";
import { connectPacket } from "../support/packets.ts";
import { until } from "../support/wait.ts";
import { type OpenDoors, openDoors } from "./open-doors.ts";

const MIB = 1_048_576;
const PROTOCOL = "mqtt";

/** Connections to each of the doors, which say nothing by themselves. */
const DOORS: Record<string, (doors: OpenDoors) => Promise<{ close(): void; isClosed(): boolean }>> = {
  TCP: async ({ mqttPort }) => watched(connect(mqttPort, "127.0.0.1")),
  TLS: async ({ mqttsPort, caFile }) => {
    const socket = connectTls({ port: mqttsPort, host: "127.0.0.1", ca: readFileSync(caFile), servername: "localhost" });
    return watched(socket);
  },
  WebSocket: async ({ httpPort }) => {
    const socket = new WebSocket(`ws://127.0.0.1:${httpPort}/mqtt`, PROTOCOL);
    return { close: () => socket.close(), isClosed: () => socket.readyState === WebSocket.CLOSED };
  },
};

function watched(socket: Socket): { close(): void; isClosed(): boolean } {
  socket.on("error", () => undefined).resume();
  return { close: () => socket.destroy(), isClosed: () => socket.closed };
}

for (const [name, open] of Object.entries(DOORS)) {
  test(`${name}: one connection more than the node takes is closed at once, and taken when another one has ended`, async () => {
    await using doors = await openDoors({ HEXA_MQTT_CONNECTIONS: "2" });
    const [first] = await Promise.all([open(doors), open(doors)]);
    await until(() => doors.streams.length === 2, { what: "two connections" });
    const third = await open(doors);
    await until(() => third.isClosed(), { what: "the third one to be closed" });
    assert.equal(doors.refused["connections"], 1);
    first?.close();
    await until(
      async () => {
        const next = await open(doors);
        await until(() => next.isClosed() || doors.streams.length === 3, { what: "an answer" });
        return !next.isClosed();
      },
      { what: "a free place" },
    );
  });

  test(`${name}: more than the address's rate get in one after the other`, async () => {
    await using doors = await openDoors({ HEXA_MQTT_ADDRESS_RATE: "10" });
    const started = performance.now();
    const opened = await Promise.all(Array.from({ length: 20 }, () => open(doors)));
    await until(() => doors.streams.length === 20, { what: "all of them" });
    const tookMs = performance.now() - started;
    assert.ok(tookMs > 900, `${tookMs} ms for 10 above a burst of 10, at 10 a second`);
    assert.deepEqual(doors.refused, {});
    for (const one of opened) one.close();
  });

  test(`${name}: a stop closes who waits for its turn`, async () => {
    await using doors = await openDoors({ HEXA_MQTT_ADDRESS_RATE: "1" });
    const [first, second] = [await open(doors), await open(doors)];
    await until(() => doors.streams.length === 1, { what: "the first one" });
    // The second one may still be in its system's queue, where a stop resets it.
    doors.listeners.stop();
    await until(() => first.isClosed() !== second.isClosed(), { what: "the one that waits to be closed" });
  });
}

test("nothing is read from a connection that waits for its turn", async () => {
  const readBefore: number[] = [];
  await using doors = await openDoors({ HEXA_MQTT_CONNECT_RATE: "1", HEXA_MQTT_CONNECT_BURST: "1" }, (stream) => {
    readBefore.push((stream as Socket).bytesRead);
    stream.on("error", () => undefined).pipe(stream);
  });
  const first = connect(doors.mqttPort, "127.0.0.1");
  await until(() => doors.streams.length === 1, { what: "the first one" });
  const second = connect(doors.mqttPort, "127.0.0.1");
  second.write(Buffer.alloc(32 * MIB));
  let last = -1;
  await until(() => last === (last = second.writableLength) || doors.streams.length === 2, { what: "the standstill" });
  assert.equal(doors.streams.length, 1);
  assert.ok(second.writableLength > 16 * MIB, `${second.writableLength}`);
  let received = 0;
  second.on("data", (chunk: Buffer) => {
    received += chunk.length;
  });
  await until(() => received === 32 * MIB, { what: "the echo of everything, when its turn came" });
  assert.deepEqual(readBefore, [0, 0]);
  first.destroy();
  second.destroy();
});

test("a TLS handshake that does not come in time is ended, and counted", async () => {
  await using doors = await openDoors({ HEXA_MQTT_CONNECT_TIMEOUT_S: "1" });
  const started = performance.now();
  const socket = connect(doors.mqttsPort, "127.0.0.1");
  socket.on("error", () => undefined).resume();
  await once(socket, "close");
  assert.ok(performance.now() - started < 5_000);
  await until(() => doors.refused["tls_handshake"] === 1, { what: "the refusal to be counted" });
});

describe("a hub", () => {
  test("closes what connected and did not say CONNECT in time, at every door", { timeout: 20_000 }, async () => {
    await using hub = await startHub({ env: { HEXA_MQTT_CONNECT_TIMEOUT_S: "2" } });
    const doors = {
      mqttPort: Number(new URL(hub.mqtt).port),
      mqttsPort: Number(new URL(hub.mqtts).port),
      httpPort: Number(new URL(hub.http).port),
      caFile: hub.ca,
    } as OpenDoors;
    const opened = await Promise.all(Object.values(DOORS).map((open) => open(doors)));
    const half = connect(doors.mqttPort, "127.0.0.1");
    half.on("error", () => undefined).resume();
    // A CONNECT of which a byte comes now and then is none.
    half.write(Buffer.from([0x10, 0x20, 0x00]));
    await until(() => half.closed && opened.every((one) => one.isClosed()), { what: "the end of all four" });
  });

  test("knows a device behind a balancer by its own address", async () => {
    await using hub = await startHub({ env: { HEXA_MQTT_PROXY: "127.0.0.1" } });
    await hub.api.login();
    const { uid, token } = await hub.api.addDevice();
    const socket = connect(Number(new URL(hub.mqtt).port), "127.0.0.1");
    socket.write("PROXY TCP4 203.0.113.9 198.51.100.1 4711 1883\r\n");
    socket.write(connectPacket({ username: uid, password: token }));
    const [connack] = (await once(socket, "data")) as [Buffer];
    assert.equal(connack.toString("hex"), "20020000");
    await until(
      async () => {
        socket.write(Buffer.from([0xc0, 0]));
        return JSON.stringify((await hub.api.call("GET", `/api/v1/devices/${uid}`)).body).includes('"last_ip":"203.0.113.9"');
      },
      { what: "the device's address", timeoutMs: 15_000 },
    );
    socket.destroy();
  });

  test("takes no more connections a second than it is told, and lets a crowd in by and by", async () => {
    await using hub = await startHub({ env: { HEXA_MQTT_CONNECT_RATE: "50", HEXA_MQTT_CONNECT_BURST: "20" } });
    await hub.api.login();
    const { uid, token } = await hub.api.addDevice();
    const started = performance.now();
    const crowd = Array.from({ length: 120 }, () => connect(Number(new URL(hub.mqtt).port), "127.0.0.1").on("error", () => undefined));
    const client = await mqtt.connectAsync(hub.mqtt, { clientId: uid, username: uid, password: token, reconnectPeriod: 0 });
    const tookMs = performance.now() - started;
    assert.ok(tookMs > 1_500 && tookMs < 8_000, `${tookMs} ms behind 120 others, at 50 a second`);
    await client.endAsync();
    for (const socket of crowd) socket.destroy();
  });
});
