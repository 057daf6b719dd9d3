import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { MAX_CAUSE_DEPTH } from "../../core/automation.ts";
import { startTwoOrganizations } from "../attack/two-organizations.ts";
import { databases } from "../support/databases.ts";
import { startHookReceiver } from "../support/hook-receiver.ts";
import { type ApiClient, type HubProcess, spawnHub } from "../support/hub.ts";
import { temporaryFolder, until } from "../support/wait.ts";
import { AlertsScene, type Sensor } from "./alerts-scene.ts";
import { type EventJson, publish, type RunJson, startAutomationScene, turn } from "./automation-scene.ts";
import { person } from "./cluster-hubs.ts";

const WARM = { name: "Warm", condition: { kind: "threshold", key: "t", above: 30 } };
type AlertRun = RunJson & { readonly source_kind: string; readonly source_id: string };

/** Those of alerts, oldest first. */
async function runsOf(api: ApiClient): Promise<AlertRun[]> {
  const { body } = await api.call<{ data: AlertRun[] }>("GET", "/api/v1/runs?limit=200");
  return body.data.filter((run) => run.source_kind === "alert").toReversed();
}

/** When so many have finished. */
const ended = (api: ApiClient, count: number): Promise<AlertRun[]> =>
  until(
    async () => {
      const runs = await runsOf(api);
      return runs.length >= count && runs.every(({ status }) => status === "ok" || status === "failed") && runs;
    },
    { what: `the end of ${count} runs`, timeoutMs: 60_000 },
  );

