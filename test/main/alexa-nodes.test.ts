import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { direct, directive, endpointsIn, errorIn, grantOf, stateIn } from "../support/alexa-directives.ts";
import { type AlexaGateway, startAlexaGateway } from "../support/alexa-gateway.ts";
import { type ApiClient, spawnHub, startHub } from "../support/hub.ts";
import { temporaryFolder, until } from "../support/wait.ts";
import { acquaint, clusterMissing, endLease, relayAt, startGround, startPair } from "./cluster-hubs.ts";

/** SPEC's own limit. */
const ANSWER_MS = 5_000;
const RELAY = { relays: 1 };

interface BridgeJson {
  readonly status: string;
  readonly counts: Readonly<Record<string, number>>;
}

const bridgeAt = async (api: ApiClient): Promise<BridgeJson> =>
  (await api.call<{ bridge: BridgeJson }>("GET", "/api/v1/bridges/alexa")).body.bridge;

/** Somebody's token that Amazon has. */
const tokenOf = async (api: ApiClient): Promise<string> =>
  (await api.call<{ token: string }>("POST", "/api/v1/access-tokens", { kind: "personal", name: "Alexa" })).body.token;

async function link(api: ApiClient, gateway: AlexaGateway, token: string): Promise<void> {
  const answer = await direct(api, grantOf(gateway.newCode(), token));
  assert.equal(answer.event.header.name, "AcceptGrant.Response", JSON.stringify(answer));
}

const reportsOf = (gateway: AlexaGateway, endpointId: string): number =>
  gateway.events.filter(({ event }) => event.header.name === "ChangeReport" && event.endpoint?.endpointId === endpointId).length;

