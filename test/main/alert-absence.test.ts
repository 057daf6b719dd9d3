import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { databases } from "../support/databases.ts";
import { startHub } from "../support/hub.ts";
import { until } from "../support/wait.ts";
import { AlertsScene } from "./alerts-scene.ts";

for (const { name, skip, open } of databases()) {
  describe(`${name}: nothing at all from a device`, { skip, concurrency: 2 }, () => {
    test("is told whatever it used to say, and anything that it says ends it", async () => {
      await using database = await open();
      await using hub = await startHub({ databaseUrl: database.url });
      await hub.api.login();
      const scene = new AlertsScene(hub);
      const [talking, silent, unheard] = [
        await scene.addSensor("Talks"),
        await scene.addSensor("Silent"),
        await scene.addSensor("Unheard"),
      ];
      // What was there before the rule is waited for, too; what never said anything is not.
      await scene.report(silent, { t: 1 });
      const rule = await scene.rule({ name: "Quiet", condition: { kind: "absence" }, for_s: 1 });
      const talk = scene.talk(talking, (count) => ({ [`k${count % 5}`]: count }));
      const alert = await scene.alert("firing");
      assert.deepEqual([alert.uid, alert.rule_id, alert.title], [silent.uid, rule.id, "Quiet: Silent"]);
      assert.match(String(alert["description"]), /^nothing has come since 2/);
      await scene.report(silent, { other: true });
      assert.equal((await scene.alert("resolved", `&device=${silent.uid}`)).resolution, "fine");
      // It falls silent again, and by then the other one has talked for longer than it may be silent.
      await until(async () => (await scene.alerts(`&device=${silent.uid}`)).length === 2, { what: "the next silence" });
      assert.deepEqual(await scene.alerts(`&device=${talking.uid}`), []);
      await talk[Symbol.asyncDispose]();
      await scene.alert("firing", `&device=${talking.uid}`);
      assert.deepEqual(await scene.alerts(`&device=${unheard.uid}`), []);
    });

    test("of one device is told also when it never said anything, and a session is a sign of life", async () => {
      await using database = await open();
      await using hub = await startHub({ databaseUrl: database.url });
      await hub.api.login();
      const scene = new AlertsScene(hub);
      const sensor = await scene.addSensor("Never");
      await scene.rule({ name: "Quiet", condition: { kind: "absence" }, for_s: 1, device: sensor.uid });
      const alert = await scene.alert("firing");
      assert.deepEqual([alert.uid, alert["description"]], [sensor.uid, "nothing has come since unknown"]);
      const client = await scene.connect(sensor);
      const over = await scene.alert("resolved");
      assert.deepEqual([over.id, over.resolution], [alert.id, "fine"]);
      // Heartbeats are no readings: they keep it quiet as long as they come, though they are written down some seconds later.
      const heartbeat = JSON.stringify({ uptime: 1 });
      const topic = `hexa/${sensor.uid}/up/heartbeat`;
      const begun = Date.now();
      await until(
        async () => {
          await client.publishAsync(topic, heartbeat, { qos: 1 });
          return Date.now() - begun > 9_000;
        },
        { what: "nine seconds of heartbeats", timeoutMs: 20_000 },
      );
      assert.equal((await scene.alerts()).length, 1);
      await client.endAsync();
      await until(async () => (await scene.alerts("&status=firing")).length === 1, { what: "the silence after them", timeoutMs: 30_000 });
    });
  });
}
