import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { describe, test } from "node:test";
import mqtt, { type MqttClient } from "mqtt";
import mqttPacket, { type IDisconnectPacket } from "mqtt-packet";
import { batchSize, drain, type Leaving } from "../../broker/drain.ts";
import { spawnHub } from "../support/hub.ts";
import { temporaryFolder, until } from "../support/wait.ts";

const MIB = 1_048_576;
/** Readings that are asked for at once. */
const PAGE = 5_000;

test("a few leave at once, a thousand and a million over two seconds", () => {
  const ticks = (count: number): number => Math.ceil(count / batchSize(count));
  assert.deepEqual([1, 5, 50, 500, 1_000, 1_000_000].map(ticks), [1, 1, 10, 100, 100, 100]);
  assert.equal(batchSize(0), 1);
});

/** Connected sockets as the broker has them, and their other ends. */
async function startLine(count: number) {
  const accepted: Socket[] = [];
  const server = createServer((socket) => accepted.push(socket.on("error", () => undefined)));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const peers: Socket[] = [];
  for (let index = 0; index < count; index++) {
    const peer = connect(port, "127.0.0.1").on("error", () => undefined);
    await until(() => accepted.length > index, { what: "the connection" });
    peers.push(peer);
  }
  const leaving = (version: number): Leaving[] => accepted.map((conn) => ({ conn, version, connected: true }));
  return {
    accepted,
    peers,
    leaving,
    [Symbol.dispose]() {
      for (const socket of [...accepted, ...peers]) socket.destroy();
      server.close();
    },
  };
}

const settled = async (): Promise<void> => undefined;
const allOf = async (socket: Socket): Promise<Buffer> => Buffer.concat((await socket.toArray()) as Buffer[]);

describe("a drain", () => {
  test("tells MQTT 5 that the server stops (0x8B), or where else to go (0x9C), and 3.1.1 nothing", async () => {
    for (const [version, serverReference, expected] of [
      [5, undefined, { reasonCode: 0x8b, serverReference: undefined }],
      [5, "mqtt-2.example:8883", { reasonCode: 0x9c, serverReference: "mqtt-2.example:8883" }],
      [4, "mqtt-2.example:8883", undefined],
    ] as const) {
      using line = await startLine(1);
      const received = allOf(line.peers[0] as Socket);
      await drain({ clients: line.leaving(version), settled, serverReference });
      const packets: IDisconnectPacket[] = [];
      mqttPacket
        .parser({ protocolVersion: version })
        .on("packet", (packet) => packets.push(packet as IDisconnectPacket))
        .parse(await received);
      const told = packets.map((packet) => {
        assert.equal(packet.cmd, "disconnect");
        const { reasonCode, properties } = packet;
        return { reasonCode, serverReference: properties?.serverReference };
      });
      assert.deepEqual(told, expected ? [expected] : []);
    }
  });

  test("everything that was written arrives, although the client goes on sending", async () => {
    using line = await startLine(1);
    const [conn] = line.accepted as [Socket];
    const [peer] = line.peers as [Socket];
    const received = allOf(peer);
    conn.write(Buffer.alloc(8 * MIB));
    const sending = setInterval(() => peer.writable && peer.write(Buffer.alloc(10_000)), 1);
    await drain({ clients: line.leaving(4), settled });
    clearInterval(sending);
    assert.equal((await received).length, 8 * MIB);
  });

  test("nobody leaves before what came is committed, unless that takes too long", async () => {
    using line = await startLine(2);
    const { promise, resolve } = Promise.withResolvers<void>();
    const done = drain({ clients: line.leaving(4), settled: () => promise });
    await new Promise((next) => setImmediate(next));
    assert.ok(line.accepted.every((conn) => !conn.writableEnded));
    resolve();
    await done;
    using other = await startLine(1);
    await drain({ clients: other.leaving(4), settled: () => new Promise(() => undefined), limitMs: 500 });
    assert.ok(other.accepted.every((conn) => conn.destroyed));
  });

  test("a client that reads nothing is cut off after two seconds", { timeout: 15_000 }, async () => {
    using line = await startLine(1);
    const [conn] = line.accepted as [Socket];
    line.peers[0]?.pause();
    conn.write(Buffer.alloc(32 * MIB));
    const started = performance.now();
    await drain({ clients: line.leaving(5), settled });
    const tookMs = performance.now() - started;
    assert.ok(conn.destroyed && tookMs > 1_500 && tookMs < 4_000, `${tookMs} ms`);
  });
});