for (const { name, skip, open } of databases()) {
  describe(`${name}: what an alert rule does`, { skip, concurrency: 2 }, () => {
    test("begins once when it fires, of every kind, and each thing that happens names the alert; its end does nothing", async () => {
      await using database = await open();
      await using receiver = await startHookReceiver();
      await using scene = await startAutomationScene({ databaseUrl: database.url, env: { HEXA_OUTBOUND_ALLOW: "127.0.0.1/32" } });
      const { api } = scene.hub;
      const alerts = new AlertsScene(scene.hub);
      const sensor = await alerts.addSensor("Boiler");
      await using listener = await person(scene.hub);
      const heard: string[] = [];
      listener.client.on("message", (_topic, payload) => heard.push(payload.toString()));
      await listener.client.subscribeAsync("hexa-app/+/bus/warm");
      const hook = { name: "To us", url: receiver.url, events: ["device.deleted"] };
      const { webhook } = (await api.call<{ webhook: { id: string } }>("POST", "/api/v1/webhooks", hook)).body;
      const commands = [{ device: scene.uid, command: { command: "set_relay", relay: 2, state: "ON" } }];
      const made = await api.call<{ scene: { id: string } }>("POST", "/api/v1/scenes", { name: "Two", commands });
      assert.equal(made.status, 201, JSON.stringify(made.body));
      const rule = await alerts.rule({
        ...WARM,
        actions: [
          turn(scene.uid, 1, "ON"),
          { kind: "scene", scene_id: made.body.scene.id },
          publish("warm", "warm"),
          { kind: "notify", title: "Open the window" },
          { kind: "webhook", webhook_id: webhook.id, data: { warm: true } },
          { kind: "event", type: "custom.warm" },
        ],
      });
      await alerts.report(sensor, { t: 31 });
      const [run, ...others] = await ended(api, 1);
      const alert = await alerts.alert("firing");
      assert.deepEqual(
        [others, run?.source_id, run?.source_version, run?.status, run?.cause["alert_id"], run?.cause["value"], run?.correlation_id],
        [[], rule.id, 1, "ok", alert.id, 31, alert["correlation_id"]],
      );
      assert.deepEqual(
        run?.steps.map(({ kind, status }) => [kind, status]),
        ["command", "scene", "publish", "notify", "webhook", "event"].map((kind) => [kind, "ok"]),
      );
      assert.deepEqual(
        scene.relay.state.relays.filter(({ state }) => state === "ON").map(({ index }) => index),
        [1, 2],
      );
      await until(() => heard.length > 0 && receiver.received.length > 0, { what: "the message and the webhook" });
      assert.deepEqual([heard, receiver.received.length], [["warm"], 1]);
      assert.deepEqual((await alerts.told()).toSorted(), ["Open the window", "Warm: Boiler"]);

      const chain = await scene.events(`correlation_id=${String(alert["correlation_id"])}&limit=100`);
      const raised = chain.find(({ type }) => type === "alert.raised") as EventJson;
      assert.deepEqual([raised.data["alert_id"], raised.causation_id], [alert.id, null]);
      const count = (type: string): number => chain.filter((event) => event.type === type).length;
      assert.deepEqual(
        ["alert.raised", "command.completed", "scene.activated", "webhook.requested", "custom.warm"].map(count),
        [1, 2, 1, 1, 1],
      );
      const byId = new Map(chain.map((event) => [event.id, event]));
      for (let event of chain.filter(({ id }) => id !== raised.id)) {
        const { type } = event;
        while (event.causation_id !== null && event.id !== raised.id) event = byId.get(event.causation_id) ?? assert.fail(`${type}: a gap`);
        assert.equal(event.id, raised.id, type);
      }

      await alerts.report(sensor, { t: 20 });
      await alerts.alert("resolved");
      assert.equal((await runsOf(api)).length, 1);
      await alerts.report(sensor, { t: 32 });
      const again = await ended(api, 2);
      assert.deepEqual(
        again.map(({ cause }) => cause["value"]),
        [31, 32],
      );
    });

    test("follows from the event that it counts, and a circle of alerts and automations comes to an end", async () => {
      await using database = await open();
      await using scene = await startAutomationScene({ databaseUrl: database.url });
      const { api } = scene.hub;
      const alerts = new AlertsScene(scene.hub);
      const condition = { kind: "event", type: "custom.ring", window_s: 0.1 };
      await alerts.rule({ name: "Rung", condition, actions: [{ kind: "event", type: "custom.rung" }] });
      const { status } = await api.call("POST", "/api/v1/events", { type: "custom.ring", data: {} });
      assert.ok(status < 300);
      const [run] = await ended(api, 1);
      const [ring] = await scene.events("type=custom.ring");
      const [raised] = await scene.events("type=alert.raised");
      const [rung] = await scene.events("type=custom.rung");
      assert.deepEqual([run?.causation_id, raised?.causation_id, rung?.causation_id], [ring?.id, ring?.id, raised?.id]);
      assert.equal(new Set([run, ring, raised, rung].map((one) => one?.correlation_id)).size, 1);

      // The automation answers only once the alert is over, so that it is raised anew each time.
      const recalls = await scene.create({
        triggers: [{ kind: "event", type: "custom.rung" }],
        actions: [
          { kind: "delay", for_s: 1 },
          { kind: "event", type: "custom.ring" },
        ],
      });
      await alerts.alert("resolved");
      assert.ok((await api.call("POST", "/api/v1/events", { type: "custom.ring", data: {} })).status < 300);
      await until(
        async () => (await (await fetch(new URL("/metrics", scene.hub.http))).text()).includes('held_back_total{reason="depth"} 1'),
        { what: "the end of the circle", timeoutMs: 30_000 },
      );
      await until(async () => (await scene.runs(recalls)).every((one) => one.status === "ok"), { what: "the end of its runs" });
      const runs = (await ended(api, 2)).length - 1 + (await scene.runs(recalls)).length;
      assert.equal(runs, MAX_CAUSE_DEPTH + 1);
    });

    test("is told with the alert and its rule when it cannot be done", async () => {
      await using database = await open();
      await using scene = await startAutomationScene({ databaseUrl: database.url });
      const { api } = scene.hub;
      const alerts = new AlertsScene(scene.hub);
      const [sensor, away] = [await alerts.addSensor("Boiler"), await api.addDevice()];
      const rule = await alerts.rule({ ...WARM, actions: [turn(away.uid, 0, "ON")] });
      await alerts.report(sensor, { t: 31 });
      const [run] = await ended(api, 1);
      const alert = await alerts.alert("firing");
      assert.deepEqual([run?.status, run?.steps[0]?.code], ["failed", "device_offline"]);
      const [failed] = await scene.events("type=automation.failed");
      assert.deepEqual([failed?.data["rule_id"], failed?.data["alert_id"], failed?.data["run_id"]], [rule.id, alert.id, run?.id]);
      const { body } = await api.call<{ data: { title: string; source: object }[] }>("GET", "/api/v1/notifications");
      const told = body.data.find(({ title }) => title === "Warm could not be done");
      assert.deepEqual(told?.source, { kind: "alert", id: alert.id });
    });

    test("is refused with the place of the fault where it names what is another organisation's, or cannot be done", async () => {
      await using database = await open();
      await using two = await startTwoOrganizations(database.url);
      const [own, foreign] = [await two.admin.api.addDevice(), await two.mallory.api.addDevice()];
      const commands = [{ device: foreign.uid, command: { command: "set_relay", relay: 0, state: "ON" } }];
      const theirs = await two.mallory.api.call<{ scene: { id: string } }>("POST", "/api/v1/scenes", { name: "Theirs", commands });
      assert.equal(theirs.status, 201, JSON.stringify(theirs.body));
      const deep = { kind: "choose", options: [{ condition: { kind: "day", days: ["mon"] }, actions: [turn(foreign.uid, 0, "ON")] }] };
      const table: [object, string][] = [
        [turn(foreign.uid, 0, "ON"), "/actions/1/device"],
        [{ kind: "set_all_relays", devices: [own.uid, foreign.uid], state: "OFF" }, "/actions/1/devices/1/device"],
        [{ kind: "scene", scene_id: theirs.body.scene.id }, "/actions/1/scene_id"],
        [{ kind: "notify", title: "x", users: [two.mallory.userId] }, "/actions/1/users/0"],
        [{ kind: "webhook", webhook_id: crypto.randomUUID() }, "/actions/1/webhook_id"],
        [deep, "/actions/1/options/0/actions/0/device"],
        [turn(own.uid, 31, "ON"), "/actions/1/device"],
      ];
      const send = (more: object) =>
        two.admin.api.call<{ details: { path: string }[] }>("POST", "/api/v1/alert-rules", { severity: "info", ...WARM, ...more });
      for (const [action, path] of table) {
        const { status, body } = await send({ actions: [publish("x"), action] });
        assert.deepEqual([status, body.details?.[0]?.path], [400, path], JSON.stringify(body));
      }
      const ofTheirs = await send({ device: foreign.uid });
      assert.deepEqual([ofTheirs.status, ofTheirs.body.details?.[0]?.path], [400, "/device"]);
      const { body } = await two.admin.api.call<{ data: unknown[] }>("GET", "/api/v1/alert-rules");
      assert.deepEqual(body.data, []);
    });
  });
}

