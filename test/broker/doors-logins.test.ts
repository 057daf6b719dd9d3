import assert from "node:assert/strict";
import { test } from "node:test";
import mqtt, { type IClientOptions } from "mqtt";
import type { Log } from "../../core/bus.ts";
import { ADMIN, startHub, type TestHub } from "../support/hub.ts";

/** CONNACK's code: 0 when the client was let in. */
const answer = (hub: TestHub, options: IClientOptions): Promise<number> =>
  mqtt.connectAsync(hub.mqtt, { reconnectPeriod: 0, connectTimeout: 5_000, ...options }).then(
    (client) => client.endAsync(true).then(() => 0),
    (error: { code?: number }) => error.code ?? -1,
  );

for (const [protocolVersion, bad, blocked] of [
  [4, 4, 3],
  [5, 0x86, 0x9f],
] as const) {
  test(`MQTT ${protocolVersion}: after too many refused logins an address gets one answer for every account, the right password included`, async () => {
    await using hub = await startHub({ env: { HEXA_MQTT_LOGIN_FAILURES: "3" } });
    for (let index = 0; index < 3; index++)
      assert.equal(
        await answer(hub, { protocolVersion, clientId: `guess-${index}`, username: ADMIN.email, password: `guess ${index}` }),
        bad,
      );
    const accounts = [
      [ADMIN.email, ADMIN.password],
      [ADMIN.email, "wrong"],
      ["nobody@example.test", "wrong"],
      ["relay-0000000000", "wrong"],
    ] as const;
    const started = performance.now();
    for (let round = 0; round < 5; round++)
      for (const [username, password] of accounts)
        assert.equal(await answer(hub, { protocolVersion, clientId: "blocked", username, password }), blocked, username);
    // To check a password takes a quarter of a second.
    assert.ok(performance.now() - started < 2_500, `20 answers took ${performance.now() - started} ms`);
  });

  test(`MQTT ${protocolVersion}: a device that connects again and again is banned, told in the log once, and no other device is`, async () => {
    const warnings: string[] = [];
    const log: Log = { debug() {}, info() {}, warn: (_data, message) => void warnings.push(message), error() {} };
    await using hub = await startHub({ log, env: { HEXA_MQTT_FLAPPING_COUNT: "5" } });
    await hub.api.login();
    const [flapping, other] = [await hub.api.addDevice(), await hub.api.addDevice()];
    const connectAs = ({ uid, token }: { uid: string; token: string }): Promise<number> =>
      answer(hub, { protocolVersion, clientId: uid, username: uid, password: token });
    const codes: number[] = [];
    for (let index = 0; index < 8; index++) codes.push(await connectAs(flapping));
    assert.deepEqual(codes, [0, 0, 0, 0, 0, blocked, blocked, blocked]);
    assert.equal(await connectAs(other), 0);
    assert.deepEqual(warnings, ["a client connects again and again"]);
  });
}
