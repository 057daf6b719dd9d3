import assert from "node:assert/strict";
import { describe, test } from "node:test";
import mqtt, { type MqttClient } from "mqtt";
import { startVirtualDevice } from "../../firmware/virtual/device.ts";
import { databases } from "../support/databases.ts";
import { ADMIN, ApiClient, startHub } from "../support/hub.ts";
import { until } from "../support/wait.ts";

/** Until a right that came or went holds for sessions that are open. */
const WITHIN_MS = 1_000;
const PASSWORD = "correct horse battery";

for (const { name, skip, open } of databases()) {
  describe(`${name}: somebody who was given a site`, { skip }, () => {
    async function scene() {
      await using stack = new AsyncDisposableStack();
      const database = stack.use(await open());
      const hub = stack.use(await startHub({ databaseUrl: database.url }));
      await hub.api.login();
      const { api } = hub;
      const { body: me } = await api.call<{ organization_id: string }>("GET", "/api/v1/auth/me");
      const organization = `/api/v1/organizations/${me.organization_id}`;
      const lamp = await api.addDevice({ name: "Lamp" });
      const connection = {
        url: hub.mqtt,
        uid: lamp.uid,
        password: lamp.token,
        deviceClass: "relay_controller",
        protocolVersion: 5,
      } as const;
      const relay = stack.use(await startVirtualDevice(connection));
      const { body: invited } = await api.call<{ token: string }>("POST", `${organization}/invitations`, {
        email: "guest@example.org",
        role: null,
      });
      const registration = { token: invited.token, password: PASSWORD };
      const { body: guest } = await api.call<{ access_token: string; user: { id: string } }>(
        "POST",
        "/api/v1/invitations/register",
        registration,
      );
      const guestApi = new ApiClient(hub.http);
      guestApi.token = guest.access_token;
      const clients = stack.use(new AsyncDisposableStack());
      async function connect(username: string, clientId: string, password = PASSWORD) {
        const client = mqtt.connect(hub.mqtt, {
          protocolVersion: 5,
          clientId,
          username,
          password,
          reconnectPeriod: 0,
          clean: false,
          properties: { sessionExpiryInterval: 3_600 },
        });
        clients.adopt(client, (one: MqttClient) => one.endAsync(true));
        const heard: string[] = [];
        client.on("message", (topic, payload) => heard.push(`${topic} ${payload.toString()}`));
        await new Promise((resolve, reject) => void client.once("connect", resolve).once("error", reject));
        return { client, heard };
      }
      const call = async (method: string, path: string, body?: object): Promise<Record<string, { id: string }>> => {
        const answer = await api.call<Record<string, { id: string }>>(method, path, body);
        assert.ok(answer.status < 300, `${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
        return answer.body;
      };
      const addSite = async (): Promise<string> =>
        (await call("POST", "/api/v1/sites", { name: "Villa", time_zone: "UTC" }))["site"]?.id as string;
      const addRoom = async (siteId: string): Promise<string> =>
        (await call("POST", "/api/v1/rooms", { name: "Kitchen", site_id: siteId }))["room"]?.id as string;
      const owned = stack.move();
      return {
        lamp,
        relay,
        guestApi,
        connect,
        call,
        addSite,
        addRoom,
        place: (roomId: string | null) => call("PATCH", `/api/v1/devices/${lamp.id}`, { room_id: roomId }),
        grants: `${organization}/grants`,
        guestId: guest.user.id,
        [Symbol.asyncDispose]: () => owned.disposeAsync(),
      };
    }

    test("hears and does on it what the role is for, and nothing more once a device is elsewhere, however it went", async () => {
      await using here = await scene();
      const { lamp, relay, guestApi, connect, call, addSite, addRoom, place, grants, guestId } = here;
      const { client, heard } = await connect("guest@example.org", "live");
      await client.subscribeAsync("hexa/#", { qos: 1 });
      const { client: watcher, heard: seen } = await connect(ADMIN.email, "watcher", ADMIN.password);
      await watcher.subscribeAsync("hexa/#", { qos: 1 });
      const { client: first } = await connect("guest@example.org", "stored");
      await first.subscribeAsync("hexa/+/relay/+/state", { qos: 1, rh: 2 });
      await first.endAsync();
      const comeBack = async (): Promise<string[]> => {
        const { client: back, heard: queued } = await connect("guest@example.org", "stored");
        // Its answer comes behind what is sent to a session that comes back.
        await back.subscribeAsync("hexa/+/fence");
        await back.endAsync();
        return queued;
      };
      const set = `hexa/${lamp.uid}/relay/0/set`;
      const state = `hexa/${lamp.uid}/sensor/power/state`;
      const asked = async (): Promise<number> => (await guestApi.call("GET", `/api/v1/devices/${lamp.uid}`)).status;
      let power = 0;

      const elsewhere = await addSite();
      const room = await addRoom(elsewhere);
      const ways: readonly [string, (site: string, from: string) => Promise<unknown>][] = [
        ["out of every room", () => place(null)],
        ["into a room on another site", () => place(room)],
        ["with its room to another site", (_site, from) => call("PATCH", `/api/v1/rooms/${from}`, { site_id: elsewhere })],
        ["as its room is removed", (_site, from) => call("DELETE", `/api/v1/rooms/${from}`)],
        ["as the site is removed", (site) => call("DELETE", `/api/v1/sites/${site}`)],
        ["as the grant is taken back", (site) => call("DELETE", `${grants}/${guestId}/${site}`)],
        ["as it is released", () => call("POST", `/api/v1/devices/${lamp.id}/release`)],
      ];
      for (const [way, leave] of ways) {
        const site = await addSite();
        const from = await addRoom(site);
        await call("POST", grants, { user_id: guestId, site, role: "operator" });
        assert.equal(await asked(), 403, way);
        const cameAt = performance.now();
        await place(from);
        await relay.sendTelemetry({ power: ++power });
        await until(() => heard.includes(`${state} ${power}`), { what: `what is there: ${way}`, timeoutMs: WITHIN_MS });
        assert.ok(performance.now() - cameAt < WITHIN_MS + 1_000);
        await client.publishAsync(set, power % 2 === 0 ? "ON" : "OFF", { qos: 1 });
        await until(() => heard.some((line) => line === `hexa/${lamp.uid}/relay/0/state ${power % 2 === 0 ? "ON" : "OFF"}`), {
          what: "the effect",
        });
        assert.equal((await comeBack()).length > 0, true, way);
        // This waits for the session that is away, and has to stay there.
        await relay.setRelayLocally(1, power % 2 === 0 ? "ON" : "OFF");
        assert.equal(await asked(), 200, way);

        await leave(site, from);
        heard.length = seen.length = 0;
        // A device that was released comes back by itself; nobody hears it then.
        await until(async () => relay.sendTelemetry({ power: ++power }).then(() => true), { what: "the reading" });
        if (way !== "as it is released") await until(() => seen.includes(`${state} ${power}`), { what: "the reading at the watcher" });
        await assert.rejects(client.publishAsync(set, "TOGGLE", { qos: 1 }), /Not authorized/i, way);
        await assert.rejects(client.subscribeAsync(`hexa/${lamp.uid}/#`), /Not authorized|135/i, way);
        // What is retained would come with it.
        await client.subscribeAsync("hexa/+/+/#", { qos: 1 });
        await client.unsubscribeAsync("hexa/+/+/#");
        assert.deepEqual([heard, await comeBack(), await asked()], [[], [], 403], way);
      }
    });
  });
}
