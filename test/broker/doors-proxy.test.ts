import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { Duplex } from "node:stream";
import { describe, test } from "node:test";
import { connect as connectTls } from "node:tls";
import fc from "fast-check";
import { type ProxyReading, readProxyHeader } from "../../broker/proxy-protocol.ts";
import { until } from "../support/wait.ts";
import { openDoors } from "./open-doors.ts";

const SIGNATURE = "0d0a0d0a000d0a515549540a";
const version2 = (rest: string): Buffer => Buffer.from(SIGNATURE + rest, "hex");
const TCP4 = "2111000cc0000207c6336401303975bb";
const TCP6_LENGTH = "21210024";
const V6 = "20010db8000000000000000000000007";
const PORTS = "303975bb";

const COMPLETE: [name: string, header: Buffer, address: string | undefined][] = [
  ["version 1, TCP4", Buffer.from("PROXY TCP4 192.0.2.7 198.51.100.1 12345 8883\r\n"), "192.0.2.7"],
  ["version 1, TCP6", Buffer.from("PROXY TCP6 2001:db8::7 2001:db8::1 12345 8883\r\n"), "2001:db8::7"],
  [
    "version 1, TCP6 in its longest form",
    Buffer.from(`PROXY TCP6 ${V6.match(/.{4}/g)?.join(":")} ${Array(8).fill("ffff").join(":")} 65535 65535\r\n`),
    "2001:db8::7",
  ],
  ["version 1, IPv4 inside IPv6", Buffer.from("PROXY TCP6 ::ffff:192.0.2.7 ::1 1 2\r\n"), "192.0.2.7"],
  ["version 1, UNKNOWN", Buffer.from("PROXY UNKNOWN\r\n"), undefined],
  ["version 1, UNKNOWN with whatever", Buffer.from(`PROXY UNKNOWN ${"f".repeat(91)}\r\n`), undefined],
  ["version 2, TCP4", version2(TCP4), "192.0.2.7"],
  ["version 2, TCP6", version2(`${TCP6_LENGTH}${V6}${V6}${PORTS}`), "2001:db8::7"],
  ["version 2, IPv4 inside IPv6", version2(`${TCP6_LENGTH}00000000000000000000ffffc0000207${V6}${PORTS}`), "192.0.2.7"],
  ["version 2, TCP4 with extensions", version2(`21110013${TCP4.slice(8)}04000401020304`), "192.0.2.7"],
  ["version 2, LOCAL", version2("20000000"), undefined],
  ["version 2, LOCAL with addresses", version2(`2011${TCP4.slice(4)}`), undefined],
  ["version 2, unspecified family", version2("21000000"), undefined],
  ["version 2 of 536 bytes", Buffer.concat([version2(`21110208${TCP4.slice(8)}`), Buffer.alloc(520 - 12)]), "192.0.2.7"],
];

const INVALID: [name: string, header: Buffer][] = [
  ["an MQTT CONNECT", Buffer.from("101000044d515454", "hex")],
  ["a TLS hello", Buffer.from("16030102", "hex")],
  ["another word", Buffer.from("PROXZ")],
  ["another signature", Buffer.from("0d0a0d0a000d0a5155495400", "hex")],
  ["version 1 of more than 107 bytes", Buffer.from(`PROXY UNKNOWN ${"f".repeat(92)}\r\n`)],
  ["version 1 without an end", Buffer.from(`PROXY TCP4 ${"1".repeat(96)}`)],
  ["version 1 of UDP", Buffer.from("PROXY UDP4 192.0.2.7 198.51.100.1 1 2\r\n")],
  ["version 1 with the other family's address", Buffer.from("PROXY TCP4 2001:db8::7 198.51.100.1 1 2\r\n")],
  ["version 1 with a zone", Buffer.from("PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n")],
  ["version 1 with too few parts", Buffer.from("PROXY TCP4 192.0.2.7 198.51.100.1 1\r\n")],
  ["version 1 with too many parts", Buffer.from("PROXY TCP4 192.0.2.7 198.51.100.1 1 2 3\r\n")],
  ["version 1 with two spaces", Buffer.from("PROXY TCP4  192.0.2.7 198.51.100.1 1 2\r\n")],
  ["version 1 with a port beyond 65535", Buffer.from("PROXY TCP4 192.0.2.7 198.51.100.1 65536 2\r\n")],
  ["version 1 with a port of more digits", Buffer.from("PROXY TCP4 192.0.2.7 198.51.100.1 01 2\r\n")],
  ["version 1 with half an address", Buffer.from("PROXY TCP4 192.0.2 198.51.100.1 1 2\r\n")],
  ["version 2 of another version", version2("1111000c")],
  ["version 2 with another command", version2("2211000c")],
  ["version 2 of UDP", version2("2112000c")],
  ["version 2 of a UNIX socket", version2("213100d8")],
  ["version 2 of an unknown family", version2("2141000c")],
  ["version 2 too short for its addresses", version2("2111000b")],
  ["version 2 of IPv6, too short for its addresses", version2("21210023")],
  ["version 2 of 537 bytes", version2("21110209")],
  ["version 2 of 65,551 bytes", version2("2111ffff")],
];