test("SIGTERM: 300 clients, some of them frozen, are told and gone, what was acknowledged is stored, and the hub ends with 0 within 10 s", {
  timeout: 90_000,
}, async () => {
  await using folder = temporaryFolder();
  const env = { HEXA_MQTT_SERVER_REFERENCE: "mqtt-2.example:8883" };
  const acknowledged: number[] = [];
  const reasons: number[] = [];
  const base = Date.now() - 3_600_000;
  let device: { uid: string; token: string };
  {
    await using hub = await spawnHub({ dataDir: folder.path, env });
    await hub.api.login();
    device = await hub.api.addDevice({ device_class: "sensor_hub" });
    const { token } = (await hub.api.call<{ token: string }>("POST", "/api/v1/access-tokens", { kind: "service", name: "crowd" })).body;
    const crowd: MqttClient[] = [];
    for (let start = 0; start < 299; start += 50)
      crowd.push(
        ...(await Promise.all(
          Array.from({ length: Math.min(50, 299 - start) }, (_, index) =>
            mqtt.connectAsync([hub.mqtt, hub.mqtts, hub.ws][index % 3] as string, {
              ca: readFileSync(hub.ca),
              rejectUnauthorized: false,
              clientId: `crowd-${start + index}`,
              username: "crowd",
              password: token,
              protocolVersion: index % 2 === 0 ? 5 : 4,
              reconnectPeriod: 0,
            }),
          ),
        )),
      );
    let closed = 0;
    for (const client of crowd) {
      client.on("error", () => undefined).on("close", () => closed++);
      client.on("disconnect", (packet) => reasons.push(packet.reasonCode ?? 0));
    }
    const frozen = crowd.filter((_, index) => index % 10 === 0);
    // A stream that reads no more, of whichever kind.
    for (const client of frozen) client.stream.pause();
    const sensor = await mqtt.connectAsync(hub.mqtt, {
      clientId: device.uid,
      username: device.uid,
      password: device.token,
      reconnectPeriod: 0,
    });
    sensor.setMaxListeners(50).on("error", () => undefined);
    const sending = Array.from({ length: 20 }, async (_, sender) => {
      for (let n = sender; ; n += 20) {
        if (sensor.disconnecting || !sensor.connected) return;
        const payload = JSON.stringify({ ts: base + n, values: { n } });
        try {
          await new Promise((resolve, reject) => {
            sensor.once("close", reject);
            sensor.publish(`hexa/${device.uid}/up/telemetry`, payload, { qos: 1 }, (error) => {
              sensor.off("close", reject);
              if (error) reject(error);
              else resolve(undefined);
            });
          });
        } catch {
          return;
        }
        acknowledged.push(n);
      }
    });
    await until(() => acknowledged.length > 200, { what: "messages on their way" });
    const exit = once(hub.child, "exit");
    const started = performance.now();
    hub.child.kill("SIGTERM");
    const [code] = (await exit) as [number];
    const tookMs = performance.now() - started;
    assert.equal(code, 0);
    assert.ok(tookMs < 10_000, `${tookMs} ms`);
    for (const client of frozen) client.stream.resume();
    await Promise.all(sending);
    await until(() => closed === crowd.length, { what: "the end of every connection" });
    await Promise.all([...crowd, sensor].map((client) => client.endAsync(true)));
  }
  assert.ok(reasons.length > 100 && reasons.every((code) => code === 0x9c), [...new Set(reasons)].join(" "));
  await using hub = await spawnHub({ dataDir: folder.path });
  await hub.api.login();
  const stored = new Set<number>();
  for (let from = base; from <= base + Math.max(...acknowledged); from += PAGE) {
    const query = `device=${device.uid}&key=n&from=${from}&to=${from + PAGE}&limit=10000`;
    const { body } = await hub.api.call<{ data: { value: number }[] }>("GET", `/api/v1/readings?${query}`);
    for (const { value } of body.data) stored.add(value);
  }
  assert.deepEqual(
    acknowledged.filter((n) => !stored.has(n)),
    [],
  );
  const events = await hub.api.call<{ data: { data: { uid: string } }[] }>("GET", "/api/v1/events?type=device.offline");
  assert.deepEqual(events.body.data, [], "a restart is no going offline");
});
