import assert from "node:assert/strict";
import { describe, test } from "node:test";
import mqtt, { type IClientOptions, type MqttClient } from "mqtt";
import { startVirtualDevice } from "../../firmware/virtual/device.ts";
import { databases } from "../support/databases.ts";
import { ADMIN, ApiClient, startHub } from "../support/hub.ts";
import { until } from "../support/wait.ts";

/** Until a right that was taken away holds for sessions that are open. */
const WITHIN_MS = 1_000;
const PASSWORD = "correct horse battery";

for (const { name, skip, open } of databases()) {
  describe(`${name}: somebody who loses a role or a grant`, { skip }, () => {
    async function scene() {
      await using stack = new AsyncDisposableStack();
      const database = stack.use(await open());
      const hub = stack.use(await startHub({ databaseUrl: database.url }));
      await hub.api.login();
      const { body: me } = await hub.api.call<{ organization_id: string }>("GET", "/api/v1/auth/me");
      const path = `/api/v1/organizations/${me.organization_id}`;
      const lamp = await hub.api.addDevice({ name: "Lamp" });
      const relay = stack.use(
        await startVirtualDevice({
          url: hub.mqtt,
          uid: lamp.uid,
          password: lamp.token,
          deviceClass: "relay_controller",
          protocolVersion: 5,
        }),
      );
      const clients = stack.use(new AsyncDisposableStack());
      /** Somebody new, who is a member by invitation. */
      async function join(email: string, role: string | null) {
        const { body: invited } = await hub.api.call<{ token: string }>("POST", `${path}/invitations`, { email, role });
        const { body } = await hub.api.call<{ access_token: string; user: { id: string } }>("POST", "/api/v1/invitations/register", {
          token: invited.token,
          password: PASSWORD,
        });
        const api = new ApiClient(hub.http);
        api.token = body.access_token;
        return { api, userId: body.user.id, email };
      }
      async function connect(email: string, clientId: string, options: IClientOptions = {}) {
        const client = mqtt.connect(hub.mqtt, {
          protocolVersion: 5,
          clientId,
          username: email,
          password: PASSWORD,
          reconnectPeriod: 0,
          clean: false,
          properties: { sessionExpiryInterval: 3_600 },
          ...options,
        });
        clients.adopt(client, (one: MqttClient) => one.endAsync(true));
        const heard: string[] = [];
        // Before it is connected: what was queued comes with the CONNACK.
        client.on("message", (topic, payload) => heard.push(`${topic} ${payload.toString()}`));
        await new Promise((resolve, reject) => void client.once("connect", resolve).once("error", reject));
        return { client, heard };
      }
      const setRole = async (userId: string, role: string | null): Promise<void> => {
        assert.equal((await hub.api.call("PATCH", `${path}/members/${userId}`, { role })).status, 200);
      };
      const owned = stack.move();
      return {
        hub,
        path,
        lamp,
        relay,
        join,
        connect,
        setRole,
        organizationId: me.organization_id,
        [Symbol.asyncDispose]: () => owned.disposeAsync(),
      };
    }

    test("hears nothing more and says nothing more, by filter, group, retained message or will, on the session that is open", async () => {
      await using place = await scene();
      const { lamp, relay, join, connect, setRole, organizationId } = place;
      const eve = await join("eve@example.org", "operator");
      const will = { topic: `hexa-app/${organizationId}/bus/eve`, payload: Buffer.from("eve's will"), qos: 1 as const, retain: false };
      const { client, heard } = await connect(eve.email, "eve", { will });
      const { client: grouped, heard: heardInGroup } = await connect(eve.email, "eve-in-a-group");
      await client.subscribeAsync(["hexa/#", `hexa-app/${organizationId}/#`], { qos: 1 });
      await grouped.subscribeAsync(`$share/team/hexa/${lamp.uid}/#`, { qos: 1 });
      const set = `hexa/${lamp.uid}/relay/0/set`;
      // Who still may hears what passes. It is here before: what was worked out for all of them has to be worked out anew.
      const { client: watcher, heard: seen } = await connect(ADMIN.email, "watcher");
      await watcher.subscribeAsync("#", { qos: 1 });
      await client.publishAsync(set, "ON", { qos: 1 });
      await client.publishAsync(`hexa-app/${organizationId}/bus/x`, "x", { qos: 1 });
      await relay.sendTelemetry({ power: 1 });
      await until(() => heard.includes(`hexa/${lamp.uid}/sensor/power/state 1`), { what: "what an operator hears" });
      await until(() => heardInGroup.some((line) => line.includes("/sensor/power/state 1")), { what: "what the group hears" });

      const takenAt = performance.now();
      await setRole(eve.userId, null);
      heard.length = heardInGroup.length = 0;
      await relay.sendTelemetry({ power: 2 });
      await until(() => seen.includes(`hexa/${lamp.uid}/sensor/power/state 2`), { what: "the reading" });
      await assert.rejects(client.publishAsync(set, "OFF", { qos: 1 }), /Not authorized/i);
      await assert.rejects(client.publishAsync(`hexa-app/${organizationId}/bus/x`, "x", { qos: 1 }), /Not authorized/i);
      await assert.rejects(client.subscribeAsync(`hexa/${lamp.uid}/#`), /Not authorized|135/i);
      assert.ok(performance.now() - takenAt < WITHIN_MS + 4_000);
      await client.subscribeAsync("hexa/+/sensor/#", { qos: 1 });
      client.stream.destroy();
      await until(() => seen.length > 0 && !client.connected, { what: "the end of the connection" });
      await watcher.publishAsync(`hexa-app/${organizationId}/bus/fence`, "fence", { qos: 1 });
      await until(() => seen.some((line) => line.endsWith(" fence")), { what: "the fence" });
      assert.deepEqual([heard, heardInGroup, seen.filter((line) => line.includes("eve's will"))], [[], [], []]);
      assert.equal(relay.state.relays[0]?.state, "ON");

      await setRole(eve.userId, "viewer");
      await relay.sendTelemetry({ power: 3 });
      await until(() => heardInGroup.some((line) => line.includes("/sensor/power/state 3")), { what: "what a viewer hears" });
    });

    test("is not sent what was queued while the right was there", async () => {
      await using place = await scene();
      const { lamp, relay, join, connect, setRole, hub, path } = place;
      const [eve, guest] = [await join("eve@example.org", "viewer"), await join("guest@example.org", null)];
      const granted = { user_id: guest.userId, device: lamp.uid, role: "viewer" };
      assert.equal((await hub.api.call("POST", `${path}/grants`, granted)).status, 200);
      for (const { email } of [eve, guest]) {
        const { client } = await connect(email, email);
        await client.subscribeAsync("hexa/+/relay/+/state", { qos: 1 });
        await client.endAsync();
      }
      await relay.setRelayLocally(0, "ON");
      const away = async (email: string): Promise<string[]> => {
        const { client, heard } = await connect(email, email);
        // Its answer comes behind what is sent to a session that comes back.
        await client.subscribeAsync(`hexa/${lamp.uid}/fence`).catch(() => undefined);
        await client.endAsync();
        return heard;
      };
      const kept = await join("kept@example.org", "viewer");
      const { client: keeper } = await connect(kept.email, kept.email);
      await keeper.subscribeAsync("hexa/+/relay/+/state", { qos: 1, rh: 2 });
      await keeper.endAsync();
      await relay.setRelayLocally(0, "OFF");
      await setRole(eve.userId, null);
      assert.equal((await hub.api.call("DELETE", `${path}/grants/${guest.userId}/${lamp.id}`)).status, 204);
      assert.deepEqual(
        [await away(eve.email), await away(guest.email), await away(kept.email)],
        [[], [], [`hexa/${lamp.uid}/relay/0/state OFF`]],
      );
    });
  });
}