describe("a PROXY header", () => {
  for (const [name, header, address] of COMPLETE) {
    test(`${name}: is read, with what follows left alone, and partial at every cut`, () => {
      const expected: ProxyReading = { state: "complete", bytes: header.length, address };
      assert.deepEqual(readProxyHeader(header), expected);
      assert.deepEqual(readProxyHeader(Buffer.concat([header, Buffer.from("101000044d515454", "hex")])), expected);
      for (let cut = 0; cut < header.length; cut++) assert.equal(readProxyHeader(header.subarray(0, cut)).state, "partial", `${cut} bytes`);
    });
  }
  for (const [name, header] of INVALID)
    test(`${name}: is refused`, () => {
      assert.equal(readProxyHeader(header).state, "invalid");
    });

  test("property: never throws, never waits beyond 536 bytes, and never takes more than there is", () => {
    const starts = fc.constantFrom("", "PROXY ", "PROXY TCP4 ", "PROXY TCP6 ", "PROXY UNKNOWN", SIGNATURE);
    const start = starts.map((text) => (text === SIGNATURE ? Buffer.from(text, "hex") : Buffer.from(text)));
    const tail = fc.oneof(
      fc.uint8Array({ maxLength: 700 }),
      fc.string({ unit: fc.constantFrom(..."0123456789abcdef:. \r\n".split("")), maxLength: 200 }).map((text) => Buffer.from(text)),
    );
    fc.assert(
      fc.property(start, tail, (head, rest) => {
        const buffer = Buffer.concat([head, rest]);
        const reading = readProxyHeader(buffer);
        if (reading.state === "partial") assert.ok(buffer.length < 536);
        if (reading.state === "complete") assert.ok(reading.bytes <= buffer.length && reading.bytes <= 536);
      }),
      { numRuns: 2_000 },
    );
  });

  test("property: a version 2 header for any address gives that address back", () => {
    fc.assert(
      fc.property(fc.ipV4(), fc.nat(65_535), fc.uint8Array({ maxLength: 500 }), (address, port, extensions) => {
        const header = Buffer.alloc(28);
        version2("2111").copy(header);
        header.writeUInt16BE(12 + extensions.length, 14);
        for (const [index, part] of address.split(".").entries()) header[16 + index] = Number(part);
        header.writeUInt16BE(port, 24);
        const whole = Buffer.concat([header, extensions]);
        assert.deepEqual(readProxyHeader(whole), { state: "complete", bytes: whole.length, address });
      }),
    );
  });
});

const FROM_LOOPBACK = { HEXA_MQTT_PROXY: "127.0.0.1" };
const HEADER = Buffer.from("PROXY TCP4 192.0.2.7 198.51.100.1 12345 1883\r\n");

/** What was sent back, once there are as many bytes. */
async function echoed(socket: Socket, bytes: number): Promise<string> {
  let text = "";
  socket.on("data", (chunk: Buffer) => {
    text += chunk.toString("latin1");
  });
  await until(() => text.length >= bytes || socket.destroyed, { what: "the echo" });
  return text;
}

