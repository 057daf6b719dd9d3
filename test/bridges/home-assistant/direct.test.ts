import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { isDeepStrictEqual } from "node:util";
import { databases } from "../../support/databases.ts";
import { type ApiClient, startHub } from "../../support/hub.ts";
import { temporaryFolder, until } from "../../support/wait.ts";
import { startVirtualDevice } from "../../../firmware/virtual/device.ts";
import { startTwoOrganizations } from "../../attack/two-organizations.ts";
import { type Account, join } from "../../main/home-assistant-scene.ts";

/** What every device has, whatever it can do. */
const COMMON = ["heartbeat_rssi", "identify", "restart"];
const idsOf = ({ uid }: { readonly uid: string }, ...keys: string[]): string[] => [...keys, ...COMMON].map((key) => `hexa_${uid}_${key}`);

async function account(
  api: ApiClient,
  body: object = {},
): Promise<Account & { form: string; discovery_prefix: string; broker: string; port: number }> {
  const made = await api.call("POST", "/api/v1/bridges/home_assistant/account", body);
  assert.equal(made.status, 201, JSON.stringify(made.body));
  return made.body as unknown as Awaited<ReturnType<typeof account>>;
}

const stateOf = async (api: ApiClient) =>
  (
    await api.call<{ bridge: { status: string; counts: Record<string, number>; details: Record<string, unknown> } }>(
      "GET",
      "/api/v1/bridges/home_assistant",
    )
  ).body.bridge;

/** What is written down follows what was told. */
const hasCounts = (api: ApiClient, counts: Record<string, number>): Promise<unknown> =>
  until(async () => isDeepStrictEqual((await stateOf(api)).counts, counts), { what: `the counts ${JSON.stringify(counts)}` });

