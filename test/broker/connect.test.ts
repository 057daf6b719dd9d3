import assert from "node:assert/strict";
import { once } from "node:events";
import { connect as connectTcp } from "node:net";
import { after, before, describe, test } from "node:test";
import mqtt, { type IClientOptions } from "mqtt";
import type { Log } from "../../core/bus.ts";
import { ADMIN, startHub, type TestHub } from "../support/hub.ts";
import { connectPacket } from "../support/packets.ts";
import { until } from "../support/wait.ts";

describe("CONNECT", () => {
  let hub: TestHub;
  const errors: string[] = [];
  const log: Log = { debug() {}, info() {}, warn() {}, error: (_data, message) => void errors.push(message) };
  before(async () => {
    hub = await startHub({ log });
    await hub.api.login();
  });
  after(() => hub[Symbol.asyncDispose]());

  /** CONNACK's code: 0 when the client was let in. */
  const answer = (clientId: string, options: IClientOptions = {}): Promise<number> =>
    mqtt
      .connectAsync(hub.mqtt, {
        clientId,
        username: ADMIN.email,
        password: ADMIN.password,
        reconnectPeriod: 0,
        connectTimeout: 5_000,
        ...options,
      })
      .then(
        (client) => client.endAsync(true).then(() => 0),
        (error: { code?: number }) => error.code ?? -1,
      );

  for (const protocolVersion of [4, 5] as const) {
    const refused = protocolVersion === 5 ? 0x85 : 2;

    test(`MQTT ${protocolVersion}: a client id of more than 128 bytes is refused`, async () => {
      assert.equal(await answer("x".repeat(129), { protocolVersion }), refused);
      assert.equal(await answer("é".repeat(65), { protocolVersion }), refused);
      assert.equal(await answer("é".repeat(64), { protocolVersion }), 0);
    });

    test(`MQTT ${protocolVersion}: a client id with a control character is refused`, async () => {
      for (const clientId of ["a\nb", "a\u007fb", "a\u0085b"])
        assert.equal(await answer(clientId, { protocolVersion, clean: false }), refused, JSON.stringify(clientId));
    });

    test(`MQTT ${protocolVersion}: a client id that JavaScript's objects know is a client id like any other`, async () => {
      for (const clientId of ["constructor", "__proto__", "toString"])
        assert.equal(await answer(clientId, { protocolVersion }), 0, clientId);
      assert.equal((await fetch(`${hub.http}/health`)).status, 200);
    });
  }

  test("a user name with a control character is a wrong user name and no error of the hub", async () => {
    assert.equal(await answer("odd-user", { username: "a\n@example.test", protocolVersion: 4 }), 4);
    assert.equal(await answer("odd-service", { username: "home\nassistant", protocolVersion: 4 }), 4);
    assert.deepEqual(errors, []);
  });

  test("a client id is free again after a session that ends with its connection", async () => {
    const service = (await hub.api.call<{ token: string }>("POST", "/api/v1/access-tokens", { kind: "service", name: "second-owner" }))
      .body;
    const second = { username: "second-owner", password: service.token, protocolVersion: 4 } as const;
    assert.equal(await answer("passed-on", { protocolVersion: 4, clean: false }), 0);
    assert.equal(await answer("passed-on", second), 2);
    assert.equal(await answer("passed-on", { protocolVersion: 4, clean: true }), 0);
    await until(async () => (await answer("passed-on", second)) === 0, { what: "the client id to be free" });
  });

  test("a connection that is gone before its password was checked leaves no session", async () => {
    const service = (await hub.api.call<{ token: string }>("POST", "/api/v1/access-tokens", { kind: "service", name: "late-owner" })).body;
    const { port } = new URL(hub.mqtt);
    const socket = connectTcp(Number(port), "127.0.0.1");
    await once(socket, "connect");
    socket.write(connectPacket({ username: ADMIN.email, password: ADMIN.password }, { clientId: "hasty", clean: false }), () =>
      socket.resetAndDestroy(),
    );
    await once(socket, "close");
    // Passwords are checked one after the other: when this one is answered, the other one was too.
    assert.equal(await answer("behind-hasty"), 0);
    assert.equal(await answer("hasty", { username: "late-owner", password: service.token, protocolVersion: 4 }), 0);
  });
});

test("a hub stops at once although clients connected and said nothing", async () => {
  const hub = await startHub();
  const sockets = await Promise.all(
    [hub.mqtt, hub.mqtts, hub.http].map(async (url) => {
      const socket = connectTcp(Number(new URL(url).port), "127.0.0.1");
      socket.on("error", () => {});
      await once(socket, "connect");
      return socket;
    }),
  );
  const socket = new WebSocket(hub.ws, "mqtt");
  await once(socket, "open");
  const closed = Promise.all(sockets.map((one) => once(one, "close")));
  const started = performance.now();
  await hub[Symbol.asyncDispose]();
  assert.ok(performance.now() - started < 4_000, `took ${performance.now() - started} ms`);
  for (const one of sockets) one.end();
  await closed;
});
