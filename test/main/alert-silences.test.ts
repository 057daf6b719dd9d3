import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { databases } from "../support/databases.ts";
import { spawnHub, startHub } from "../support/hub.ts";
import { temporaryFolder, until } from "../support/wait.ts";
import { AlertsScene, type ShownAlert } from "./alerts-scene.ts";

const MINUTE = 60_000;
const WARM = { condition: { kind: "threshold", key: "t", above: 30 } };
const iso = (ms: number): string => new Date(ms).toISOString();
const silentFor = (ms: number) => [{ kind: "between", from: iso(Date.now() - MINUTE), until: iso(Date.now() + ms) }];
const timeOf = (alert: ShownAlert, field: string): number => Date.parse(String(alert[field]));

/** Each day at the time of day that it was a minute ago where clocks are ahead of UTC by so many hours. */
function aMinuteAgo(hoursAhead: number): object {
  const at = new Date(Date.now() - MINUTE + hoursAhead * 60 * MINUTE);
  return { kind: "cron", expression: `${at.getUTCMinutes()} ${at.getUTCHours()} * * *` };
}

for (const { name, skip, open } of databases()) {
  describe(`${name}: silences`, { skip, concurrency: 2 }, () => {
    test("at its time of day nobody is told by a rule, by the clocks of its zone; the alert is there, and its end is not told either", async () => {
      await using database = await open();
      await using hub = await startHub({ databaseUrl: database.url });
      await hub.api.login();
      const scene = new AlertsScene(hub);
      const sensor = await scene.addSensor("Boiler");
      const recurring = (hoursAhead: number) => [{ kind: "recurring", recurrence: aMinuteAgo(hoursAhead), for_s: 3_600 }];
      // Bangkok knows no daylight saving time.
      const silent = await scene.rule({ name: "Silent", ...WARM, time_zone: "Asia/Bangkok", silences: recurring(7) });
      const elsewhere = await scene.rule({ name: "Loud", ...WARM, time_zone: "UTC", silences: recurring(7) });
      await scene.report(sensor, { t: 31 });
      const alert = await scene.alert("firing", `&rule_id=${silent.id}`);
      const loud = await scene.alert("firing", `&rule_id=${elsewhere.id}`);
      assert.deepEqual([alert.told_at, loud.told_at === null], [null, false]);
      assert.deepEqual(await scene.history(alert.id), ["raised"]);
      assert.equal((await scene.events("alert.raised")).length, 2);
      await scene.report(sensor, { t: 20 });
      assert.equal((await scene.alert("resolved", `&rule_id=${silent.id}`)).told_at, null);
      await scene.alert("resolved", `&rule_id=${elsewhere.id}`);
      assert.deepEqual(await scene.told(), ["Over: Loud: Boiler ×2"]);
      assert.deepEqual(await scene.history(alert.id), ["raised", "resolved"]);
    });

    test("at a time of day by the clocks of its site: where that has moved to, from then on", async () => {
      await using database = await open();
      await using hub = await startHub({ databaseUrl: database.url });
      await hub.api.login();
      const scene = new AlertsScene(hub);
      const { site } = (await hub.api.call<{ site: { id: string } }>("POST", "/api/v1/sites", { name: "Villa", time_zone: "UTC" })).body;
      const { room } = (await hub.api.call<{ room: { id: string } }>("POST", "/api/v1/rooms", { name: "Attic", site_id: site.id })).body;
      const [before, after] = [await scene.addSensor("Before"), await scene.addSensor("After")];
      for (const { uid } of [before, after])
        assert.equal((await hub.api.call("PATCH", `/api/v1/devices/${uid}`, { room_id: room.id })).status, 200);
      await scene.rule({ ...WARM, site_id: site.id, silences: [{ kind: "recurring", recurrence: aMinuteAgo(7), for_s: 3_600 }] });
      await scene.report(before, { t: 31 });
      const loud = await scene.alert("firing", `&device=${before.uid}`);
      assert.notEqual(loud.told_at, null);
      const moved = await hub.api.call("PATCH", `/api/v1/sites/${site.id}`, { time_zone: "Asia/Bangkok" });
      assert.equal(moved.status, 200);
      await scene.report(after, { t: 31 });
      assert.equal((await scene.alert("firing", `&device=${after.uid}`)).told_at, null);
      // What was raised goes on: the rule is the same.
      assert.deepEqual(await scene.history(loud.id), ["raised", "told"]);
    });

    test("until an instant: what is still so then is told then, and what was over before is not", async () => {
      await using database = await open();
      await using hub = await startHub({ databaseUrl: database.url });
      await hub.api.login();
      const scene = new AlertsScene(hub);
      const [lasts, ends] = [await scene.addSensor("Lasts"), await scene.addSensor("Ends")];
      const silences = silentFor(6_000);
      await scene.rule({ name: "Warm", ...WARM, silences, escalate: [{ after_s: 0.1, severity: "critical" }] });
      await scene.report(lasts, { t: 31 });
      await scene.report(ends, { t: 31 });
      const { id } = await scene.alert("firing", `&device=${lasts.uid}`);
      await scene.report(ends, { t: 20 });
      const over = await scene.alert("resolved", `&device=${ends.uid}`);
      const told = await until(async () => (await scene.alerts()).find((one) => one.id === id && one.told_at !== null), {
        what: "the end",
      });
      assert.ok(timeOf(told, "told_at") >= Date.parse(silences[0]?.until ?? ""), String(told.told_at));
      await scene.alert("firing", "&severity=critical");
      assert.deepEqual(await scene.history(id), ["raised", "told", "escalated"]);
      assert.deepEqual(await scene.history(over.id), ["raised", "resolved"]);
      assert.deepEqual(await scene.told(), ["Warm: Lasts ×2"]);
    });

    test("whoever silences an alert is not told of its end; what it would have escalated comes when the silence is over", async () => {
      await using database = await open();
      await using hub = await startHub({ databaseUrl: database.url });
      await hub.api.login();
      const scene = new AlertsScene(hub);
      const [lasts, ends] = [await scene.addSensor("Lasts"), await scene.addSensor("Ends")];
      await scene.rule({ name: "Warm", ...WARM, escalate: [{ after_s: 4, severity: "critical" }] });
      await scene.report(lasts, { t: 31 });
      await scene.report(ends, { t: 31 });
      const [stays, goes] = [await scene.alert("firing", `&device=${lasts.uid}`), await scene.alert("firing", `&device=${ends.uid}`)];
      const end = Date.now() + 7_000;
      for (const { id } of [stays, goes]) assert.equal((await scene.act(id, "silence", { until: iso(end) })).status, 200);
      await scene.report(ends, { t: 20 });
      await scene.alert("resolved", `&device=${ends.uid}`);
      await scene.alert("firing", "&severity=critical");
      assert.ok(Date.now() >= end, "before the end of the silence");
      assert.deepEqual(await scene.history(stays.id), ["raised", "told", "silenced", "escalated"]);
      assert.deepEqual((await scene.told()).toSorted(), ["Warm: Ends", "Warm: Lasts ×2"]);
    });

    test("a loss that ends within a silence leaves what is still away untold until the silence is over", async () => {
      await using database = await open();
      await using hub = await startHub({ databaseUrl: database.url });
      await hub.api.login();
      const scene = new AlertsScene(hub);
      const [gateway, behind] = [await scene.addSensor("Hall"), await scene.addSensor("Behind")];
      const edge = { from_entity: gateway.id, to_entity: behind.id, relationship_type: "gateway" };
      assert.equal((await hub.api.call("POST", "/api/v1/relationships", edge)).status, 201);
      const clients = await Promise.all([gateway, behind].map((one) => scene.connect(one)));
      const begins = Date.now() + 6_000;
      const ends = begins + 6_000;
      const silences = [{ kind: "between", from: iso(begins), until: iso(ends) }];
      await scene.rule({ name: "Away", condition: { kind: "device_offline", gather_s: 2 }, silences });
      await Promise.all(clients.map((client) => client.endAsync()));
      const title = "Gateway Hall lost: 2 of 2 devices";
      const loss = await until(async () => (await scene.alerts()).find((one) => one.title === title), { what: "the loss" });
      await until(() => Date.now() >= begins, { what: "the silence" });
      const back = await scene.connect(gateway);
      await until(async () => (await scene.alerts()).some(({ id, status }) => id === loss.id && status === "resolved"), {
        what: "its end",
      });
      const [left] = await scene.alerts("&status=open");
      assert.ok(Date.now() < ends, "the loss ends before the silence does");
      assert.deepEqual([left?.uid, left?.parent_id, left?.told_at, await scene.told()], [behind.uid, null, null, [title]]);
      const told = await until(async () => (await scene.alerts("&status=open")).find(({ told_at: toldAt }) => toldAt !== null), {
        what: "what is still away",
        timeoutMs: 20_000,
      });
      assert.equal(told.uid, behind.uid);
      assert.ok(timeOf(told, "told_at") >= ends);
      assert.deepEqual(await scene.told(), [title, "Away: Behind"]);
      await back.endAsync();
    });

    test("a silence survives the death of the hub: of the rule, and of one alert", async () => {
      await using database = await open();
      await using folder = temporaryFolder();
      const options = { dataDir: folder.path, databaseUrl: database.url };
      const silences = silentFor(8_000);
      const end = Date.parse(silences[0]?.until ?? "");
      let token: string | undefined;
      {
        await using hub = await spawnHub(options);
        token = (await hub.api.login()).token;
        const scene = new AlertsScene(hub);
        const [ofRule, ofAlert] = [await scene.addSensor("Of the rule"), await scene.addSensor("Of the alert")];
        await scene.rule({ name: "Warm", ...WARM, device: ofRule.uid, silences });
        await scene.rule({ name: "Warm", ...WARM, device: ofAlert.uid, escalate: [{ after_s: 1, severity: "critical" }] });
        await scene.report(ofRule, { t: 31 });
        await scene.report(ofAlert, { t: 31 });
        const { id } = await scene.alert("firing", `&device=${ofAlert.uid}`);
        assert.equal((await scene.act(id, "silence", { until: iso(end) })).status, 200);
        await hub.kill9();
      }
      await using hub = await spawnHub(options);
      hub.api.token = token;
      const scene = new AlertsScene(hub);
      const silent = await scene.alerts();
      assert.ok(Date.now() < end, "the hub is there again before the silence is over");
      assert.deepEqual(
        new Map(silent.map(({ title, told_at: toldAt, severity }) => [title, [toldAt === null, severity]])),
        new Map([
          ["Warm: Of the alert", [false, "warning"]],
          ["Warm: Of the rule", [true, "warning"]],
        ]),
      );
      await until(async () => (await scene.alerts()).every(({ told_at: toldAt }) => toldAt !== null), {
        what: "its end",
        timeoutMs: 20_000,
      });
      assert.equal((await scene.alert("firing", "&severity=critical")).title, "Warm: Of the alert");
      const told = (await scene.alerts()).find(({ title }) => title === "Warm: Of the rule") as ShownAlert;
      assert.ok(timeOf(told, "told_at") >= end);
      assert.deepEqual((await scene.told()).toSorted(), ["Warm: Of the alert ×2", "Warm: Of the rule"]);
    });
  });
}
