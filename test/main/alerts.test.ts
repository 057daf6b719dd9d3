import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { openStore } from "../../store/open.ts";
import { rowsOf } from "../../store/sql.ts";
import { databases } from "../support/databases.ts";
import { spawnHub, startHub } from "../support/hub.ts";
import { temporaryFolder, until } from "../support/wait.ts";
import { AlertsScene, type Sensor } from "./alerts-scene.ts";

/** Above 30 for a tenth of a second, and fine below 28. */
const WARM = { condition: { kind: "threshold", key: "t", above: 30, hysteresis: 2 }, for_s: 0.1 };

for (const { name, skip, open } of databases()) {
  describe(`${name}: alerts`, { skip, concurrency: 2 }, () => {
    test("a value that flaps at its threshold makes one alert and two notifications, and ends when it was fine for the time", async () => {
      await using database = await open();
      await using hub = await startHub({ databaseUrl: database.url });
      await hub.api.login();
      const scene = new AlertsScene(hub);
      const sensor = await scene.addSensor("Boiler");
      const rule = await scene.rule({ name: "Too warm", ...WARM, resolve_after_s: 0.4 });
      await scene.report(sensor, { t: 31 });
      const alert = await scene.alert("firing");
      assert.equal(alert.title, "Too warm: Boiler");
      for (let round = 0; round < 10; round++) {
        await scene.report(sensor, { t: 27 });
        await scene.report(sensor, { t: 31 });
        await scene.report(sensor, { t: 31 }, { t: 29 }, { t: 28.5 });
      }
      assert.deepEqual(
        (await scene.alerts()).map(({ id, status }) => [id, status]),
        [[alert.id, "firing"]],
      );
      await scene.report(sensor, { t: 20 });
      const over = await scene.alert("resolved");
      assert.deepEqual([over.id, over.resolution, over.rule_id], [alert.id, "fine", rule.id]);
      assert.deepEqual(await scene.history(alert.id), ["raised", "told", "resolved"]);
      await until(async () => (await scene.told()).length > 0, { what: "what was told" });
      assert.equal((await scene.told()).length, 1, "the end is told in place of the beginning");
      assert.deepEqual(await scene.told(), ["Over: Too warm: Boiler ×2"]);
      assert.equal((await scene.events("alert.raised")).length, 1);
      assert.equal((await scene.events("alert.resolved")).length, 1);
    });

    test("of a device that is put elsewhere ends there and then", async () => {
      await using database = await open();
      await using hub = await startHub({ databaseUrl: database.url });
      await hub.api.login();
      const scene = new AlertsScene(hub);
      const made = async (path: string, body: object): Promise<string> => {
        const answer = await hub.api.call<Record<string, { id: string }>>("POST", `/api/v1/${path}s`, body);
        assert.equal(answer.status, 201, JSON.stringify(answer.body));
        return answer.body[path]?.id ?? "";
      };
      const [siteA, siteB] = [await made("site", { name: "A", time_zone: "UTC" }), await made("site", { name: "B", time_zone: "UTC" })];
      const [hall, cellar] = [await made("room", { name: "Hall", site_id: siteA }), await made("room", { name: "Cellar", site_id: siteB })];
      const change = async (path: string, body: object): Promise<void> => {
        const { status } = await hub.api.call("PATCH", `/api/v1/${path}`, body);
        assert.equal(status, 200);
      };
      const sensor = await scene.addSensor();
      await change(`devices/${sensor.uid}`, { room_id: hall });
      await scene.rule({ condition: { kind: "device_offline", gather_s: 0 }, site_id: siteA });
      const away = async (): Promise<string> => {
        await (await scene.connect(sensor)).endAsync();
        return (await scene.alert("firing")).id;
      };
      const endOf = async (id: string): Promise<unknown> => (await scene.alerts()).find((one) => one.id === id)?.resolution;

      const first = await away();
      await change(`devices/${sensor.uid}`, { room_id: cellar });
      assert.equal(await endOf(first), "gone");

      await change(`devices/${sensor.uid}`, { room_id: hall });
      const second = await away();
      await change(`rooms/${hall}`, { site_id: siteB });
      assert.equal(await endOf(second), "gone");

      await change(`rooms/${hall}`, { site_id: siteA });
      const third = await away();
      const { status } = await hub.api.call("DELETE", `/api/v1/rooms/${hall}`);
      assert.deepEqual([status, await endOf(third)], [204, "gone"]);
    });

    test("of a device that was put elsewhere unnoticed ends with its next sign", async () => {
      await using database = await open();
      await using folder = temporaryFolder();
      const options = { dataDir: folder.path, databaseUrl: database.url };
      let sensor: Sensor;
      let token: string | undefined;
      {
        await using hub = await startHub(options);
        token = (await hub.api.login()).token;
        const scene = new AlertsScene(hub);
        sensor = await scene.addSensor();
        const site = await hub.api.call<{ site: { id: string } }>("POST", "/api/v1/sites", { name: "A", time_zone: "UTC" });
        const siteId = site.body.site.id;
        const room = await hub.api.call<{ room: { id: string } }>("POST", "/api/v1/rooms", { name: "Hall", site_id: siteId });
        await hub.api.call("PATCH", `/api/v1/devices/${sensor.uid}`, { room_id: room.body.room.id });
        await scene.rule({ condition: { kind: "device_offline", gather_s: 0 }, site_id: siteId });
        await (await scene.connect(sensor)).endAsync();
        await scene.alert("firing");
      }
      {
        await using store = await openStore(options);
        await rowsOf(store.db, "update devices set room_id = null where uid = ?", [sensor.uid]);
      }
      await using hub = await startHub(options);
      hub.api.token = token;
      const scene = new AlertsScene(hub);
      const client = await scene.connect(sensor);

      assert.equal((await scene.alert("resolved")).resolution, "gone");
      await client.endAsync();
    });

    test("one that is pending when the hub is killed is raised once by the next, and silence that began before it is noticed", async () => {
      await using database = await open();
      await using folder = temporaryFolder();
      const options = { dataDir: folder.path, databaseUrl: database.url };
      let token: string | undefined;
      const ids: string[] = [];
      {
        await using hub = await spawnHub(options);
        token = (await hub.api.login()).token;
        const scene = new AlertsScene(hub);
        const [warm, silent] = [await scene.addSensor("Warm"), await scene.addSensor("Silent")];
        ids.push((await scene.rule({ ...WARM, device: warm.uid, for_s: 3 })).id);
        ids.push((await scene.rule({ condition: { kind: "absence", key: "h" }, for_s: 3 })).id);
        await scene.report(silent, { h: 1 });
        await scene.report(warm, { t: 40 });
        await hub.kill9();
      }
      await using hub = await spawnHub(options);
      hub.api.token = token;
      const scene = new AlertsScene(hub);
      const raised = await until(async () => ((await scene.alerts("&status=firing")).length === 2 ? await scene.alerts() : undefined), {
        what: "both alerts",
        timeoutMs: 20_000,
      });
      assert.deepEqual(new Set(raised.map((one) => one.rule_id)), new Set(ids));
      await until(async () => (await scene.told()).length === 2, { what: "both notifications" });
      const [silence] = await scene.alerts(`&rule_id=${ids[1]}`);
      assert.match(String(silence?.["description"]), /^nothing has come of h since 2/);
    });

    test("data that stop are told, and data that come again end it", async () => {
      await using database = await open();
      await using hub = await startHub({ databaseUrl: database.url });
      await hub.api.login();
      const scene = new AlertsScene(hub);
      const [talking, never] = [await scene.addSensor(), await scene.addSensor("Never heard of")];
      await scene.rule({ condition: { kind: "absence", key: "h" }, for_s: 0.3 });
      const own = await scene.rule({ condition: { kind: "absence", key: "h" }, for_s: 0.3, device: never.uid });
      const unheard = await scene.alert("firing");
      assert.deepEqual([unheard.rule_id, unheard.uid], [own.id, never.uid]);
      await scene.report(talking, { h: 1 });
      const silent = await scene.alert("firing", `&device=${talking.uid}`);
      await scene.report(talking, { h: 1 });
      const over = await scene.alert("resolved", `&device=${talking.uid}`);
      assert.deepEqual([over.id, over.resolution], [silent.id, "fine"]);
      await until(async () => (await scene.alerts(`&device=${talking.uid}`)).length === 2, { what: "the next silence" });
    });

    test("changes that are too fast, and events that are too many, are alerts; the window is read back by another process", async () => {
      await using database = await open();
      await using folder = temporaryFolder();
      const options = { dataDir: folder.path, databaseUrl: database.url };
      let sensor: Awaited<ReturnType<AlertsScene["addSensor"]>>;
      {
        await using hub = await startHub(options);
        await hub.api.login();
        const scene = new AlertsScene(hub);
        sensor = await scene.addSensor();
        await scene.rule({ condition: { kind: "rate", key: "p", more_than: 5, per: "minute", window_s: 60 } });
        await scene.rule({ name: "Rung", condition: { kind: "event", type: "custom.ring", count: 3, window_s: 4 } });
        const then = Date.now() - 35_000;
        const body = { ts: then, values: { p: 100 } };
        const headers = { "content-type": "application/json", "x-device-uid": sensor.uid, "x-device-token": sensor.token };
        const url = new URL("/api/v1/devices/sensor-report", hub.http);
        assert.equal((await fetch(url, { method: "POST", headers, body: JSON.stringify(body) })).status, 202);
        for (let count = 0; count < 3; count++) {
          assert.deepEqual(await scene.alerts(), []);
          const { status, body: answer } = await hub.api.call("POST", "/api/v1/events", { type: "custom.ring", data: {} });
          assert.ok(status < 300, JSON.stringify(answer));
        }
        const rung = await scene.alert("firing");
        assert.equal(rung.title, "Rung");
        await scene.alert("resolved");
      }
      await using hub = await startHub(options);
      await hub.api.login();
      const scene = new AlertsScene(hub);
      await scene.report(sensor, { p: 110 });
      const alert = await scene.alert("firing");
      assert.match(String(alert["description"]), /^p changes by 1\d(\.\d+)? a minute; the limit is 5$/);
    });

    test("whoever takes care of an alert, ends or silences it is heard; ended by hand it comes again only after it was fine", async () => {
      await using database = await open();
      await using hub = await startHub({ databaseUrl: database.url });
      await hub.api.login();
      const scene = new AlertsScene(hub);
      const sensor = await scene.addSensor();
      await scene.rule({ ...WARM, escalate: [{ after_s: 0.2, severity: "critical" }] });
      await scene.report(sensor, { t: 40 });
      const first = await scene.alert("firing", "&severity=critical");
      assert.deepEqual(await scene.history(first.id), ["raised", "told", "escalated"]);
      assert.equal((await scene.act(first.id, "silence", { until: "2000-01-01T00:00:00Z" })).status, 200);
      assert.equal((await scene.act(first.id, "acknowledge")).status, 200);
      assert.equal((await scene.act(first.id, "acknowledge")).status, 409);
      assert.equal((await scene.act(first.id, "resolve")).status, 200);
      assert.equal((await scene.act(first.id, "resolve")).status, 409);
      await scene.report(sensor, { t: 41 });
      await scene.report(sensor, { t: 20 });
      assert.equal((await scene.alerts()).length, 1);
      await scene.report(sensor, { t: 41 });
      const second = await scene.alert("firing");
      assert.notEqual(second.id, first.id);
      const { body } = await hub.api.call<{ status: number }>("DELETE", `/api/v1/devices/${sensor.uid}`);
      assert.deepEqual(body, {});
      assert.equal((await scene.alert("resolved", "&status=resolved&from=1")).status, "resolved");
      assert.deepEqual(
        (await scene.alerts()).map(({ resolution }) => resolution),
        ["gone", "hand"],
      );
    });

    test("a rule that is changed begins anew with what is bad now; one that is removed ends its alerts", async () => {
      await using database = await open();
      await using hub = await startHub({ databaseUrl: database.url });
      await hub.api.login();
      const scene = new AlertsScene(hub);
      const sensor = await scene.addSensor();
      await scene.report(sensor, { t: 40 });
      const rule = await scene.rule(WARM);
      const first = await scene.alert("firing");
      const path = `/api/v1/alert-rules/${rule.id}`;
      assert.equal((await hub.api.call("PATCH", path, { severity: "critical" })).status, 428);
      assert.equal((await hub.api.call("PATCH", path, { severity: "critical" }, { "if-match": '"old"' })).status, 412);
      const changed = await hub.api.call<{ rule: { version: number } }>(
        "PATCH",
        path,
        { severity: "critical", note: "graver" },
        { "if-match": rule.etag },
      );
      assert.deepEqual([changed.status, changed.body.rule.version], [200, 2]);
      const second = await scene.alert("firing", "&severity=critical");
      assert.deepEqual(
        (await scene.alerts("&status=resolved")).map(({ id, resolution }) => [id, resolution]),
        [[first.id, "rule"]],
      );
      const versions = await hub.api.call<{ data: { version: number; note: string | null }[] }>("GET", `${path}/versions`);
      assert.deepEqual(
        versions.body.data.map(({ version, note }) => [version, note]),
        [
          [2, "graver"],
          [1, null],
        ],
      );
      const off = await hub.api.call(
        "PATCH",
        path,
        { condition: { kind: "device_offline" } },
        { "if-match": changed.headers.get("etag") ?? "" },
      );
      assert.equal(off.status, 200, JSON.stringify(off.body));
      assert.equal((await hub.api.call("DELETE", path, undefined, { "if-match": "*" })).status, 204);
      assert.equal((await scene.alerts("&status=open")).length, 0);
      assert.ok((await scene.alerts()).some(({ id }) => id === second.id));
    });

    test("a site that is lost is one alert, one notification, and over when its devices are back", async () => {
      await using database = await open();
      await using hub = await startHub({ databaseUrl: database.url });
      await hub.api.login();
      const scene = new AlertsScene(hub);
      const { site } = (await hub.api.call<{ site: { id: string } }>("POST", "/api/v1/sites", { name: "Villa", time_zone: "UTC" })).body;
      const { room } = (await hub.api.call<{ room: { id: string } }>("POST", "/api/v1/rooms", { name: "Attic", site_id: site.id })).body;
      const sensors = await Promise.all(Array.from({ length: 8 }, (_, index) => scene.addSensor(`Sensor ${index}`)));
      for (const { uid } of sensors)
        assert.equal((await hub.api.call("PATCH", `/api/v1/devices/${uid}`, { room_id: room.id })).status, 200);
      const elsewhere = await scene.addSensor("Elsewhere");
      await scene.rule({ name: "Away", condition: { kind: "device_offline", gather_s: 6 } });
      const clients = await Promise.all([...sensors, elsewhere].map((one) => scene.connect(one)));
      await Promise.all(clients.slice(0, 7).map((client) => client.endAsync()));
      const parent = await until(async () => (await scene.alerts()).find(({ title }) => title === "Site Villa lost: 7 of 8 devices"), {
        what: "the loss",
        timeoutMs: 20_000,
      });
      const children = await scene.alerts(`&parent_id=${parent.id}`);
      assert.equal(children.length, 7);
      assert.ok(children.every(({ told_at: toldAt }) => toldAt === null));
      assert.deepEqual(await scene.told(), ["Site Villa lost: 7 of 8 devices"]);
      // The eighth goes later, and is a part of it.
      await clients[7]?.endAsync();
      await until(async () => (await scene.alerts(`&parent_id=${parent.id}`)).length === 8, { what: "the last one" });
      const back = await Promise.all(sensors.map((one) => scene.connect(one)));
      await until(async () => (await scene.alerts("&status=open")).length === 0, { what: "the end of it", timeoutMs: 20_000 });
      assert.equal((await scene.told()).length, 1, "its end is told in its place");
      await Promise.all([...back, ...clients.slice(8)].map((client) => client.endAsync()));
    });

    test("an alert that somebody raises is one of its key; the simulation compares the metrics that there are", async () => {
      await using database = await open();
      await using hub = await startHub({ databaseUrl: database.url });
      await hub.api.login();
      const scene = new AlertsScene(hub);
      const body = { title: "Water in the cellar", severity: "critical", key: "water" };
      const raised = await Promise.all([1, 2, 3].map(() => hub.api.call<{ alert: { id: string } }>("POST", "/api/v1/alerts", body)));
      assert.deepEqual(
        raised.map(({ status }) => status).toSorted((a, b) => a - b),
        [200, 200, 201],
      );
      const [first] = await scene.alerts();
      assert.ok(first && raised.every((one) => one.body.alert.id === first.id));
      assert.deepEqual(await scene.told(), ["Water in the cellar"]);
      const path = "/api/v1/admin/ops/alerts/simulate";
      const found = async (): Promise<unknown> => (await hub.api.call("POST", path, {})).body["found"];
      const gauge = {
        metric: "hexahub_alerts_open",
        labels: { severity: "critical" },
        value: 1,
        above: 0,
        below: null,
        severity: "critical",
      };
      await until(async () => JSON.stringify(await found()).includes(JSON.stringify(gauge)), { what: "the alert among the metrics" });
      assert.equal((await scene.act(first.id, "acknowledge")).status, 200);
      assert.equal((await scene.act(first.id, "resolve")).status, 200);
      assert.deepEqual(await scene.history(first.id), ["raised", "acknowledged", "resolved"]);
      assert.equal((await hub.api.call("POST", "/api/v1/alerts", body)).status, 201);
      const answer = await hub.api.call("POST", path, { thresholds: [{ metric: "no_such_metric", above: 1 }] });
      const { evaluated_at: _, ...rest } = answer.body;
      assert.deepEqual(rest, { evaluated: 0, found: [], unknown: ["no_such_metric"], backup_failures: null });
    });
  });
}
