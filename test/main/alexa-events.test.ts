import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { startVirtualDevice } from "../../firmware/virtual/device.ts";
import { type AlexaGateway, startAlexaGateway } from "../support/alexa-gateway.ts";
import { direct, errorIn, grantOf } from "../support/alexa-directives.ts";
import type { AlexaMessage } from "../support/alexa-rules.ts";
import { databases } from "../support/databases.ts";
import { type ApiClient, spawnHub } from "../support/hub.ts";
import { temporaryFolder, until } from "../support/wait.ts";
import { type AlexaScene, startAlexaScene } from "./alexa-scene.ts";

interface BridgeJson {
  readonly status: string;
  readonly last_error: { readonly code: string; readonly message: string } | null;
  readonly counts: Readonly<Record<string, number>>;
}

const bridge = async (api: ApiClient): Promise<BridgeJson> =>
  (await api.call<{ bridge: BridgeJson }>("GET", "/api/v1/bridges/alexa")).body.bridge;

/** Somebody links the skill, as Amazon does it. */
async function link({ hub, token }: Pick<AlexaScene, "hub" | "token">, gateway: AlexaGateway, endpoints = 8): Promise<void> {
  const answer = await direct(hub.api, grantOf(gateway.newCode(), token));
  assert.equal(answer.event.header.name, "AcceptGrant.Response", JSON.stringify(answer));
  await until(() => gateway.endpoints.size === endpoints, { what: `${endpoints} endpoints at Alexa` });
}

const changesOf = (gateway: AlexaGateway, endpointId: string): AlexaMessage[] =>
  gateway.events.filter(({ event }) => event.header.name === "ChangeReport" && event.endpoint?.endpointId === endpointId);
const causeIn = ({ event }: AlexaMessage): string => (event.payload["change"] as { cause: { type: string } }).cause.type;
const power = (scene: Pick<AlexaScene, "uid">, part: string): string => `${scene.uid}:${part} Alexa.PowerController`;