describe("behind a balancer", () => {
  test("over TCP the client's address comes from the header, and every byte behind it arrives", async () => {
    await using doors = await openDoors(FROM_LOOPBACK);
    const body = Buffer.alloc(200_000, "x");
    const socket = connect(doors.mqttPort, "127.0.0.1");
    socket.write(Buffer.concat([HEADER, body]));
    assert.equal((await echoed(socket, body.length)).length, body.length);
    assert.deepEqual(doors.addresses, ["192.0.2.7"]);
    socket.destroy();
  });

  test("a header that arrives byte by byte is read like any other", async () => {
    await using doors = await openDoors(FROM_LOOPBACK);
    const socket = connect({ port: doors.mqttPort, host: "127.0.0.1", noDelay: true });
    for (const byte of [...version2(TCP4), 0x41, 0x42]) {
      socket.write(Buffer.from([byte]));
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.equal(await echoed(socket, 2), "AB");
    assert.deepEqual(doors.addresses, ["192.0.2.7"]);
    socket.destroy();
  });

  for (const [name, chunks] of [
    ["in one piece with it", (hello: Buffer) => [Buffer.concat([version2(TCP4), hello])]],
    ["before it", (hello: Buffer) => [version2(TCP4), hello]],
  ] as const)
    test(`over TLS the header comes ahead of the handshake, ${name}`, async () => {
      await using doors = await openDoors(FROM_LOOPBACK);
      const raw = connect({ port: doors.mqttsPort, host: "127.0.0.1", noDelay: true });
      await once(raw, "connect");
      // The first write is the client's hello.
      const write = raw.write.bind(raw);
      let isFirst = true;
      const line = new Duplex({
        read() {},
        write(chunk: Buffer, _encoding, done) {
          for (const part of isFirst ? chunks(chunk) : [chunk]) write(part);
          isFirst = false;
          done();
        },
      });
      raw.on("data", (chunk: Buffer) => line.push(chunk));
      raw.on("close", () => line.destroy());
      const secure = connectTls({
        socket: line,
        ca: readFileSync(doors.caFile),
        servername: "localhost",
        checkServerIdentity: () => undefined,
      });
      await once(secure, "secureConnect");
      secure.write("hello over TLS");
      const [echo] = (await once(secure, "data")) as [Buffer];
      assert.equal(echo.toString(), "hello over TLS");
      assert.deepEqual(doors.addresses, ["192.0.2.7"]);
      secure.destroy();
      raw.destroy();
      assert.deepEqual(doors.refused, {});
    });

  for (const [name, first] of [
    ["no header", Buffer.from("101000044d515454", "hex")],
    ["half a header and its end", HEADER.subarray(0, 20)],
    ["a header of more than 536 bytes", version2("2111ffff")],
  ] as const)
    test(`a connection of the balancer with ${name} is closed, and counted`, async () => {
      await using doors = await openDoors(FROM_LOOPBACK);
      for (const port of [doors.mqttPort, doors.mqttsPort]) {
        const socket = connect(port, "127.0.0.1");
        socket.on("error", () => undefined).resume();
        socket.end(first);
        await once(socket, "close");
      }
      await until(() => doors.refused["proxy_header"] === 2, { what: "two refusals" });
      assert.deepEqual(doors.addresses, []);
    });

  test("a header that does not come within five seconds ends the connection", { timeout: 15_000 }, async () => {
    await using doors = await openDoors(FROM_LOOPBACK);
    const started = performance.now();
    const socket = connect(doors.mqttPort, "127.0.0.1");
    socket.on("error", () => undefined).resume();
    socket.write(HEADER.subarray(0, 20));
    await once(socket, "close");
    const tookMs = performance.now() - started;
    assert.ok(tookMs > 4_000 && tookMs < 9_000, `${tookMs} ms`);
    assert.deepEqual(doors.refused, { proxy_header: 1 });
  });

  test("a balancer that connects and leaves without a word is no refusal, and its own LOCAL connection has its own address", async () => {
    await using doors = await openDoors(FROM_LOOPBACK);
    const probe = connect(doors.mqttPort, "127.0.0.1");
    await once(probe, "connect");
    probe.end().resume();
    await once(probe, "close");
    const local = connect(doors.mqttPort, "127.0.0.1");
    local.write(Buffer.concat([version2("20000000"), Buffer.from("ping")]));
    assert.equal(await echoed(local, 4), "ping");
    assert.deepEqual([doors.addresses, doors.refused], [["127.0.0.1"], {}]);
    local.destroy();
  });

  test("whoever is no balancer cannot give itself another address", async () => {
    await using doors = await openDoors({ HEXA_MQTT_PROXY: "10.0.0.0/8" });
    const socket = connect(doors.mqttPort, "127.0.0.1");
    socket.write(HEADER);
    assert.equal(await echoed(socket, HEADER.length), HEADER.toString());
    assert.deepEqual(doors.addresses, ["127.0.0.1"]);
    socket.destroy();
  });

  test("the rate of an address is that of the client behind the balancer", async () => {
    await using doors = await openDoors({ ...FROM_LOOPBACK, HEXA_MQTT_ADDRESS_RATE: "1" });
    const sockets = ["192.0.2.1", "192.0.2.2", "192.0.2.2"].map((address) => {
      const socket = connect(doors.mqttPort, "127.0.0.1");
      socket.write(`PROXY TCP4 ${address} 198.51.100.1 1 2\r\n`);
      return socket;
    });
    await until(() => doors.addresses.length >= 2, { what: "the first of each address" });
    assert.deepEqual(new Set(doors.addresses), new Set(["192.0.2.1", "192.0.2.2"]));
    await until(() => doors.addresses.length === 3, { what: "the second of its address, a second later" });
    for (const socket of sockets) socket.destroy();
  });
});
