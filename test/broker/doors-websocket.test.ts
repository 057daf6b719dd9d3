import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import type { Duplex } from "node:stream";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, test } from "node:test";
import WebSocket, { type ClientOptions, WebSocketServer } from "ws";
import { ConnectionRates } from "../../broker/connection-rates.ts";
import { isAllowedOrigin, mqttPath, openWebSocketDoor } from "../../broker/websocket.ts";
import { type WebSocketDuplex, webSocketStream } from "../../broker/websocket-stream.ts";
import { until } from "../support/wait.ts";
import { openDoors } from "./open-doors.ts";

const MIB = 1_048_576;

async function opened(port: number, options: ClientOptions = {}): Promise<WebSocket> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/mqtt`, "mqtt", options);
  await once(socket, "open");
  return socket;
}

/** The status of an upgrade: 101, or that of the refusal. */
function statusOf(url: string, protocols: string | string[], options: ClientOptions = {}): Promise<number> {
  const socket = new WebSocket(url, protocols, options);
  return new Promise((resolve) => {
    socket.on("error", () => undefined);
    socket.on("unexpected-response", (_request, response) => {
      response.resume();
      resolve(response.statusCode as number);
    });
    socket.on("open", () => {
      socket.terminate();
      resolve(101);
    });
  });
}

/** Both ends of one connection, the stream over the server's end, and that end itself. */
async function startPair(): Promise<AsyncDisposable & { stream: WebSocketDuplex; server: WebSocket; client: WebSocket }> {
  const listener = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  await once(listener, "listening");
  const connected = once(listener, "connection") as Promise<[WebSocket]>;
  const client = await opened((listener.address() as AddressInfo).port);
  const [server] = await connected;
  return {
    stream: webSocketStream(server),
    server,
    client,
    async [Symbol.asyncDispose]() {
      client.terminate();
      listener.close();
      await once(listener, "close");
    },
  };
}

/** The code with which the server closed. */
const closeCode = async (socket: WebSocket): Promise<number> => ((await once(socket, "close")) as [number])[0];

describe("the WebSocket door", () => {
  test("echoes binary frames of any size and cut, in their order", async () => {
    await using doors = await openDoors();
    const socket = await opened(doors.httpPort);
    const received: Buffer[] = [];
    socket.on("message", (data, isBinary) => {
      assert.equal(isBinary, true);
      received.push(data as Buffer);
    });
    const sent = [1, 125, 126, 65_535, 65_536, 200_000].map((size, index) => Buffer.alloc(size, index + 1));
    for (const frame of sent) socket.send(frame);
    socket.send(Buffer.from("ab"), { fin: false });
    socket.send(Buffer.from("cd"), { fin: true });
    const expected = Buffer.concat([...sent, Buffer.from("abcd")]);
    await until(() => received.reduce((sum, { length }) => sum + length, 0) === expected.length, { what: "the echo" });
    assert.ok(Buffer.concat(received).equals(expected));
    socket.terminate();
  });

  test("a text frame ends the connection with 1003 [MQTT-6.0.0-1]", async () => {
    await using doors = await openDoors();
    const socket = await opened(doors.httpPort);
    socket.send("text");
    assert.equal(await closeCode(socket), 1_003);
  });

  test("a frame larger than the largest packet ends the connection with 1009", async () => {
    await using doors = await openDoors({ HEXA_MAX_PACKET_BYTES: "16384" });
    const socket = await opened(doors.httpPort);
    socket.send(Buffer.alloc(18_000));
    assert.equal(await closeCode(socket), 1_009);
  });

  test("writes that wait for the client share frames, and each frame is at most 64 KiB of them", async () => {
    await using pair = await startPair();
    const sizes: number[] = [];
    pair.client.on("message", (data) => sizes.push((data as Buffer).length));
    pair.stream.cork();
    for (let index = 0; index < 3_000; index++) pair.stream.write(Buffer.alloc(100));
    pair.stream.uncork();
    await until(() => sizes.reduce((sum, size) => sum + size, 0) === 300_000, { what: "all bytes" });
    assert.ok(sizes.length < 20 && sizes.every((size) => size <= 65_536), sizes.join(" "));
  });

  test("what a client does not take is in writableLength, one frame of it in the socket", async () => {
    await using pair = await startPair();
    const { stream, server, client } = pair;
    client.pause();
    let written = 0;
    for (; written < 64 * MIB; written += 65_536) stream.write(Buffer.alloc(65_536));
    await until(() => stream.writableLength < 64 * MIB, { what: "the system's buffers to be filled" });
    // What the system's buffers took is gone; the rest waits in the stream.
    assert.ok(stream.writableLength > 40 * MIB, `${stream.writableLength}`);
    assert.ok(server.bufferedAmount < 200_000, `${server.bufferedAmount} bytes in the socket`);
    let received = 0;
    client.on("message", (data) => {
      received += (data as Buffer).length;
    });
    client.resume();
    await until(() => received === written, { what: "everything that was written" });
    await until(() => stream.writableLength === 0, { what: "the last write to be done" });
  });

  test("what writableLength no longer counts is read no more: its buffer may be used again", async () => {
    await using pair = await startPair();
    const { stream, client } = pair;
    const buffer = Buffer.alloc(65_536);
    const frames = 400;
    let reused = 0;
    let received = 0;
    const wrong: number[] = [];
    client.on("message", (data) => {
      const frame = data as Buffer;
      for (const byte of frame) if (byte !== Math.floor(received++ / 65_536) % 251) return void wrong.push(received);
    });
    const writeAll = (from: number, to: number): void => {
      for (let index = from; index < to; index++) {
        const free = stream.writableLength === 0;
        if (free) reused++;
        stream.write((free ? buffer : Buffer.alloc(65_536)).fill(index % 251));
      }
    };
    writeAll(0, 20);
    client.pause();
    writeAll(20, frames);
    client.resume();
    await until(() => received === frames * 65_536 || wrong.length > 0, { what: "all frames" });
    assert.deepEqual(wrong, []);
    assert.ok(reused > 1, `${reused} buffers used again`);
  });

  test("a client whose bytes nobody takes is not read from: of 64 MiB less than 1 MiB is in memory", async () => {
    await using pair = await startPair();
    const { stream, client } = pair;
    let sent = 0;
    for (; sent < 64 * MIB; sent += 65_536) client.send(Buffer.alloc(65_536));
    await until(() => stream.readableLength > 0, { what: "the first bytes" });
    let last = -1;
    // The sender's own buffer stops to empty when nobody reads any more.
    await until(() => last === (last = client.bufferedAmount), { what: "the standstill" });
    assert.ok(client.bufferedAmount > 32 * MIB, `${client.bufferedAmount}`);
    assert.ok(stream.readableLength < MIB, `${stream.readableLength}`);
    let received = 0;
    stream.on("data", (chunk: Buffer) => {
      received += chunk.length;
    });
    await until(() => received === sent, { what: "everything that was sent" });
  });

  test("a client that sends pings and reads no pong is ended, before 1 MiB of them waits for it", async () => {
    await using pair = await startPair();
    const { stream, server, client } = pair;
    client.pause();
    stream.resume();
    let most = 0;
    server.on("ping", () => {
      most = Math.max(most, server.bufferedAmount);
    });
    const payload = Buffer.alloc(125);
    await until(
      () => {
        for (let index = 0; index < 2_000 && client.readyState === WebSocket.OPEN; index++) client.ping(payload);
        return stream.destroyed;
      },
      { what: "the end of the connection" },
    );
    assert.ok(most < MIB, `${most}`);
  });

  test("what a client sent before it left is still read", async () => {
    const { promise, resolve } = Promise.withResolvers<Duplex>();
    await using doors = await openDoors({}, resolve);
    const socket = await opened(doors.httpPort);
    for (let index = 0; index < 10; index++) socket.send(Buffer.alloc(1_000));
    socket.close();
    await once(socket, "close");
    const stream = await promise;
    let received = 0;
    stream.on("data", (chunk: Buffer) => {
      received += chunk.length;
    });
    await once(stream, "close");
    assert.equal(received, 10_000);
  });

  test("close(4401) reaches the client behind what is written", async () => {
    const { promise, resolve } = Promise.withResolvers<Duplex>();
    await using doors = await openDoors({}, resolve);
    const socket = await opened(doors.httpPort);
    const received: string[] = [];
    socket.on("message", (data) => received.push((data as Buffer).toString()));
    const stream = (await promise) as Duplex & { socket: { close(code: number, reason: string): void } };
    stream.socket.close(4401, "revoked");
    stream.write("last words");
    stream.destroy();
    const [code, reason] = (await once(socket, "close")) as [number, Buffer];
    assert.deepEqual([received, code, String(reason)], [["last words"], 4401, "revoked"]);
  });

  test("close(4401) is carried out after a second although nobody ends the stream", async () => {
    const { promise, resolve } = Promise.withResolvers<Duplex>();
    await using doors = await openDoors({}, resolve);
    const socket = await opened(doors.httpPort);
    const stream = (await promise) as Duplex & { socket: { close(code: number, reason: string): void } };
    stream.socket.close(4401, "revoked");
    assert.equal(await closeCode(socket), 4401);
  });

  test("a frozen client is gone two seconds after its connection was ended", { timeout: 15_000 }, async () => {
    const { promise, resolve } = Promise.withResolvers<Duplex>();
    await using doors = await openDoors({ HEXA_MQTT_CONNECTIONS: "1" }, resolve);
    const socket = await opened(doors.httpPort);
    socket.pause();
    const stream = await promise;
    stream.on("error", () => undefined);
    for (let written = 0; written < 16 * MIB; written += 65_536) stream.write(Buffer.alloc(65_536));
    stream.destroy();
    await until(async () => (await statusOf(`ws://127.0.0.1:${doors.httpPort}/mqtt`, "mqtt")) === 101, {
      what: "the place of the frozen one",
    });
    socket.terminate();
  });
});

