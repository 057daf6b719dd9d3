import assert from "node:assert/strict";
import { test } from "node:test";
import { until } from "../support/wait.ts";
import { AlertsScene, type Sensor } from "./alerts-scene.ts";
import { clusterMissing, startPair } from "./cluster-hubs.ts";

test("of two nodes one raises and the other ends it: a device that moves, a rule that is made elsewhere, and one site lost at both", {
  skip: clusterMissing(),
}, async () => {
  await using pair = await startPair();
  const [atA, atB] = [new AlertsScene(pair.a), new AlertsScene(pair.b)];
  const sensor = await atA.addSensor();
  await atA.rule({ condition: { kind: "threshold", key: "t", above: 30 }, for_s: 0.1, resolve_after_s: 0.2 });
  // The other node hears of the rule within a second.
  await until(
    async () => {
      await atB.report(sensor, { t: 40 });
      return (await atB.alerts()).length > 0;
    },
    { what: "the alert of a rule that was made at the other node" },
  );
  const raised = await atA.alert("firing");
  await until(
    async () => {
      await atA.report(sensor, { t: 20 });
      return (await atA.alerts("&status=open")).length === 0;
    },
    { what: "its end, by readings at the other node" },
  );
  const [over] = (await atB.alerts()).filter(({ id }) => id === raised.id);
  assert.equal(over?.resolution, "fine");

  const { site } = (await pair.a.api.call<{ site: { id: string } }>("POST", "/api/v1/sites", { name: "Villa", time_zone: "UTC" })).body;
  const { room } = (await pair.a.api.call<{ room: { id: string } }>("POST", "/api/v1/rooms", { name: "Attic", site_id: site.id })).body;
  const sensors = await Promise.all(Array.from({ length: 6 }, (_, index) => atA.addSensor(`Sensor ${index}`)));
  for (const { uid } of sensors) assert.equal((await pair.a.api.call("PATCH", `/api/v1/devices/${uid}`, { room_id: room.id })).status, 200);
  const rule = await atB.rule({ name: "Away", condition: { kind: "device_offline", gather_s: 9 } });
  const clients = await Promise.all(sensors.map((one, index) => (index % 2 === 0 ? atA : atB).connect(one)));
  await Promise.all(clients.map((client) => client.endAsync()));
  let titles: unknown[] = [];
  const parent = await until(
    async () => {
      const raisedNow = await atA.alerts(`&rule_id=${rule.id}`);
      titles = raisedNow.map(({ title }) => title);
      return raisedNow.find(({ title }) => title === "Site Villa lost: 6 of 6 devices");
    },
    {
      what: "the loss",
      timeoutMs: 40_000,
    },
  ).catch((cause: unknown) => assert.fail(`${String(cause)}: ${JSON.stringify(titles)}`));
  assert.equal((await atB.alerts(`&parent_id=${parent.id}`)).length, 6);
  assert.deepEqual(
    (await atB.told()).filter((title) => title.includes("Away: ")),
    [],
    "one by one",
  );
});

test("what happens at a node before it hears of a rule is held against the rule all the same, for better or worse", {
  skip: clusterMissing(),
}, async () => {
  await using pair = await startPair();
  const [atA, atB] = [new AlertsScene(pair.a), new AlertsScene(pair.b)];
  const [leaves, comes] = [await atA.addSensor("Leaves"), await atA.addSensor("Comes")];
  const client = await atA.connect(leaves);
  await (await atA.connect(comes)).endAsync();
  const shown = async ({ uid }: Sensor) =>
    (await pair.b.api.call<{ device: { connection_status: string; last_seen_at: string | null } }>("GET", `/api/v1/devices/${uid}`)).body
      .device;
  const presence = async (sensor: Sensor): Promise<string> => (await shown(sensor)).connection_status;
  await until(async () => (await presence(leaves)) === "online", { what: "the one to be there" });
  // It was there: one that never was is not lost.
  await until(async () => (await presence(comes)) === "offline" && (await shown(comes)).last_seen_at !== null, {
    what: "the other to be gone",
  });

  process.kill(pair.ground.redis.pid, "SIGSTOP");
  const rule = await atB.rule({ name: "Away", condition: { kind: "device_offline", gather_s: 0 } });
  const open = async (): Promise<unknown[]> => (await atB.alerts(`&rule_id=${rule.id}&status=open`)).map(({ uid }) => uid);
  await until(async () => (await open()).includes(comes.uid), { what: "the alert of a device that was away when the rule was made" });
  await client.endAsync();
  const back = await atA.connect(comes);
  await until(async () => (await presence(leaves)) === "offline" && (await presence(comes)) === "online", { what: "both the other way" });
  assert.deepEqual(await open(), [comes.uid], "the node has not heard of the rule");
  process.kill(pair.ground.redis.pid, "SIGCONT");
  await until(async () => JSON.stringify(await open()) === JSON.stringify([leaves.uid]), {
    what: "the alerts to be true",
    timeoutMs: 30_000,
  });
  await back.endAsync();
});
