import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { direct, grantOf } from "../support/alexa-directives.ts";
import { type AlexaGateway, startAlexaGateway } from "../support/alexa-gateway.ts";
import { HomeController } from "../support/home-controller.ts";
import { codesOf, startHome } from "../support/homekit-hub.ts";
import type { ApiClient } from "../support/hub.ts";
import { startHub } from "../support/hub.ts";
import { until } from "../support/wait.ts";
import { startAlexaScene } from "./alexa-scene.ts";
import { join, makeAccount } from "./home-assistant-scene.ts";

interface EventJson {
  readonly type: string;
  readonly entity_id: string;
  readonly actor: { readonly kind: string; readonly id: string };
  readonly data: Readonly<Record<string, unknown>>;
  readonly correlation_id: string;
}

/** Oldest first. */
async function eventsOf(api: ApiClient): Promise<EventJson[]> {
  const { status, body } = await api.call<{ data: EventJson[] }>("GET", "/api/v1/events?type=bridge.*&limit=100");
  assert.equal(status, 200, JSON.stringify(body));
  return body.data.toReversed();
}

const typesOf = (events: readonly EventJson[]): string[] => events.map(({ type }) => type);

const told = (api: ApiClient, ...types: string[]): Promise<EventJson[]> =>
  until(
    async () => {
      const events = await eventsOf(api);
      assert.deepEqual(typesOf(events), types);
      return events;
    },
    { what: types.join(", ") },
  );

async function valueOf({ base, token }: ApiClient, metric: string): Promise<number | undefined> {
  const text = await (await fetch(new URL("/metrics", base), { headers: { authorization: `Bearer ${token}` } })).text();
  const line = text.split("\n").find((one) => one.startsWith(`${metric} `));
  return line === undefined ? undefined : Number(line.slice(metric.length));
}

/** Every change of the audit that is told of with an event has its correlation. */
async function assertAudited(api: ApiClient, events: readonly EventJson[], action: string): Promise<void> {
  const { body } = await api.call<{ data: { correlation_id: string }[] }>("GET", `/api/v1/audit?action=${action}`);
  assert.ok(body.data.length > 0, action);
  for (const { correlation_id } of body.data)
    assert.ok(
      events.some((event) => event.correlation_id === correlation_id),
      action,
    );
}

const amazonFails = (gateway: AlexaGateway, status: number, code: string): void => void (gateway.fault = { status, code });