for (const { name, skip, open } of databases())
  test(`${name}: kill -9 while alerts fire: each has its one run, and each action is done once`, { skip, timeout: 120_000 }, async () => {
    await using database = await open();
    await using folder = temporaryFolder();
    const options = { dataDir: folder.path, databaseUrl: database.url };
    const COUNT = 24;
    let hub: HubProcess = await spawnHub(options);
    await using stack = new AsyncDisposableStack();
    stack.defer(() => hub[Symbol.asyncDispose]());
    const { token } = await hub.api.login();
    const scene = new AlertsScene(hub);
    const sensors: Sensor[] = [];
    for (let index = 0; index < COUNT; index++) sensors.push(await scene.addSensor(`Sensor ${index}`));
    const [early, late] = ["custom.early", "custom.late"].map((type) => ({ kind: "event", type }));
    await scene.rule({ ...WARM, actions: [early, { kind: "delay", for_s: 1 }, late] });
    const unheard = new Set(sensors);
    for (let death = 0; unheard.size > 0; death++) {
      const now = new AlertsScene(hub);
      // What was not acknowledged is sent again, as a device does.
      const reports = Promise.allSettled([...unheard].map((sensor) => now.report(sensor, { t: 31 }).then(() => unheard.delete(sensor))));
      const wanted = (COUNT * (death + 1)) / 4;
      if (death < 3) {
        await until(() => COUNT - unheard.size >= wanted, { what: `${wanted} reports` });
        await hub.kill9();
        await reports;
        hub = await spawnHub(options);
        hub.api.token = token;
      } else assert.ok((await reports).every(({ status }) => status === "fulfilled"));
    }
    const runs = await ended(hub.api, COUNT);
    const after = new AlertsScene(hub);
    const alerts = await after.alerts();
    assert.deepEqual([runs.length, alerts.length, new Set(alerts.map(({ uid }) => uid)).size], [COUNT, COUNT, COUNT]);
    assert.deepEqual(new Set(runs.map(({ cause }) => cause["alert_id"])), new Set(alerts.map(({ id }) => id)));
    for (const type of ["alert.raised", "custom.early", "custom.late"])
      assert.equal((await after.events(`${type}&limit=200`)).length, COUNT, type);
  });