for (const { name, skip, open } of databases()) {
  describe(`${name}: Home Assistant on the hub's own broker`, { skip }, () => {
    async function scene() {
      await using stack = new AsyncDisposableStack();
      const database = stack.use(await open());
      const { path: dataDir } = stack.use(temporaryFolder());
      const hub = stack.use(await startHub({ databaseUrl: database.url, dataDir }));
      await hub.api.login();
      const owned = stack.move();
      return { hub, api: hub.api, [Symbol.asyncDispose]: () => owned.disposeAsync() };
    }

    test("is told of every device, of what changes and of what goes, over MQTT 3.1.1 too", async () => {
      await using place = await scene();
      const { hub, api } = place;
      const hall = await api.addDevice({ name: "Hall", capabilities: { relays: 2, inputs: 1 } });
      assert.equal((await stateOf(api)).status, "off");
      const ours = await account(api);
      assert.equal(ours.discovery_prefix, "homeassistant");
      await using home = await join(hub.mqtt, ours);
      await using older = await join(hub.mqtt, ours, 4);
      await home.has(idsOf(hall, "relay_0", "relay_1", "input_0"));
      await until(async () => (await stateOf(api)).status === "connected", { what: "the bridge to be connected" });

      const before = home.topicOf(`hexa_${hall.uid}_relay_0`);
      const renamed = await api.call("PATCH", `/api/v1/devices/${hall.uid}`, { name: "Corridor" });
      assert.equal(renamed.status, 200);
      const deviceName = (): unknown => (JSON.parse(home.heard.at(-1)?.payload ?? "{}") as { device?: { name: string } }).device?.name;
      await until(() => deviceName() === "Corridor", { what: "the new name" });
      assert.ok(before);
      assert.equal(home.topicOf(`hexa_${hall.uid}_relay_0`), before);

      await api.call("PATCH", `/api/v1/devices/${hall.uid}/exposure`, { home_assistant: false });
      await home.has([]);
      assert.equal(home.heard.at(-1)?.payload, "");
      await api.call("PATCH", `/api/v1/devices/${hall.uid}/exposure`, { home_assistant: true });
      await home.has(idsOf(hall, "relay_0", "relay_1", "input_0"));
      await older.has(idsOf(hall, "relay_0", "relay_1", "input_0"));
      await api.call("DELETE", `/api/v1/devices/${hall.uid}`);
      await home.has([]);
      await older.has([]);
      await hasCounts(api, { devices: 0, messages: 0 });
    });

    test("a thing that a device has no more is named once by its platform alone, and then no more", async () => {
      await using place = await scene();
      const { hub, api } = place;
      const strip = await api.addDevice({ capabilities: { relays: 2 } });
      await using home = await join(hub.mqtt, await account(api));
      await home.has(idsOf(strip, "relay_0", "relay_1"));
      await using device = await startVirtualDevice({
        url: hub.mqtt,
        uid: strip.uid,
        password: strip.token,
        deviceClass: "relay_controller",
        protocolVersion: 5,
        capabilities: { relays: 1 },
      });
      assert.ok(device);
      await home.has(idsOf(strip, "relay_0"));
      const told = home.heard.map(({ payload }) => (JSON.parse(payload) as { components: Record<string, object> }).components);
      assert.deepEqual(told.at(-2)?.["relay_1"], { platform: "switch" });
      assert.ok(!("relay_1" in (told.at(-1) ?? {})));
    });

    test("goes from one form to the other and back by the documented steps, and is left with one of them", async () => {
      await using place = await scene();
      const { hub, api } = place;
      const hall = await api.addDevice({ name: "Hall", capabilities: { relays: 1, lights: 1 } });
      await using home = await join(hub.mqtt, await account(api));
      const all = idsOf(hall, "relay_0", "light_0");
      await home.has(all);
      const deviceTopic = home.heard[0]?.topic ?? "";
      const changed = await api.call("PATCH", "/api/v1/bridges/home_assistant/account", { form: "component" });
      assert.equal(changed.status, 200);
      await until(() => home.heard.at(-1)?.topic === deviceTopic && home.heard.at(-1)?.payload === "", {
        what: "the end of the device's message",
      });
      await home.has(all);
      const switchTopic = home.topicOf(`hexa_${hall.uid}_relay_0`) ?? "";
      assert.match(switchTopic, new RegExp(`^homeassistant/switch/[^/]+/hexa_${hall.uid}_0/config$`));
      assert.deepEqual(
        home.heard.filter(({ topic }) => topic === deviceTopic).slice(-2),
        ['{"migrate_discovery":true}', ""].map((payload) => ({ topic: deviceTopic, payload })),
      );
      const at = home.heard.length;
      await api.call("PATCH", "/api/v1/bridges/home_assistant/account", { form: "device" });
      await until(() => home.heard.length === at + 2 * all.length + 1, { what: "the way back" });
      await home.has(all);
      const back = home.heard.slice(at).map(({ payload }) => payload);
      assert.deepEqual(
        back.slice(0, all.length),
        all.map(() => '{"migrate_discovery":true}'),
      );
      assert.deepEqual(
        back.slice(-all.length),
        all.map(() => ""),
      );
      await hasCounts(api, { devices: 1, messages: 1 });
    });

    test("may subscribe to each topic of hundreds of devices by itself, and another account of a machine to a thousand", async () => {
      await using place = await scene();
      const { hub, api } = place;
      const { organization_id: id } = (await api.call<{ organization_id: string }>("GET", "/api/v1/auth/me")).body;
      const topics = Array.from({ length: 3_000 }, (_, index) => `hexa-app/${id}/bus/${index}`);
      const refused = async (credentials: { username: string; password: string }): Promise<number> => {
        await using home = await join(hub.mqtt, credentials);
        let count = 0;
        for (let at = 0; at < topics.length; at += 500) {
          const granted = await home.client
            .subscribeAsync(topics.slice(at, at + 500), { qos: 1 })
            .catch((error: unknown) => error as Error);
          if (granted instanceof Error) count++;
        }
        return count;
      };
      assert.equal(await refused(await account(api)), 0);
      const other = await api.call<{ token: string }>("POST", "/api/v1/access-tokens", { kind: "service", name: "node-red" });
      assert.ok((await refused({ username: "node-red", password: other.body.token })) > 0);
    });

    test("another organisation's hears nothing of it, live or retained, by whatever wildcard, and gets what goes over to it", async () => {
      await using database = await open();
      await using place = await startTwoOrganizations(database.url);
      const { hub, alice, mallory } = place;
      const hall = await alice.api.addDevice({ name: "Hall", capabilities: { relays: 1 } });
      await using home = await join(hub.mqtt, await account(alice.api));
      await using other = await join(hub.mqtt, await account(mallory.api));
      const spied: string[] = [];
      other.client.on("message", (topic) => spied.push(topic));
      await other.client.subscribeAsync(["#", "homeassistant/#", "+/+/+/+/config", "$share/g/homeassistant/#"], { qos: 1 });
      await home.has(idsOf(hall, "relay_0"));
      const ofAlice = (): string[] => spied.filter((topic) => topic.includes(alice.organizationId) || topic.includes(hall.uid));
      const own = await mallory.api.addDevice({ name: "Own" });
      const switches = ["relay_0", "relay_1", "relay_2", "relay_3"];
      await other.has(idsOf(own, ...switches));
      assert.deepEqual(ofAlice(), []);

      const released = await alice.api.call<{ claim_code: string }>("POST", `/api/v1/devices/${hall.uid}/release`);
      assert.equal(released.status, 200, JSON.stringify(released.body));
      await home.has([]);
      assert.equal(home.heard.at(-1)?.payload, "");
      const claimed = await mallory.api.call("POST", "/api/v1/devices/claim", { claim_code: released.body.claim_code });
      assert.equal(claimed.status, 200, JSON.stringify(claimed.body));
      await other.has([...idsOf(own, ...switches), ...idsOf(hall, "relay_0")]);
      assert.deepEqual(
        spied.filter((topic) => topic.includes(alice.organizationId)),
        [],
      );
      await home.has([]);
    });

    test("what it switches is done, and says that it was Home Assistant's wish", async () => {
      await using place = await scene();
      const { hub, api } = place;
      const hall = await api.addDevice({ name: "Hall", capabilities: { relays: 1 } });
      await using device = await startVirtualDevice({
        url: hub.mqtt,
        uid: hall.uid,
        password: hall.token,
        deviceClass: "relay_controller",
        protocolVersion: 5,
        capabilities: { relays: 1 },
      });
      await using home = await join(hub.mqtt, await account(api));
      await home.has(idsOf(hall, "relay_0"));
      const config = home.find(`hexa_${hall.uid}_relay_0`)?.config as Record<string, string>;
      const states: string[] = [];
      home.client.on("message", (topic, payload) => void (topic === config["state_topic"] && states.push(payload.toString())));
      await home.client.subscribeAsync(config["state_topic"] as string, { qos: 1 });
      await home.client.publishAsync(config["command_topic"] as string, "ON", { qos: 1 });
      await until(() => states.at(-1) === "ON", { what: "the state" });
      assert.equal(device.state.relays[0]?.state, "ON");
      const { body } = await api.call<{ data: { source: string }[] }>("GET", `/api/v1/devices/${hall.uid}/commands`);
      assert.equal(body.data[0]?.source, "home-assistant");
      const identify = home.find(`hexa_${hall.uid}_identify`)?.config as Record<string, string>;
      await home.client.publishAsync(identify["command_topic"] as string, "PRESS", { qos: 1 });
      await assert.rejects(
        home.client.publishAsync(identify["command_topic"] as string, "HOLD", { qos: 1 }),
        /validation|Payload format|Implementation|153|131/i,
      );
      const commands = await api.call<{ data: { command: { command: string } }[] }>("GET", `/api/v1/devices/${hall.uid}/commands`);
      assert.deepEqual(commands.body.data.map(({ command }) => command.command).toSorted(), ["identify", "set_relay"]);
    });

    test("a stored infrared code is a button, another organisation's code is nobody's, and a light says its colour temperature", async () => {
      await using place = await scene();
      const { hub, api } = place;
      const capabilities = { ir: true, lights: 1 };
      const remote = await api.addDevice({ name: "Remote", device_class: "ir_hub", capabilities });
      const link = {
        url: hub.mqtt,
        uid: remote.uid,
        password: remote.token,
        deviceClass: "ir_hub",
        protocolVersion: 5,
        capabilities,
      } as const;
      await using device = await startVirtualDevice(link);
      const code = { format: "timings", name: "TV power", timings: [900, -450] };
      const made = await api.call<{ ir_code: { id: string } }>("POST", `/api/v1/devices/${remote.uid}/ir-codes`, code);
      assert.equal(made.status, 201, JSON.stringify(made.body));
      await using home = await join(hub.mqtt, await account(api));
      const key = `ir_${made.body.ir_code.id}`;
      await home.has(idsOf(remote, "light_0", "ir", key));
      const topicOf = (part: string): string => home.find(`hexa_${remote.uid}_${part}`)?.config["command_topic"] as string;
      await home.client.publishAsync(topicOf(key), "PRESS", { qos: 1 });
      await until(() => device.irSent === 1, { what: "the code" });
      await home.client.publishAsync(topicOf("ir"), JSON.stringify({ timings: [900, -450], modulation: 38_000, repeat_count: 0 }), {
        qos: 1,
      });
      await until(() => device.irSent === 2, { what: "what Home Assistant's emitter sends" });
      const foreign = topicOf(key).replace(made.body.ir_code.id, "019aa3f0-5b6e-7cc1-9a53-3f0d0f0a7c11");
      await assert.rejects(home.client.publishAsync(foreign, "PRESS", { qos: 1 }));
      const states: string[] = [];
      home.client.on("message", (topic, payload) => void (topic.endsWith("/light/0/state") && states.push(payload.toString())));
      await home.client.subscribeAsync(`hexa/${remote.uid}/light/0/state`, { qos: 1 });
      await home.client.publishAsync(topicOf("light_0"), JSON.stringify({ state: "ON", brightness: 40, color_temp: 2_700 }), { qos: 1 });
      await until(() => states.at(-1) === '{"state":"ON","brightness":40,"color_mode":"color_temp","color_temp":2700}', {
        what: "the light",
      });
      assert.equal(device.irSent, 2);
    });

    test("hears that the hub stops, and that it is there again", async () => {
      await using database = await open();
      await using folder = temporaryFolder();
      const dataDir = folder.path;
      const start = () => startHub({ databaseUrl: database.url, dataDir });
      const hub = await start();
      await hub.api.login();
      const ours = await account(hub.api);
      const home = await join(hub.mqtt, ours);
      const said: string[] = [];
      home.client.on("message", (topic, payload) => void (topic.endsWith("/availability") && said.push(payload.toString())));
      await home.client.subscribeAsync("hexa-app/+/availability", { qos: 1 });
      await until(() => said.at(-1) === "online", { what: "the hub" });
      await hub[Symbol.asyncDispose]();
      assert.equal(said.at(-1), "offline");
      await home[Symbol.asyncDispose]();
      await using again = await start();
      await using back = await join(again.mqtt, ours);
      back.client.on("message", (topic, payload) => void (topic.endsWith("/availability") && said.push(payload.toString())));
      await back.client.subscribeAsync("hexa-app/+/availability", { qos: 1 });
      await until(() => said.at(-1) === "online", { what: "the hub again" });
    });

    test("an account made again has another password; when it is unlinked nothing of it is left", async () => {
      await using place = await scene();
      const { hub, api } = place;
      const hall = await api.addDevice({ name: "Hall", capabilities: { relays: 1 } });
      const first = await account(api);
      await using home = await join(hub.mqtt, first);
      await home.has(idsOf(hall, "relay_0"));
      const second = await account(api);
      assert.equal(second.username, first.username);
      assert.notEqual(second.password, first.password);
      await until(() => !home.client.connected, { what: "the end of the former account's session" });
      await assert.rejects(join(hub.mqtt, first));
      await using again = await join(hub.mqtt, second);
      await again.has(idsOf(hall, "relay_0"));
      const gone = await api.call("DELETE", "/api/v1/bridges/home_assistant");
      assert.equal(gone.status, 204, JSON.stringify(gone.body));
      await until(() => !again.client.connected, { what: "the end of its session" });
      await again.has([]);
      await assert.rejects(join(hub.mqtt, second));
      assert.equal((await stateOf(api)).status, "off");
    });
  });
}