describe("links with smart homes are told of in the same words", () => {
  test("Home Assistant: its account, its coming and going, and what it was told", async () => {
    await using hub = await startHub();
    const { api } = hub;
    await api.login();
    const account = await makeAccount(api);
    await told(api, "bridge.linked");
    await api.addDevice({ name: "Lamp", capabilities: { relays: 1 } });
    {
      await using home = await join(hub.mqtt, account);
      await told(api, "bridge.linked", "bridge.connected");
      assert.equal(await valueOf(api, 'hexahub_bridge_links{bridge="home_assistant"}'), 1);
      await until(() => home.entities.size > 0, { what: "the lamp" });
      assert.ok(((await valueOf(api, 'hexahub_bridge_messages_total{bridge="home_assistant",result="sent"}')) ?? 0) >= 1);
      const last = (await valueOf(api, 'hexahub_bridge_last_sent_timestamp_seconds{bridge="home_assistant"}')) ?? 0;
      assert.ok(Math.abs(last - Date.now() / 1_000) < 60, `${last}`);
      // Whoever flaps is no flood of events.
      for (let times = 0; times < 20; times++) await home.restart();
      await until(async () => (await valueOf(api, 'hexahub_bridge_links{bridge="home_assistant"}')) === 1, { what: "it to be back" });
    }
    const events = await until(
      async () => {
        const now = await eventsOf(api);
        assert.equal(now.at(-1)?.type, "bridge.disconnected");
        return now;
      },
      { what: "it to be away" },
    );
    assert.ok(events.length <= 12, typesOf(events).join(" "));
    assert.equal((await api.call("DELETE", "/api/v1/bridges/home_assistant")).status, 204);
    const all = await told(api, ...typesOf(events), "bridge.unlinked");
    assert.equal(await valueOf(api, 'hexahub_bridge_links{bridge="home_assistant"}'), undefined);
    for (const { data, actor, type } of all) {
      assert.equal(data["bridge"], "home_assistant");
      const isPersons = type === "bridge.linked" || type === "bridge.unlinked";
      assert.deepEqual(isPersons ? actor.kind : actor, isPersons ? "user" : { kind: "bridge", id: "home-assistant" });
    }
    await assertAudited(api, all, "home_assistant.account.create");
    await assertAudited(api, all, "bridge.unlink");
  });

  test("Alexa: each person's link, Amazon's coming and going, and what it does not take", async () => {
    await using gateway = await startAlexaGateway();
    await using scene = await startAlexaScene({ env: gateway.env });
    const { device, hub } = scene;
    const { api } = hub;
    await direct(api, grantOf(gateway.newCode(), scene.token));
    await until(() => gateway.endpoints.size === 8, { what: "the endpoints" });
    await told(api, "bridge.linked");
    assert.equal(await valueOf(api, 'hexahub_bridge_links{bridge="alexa"}'), 1);
    const sent = 'hexahub_bridge_messages_total{bridge="alexa",result="sent"}';
    assert.ok(((await valueOf(api, sent)) ?? 0) >= 1);
    amazonFails(gateway, 503, "SERVICE_UNAVAILABLE_EXCEPTION");
    await device.setRelayLocally(0, "ON");
    const [, away] = await told(api, "bridge.linked", "bridge.disconnected");
    assert.equal(away?.data["code"], "SERVICE_UNAVAILABLE_EXCEPTION");
    assert.ok(((await valueOf(api, 'hexahub_bridge_messages_total{bridge="alexa",result="retried"}')) ?? 0) >= 1);
    assert.ok(((await valueOf(api, 'hexahub_bridge_waiting{bridge="alexa"}')) ?? 0) >= 1);
    gateway.fault = undefined;
    await told(api, "bridge.linked", "bridge.disconnected", "bridge.connected");
    assert.equal(await valueOf(api, 'hexahub_bridge_waiting{bridge="alexa"}'), 0);
    amazonFails(gateway, 403, "SKILL_DISABLED_EXCEPTION");
    await device.setRelayLocally(0, "OFF");
    const failed = await told(api, "bridge.linked", "bridge.disconnected", "bridge.connected", "bridge.failed");
    assert.equal(failed.at(-1)?.data["code"], "SKILL_DISABLED_EXCEPTION");
    assert.equal(new Set(failed.map(({ data }) => data["user_id"])).size, 1);
    assert.equal((await api.call("DELETE", "/api/v1/bridges/alexa")).status, 204);
    const all = await told(api, ...typesOf(failed), "bridge.unlinked");
    assert.ok(all.every(({ data }) => data["bridge"] === "alexa"));
    await assertAudited(api, all, "bridge.link");
    await assertAudited(api, all, "bridge.unlink");
  });

  test("HomeKit: a bridge that somebody has added", { timeout: 60_000 }, async () => {
    await using hub = await startHome();
    const { api } = hub;
    await api.addDevice({ name: "Lamp", capabilities: { relays: 1 } });
    const [code] = await codesOf(api, 1);
    assert.ok(code);
    assert.deepEqual(await eventsOf(api), []);
    await using _phone = await HomeController.pair(code);
    const [connected] = await told(api, "bridge.connected");
    assert.deepEqual([connected?.data, connected?.actor], [{ bridge: "homekit" }, { kind: "bridge", id: "homekit" }]);
    assert.equal(await valueOf(api, 'hexahub_bridge_links{bridge="homekit"}'), 1);
    assert.equal((await api.call("DELETE", "/api/v1/bridges/homekit")).status, 204);
    const types = await until(
      async () => {
        const now = typesOf(await eventsOf(api));
        assert.ok(now.includes("bridge.unlinked"));
        return now;
      },
      { what: "it to be unlinked" },
    );
    assert.deepEqual(types.slice(0, 1), ["bridge.connected"]);
  });
});
