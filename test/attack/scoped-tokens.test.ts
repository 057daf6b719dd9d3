import assert from "node:assert/strict";
import { describe, test } from "node:test";
import mqtt, { type IClientOptions, type MqttClient } from "mqtt";
import { startVirtualDevice, type VirtualDevice } from "../../firmware/virtual/device.ts";
import { databases } from "../support/databases.ts";
import { ADMIN, startHub, type TestHub } from "../support/hub.ts";
import { temporaryFolder, until } from "../support/wait.ts";

/** Queued for whoever is away, as a state is not. */
const said = ({ uid }: { readonly uid: string }, power: number): string => `hexa/${uid}/up/telemetry {"values":{"power":${power}}}`;
const STORED = { clean: false, properties: { sessionExpiryInterval: 3_600 } };

for (const { name, skip, open } of databases()) {
  describe(`${name}: a token for reading one device, of somebody who administers the hub`, { skip }, () => {
    async function scene() {
      await using stack = new AsyncDisposableStack();
      const database = stack.use(await open());
      const { path: dataDir } = stack.use(temporaryFolder());
      const start = () => startHub({ databaseUrl: database.url, dataDir });
      const running: { hub: TestHub } = { hub: await start() };
      stack.defer(() => running.hub[Symbol.asyncDispose]());
      const { api } = running.hub;
      await api.login();
      const { body: me } = await api.call<{ organization_id: string }>("GET", "/api/v1/auth/me");
      const [lamp, other] = [await api.addDevice({ name: "Lamp" }), await api.addDevice({ name: "Other" })];
      const limit = async (body: object): Promise<string> => {
        const made = await api.call<{ token: string }>("POST", "/api/v1/access-tokens", body);
        assert.equal(made.status, 201, JSON.stringify(made.body));
        return made.body.token;
      };
      const tokens = {
        limited: await limit({ kind: "personal", name: "limited", permissions: ["device.read"], devices: [lamp.uid] }),
        whole: await limit({ kind: "personal", name: "whole" }),
        machine: await limit({ kind: "service", name: "machine", permissions: ["device.read"], devices: [lamp.uid] }),
      };
      const clients = new AsyncDisposableStack();
      stack.defer(() => clients.disposeAsync());
      const connect = async (who: keyof typeof tokens, options: IClientOptions = {}) => {
        const username = who === "machine" ? "machine" : ADMIN.email;
        const client = mqtt.connect(running.hub.mqtt, {
          protocolVersion: 5,
          username,
          password: tokens[who],
          reconnectPeriod: 0,
          ...options,
        });
        clients.adopt(client, (one: MqttClient) => one.endAsync(true));
        const heard: string[] = [];
        // Before it is connected: what was queued comes with the CONNACK.
        client.on("message", (topic, payload) => heard.push(`${topic} ${payload.toString()}`));
        await new Promise((resolve, reject) => void client.once("connect", resolve).once("error", reject));
        return { client, heard };
      };
      let plugged: VirtualDevice[] = [];
      const unplug = async (): Promise<void> => void (await Promise.all(plugged.splice(0).map((one) => one[Symbol.asyncDispose]())));
      /** They stay connected: what was worked out for a topic is not worked out anew because of them. */
      const plug = async (): Promise<void> => {
        const at = { url: running.hub.mqtt, deviceClass: "relay_controller", protocolVersion: 5 } as const;
        plugged = await Promise.all([lamp, other].map(({ uid, token }) => startVirtualDevice({ ...at, uid, password: token })));
      };
      stack.defer(unplug);
      await plug();
      const stir = async (power: number): Promise<void> => {
        for (const device of plugged) await device.sendTelemetry({ power });
      };
      const owned = stack.move();
      return {
        running,
        lamp,
        other,
        organizationId: me.organization_id,
        connect,
        stir,
        restart: async (): Promise<void> => {
          await unplug();
          await running.hub[Symbol.asyncDispose]();
          running.hub = await start();
          await plug();
        },
        [Symbol.asyncDispose]: () => owned.disposeAsync(),
      };
    }

    for (const who of ["limited", "machine"] as const)
      test(`says nothing and hears of that device alone: ${who}`, async () => {
        await using place = await scene();
        const { lamp, other, organizationId, connect, stir } = place;
        await stir(1);
        const { client, heard } = await connect(who);
        for (const topic of [
          `hexa/${lamp.uid}/relay/0/set`,
          `hexa/${other.uid}/relay/0/set`,
          `hexa/${lamp.uid}/up/telemetry`,
          `hexa-app/${organizationId}/bus/x`,
          "homeassistant/status",
        ])
          await assert.rejects(client.publishAsync(topic, "online", { qos: 1 }), /Not authorized/i, topic);
        for (const filter of [`hexa/${other.uid}/#`, `$share/g/hexa/${other.uid}/sensor/#`, "$SYS/#", "$hub/#", "hexa-app/another/#"])
          await assert.rejects(client.subscribeAsync(filter, { qos: 1 }), /Not authorized|135|Unspecified/i, filter);
        await client.subscribeAsync([`hexa/${lamp.uid}/#`, "#", "hexa/#", "$share/g/hexa/+/sensor/#"], { qos: 1 });
        const { client: whole, heard: all } = await connect("whole");
        await whole.subscribeAsync(["hexa/#", `hexa-app/${organizationId}/#`], { qos: 1 });
        await stir(2);
        await whole.publishAsync(`hexa-app/${organizationId}/bus/x`, "bell", { qos: 1 });
        await until(() => all.includes(`hexa/${other.uid}/sensor/power/state 2`), { what: "what the whole account hears" });
        await until(() => heard.includes(`hexa/${lamp.uid}/sensor/power/state 2`), { what: "what the limited one hears" });
        await until(() => heard.includes(`hexa/${lamp.uid}/sensor/power/state 1`), { what: "what is retained" });
        assert.ok(all.some((line) => line.startsWith(`hexa-app/${organizationId}/bus/x`)));
        await stir(3);
        await until(() => heard.includes(`hexa/${lamp.uid}/sensor/power/state 3`), { what: "a reading behind all of it" });
        assert.deepEqual(
          heard.filter((line) => !line.startsWith(`hexa/${lamp.uid}/`)),
          [],
        );
        for (const topic of [`hexa-app/${organizationId}/bus/gone`, `hexa/${lamp.uid}/availability`, `hexa/${lamp.uid}/relay/0/set`]) {
          const will = { topic, payload: Buffer.from("OFF"), qos: 1 as const, retain: false };
          await assert.rejects(connect(who, { will, clientId: `with-a-will-${who}` }), /Not authorized|135/i, topic);
        }
        // The same account may do it by a credential without limits.
        await whole.publishAsync(`hexa/${lamp.uid}/relay/0/set`, "ON", { qos: 1 });
      });

    test("keeps its limits in a session that is stored, over a restart too", async () => {
      await using place = await scene();
      const { lamp, other, connect, stir, restart } = place;
      const { client } = await connect("limited", { ...STORED, clientId: "reader" });
      await client.subscribeAsync("hexa/+/up/telemetry", { qos: 1 });
      await client.endAsync();
      await stir(1);
      await restart();
      await stir(2);
      const { client: back, heard } = await connect("limited", { ...STORED, clientId: "reader" });
      await until(() => heard.includes(said(lamp, 2)), { what: "what was queued" });
      assert.deepEqual(heard, [said(lamp, 1), said(lamp, 2)]);
      await back.endAsync();
      assert.ok(!heard.some((line) => line.includes(other.uid)));
    });

    test("is what the session has that it takes over, whoever had it before", async () => {
      await using place = await scene();
      const { lamp, other, connect, stir } = place;
      const { client } = await connect("whole", { ...STORED, clientId: "shared" });
      await client.subscribeAsync(["hexa/+/up/telemetry", `hexa/${other.uid}/availability`], { qos: 1 });
      await client.endAsync();
      await stir(1);
      const { client: limited, heard } = await connect("limited", { ...STORED, clientId: "shared" });
      await until(() => heard.includes(said(lamp, 1)), { what: "what was queued for the whole account" });
      await stir(2);
      await stir(3);
      await until(() => heard.includes(said(lamp, 3)), { what: "what is said now" });
      await limited.endAsync();
      assert.deepEqual(
        heard.filter((line) => !line.startsWith(`hexa/${lamp.uid}/`)),
        [],
      );
      await stir(4);
      const { heard: again, client: whole } = await connect("whole", { ...STORED, clientId: "shared" });
      await stir(5);
      await until(() => again.includes(said(other, 5)), { what: "what the whole account hears" });
      await whole.endAsync();
      assert.ok(again.includes(said(lamp, 4)));
      assert.ok(!again.includes(said(other, 4)), "that was not for the limited one, who had the session");
    });
  });
}