describe("what Alexa is told unasked", () => {
  test("is every change, by whoever it was, and what waits is told as it is in the end", async () => {
    await using gateway = await startAlexaGateway();
    await using scene = await startAlexaScene({ env: gateway.env });
    const { hub, uid, device } = scene;
    await link(scene, gateway);
    assert.deepEqual([(await bridge(hub.api)).status, (await bridge(hub.api)).counts["endpoints"]], ["connected", 8]);
    const relay = `${uid}:relay:0`;
    const lastCause = () => causeIn(changesOf(gateway, relay).at(-1) as AlexaMessage);
    const reaches = (state: string) =>
      until(() => gateway.states.get(power(scene, "relay:0")) === state, { what: `the relay to be ${state}` });

    const rest = await hub.api.call("POST", `/api/v1/devices/${uid}/commands`, { command: "set_relay", relay: 0, state: "ON" });
    assert.equal(rest.status, 200);
    await reaches("ON");
    assert.equal(lastCause(), "APP_INTERACTION");
    await device.setRelayLocally(0, "OFF");
    await reaches("OFF");
    assert.equal(lastCause(), "PHYSICAL_INTERACTION");
    await scene.ask("Alexa.PowerController.TurnOn", { part: "relay:0" });
    await reaches("ON");
    assert.equal(lastCause(), "VOICE_INTERACTION");
    const rule = await hub.api.call("POST", "/api/v1/automations", {
      name: "Off",
      triggers: [{ kind: "telemetry", device: uid, key: "humidity", above: 80 }],
      actions: [{ kind: "command", device: uid, command: { command: "set_relay", relay: 0, state: "OFF" } }],
    });
    assert.equal(rule.status, 201, JSON.stringify(rule.body));
    await device.sendTelemetry({ humidity: 90 });
    await reaches("OFF");
    assert.equal(lastCause(), "RULE_TRIGGER");
    await device.sendTelemetry({ door: true, temperature: 20 });
    await until(() => gateway.states.get(`${uid}:sensor:door Alexa.ContactSensor`) === "DETECTED", { what: "the door" });
    assert.equal(causeIn(changesOf(gateway, `${uid}:sensor:door`).at(-1) as AlexaMessage), "PHYSICAL_INTERACTION");

    // Readings wait for their turn, and nothing waits with them.
    const warmth = () => (gateway.states.get(`${uid}:sensor:temperature Alexa.TemperatureSensor`) as { value: number } | undefined)?.value;
    await until(() => warmth() === 20, { what: "the temperature" });
    await device.sendTelemetry({ temperature: 25 });
    await device.sendTelemetry({ door: false });
    await until(() => gateway.states.get(`${uid}:sensor:door Alexa.ContactSensor`) === "NOT_DETECTED", { what: "the door again" });
    assert.equal(warmth(), 20);

    gateway.fault = { status: 503, code: "SERVICE_UNAVAILABLE_EXCEPTION" };
    for (const brightness of [10, 20, 30, 40, 50])
      await scene.ask("Alexa.BrightnessController.SetBrightness", { part: "light:0", payload: { brightness } });
    await until(async () => (await bridge(hub.api)).status === "waiting", { what: "the bridge to wait" });
    gateway.fault = undefined;
    const light = `${uid}:light:0`;
    await until(() => gateway.states.get(`${light} Alexa.BrightnessController`) === 50, { what: "the last brightness" });
    assert.ok(changesOf(gateway, light).length <= 3, `${changesOf(gateway, light).length} reports`);
    await until(async () => (await bridge(hub.api)).status === "connected", { what: "the bridge to be connected" });
    assert.deepEqual(gateway.complaints, []);
  });

  test("is what a slow device says after Alexa was told that it is unreachable", async () => {
    await using gateway = await startAlexaGateway();
    await using scene = await startAlexaScene({ env: gateway.env });
    await link(scene, gateway);
    scene.device.faults = { slowMs: 5_500 };
    assert.equal(errorIn(await scene.ask("Alexa.PowerController.TurnOn", { part: "relay:1" })), "ENDPOINT_UNREACHABLE");
    await until(() => gateway.states.get(power(scene, "relay:1")) === "ON", { what: "the late echo" });
    assert.deepEqual(gateway.complaints, []);
  });

  test("is what comes, what is called otherwise, and what goes: hidden, without rights, removed, unlinked", async () => {
    await using gateway = await startAlexaGateway();
    await using scene = await startAlexaScene({ env: gateway.env });
    const { hub, uid } = scene;
    const { api } = hub;
    await link(scene, gateway);
    await api.call("PATCH", `/api/v1/devices/${uid}`, { name: "Porch" });
    await until(() => gateway.endpoints.get(`${uid}:relays`)?.friendlyName === "Porch", { what: "the new name" });
    const made = await api.call<{ scene: { id: string } }>("POST", "/api/v1/scenes", {
      name: "Night",
      commands: [{ device: uid, command: { command: "set_relay", relay: 0, state: "OFF" } }],
    });
    await until(() => gateway.endpoints.has(`scene:${made.body.scene.id}`), { what: "the scene" });
    const other = await api.addDevice({ name: "Lamp", capabilities: { relays: 1 } });
    await until(() => gateway.endpoints.has(`${other.uid}:relay:0`), { what: "the new device" });
    await api.call("PATCH", `/api/v1/devices/${other.uid}/exposure`, { alexa: false });
    await until(() => !gateway.endpoints.has(`${other.uid}:relay:0`), { what: "the hidden device to go" });
    await api.call("PATCH", `/api/v1/devices/${other.uid}/exposure`, { alexa: true });
    await until(() => gateway.endpoints.has(`${other.uid}:relay:0`), { what: "it to come back under its id" });
    assert.equal((await api.call("DELETE", `/api/v1/devices/${other.uid}`)).status, 204);
    await until(() => !gateway.endpoints.has(`${other.uid}:relay:0`), { what: "the removed device to go" });

    const before = gateway.events.length;
    assert.equal((await api.call("POST", "/api/v1/bridges/alexa/resend")).status, 202);
    await until(
      () => gateway.events.slice(before).some(({ event }) => (event.payload["endpoints"] as unknown[] | undefined)?.length === 9),
      {
        what: "everything again",
      },
    );
    assert.equal((await api.call("DELETE", "/api/v1/bridges/alexa")).status, 204);
    assert.equal(gateway.endpoints.size, 0);
    assert.equal((await bridge(api)).status, "off");
    assert.equal((await api.call("POST", "/api/v1/bridges/alexa/resend")).status, 409);
    assert.deepEqual(gateway.complaints, []);
  });

  test("goes on after a token that Amazon does not take, is refreshed before it ends, and ends with the skill", async () => {
    await using gateway = await startAlexaGateway();
    await using scene = await startAlexaScene({ env: gateway.env });
    const { hub, device } = scene;
    await link(scene, gateway);
    assert.equal(gateway.asked.refreshes, 0);
    gateway.expireAccessTokens();
    gateway.lifeS = 60;
    await device.setRelayLocally(0, "ON");
    await until(() => gateway.states.get(power(scene, "relay:0")) === "ON", { what: "a report by a new token" });
    const refreshes = gateway.asked.refreshes;
    assert.ok(refreshes >= 1);
    await device.setRelayLocally(0, "OFF");
    await until(() => gateway.states.get(power(scene, "relay:0")) === "OFF", { what: "a report by another token" });
    assert.ok(gateway.asked.refreshes > refreshes, "a token that soon ends was used");

    gateway.failNext({ status: 429, code: "THROTTLING_EXCEPTION", retryAfter: "2" });
    const asked = gateway.asked.events;
    const began = performance.now();
    await device.setRelayLocally(1, "ON");
    await until(() => gateway.asked.events > asked, { what: "the refused report" });
    await until(() => gateway.states.get(power(scene, "relay:1")) === "ON", { what: "the report after its time" });
    assert.ok(performance.now() - began >= 2_000, "Amazon asked for two seconds");

    gateway.fault = { status: 403, code: "SKILL_DISABLED_EXCEPTION" };
    await device.setRelayLocally(0, "ON");
    await until(async () => (await bridge(hub.api)).status === "failed", { what: "the bridge to fail" });
    const { last_error: error } = await bridge(hub.api);
    assert.equal(error?.code, "SKILL_DISABLED_EXCEPTION");
    assert.match(error?.message ?? "", /enable the skill/);
    gateway.fault = undefined;
    await device.setRelayLocally(0, "OFF");
    const again = grantOf(gateway.newCode(), scene.token);
    assert.equal((await direct(hub.api, again)).event.header.name, "AcceptGrant.Response");
    await until(async () => (await bridge(hub.api)).status === "connected", { what: "the bridge to be connected again" });
    await until(() => gateway.states.get(power(scene, "relay:0")) === "OFF", { what: "what happened meanwhile" });
    // The same code, since the answer was lost.
    assert.equal((await direct(hub.api, again)).event.header.name, "AcceptGrant.Response");
    assert.deepEqual(gateway.complaints, []);
  });

  test("is refused by a grant that is none: a wrong code, no client, a hub that Amazon does not know", async () => {
    await using gateway = await startAlexaGateway();
    await using scene = await startAlexaScene({ env: gateway.env });
    const { hub, token } = scene;
    assert.equal(errorIn(await direct(hub.api, grantOf("no code", token))), "ACCEPT_GRANT_FAILED");
    assert.equal(errorIn(await direct(hub.api, grantOf(gateway.newCode(), "hxp_nobody"))), "ACCEPT_GRANT_FAILED");
    gateway.loginFault = { status: 401, code: "invalid_client" };
    const refused = await direct(hub.api, grantOf(gateway.newCode(), token));
    assert.match(String(refused.event.payload["message"]), /HEXA_ALEXA_CLIENT_ID/);
    assert.equal((await bridge(hub.api)).status, "off");
    await using alone = await startAlexaScene();
    assert.equal(errorIn(await direct(alone.hub.api, grantOf("a code", alone.token))), "ACCEPT_GRANT_FAILED");
  });
});