describe("a WebSocket upgrade", () => {
  test("is refused for another subprotocol, another path and a foreign page, and taken otherwise", async () => {
    await using doors = await openDoors({ HEXA_MQTT_ORIGINS: "https://app.example", HEXA_PUBLIC_URL: "https://hub.example" });
    const url = `ws://127.0.0.1:${doors.httpPort}/mqtt`;
    assert.equal(await statusOf(url, "mqtt"), 101);
    assert.equal(await statusOf(`${url}?token=x`, ["other", "mqttv3.1"]), 101);
    assert.equal(await statusOf(url, "amqp"), 400);
    assert.equal(await statusOf(url, []), 400);
    assert.equal(await statusOf(`ws://127.0.0.1:${doors.httpPort}/other`, "mqtt"), 404);
    assert.equal(await statusOf(url, "mqtt", { origin: "https://evil.example" }), 403);
    for (const origin of ["https://app.example", "https://hub.example", `http://127.0.0.1:${doors.httpPort}`])
      assert.equal(await statusOf(url, "mqtt", { origin }), 101, origin);
    await until(() => doors.refused["subprotocol"] === 2 && doors.refused["path"] === 1 && doors.refused["origin"] === 1, {
      what: "the refusals to be counted",
    });
  });

  for (const [headers, origins, isAllowed] of [
    [{ host: "hub.example" }, [], true],
    [{ host: "hub.example", origin: "https://hub.example" }, [], true],
    [{ host: "HUB.example:8443", origin: "https://hub.example:8443" }, [], true],
    [{ host: "hub.example", origin: "https://hub.example:8443" }, [], false],
    [{ host: "hub.example", origin: "null" }, [], false],
    [{ host: "hub.example", origin: "" }, [], false],
    [{ host: "hub.example", origin: "https://hub.example.evil.example" }, [], false],
    [{ origin: "https://app.example" }, ["https://app.example"], true],
    [{ host: "hub.example", origin: "https://app.example" }, ["*"], true],
    [{ origin: "https://app.example" }, [], false],
  ] as const)
    test(`from ${JSON.stringify(headers)} with ${JSON.stringify(origins)} is ${isAllowed ? "allowed" : "refused"}`, () => {
      assert.equal(isAllowedOrigin(headers, origins), isAllowed);
    });

  test("over the address's rate it waits for its turn, and is 429 when too many wait", async () => {
    await using doors = await openDoors({ HEXA_MQTT_ADDRESS_RATE: "50" });
    const url = `ws://127.0.0.1:${doors.httpPort}/mqtt`;
    const started = performance.now();
    const statuses = await Promise.all(Array.from({ length: 200 }, () => statusOf(url, "mqtt")));
    const count = (status: number): number => statuses.filter((one) => one === status).length;
    assert.ok(count(429) >= 1 && count(101) >= 150 && count(101) + count(429) === 200, statuses.join(" "));
    assert.ok(performance.now() - started > 1_000);
    assert.equal(doors.refused["address_rate"], count(429));
  });

  test("beyond the node's connections it is 503, with a time to try again", async () => {
    await using doors = await openDoors({ HEXA_MQTT_CONNECTIONS: "1" });
    const url = `ws://127.0.0.1:${doors.httpPort}/mqtt`;
    const socket = await opened(doors.httpPort);
    assert.equal(await statusOf(url, "mqtt"), 503);
    socket.terminate();
    await until(async () => (await statusOf(url, "mqtt")) === 101, { what: "a free place" });
  });

  test("while the hub stops it is 503", async () => {
    await using doors = await openDoors();
    doors.listeners.stop();
    assert.equal(await statusOf(`ws://127.0.0.1:${doors.httpPort}/mqtt`, "mqtt"), 503);
  });

  test("bytes ahead of the answer end it with 400", async () => {
    await using doors = await openDoors({ HEXA_MQTT_CONNECT_RATE: "1", HEXA_MQTT_CONNECT_BURST: "1" });
    const first = await opened(doors.httpPort);
    const socket = connect(doors.httpPort, "127.0.0.1");
    socket.write(
      "GET /mqtt HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
        "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nSec-WebSocket-Protocol: mqtt\r\n\r\nearly",
    );
    const [reply] = (await once(socket, "data")) as [Buffer];
    assert.match(String(reply), /^HTTP\/1\.1 400 /);
    socket.destroy();
    first.terminate();
  });

  test("a client that answers no ping is ended, one that does stays", async () => {
    const http = createServer();
    http.listen(0, "127.0.0.1");
    await once(http, "listening");
    const rates = new ConnectionRates({ mqttConnections: 10, mqttConnectRate: 0, mqttConnectBurst: 1, mqttAddressRate: 0 }, () =>
      performance.now(),
    );
    const { port } = http.address() as AddressInfo;
    const door = openWebSocketDoor(
      { http, rates, turnAway: () => undefined, maxPayloadBytes: 1_000, addressOf: () => "127.0.0.1", checkMs: 100 },
      [mqttPath({ origins: [] }, (stream) => void stream.resume())],
    );
    const [lively, deaf] = await Promise.all([opened(port), opened(port, { autoPong: false })]);
    let pings = 0;
    lively.on("ping", () => pings++);
    assert.equal(await closeCode(deaf), 1_006);
    await until(() => pings >= 5, { what: "five pings" });
    assert.equal(lively.readyState, WebSocket.OPEN);
    await door[Symbol.asyncDispose]();
    await once(lively, "close");
    http.close();
  });
});
