import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import mqtt from "mqtt";
import { databases, type TestDatabase } from "../support/databases.ts";
import { startHookReceiver } from "../support/hook-receiver.ts";
import { ADMIN } from "../support/hub.ts";
import { until } from "../support/wait.ts";
import { type AutomationScene, isOn, publish, startAutomationScene, turn } from "./automation-scene.ts";

for (const { name, skip, open } of databases()) {
  describe(`${name}: automations`, { skip }, () => {
    let scene: AutomationScene;
    let database: TestDatabase;
    before(async () => {
      database = await open();
      scene = await startAutomationScene({ databaseUrl: database.url, env: { HEXA_OUTBOUND_ALLOW: "127.0.0.1/32" } });
    });
    after(async () => {
      await scene[Symbol.asyncDispose]();
      await database[Symbol.asyncDispose]();
    });

    test("a button switches a relay; each link of the chain names the one before it", async () => {
      const device = await scene.add();
      const id = await scene.create({
        triggers: [{ kind: "input_event", device: device.uid, input: 1 }],
        actions: [turn(device.uid, 2, "ON")],
      });
      await device.press(0);
      await device.press(1);
      await until(() => isOn(device, 2), { what: "the relay" });
      await until(async () => (await scene.runs(id))[0]?.status === "ok", { what: "the end of the run" });
      const [run, ...others] = await scene.runs(id);
      assert.deepEqual([others, run?.source_version, run?.cause["input"]], [[], 1, 1]);
      const chain = (await scene.events(`correlation_id=${run?.correlation_id}`)).toReversed();
      assert.deepEqual(
        chain.map(({ type }) => type),
        ["device.input_event", "automation.fired", "command.completed", "device.state_changed"],
      );
      assert.deepEqual(
        chain.slice(1).map(({ causation_id }) => causation_id),
        chain.slice(0, -1).map((one) => one.id),
      );
      assert.equal((await scene.show(id)).json.fire_count, 1);
      const { body } = await scene.hub.api.call<{
        reasons: { index: number; actor: object; source: string; command_id: string; rule_version: number }[];
      }>("GET", `/api/v1/devices/${device.uid}`);
      const reason = body.reasons.find(({ index }) => index === 2);
      assert.deepEqual([reason?.actor, reason?.source, reason?.rule_version], [{ kind: "rule", id }, "rule", 1]);
      assert.ok(reason?.command_id.startsWith(run?.id ?? "none"));
    });

    test("conditions, a choice and a delay decide at their time", async () => {
      const device = await scene.add();
      const id = await scene.create({
        triggers: [
          { kind: "event", type: "custom.decide" },
          { kind: "input_event", device: device.uid },
        ],
        condition: { kind: "state", device: device.uid, relay: 0, is: "ON" },
        actions: [
          { kind: "delay", for_s: 0.2 },
          {
            kind: "choose",
            options: [
              { condition: { kind: "numeric", device: device.uid, key: "temperature", above: 25 }, actions: [turn(device.uid, 1, "ON")] },
            ],
            otherwise: [turn(device.uid, 2, "ON")],
          },
        ],
      });
      await device.press(0);
      await device.setRelayLocally(0, "ON");
      await device.sendTelemetry({ temperature: 30 });
      await device.press(0);
      await until(async () => (await scene.runs(id))[0]?.status === "ok", { what: "the run" });
      assert.equal((await scene.runs(id)).length, 1);
      assert.deepEqual([isOn(device, 1), isOn(device, 2)], [true, false]);
    });

    test("a threshold fires once until the value has come back, and when it lasts", async () => {
      const device = await scene.add();
      const over = await scene.create({
        triggers: [{ kind: "telemetry", device: device.uid, key: "temperature", above: 30, hysteresis: 2 }],
        actions: [publish("over")],
        mode: "parallel",
      });
      const lasting = await scene.create({
        triggers: [{ kind: "telemetry", device: device.uid, key: "temperature", above: 30, for_s: 0.3 }],
        actions: [publish("lasting")],
      });
      for (const temperature of [31, 29, 31, 32, 27, 31]) await device.sendTelemetry({ temperature });
      await until(async () => (await scene.runs(lasting)).length > 0, { what: "what lasted" });
      assert.equal((await scene.runs(over)).length, 2);
      assert.equal((await scene.runs(lasting)).length, 1);
    });

    test("cooldown and the dedupe window hold", async () => {
      const device = await scene.add();
      const triggers = [{ kind: "input_event", device: device.uid }];
      const cool = await scene.create({ triggers, actions: [publish("cool")], cooldown_s: 3600 });
      const once = await scene.create({ triggers, actions: [publish("once")], dedupe_s: 3600, mode: "parallel" });
      await device.press(0);
      await device.press(0);
      await device.press(1);
      await until(async () => (await scene.runs(once)).length >= 2, { what: "two causes" });
      assert.deepEqual([(await scene.runs(cool)).length, (await scene.runs(once)).length], [1, 2]);
    });

    test("a circle of automations comes to an end, and says so", async () => {
      const device = await scene.add();
      const ids: string[] = [];
      for (const [on, then] of [
        ["ON", "OFF"],
        ["OFF", "ON"],
      ] as const)
        ids.push(
          await scene.create({
            triggers: [{ kind: "state", device: device.uid, relay: 0, to: on }],
            actions: [turn(device.uid, 0, then)],
            mode: "parallel",
          }),
        );
      // A report that the device sends by itself begins another chain.
      const chains = async (): Promise<number[]> => {
        const runs = (await Promise.all(ids.map((id) => scene.runs(id)))).flat();
        const ended = runs.filter(({ status }) => status === "ok");
        return [...Map.groupBy(ended, (run) => run.correlation_id).values()].map(({ length }) => length);
      };
      const heldBefore = await heldBack(scene);
      await device.setRelayLocally(0, "ON");
      await until(async () => (await chains()).includes(9), { what: "the circle" });
      await until(async () => (await heldBack(scene)) > heldBefore, { what: "its end" });
      assert.ok((await chains()).every((length) => length <= 9));
    });

    test("a circle of messages comes to an end, also where a run stands in it", async () => {
      const { body } = await scene.hub.api.call<{ user: { organization_id: string } }>("GET", "/api/v1/auth/me");
      const bus = `hexa-app/${body.user.organization_id}/bus`;
      await using client = await connect(scene);
      await client.mqtt.subscribeAsync(`${bus}/ring/#`);
      const on = (place: string): object => ({ mode: "parallel", triggers: [{ kind: "topic", filter: `${bus}/ring/${place}/+` }] });
      await scene.create({ ...on("a"), actions: [publish("ring/b/1")] });
      const slow = await scene.create({ ...on("b"), actions: [{ kind: "delay", for_s: 0.1 }, publish("ring/a/1")] });
      const heldBefore = await heldBack(scene);
      await client.mqtt.publishAsync(`${bus}/ring/a/0`, "{}", { qos: 1 });
      await until(async () => (await heldBack(scene)) > heldBefore, { what: "the end of the circle" });
      // The first, and those of the nine automations that may stand in a chain.
      assert.equal(client.received.length, 10);
      assert.equal((await scene.runs(slow)).length, 4);
    });

    test("messages answer messages of the organisation, and of nobody else", async () => {
      const { body } = await scene.hub.api.call<{ organization: { id: string } }>("GET", "/api/v1/auth/me");
      const organization = body.organization?.id ?? (body as unknown as { user: { organization_id: string } }).user.organization_id;
      await using client = await connect(scene);
      const id = await scene.create({
        triggers: [{ kind: "topic", filter: `hexa-app/${organization}/bus/in/+` }],
        condition: { kind: "compare", left: { kind: "var", name: "trigger.payload.t" }, op: "gt", right: { kind: "value", value: 5 } },
        actions: [publish("out", { hot: true })],
      });
      await client.mqtt.subscribeAsync(`hexa-app/${organization}/bus/out`);
      for (const t of [3, 6, 7]) await client.mqtt.publishAsync(`hexa-app/${organization}/bus/in/a`, JSON.stringify({ t }), { qos: 1 });
      await until(() => client.received.length === 2, { what: "two answers" });
      assert.deepEqual(client.received, ['{"hot":true}', '{"hot":true}']);
      assert.equal((await scene.runs(id)).length, 0);
      for (const filter of ["#", "hexa-app/other/bus/#", "hexa/relay-nothere1/up/#"]) {
        const refused = await scene.hub.api.call("POST", "/api/v1/automations", {
          name: "x",
          triggers: [{ kind: "topic", filter }],
          actions: [publish("x")],
        });
        assert.deepEqual([refused.status, (refused.body["details"] as { path: string }[])[0]?.path], [400, "/triggers/0/filter"]);
      }
    });

    test("what fails is told, and the rest is done", async () => {
      const device = await scene.add();
      const away = await scene.add();
      await away.disconnect();
      const id = await scene.create({
        triggers: [{ kind: "input_event", device: device.uid }],
        actions: [
          turn(away.uid, 0, "ON"),
          turn(device.uid, 0, "ON"),
          { ...turn(away.uid, 0, "ON"), on_error: "stop" },
          turn(device.uid, 1, "ON"),
        ],
      });
      await device.press(0);
      await until(async () => (await scene.runs(id))[0]?.status === "failed", { what: "the failure" });
      const [run] = await scene.runs(id);
      assert.deepEqual(
        run?.steps.map(({ path, status, code }) => [path, status, code]),
        [
          ["/actions/0", "failed", "device_offline"],
          ["/actions/1", "ok", undefined],
          ["/actions/2", "failed", "device_offline"],
        ],
      );
      assert.deepEqual([isOn(device, 0), isOn(device, 1)], [true, false]);
      const [failed] = await scene.events("type=automation.failed&limit=1");
      assert.equal(failed?.data["automation_id"], id);
      const { body } = await scene.hub.api.call<{ data: { title: string; source: { id: string } }[] }>("GET", "/api/v1/notifications");
      assert.ok(body.data.some(({ source }) => source.id === id));
    });

    test("modes say what happens to a second firing", async () => {
      const device = await scene.add();
      const made: Record<string, string> = {};
      for (const mode of ["skip", "queue", "parallel", "restart"])
        made[mode] = await scene.create({
          triggers: [{ kind: "input_event", device: device.uid }],
          actions: [{ kind: "delay", for_s: 0.5 }, publish("done")],
          mode,
        });
      await device.press(0);
      await device.press(1);
      const statuses = async (mode: string) => (await scene.runs(made[mode] as string)).map(({ status }) => status).toSorted();
      const are = async (mode: string, expected: string[]) =>
        until(async () => String(await statuses(mode)) === String(expected), { what: `${mode}: ${expected.join()}` });
      await are("skip", ["ok"]);
      await are("queue", ["ok", "ok"]);
      await are("parallel", ["ok", "ok"]);
      await are("restart", ["cancelled", "ok"]);
    });

    test("whoever waits behind a run that is cancelled has its turn", async () => {
      const device = await scene.add();
      const actions = [
        {
          kind: "choose",
          options: [{ condition: { kind: "state", device: device.uid, relay: 0, is: "OFF" }, actions: [{ kind: "delay", for_s: 3_600 }] }],
        },
        publish("turn"),
      ];
      const id = await scene.create({ triggers: [{ kind: "input_event", device: device.uid }], actions, mode: "queue" });
      await device.setRelayLocally(0, "OFF");
      await device.press(0);
      await until(async () => (await scene.runs(id))[0]?.status === "waiting", { what: "the first in its delay" });
      await device.setRelayLocally(0, "ON");
      await device.press(1);
      await until(async () => (await scene.runs(id))[0]?.status === "queued", { what: "the second behind it" });
      const [second, first] = await scene.runs(id);
      assert.equal((await scene.hub.api.call("POST", `/api/v1/runs/${first?.id}/cancel`)).status, 200);
      await until(async () => (await scene.runs(id))[0]?.status === "ok", { what: "the turn of the second" });
      assert.deepEqual([(await scene.runs(id))[0]?.id, (await scene.runs(id))[1]?.status], [second?.id, "cancelled"]);
    });

    test("what has to last begins anew for one that was off meanwhile", async () => {
      const device = await scene.add();
      const on = (forS: number) => ({
        triggers: [{ kind: "state", device: device.uid, relay: 0, to: "ON", for_s: forS }],
        actions: [publish("lasted")],
      });
      const [off, stays] = [await scene.create(on(1)), await scene.create(on(1.5))];
      await device.setRelayLocally(0, "ON");
      for (const isEnabled of [false, true]) {
        const { etag } = await scene.show(off);
        const answer = await scene.hub.api.call("PATCH", `/api/v1/automations/${off}`, { is_enabled: isEnabled }, { "if-match": etag });
        assert.equal(answer.status, 200);
      }
      await until(async () => (await scene.runs(stays)).length === 1, { what: "the one that nobody touched" });
      assert.equal((await scene.runs(off)).length, 0);
    });

    test("a schedule of an automation fires in time, and says when it comes next", async () => {
      const at = new Date(Date.now() + 1_500).toISOString();
      const id = await scene.create({
        triggers: [
          { kind: "schedule", recurrence: { kind: "once", at } },
          { kind: "schedule", recurrence: { kind: "cron", expression: "0 8 * * *" } },
        ],
        actions: [publish("time")],
      });
      assert.equal(Date.parse((await scene.show(id)).json.next_run_at ?? ""), Date.parse(at));
      await until(async () => (await scene.runs(id)).length === 1, { what: "the time" });
      assert.ok(Date.parse((await scene.show(id)).json.next_run_at ?? "") > Date.parse(at));
    });

    test("a scene is captured, asked for by hand and by an automation", async () => {
      const device = await scene.add();
      const { api } = scene.hub;
      await device.setRelayLocally(0, "ON");
      await until(
        async () => (await api.call<object>("POST", "/api/v1/scenes/capture", { name: "As it is", devices: [device.uid] })).status === 201,
        { what: "a reported state" },
      );
      const { body } = await api.call<{ data: { id: string; commands: unknown[] }[] }>("GET", "/api/v1/scenes?search=as%20it");
      const kept = body.data.at(-1);
      assert.ok(kept && kept.commands.length >= 1);
      await device.setRelayLocally(0, "OFF");
      const answer = await api.call<{ results: { status: string }[] }>("POST", `/api/v1/scenes/${kept.id}/activate`);
      assert.deepEqual([answer.status, answer.body.results.every(({ status }) => status === "ok"), isOn(device, 0)], [200, true, true]);
      await device.setRelayLocally(0, "OFF");
      await scene.create({ triggers: [{ kind: "input_event", device: device.uid }], actions: [{ kind: "scene", scene_id: kept.id }] });
      await device.press(2);
      await until(() => isOn(device, 0), { what: "the scene" });
    });

    test("one webhook is asked for by an automation, and what others tell sets one off", async () => {
      const { api } = scene.hub;
      await using receiver = await startHookReceiver();
      const hookOf = async (events: string[]) =>
        (await api.call<{ webhook: { id: string } }>("POST", "/api/v1/webhooks", { name: "To us", url: receiver.url, events })).body.webhook
          .id;
      await hookOf(["device.deleted"]);
      const webhookId = await hookOf(["device.deleted"]);
      const inbound = await api.call<{ hook: { id: string }; secret: string }>("POST", "/api/v1/inbound-hooks", {
        name: "Bell",
        scheme: "token",
      });
      assert.equal(inbound.status, 201, JSON.stringify(inbound.body));
      await scene.create({
        triggers: [{ kind: "webhook", hook_id: inbound.body.hook.id }],
        actions: [{ kind: "webhook", webhook_id: webhookId, data: { bell: true } }],
      });
      const rung = await fetch(new URL(`/api/v1/hooks/${inbound.body.hook.id}`, scene.hub.http), {
        method: "POST",
        headers: { "content-type": "application/json", "x-hook-token": inbound.body.secret },
        body: JSON.stringify({ ring: 1 }),
      });
      assert.ok(rung.ok, await rung.text());
      await until(() => receiver.received.length > 0, { what: "the webhook" });
      const received = receiver.received.map(({ body }) => JSON.parse(body) as { type: string; data: Record<string, unknown> });
      assert.deepEqual(
        received.map(({ type, data }) => [type, data["webhook_id"], data["data"]]),
        [["webhook.requested", webhookId, { bell: true }]],
      );
    });
  });
}

async function connect({ hub }: AutomationScene) {
  const received: string[] = [];
  const client = await mqtt.connectAsync(hub.mqtt, {
    clientId: `c-${crypto.randomUUID().slice(0, 8)}`,
    username: ADMIN.email,
    password: ADMIN.password,
    protocolVersion: 5,
  });
  client.on("message", (_topic, payload) => received.push(payload.toString()));
  return { mqtt: client, received, [Symbol.asyncDispose]: () => client.endAsync() };
}

/** Automations that did not fire since too many stand before them in a chain. */
async function heldBack({ hub }: AutomationScene): Promise<number> {
  const text = await (await fetch(new URL("/metrics", hub.http))).text();
  return Number(/held_back_total\{reason="depth"\} (\d+)/.exec(text)?.[1] ?? 0);
}
