import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { RawClient, Version } from "../support/raw-client.ts";
import { temporaryFolder, until } from "../support/wait.ts";
import { ADMINISTRATOR, type LimitScene, limitScene } from "./limits-scene.ts";

/** Whether the connection ended within the time, in ms since the call. */
async function endAfterMs(client: RawClient, waitMs: number): Promise<number | undefined> {
  const startedAt = performance.now();
  return client.ended(waitMs).then(
    () => performance.now() - startedAt,
    () => undefined,
  );
}

// What takes long is waiting.
describe("limits of time", { concurrency: true }, () => {
  describe("keepalive", { concurrency: true }, () => {
    let scene: LimitScene;
    before(async () => {
      scene = await limitScene({ HEXA_MQTT_KEEPALIVE_MIN_S: "2", HEXA_MQTT_KEEPALIVE_MAX_S: "10" });
    });
    after(() => scene[Symbol.asyncDispose]());

    for (const [asked, served] of [
      [0, 10],
      [1, 2],
      [2, undefined],
      [10, undefined],
      [11, 10],
      [65_535, 10],
    ] as const) {
      test(`MQTT 5 asks for ${asked} s and is ${served === undefined ? "served so" : `told ${served} s`} [MQTT-3.1.2-21]`, async () => {
        const client = await scene.connect(await scene.service(), { keepalive: asked });
        assert.equal(client.connack.properties?.serverKeepAlive, served);
      });
    }

    for (const version of [4, 5] as const) {
      const name = version === 4 ? "MQTT 3.1.1" : "MQTT 5";
      test(`${name}: a silent client that asked for 1 s is cut off after one and a half times the least, not before`, async () => {
        const client = await scene.connect(await scene.service(), { version, keepalive: 1 });
        const tookMs = await endAfterMs(client, 8_000);
        assert.ok(tookMs !== undefined && tookMs > 2_500, `it took ${tookMs} ms`);
      });

      test(`${name}: a silent client that asked for no keepalive is cut off after one and a half times the longest`, async () => {
        const client = await scene.connect(await scene.service(), { version, keepalive: 0 });
        const tookMs = await endAfterMs(client, 25_000);
        assert.ok(tookMs !== undefined && tookMs > 14_000, `it took ${tookMs} ms`);
      });
    }
  });

  describe("how long a session outlives its connection", { concurrency: true }, () => {
    let scene: LimitScene;
    let device: { username: string; password: string };
    before(async () => {
      scene = await limitScene({ HEXA_MQTT_SESSION_EXPIRY_S: "3", HEXA_MQTT_SERVICE_SESSION_EXPIRY_S: "100" });
      device = await scene.device();
    });
    after(() => scene[Symbol.asyncDispose]());

    test("it is clamped by the kind of account, and MQTT 5 is told so [MQTT-3.2.2-3.2.2.3.2]", async () => {
      const told = async (account: { username: string; password: string }, seconds: number) => {
        const client = await scene.connect(account, { properties: { sessionExpiryInterval: seconds } });
        await client.drop();
        return client.connack.properties?.sessionExpiryInterval;
      };
      assert.deepEqual([await told(device, 1_000), await told(device, 4_294_967_295), await told(device, 3)], [3, 3, undefined]);
      assert.deepEqual([await told(await scene.service(), 1_000), await told(await scene.service(), 100)], [100, undefined]);
      assert.deepEqual([await told({ ...ADMINISTRATOR }, 1_000)], [3]);
    });

    for (const [version, lasting] of [
      [4, { clean: false }],
      [5, { clean: false, properties: { sessionExpiryInterval: 4_294_967_295 } }],
    ] as const satisfies readonly (readonly [Version, object])[]) {
      test(`a session of ${version === 4 ? "MQTT 3.1.1 with clean = 0" : "MQTT 5"} is there before the limit and gone after it, with its messages`, async () => {
        const account = { ...ADMINISTRATOR };
        const clientId = `ends-${version}`;
        const topic = `${scene.bus}ends-${version}`;
        const first = await scene.connect(account, { version, clientId, ...lasting });
        await first.subscribe({ topic, qos: 1 });
        await first.drop();
        const soon = await scene.connect(account, { version, clientId, ...lasting });
        assert.equal(soon.connack.sessionPresent, true);
        await soon.drop();
        const publisher = await scene.connect(await scene.service());
        const left = performance.now();
        await publisher.publish(topic, "too late", { qos: 1 });
        // The other sessions of these tests have no subscriptions.
        await until(async () => (await scene.metric("hexahub_mqtt_subscriptions")) === 0, { what: "the end of the session" });
        assert.ok(performance.now() - left > 2_000);
        const late = await scene.connect(account, { version, clientId, ...lasting });
        assert.equal(late.connack.sessionPresent, false);
        await late.ping();
        assert.deepEqual(late.takeAll(), []);
      });
    }
  });

  test("a session's end is kept over a restart of the hub: one that is due then is gone, another goes on", async () => {
    await using folder = temporaryFolder();
    const accounts: { username: string; password: string }[] = [];
    let topic = "";
    let goneAt = 0;
    {
      await using scene = await limitScene({}, { dataDir: folder.path });
      topic = `${scene.bus}restart`;
      for (const sessionExpiryInterval of [1, 600]) {
        const account = await scene.service();
        accounts.push(account);
        const client = await scene.connect(account, { clean: false, properties: { sessionExpiryInterval } });
        await client.subscribe({ topic, qos: 1 });
        await client.drop();
      }
      await until(async () => (await scene.metric("hexahub_mqtt_sessions_away")) === 2, { what: "both sessions to be away" });
      goneAt = Date.now();
      const publisher = await scene.connect(await scene.service());
      await publisher.publish(topic, "waits", { qos: 1 });
    }
    await until(() => Date.now() > goneAt + 1_000, { what: "the first session's end" });
    await using scene = await limitScene({}, { dataDir: folder.path });
    const [short, long] = accounts as [(typeof accounts)[0], (typeof accounts)[0]];
    const resume = { clean: false, properties: { sessionExpiryInterval: 600 } };
    await until(async () => (await scene.metric("hexahub_mqtt_sessions_away")) === 1, { what: "the end of the one that was due" });
    assert.equal((await scene.connect(short, resume)).connack.sessionPresent, false);
    const back = await scene.connect(long, resume);
    assert.equal(back.connack.sessionPresent, true);
    assert.equal(String((await back.take("publish")).payload), "waits");
  });
});
