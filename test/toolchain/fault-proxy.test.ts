import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { test } from "node:test";
import { startFaultProxy } from "../support/fault-proxy.ts";
import { until } from "../support/wait.ts";

test("bytes pass both ways in order, and an orderly end is passed on after them", async () => {
  await using line = await echoThroughProxy();
  const client = await line.connect();
  client.socket.end("a".repeat(500_000) + "z");
  await once(client.socket, "close");
  assert.equal(client.received(), "a".repeat(500_000) + "z");
});

test("a delay holds every byte back and keeps the order", async () => {
  await using line = await echoThroughProxy();
  line.proxy.slow({ delayMs: 60 });
  const client = await line.connect();
  const startedAt = performance.now();
  client.socket.write("one ");
  client.socket.write("two");
  await until(() => client.received() === "one two", { what: "the echo" });
  // There and back.
  assert.ok(performance.now() - startedAt >= 115, `${performance.now() - startedAt} ms`);
});

test("a throttle limits the bytes a second", async () => {
  await using line = await echoThroughProxy();
  const client = await line.connect();
  line.proxy.slow({ bytesPerSecond: 100_000 });
  const startedAt = performance.now();
  client.socket.write("x".repeat(20_000));
  await until(() => client.received().length === 20_000, { what: "all of it" });
  assert.ok(performance.now() - startedAt >= 190, `${performance.now() - startedAt} ms`);
});

test("a frozen line moves nothing, a thawed one moves all of it", async () => {
  await using line = await echoThroughProxy();
  const client = await line.connect();
  client.socket.write("before ");
  await until(() => client.received() === "before ", { what: "the first echo" });
  line.proxy.freeze();
  client.socket.write("during");
  const other = await line.connect();
  other.socket.write("other");
  await assert.rejects(
    until(() => client.received().includes("during") || other.received() !== "", { what: "a leak", timeoutMs: 100 }),
    /gave up/,
  );
  line.proxy.thaw();
  await until(() => client.received() === "before during" && other.received() === "other", { what: "what was held back" });
});

test("every second piece stalls, and the next one waits behind it", async () => {
  await using line = await echoThroughProxy();
  const client = await line.connect();
  line.proxy.slow({ stallMs: 100 });
  const startedAt = performance.now();
  for (const text of ["one ", "two ", "three "]) {
    client.socket.write(text);
    await until(() => client.received().endsWith(text), { what: `the echo of ${text}` });
  }
  const afterMs = performance.now() - startedAt;
  assert.equal(client.received(), "one two three ");
  // The second, there and back.
  assert.ok(afterMs >= 195, `${afterMs} ms`);
});

test("a line that tears lets the first bytes of an answer through and ends behind them, new connections too", async () => {
  await using line = await echoThroughProxy();
  const client = await line.connect();
  client.socket.write("before ");
  await until(() => client.received() === "before ", { what: "the first echo" });
  line.proxy.tear(10);
  for (const one of [client, await line.connect()]) {
    one.socket.write("12345");
    await until(() => one.received().endsWith("12345"), { what: "what is let through" });
    one.socket.write("6789012345");
    await until(() => one.socket.closed, { what: "the end" });
    assert.match(one.received(), /^(before )?1234567890$/);
  }
  line.proxy.mend();
  const later = await line.connect();
  later.socket.write("x".repeat(100));
  await until(() => later.received().length === 100, { what: "the echo over the mended line" });
});

test("a cut resets both sides", async () => {
  await using line = await echoThroughProxy();
  const client = await line.connect();
  client.socket.write("hello");
  await until(() => client.received() === "hello", { what: "the echo" });
  line.proxy.cut();
  await until(() => client.socket.closed, { what: "the client's side to close" });
  assert.equal(client.errorCode(), "ECONNRESET");
  await until(() => line.served() === 0 && line.proxy.connections === 0, { what: "the server's side to close" });
});

test("half open: the server is gone, and the client does not learn of it", async () => {
  await using line = await echoThroughProxy();
  const client = await line.connect();
  client.socket.write("hello");
  await until(() => client.received() === "hello", { what: "the echo" });
  line.proxy.halfOpen("server");
  await until(() => line.served() === 0, { what: "the server's side to close" });
  client.socket.write("anybody there?");
  await assert.rejects(
    until(() => client.socket.closed || client.received() !== "hello", { what: "a sign", timeoutMs: 100 }),
    /gave up/,
  );
  const again = await line.connect();
  again.socket.write("new");
  await until(() => again.received() === "new", { what: "a new connection to work" });
});

test("refused connections are reset, until they are accepted again", async () => {
  await using line = await echoThroughProxy();
  line.proxy.refuse();
  await assert.rejects(
    line.connect().then((client) => once(client.socket, "data")),
    { code: "ECONNRESET" },
  );
  line.proxy.accept();
  const client = await line.connect();
  client.socket.write("hello");
  await until(() => client.received() === "hello", { what: "the echo" });
});

async function echoThroughProxy() {
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on("error", () => socket.destroy());
    socket.once("close", () => sockets.delete(socket));
    socket.pipe(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const proxy = await startFaultProxy({ port: (server.address() as AddressInfo).port });
  return {
    proxy,
    served: () => sockets.size,
    connect: () => connectClient(proxy.port),
    [Symbol.asyncDispose]: async () => {
      await proxy[Symbol.asyncDispose]();
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

async function connectClient(port: number) {
  const socket = connect(port, "127.0.0.1");
  let received = "";
  let errorCode: string | undefined;
  socket.setEncoding("utf8").on("data", (text: string) => {
    received += text;
  });
  socket.on("error", (error: NodeJS.ErrnoException) => {
    errorCode = error.code;
  });
  await once(socket, "connect");
  return { socket, received: () => received, errorCode: () => errorCode };
}
