import assert from "node:assert/strict";
import { test } from "node:test";
import { until } from "../support/wait.ts";
import { startAlexaScene } from "./alexa-scene.ts";

interface EventJson {
  readonly id: string;
  readonly entity_id: string;
  readonly actor: { readonly kind: string };
  readonly data: { readonly scene_id: string; readonly name: string; readonly run_id?: string };
  readonly correlation_id: string;
}

interface CommandJson {
  readonly id: string;
  readonly source: string;
  readonly correlation_id: string;
}

test("a scene is the same whoever asks for it: an event about it, and a command for each device that follows from there", async () => {
  await using home = await startAlexaScene();
  const { uid, device } = home;
  const { api } = home.hub;
  const away = await api.addDevice({ name: "Away", capabilities: { relays: 1 } });
  const commands = [uid, away.uid].map((one) => ({ device: one, command: { command: "set_relay", relay: 0, state: "ON" } }));
  const made = await api.call<{ scene: { id: string } }>("POST", "/api/v1/scenes", { name: "Evening", commands });
  const sceneId = made.body.scene.id;
  const automation = await api.call("POST", "/api/v1/automations", {
    name: "By the button",
    triggers: [{ kind: "telemetry", device: uid, key: "humidity", above: 80 }],
    actions: [{ kind: "scene", scene_id: sceneId }],
  });
  assert.equal(automation.status, 201, JSON.stringify(automation.body));

  const key = { "idempotency-key": "evening-1" };
  const activate = () => api.call<{ results: Record<string, string>[] }>("POST", `/api/v1/scenes/${sceneId}/activate`, undefined, key);
  const { body } = await activate();
  assert.deepEqual(
    body.results.map(({ device: of, status, code }) => [of, status, code]),
    [
      [uid, "ok", undefined],
      [away.uid, "failed", "device_offline"],
    ],
  );
  assert.deepEqual((await activate()).body, body);
  const asked = await home.ask("Alexa.SceneController.Activate", { endpointId: `scene:${sceneId}` });
  assert.equal(asked.event.header.name, "ActivationStarted");
  await device.sendTelemetry({ humidity: 90 });
  // What an automation could not do for each device fails, and says so instead.
  await until(async () => (await eventsOf("automation.failed")).length === 1, { what: "the automation" });

  const events = await eventsOf("scene.activated");
  assert.deepEqual(
    events.map(({ entity_id, actor, data }) => [entity_id, actor.kind, data.scene_id, data.name, data.run_id]),
    Array.from({ length: 2 }, () => [sceneId, "user", sceneId, "Evening", undefined]),
  );
  const given = (await api.call<{ data: CommandJson[] }>("GET", `/api/v1/devices/${uid}/commands`)).body.data;
  assert.deepEqual(given.map(({ source }) => source).toSorted(), ["alexa", "rest", "rule"]);
  for (const { correlation_id } of events)
    assert.equal(given.filter((command) => command.correlation_id === correlation_id).length, 1, correlation_id);
  const { body: audit } = await api.call<{ data: { details: Record<string, unknown>; correlation_id: string }[] }>(
    "GET",
    "/api/v1/audit?action=scene.activate",
  );
  assert.deepEqual(
    audit.data
      .map(({ details, correlation_id }) => [details["commands"], details["failed"], correlation_id])
      .toSorted((a, b) => String(a).localeCompare(String(b))),
    events.map(({ correlation_id }) => [2, 1, correlation_id]).toSorted((a, b) => String(a).localeCompare(String(b))),
  );

  async function eventsOf(type: string): Promise<EventJson[]> {
    return (await api.call<{ data: EventJson[] }>("GET", `/api/v1/events?type=${type}`)).body.data;
  }
});
