import assert from "node:assert/strict";
import { test } from "node:test";
import mqtt from "mqtt";
import { databases } from "../support/databases.ts";
import { ADMIN } from "../support/hub.ts";
import { until } from "../support/wait.ts";
import { type AutomationScene, publish, startAutomationScene } from "./automation-scene.ts";

const times = <T>(count: number, one: T): T[] => Array.from({ length: count }, () => one);

for (const { name, skip, open } of databases()) {
  test(`${name}: of messages that multiply at each link so many come, and the next one has as many again`, { skip }, async () => {
    await using database = await open();
    await using scene = await startAutomationScene({ databaseUrl: database.url });
    const own = await ownTopics(scene);
    const on = (place: string) => ({ triggers: [{ kind: "topic", filter: `${own}/bus/${place}` }] });
    await scene.create({ ...on("a"), actions: times(40, publish("b")) });
    await scene.create({ ...on("b"), actions: times(40, publish("c")) });
    await using client = await connect(scene);
    // Of the 40 that follow from the first one 24 have 40 each, and then there are a thousand.
    for (const held of [16, 32]) {
      await client.publishAsync(`${own}/bus/a`, "{}", { qos: 1 });
      await until(async () => (await heldBack(scene, "flood")) === held, { what: `${held} that are held back` });
    }
  });

  test(`${name}: all that answer one message have a thousand together`, { skip }, async () => {
    await using database = await open();
    await using scene = await startAutomationScene({ databaseUrl: database.url });
    const own = await ownTopics(scene);
    for (let index = 0; index < 22; index++)
      await scene.create({ triggers: [{ kind: "topic", filter: `${own}/bus/+` }], actions: times(50, publish("deeper/still")) });
    await using client = await connect(scene);
    for (const held of [2, 4]) {
      await client.publishAsync(`${own}/bus/a`, "", { qos: 1 });
      await until(async () => (await heldBack(scene, "flood")) === held, { what: `${held} that are held back` });
    }
  });

  test(`${name}: automations that all fire when any of them has fired come to an end within a request`, { skip }, async () => {
    await using database = await open();
    await using scene = await startAutomationScene({ databaseUrl: database.url });
    const actions = [{ kind: "delay", for_s: 3_600 }];
    const first = await scene.create({ triggers: [{ kind: "event", type: "custom.never" }], actions });
    for (let index = 0; index < 40; index++) await scene.create({ triggers: [{ kind: "event", type: "automation.fired" }], actions });
    const { status } = await scene.hub.api.call("POST", `/api/v1/automations/${first}/run`, {});
    assert.equal(status, 202);
    assert.ok((await heldBack(scene, "flood")) > 0);
    const fired = await scene.events("type=automation.fired&limit=200");
    // Forty see each, so that a thousand are used up by 25 of them.
    assert.ok(fired.length >= 25 && fired.length <= 41, `${fired.length} fired`);
  });

  test(`${name}: a circle through the topics of events comes to an end`, { skip }, async () => {
    await using database = await open();
    await using scene = await startAutomationScene({ databaseUrl: database.url });
    const own = await ownTopics(scene);
    const on = (filter: string) => ({ mode: "parallel", triggers: [{ kind: "topic", filter: `${own}/${filter}` }] });
    const event = (type: string) => ({ kind: "event", type });
    const circles = [
      [await scene.create({ ...on("events/custom.x"), actions: [event("custom.z")] })],
      [await scene.create({ ...on("events/custom.a"), actions: [publish("b")] })],
    ];
    circles[0]?.push(await scene.create({ ...on("events/custom.z"), actions: [event("custom.x")] }));
    circles[1]?.push(await scene.create({ ...on("bus/b"), actions: [event("custom.a")] }));
    for (const circle of circles) {
      const held = await heldBack(scene, "depth");
      await scene.hub.api.call("POST", `/api/v1/automations/${circle[0]}/run`, {});
      await until(async () => (await heldBack(scene, "depth")) > held, { what: "the end of the circle" });
      const runs = (await Promise.all(circle.map((id) => scene.runs(id)))).flat();
      assert.equal(runs.length, 9);
    }
    const itself = await scene.create({ ...on("events/automation.fired"), actions: [publish("fired")] });
    const held = await heldBack(scene, "depth");
    await scene.hub.api.call("POST", `/api/v1/automations/${itself}/run`, {});
    await until(async () => (await heldBack(scene, "depth")) > held, { what: "the end of what sets off itself" });
    assert.equal((await scene.runs(itself)).length, 9);
  });
}

/** What the topics of the scene's organisation begin with. */
async function ownTopics({ hub }: AutomationScene): Promise<string> {
  const { status, body } = await hub.api.call<{ user: { organization_id: string } }>("GET", "/api/v1/auth/me");
  assert.equal(status, 200);
  return `hexa-app/${body.user.organization_id}`;
}

async function connect({ hub }: AutomationScene): Promise<mqtt.MqttClient & AsyncDisposable> {
  const client = await mqtt.connectAsync(hub.mqtt, { username: ADMIN.email, password: ADMIN.password, protocolVersion: 5 });
  return Object.assign(client, { [Symbol.asyncDispose]: () => client.endAsync() });
}

async function heldBack({ hub }: AutomationScene, reason: string): Promise<number> {
  const text = await (await fetch(new URL("/metrics", hub.http))).text();
  return Number(new RegExp(`held_back_total\\{reason="${reason}"\\} (\\d+)`).exec(text)?.[1] ?? 0);
}