for (const { name, skip, open } of databases())
  describe(`${name}: what Alexa was told`, { skip }, () => {
    test("is known after a crash: what was removed or has changed meanwhile is told, and nothing else", { timeout: 60_000 }, async () => {
      await using gateway = await startAlexaGateway();
      await using database = await open();
      await using folder = temporaryFolder();
      const options = { dataDir: folder.path, databaseUrl: database.url, env: gateway.env };
      let token = "";
      let kept = { uid: "", token: "" };
      {
        await using hub = await spawnHub(options);
        await hub.api.login();
        kept = await hub.api.addDevice({ name: "Kept", capabilities: { relays: 1 } });
        const gone = await hub.api.addDevice({ name: "Gone", capabilities: { relays: 1 } });
        ({ token } = (await hub.api.call<{ token: string }>("POST", "/api/v1/access-tokens", { kind: "personal", name: "Alexa" })).body);
        await link({ hub: { ...hub, api: hub.api }, token }, gateway, 2);
        gateway.isSilent = true;
        assert.equal((await hub.api.call("DELETE", `/api/v1/devices/${gone.uid}`)).status, 204);
        await hub.kill9();
      }
      gateway.isSilent = false;
      const before = gateway.events.length;
      await using hub = await spawnHub(options);
      await until(() => gateway.endpoints.size === 1, { what: "what was removed to go" });
      const told = gateway.events.slice(before).map(({ event }) => event.header.name);
      assert.deepEqual(
        told.filter((one) => one !== "ChangeReport"),
        ["DeleteReport"],
      );
      await using device = await startVirtualDevice({
        url: hub.mqtt,
        uid: kept.uid,
        password: kept.token,
        deviceClass: "relay_controller",
        capabilities: { relays: 1 },
        protocolVersion: 5,
        heartbeatMs: 0,
      });
      await device.setRelayLocally(0, "ON");
      await until(() => gateway.states.get(power(kept, "relay:0")) === "ON", { what: "what has changed" });
      assert.deepEqual(gateway.complaints, []);
    });
  });