describe("Alexa and two nodes", { skip: clusterMissing(), timeout: 120_000 }, () => {
  test("a directive at one node reaches a device of the other; each change is told once, by one of them; both say the same", async () => {
    await using gateway = await startAlexaGateway();
    gateway.isRotating = true;
    await using pair = await startPair({ env: gateway.env });
    const { a, b } = pair;
    const [lamp, beside] = [
      await a.api.addDevice({ name: "Lamp", capabilities: RELAY }),
      await b.api.addDevice({ name: "Beside", capabilities: RELAY }),
    ];
    await using device = await relayAt(a, lamp, { capabilities: RELAY });
    await using other = await relayAt(b, beside, { capabilities: RELAY });
    const token = await tokenOf(a.api);
    await link(b.api, gateway, token);
    await until(() => gateway.endpoints.size === 2, { what: "both devices at Alexa" });
    const relay = `${lamp.uid}:relay:0`;
    const isAt = (uid: string, value: string) => () => gateway.states.get(`${uid}:relay:0 Alexa.PowerController`) === value;

    assert.equal(endpointsIn(await direct(b.api, directive("Alexa.Discovery.Discover", { token }))).length, 2);
    await until(
      async () =>
        stateIn(await direct(b.api, directive("Alexa.ReportState", { token, endpointId: relay })))["PowerController.powerState"] === "OFF",
      { what: "its state at the other node" },
    );
    const told = reportsOf(gateway, relay);
    for (const [index, api] of [b.api, a.api, b.api, a.api].entries()) {
      const began = performance.now();
      const word = index % 2 === 0 ? "TurnOn" : "TurnOff";
      const answer = await direct(api, directive(`Alexa.PowerController.${word}`, { token, endpointId: relay }));
      assert.ok(performance.now() - began < ANSWER_MS);
      assert.equal(stateIn(answer)["PowerController.powerState"], index % 2 === 0 ? "ON" : "OFF", JSON.stringify(answer));
      await until(isAt(lamp.uid, index % 2 === 0 ? "ON" : "OFF"), { what: `report ${index}` });
    }
    assert.equal(device.executed.length, 4);
    // Another node's would have come before that of something later.
    await other.setRelayLocally(0, "ON");
    await until(isAt(beside.uid, "ON"), { what: "the report of the other device" });
    assert.equal(reportsOf(gateway, relay) - told, 4);
    assert.equal(new Set(gateway.events.map(({ event }) => event.header.messageId)).size, gateway.events.length);

    device.faults = { slowMs: 5_500 };
    const began = performance.now();
    const late = await direct(b.api, directive("Alexa.PowerController.TurnOn", { token, endpointId: relay }));
    assert.equal(errorIn(late), "ENDPOINT_UNREACHABLE");
    assert.ok(performance.now() - began < ANSWER_MS);

    assert.deepEqual(await bridgeAt(a.api), await bridgeAt(b.api));
    for (const api of [a.api, b.api]) {
      const before = gateway.events.length;
      assert.equal((await api.call("POST", "/api/v1/bridges/alexa/resend")).status, 202);
      await until(() => gateway.events.slice(before).some(({ event }) => event.header.name === "AddOrUpdateReport"), { what: "all again" });
    }
    // One of the two has not got the duty: it takes back by the tokens that there are, which both have to refresh now.
    gateway.expireAccessTokens();
    await device.setRelayLocally(0, "OFF");
    assert.equal((await b.api.call("DELETE", "/api/v1/bridges/alexa")).status, 204);
    assert.deepEqual([gateway.endpoints.size, gateway.complaints], [0, []]);
    for (const api of [a.api, b.api]) assert.deepEqual((await bridgeAt(api)).status, "off");
  });

  test("a node that dies with reports under way leaves them to the other, which tells what it is now and nothing that was taken", async () => {
    await using gateway = await startAlexaGateway();
    gateway.isRotating = true;
    await using ground = await startGround();
    await using folder = temporaryFolder();
    const { databaseUrl, redisUrl } = ground;
    const options = { databaseUrl, redisUrl, env: gateway.env };
    await using dying = await spawnHub({ ...options, dataDir: folder.path });
    await dying.api.login();
    const [kept, gone, quiet] = [
      await dying.api.addDevice({ name: "Kept", capabilities: RELAY }),
      await dying.api.addDevice({ name: "Gone", capabilities: RELAY }),
      await dying.api.addDevice({ name: "Quiet", capabilities: RELAY }),
    ];
    const token = await tokenOf(dying.api);
    await link(dying.api, gateway, token);
    await until(() => gateway.endpoints.size === 3, { what: "three devices at Alexa" });
    await using hub = await startHub(options);
    await hub.api.login();
    await acquaint(hub, dying);
    await using device = await relayAt(hub, kept, { capabilities: RELAY });
    await using still = await relayAt(hub, quiet, { capabilities: RELAY });
    const power = ({ uid }: { uid: string }) => gateway.states.get(`${uid}:relay:0 Alexa.PowerController`);
    for (const one of [device, still]) await one.setRelayLocally(0, "ON");
    await until(() => power(kept) === "ON" && power(quiet) === "ON", { what: "both reports" });
    const before = reportsOf(gateway, `${quiet.uid}:relay:0`);

    gateway.isSilent = true;
    const asked = gateway.asked.events;
    await device.setRelayLocally(0, "OFF");
    await until(() => gateway.asked.events > asked, { what: "a report under way" });
    assert.equal((await hub.api.call("DELETE", `/api/v1/devices/${gone.id}`)).status, 204);
    await dying.kill9();
    gateway.isSilent = false;
    await endLease(ground, "alexa");
    await until(() => power(kept) === "OFF" && gateway.endpoints.size === 2, { what: "what was under way", timeoutMs: 20_000 });
    await device.setRelayLocally(0, "ON");
    await until(() => power(kept) === "ON", { what: "what is next" });
    assert.equal(reportsOf(gateway, `${quiet.uid}:relay:0`), before, "what Alexa knew was told again");
    assert.deepEqual(gateway.complaints, []);
    assert.equal((await bridgeAt(hub.api)).status, "connected");
  });
});
