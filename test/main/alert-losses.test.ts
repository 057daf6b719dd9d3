import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type mqtt from "mqtt";
import { databases } from "../support/databases.ts";
import { startHub } from "../support/hub.ts";
import { until } from "../support/wait.ts";
import { AlertsScene, type Sensor, type ShownAlert } from "./alerts-scene.ts";

/** A gateway, and what is behind it. */
class GatewayScene extends AlertsScene {
  readonly clients = new Map<string, mqtt.MqttClient>();
  readonly edges = new Map<string, string>();
  readonly behind: Sensor[] = [];
  gateway: Sensor = { uid: "", id: "", token: "" };

  async lay(count: number): Promise<void> {
    this.gateway = await this.addSensor("Hall");
    for (let index = 0; index < count; index++) {
      const sensor = await this.addSensor(`Behind ${index}`);
      const edge = { from_entity: this.gateway.id, to_entity: sensor.id, relationship_type: "gateway" };
      const made = await this.hub.api.call<{ relationship: { id: string } }>("POST", "/api/v1/relationships", edge);
      assert.equal(made.status, 201, JSON.stringify(made.body));
      this.edges.set(sensor.uid, made.body.relationship.id);
      this.behind.push(sensor);
    }
    await this.come(this.gateway, ...this.behind);
  }

  async come(...sensors: readonly Sensor[]): Promise<void> {
    for (const sensor of sensors) this.clients.set(sensor.uid, await this.connect(sensor));
  }

  async go(...sensors: readonly Sensor[]): Promise<void> {
    await Promise.all(sensors.map(async ({ uid }) => this.clients.get(uid)?.endAsync()));
  }

  /** The one alert of this title that is open. */
  async titled(title: string): Promise<ShownAlert> {
    let open: readonly ShownAlert[] = [];
    const find = async () => (open = await this.alerts("&status=open")).find((one) => one.title === title);
    const seen = () => JSON.stringify(open.map((one) => [one.title, one.parent_id, one["started_at"], one.told_at]));
    return await until(find, { what: title, timeoutMs: 20_000 }).catch((error: unknown) => {
      throw new Error(seen(), { cause: error });
    });
  }

  async parts({ id }: ShownAlert): Promise<string[]> {
    return (await this.alerts(`&parent_id=${id}&status=open`)).map(({ uid }) => String(uid)).toSorted();
  }

  async over({ id }: ShownAlert): Promise<ShownAlert> {
    return await until(async () => (await this.alerts()).find((one) => one.id === id && one.status === "resolved"), {
      what: "the end of the loss",
      timeoutMs: 20_000,
    });
  }

  /** Nobody is told twice of anything: what the caller was told, when it is this. */
  async isTold(wanted: readonly string[]): Promise<void> {
    await until(async () => (await this.told()).length >= wanted.length, { what: `${wanted.length} notifications`, timeoutMs: 20_000 });
    assert.deepEqual((await this.told()).toSorted(), [...wanted].toSorted());
  }
}

const AWAY = { name: "Away", condition: { kind: "device_offline", gather_s: 5 } };

for (const { name, skip, open } of databases()) {
  describe(`${name}: the loss of a gateway`, { skip, concurrency: 2 }, () => {
    test("is one alarm, and over with those of its devices; one that goes alone has its own", async () => {
      await using database = await open();
      await using hub = await startHub({ databaseUrl: database.url });
      await hub.api.login();
      const scene = new GatewayScene(hub);
      await scene.lay(3);
      const alone = await scene.addSensor("Alone");
      await scene.come(alone);
      await scene.rule(AWAY);
      const all = [scene.gateway, ...scene.behind];
      await scene.go(...all);
      const loss = await scene.titled("Gateway Hall lost: 4 of 4 devices");
      assert.deepEqual([loss.uid, loss.told_at === null], [scene.gateway.uid, false]);
      assert.deepEqual(await scene.parts(loss), all.map(({ uid }) => uid).toSorted());
      await scene.go(alone);
      const own = await scene.titled("Away: Alone");
      await scene.isTold(["Gateway Hall lost: 4 of 4 devices", "Away: Alone"]);
      assert.equal((await scene.alerts(`&device=${alone.uid}`))[0]?.parent_id, null);
      await scene.come(...all);
      assert.equal((await scene.over(loss)).resolution, "fine");
      const children = await scene.alerts(`&parent_id=${loss.id}`);
      assert.deepEqual(
        children.map(({ resolution, told_at: toldAt }) => [resolution, toldAt]),
        all.map(() => ["fine", null]),
      );
      assert.deepEqual(
        (await scene.alerts("&status=open")).map(({ id }) => id),
        [own.id],
      );
      await scene.come(alone);
      await scene.over(own);
      // The end takes the beginning's place.
      await scene.isTold(["Over: Gateway Hall lost: 4 of 4 devices ×2", "Over: Away: Alone ×2"]);
      await scene.go(alone, ...all);
    });

    test("is over when the gateway is back, and what is still away then is told once; the last of them for itself", async () => {
      await using database = await open();
      await using hub = await startHub({ databaseUrl: database.url });
      await hub.api.login();
      const scene = new GatewayScene(hub);
      await scene.lay(3);
      await scene.rule(AWAY);
      await scene.go(scene.gateway, ...scene.behind);
      const loss = await scene.titled("Gateway Hall lost: 4 of 4 devices");
      const [first, second, third] = scene.behind as [Sensor, Sensor, Sensor];
      await scene.come(scene.gateway, first);
      await scene.over(loss);
      await scene.isTold(["2 devices are still away: Gateway Hall lost: 4 of 4 devices ×3"]);
      const left = await scene.alerts("&status=open");
      assert.deepEqual(
        new Map(left.map(({ uid, parent_id: parentId, told_at: toldAt }) => [uid, [parentId, toldAt === null]])),
        new Map([second, third].map(({ uid }) => [uid, [null, false]])),
      );
      await scene.come(second, third);
      await until(async () => (await scene.alerts("&status=open")).length === 0, { what: "the end of all" });
      await scene.go(scene.gateway, first, second, third);
    });

    test("that is told already takes in what was behind it and falls silent later", async () => {
      await using database = await open();
      await using hub = await startHub({ databaseUrl: database.url });
      await hub.api.login();
      const scene = new GatewayScene(hub);
      await scene.lay(3);
      await scene.rule(AWAY);
      await scene.go(scene.gateway);
      await scene.isTold(["Away: Hall"]);
      await scene.go(...scene.behind);
      const loss = await until(
        async () => (await scene.alerts("&status=open")).find(({ title }) => title.startsWith("Gateway Hall lost")),
        {
          what: "the loss",
          timeoutMs: 20_000,
        },
      );
      await until(async () => (await scene.parts(loss)).length === 4, { what: "all that is behind it" });
      const told = await scene.told();
      assert.equal(told.length, 2, told.join());
      assert.ok(told.includes("Away: Hall") && told.every((title) => !title.includes("Behind")), told.join());
      await scene.come(scene.gateway, ...scene.behind);
      await scene.over(loss);
      await until(async () => (await scene.alerts("&status=open")).length === 0, { what: "the end of all" });
      await scene.go(scene.gateway, ...scene.behind);
    });

    test("ends when the gateway is removed; a device that is taken out of it stands for itself from then on", async () => {
      await using database = await open();
      await using hub = await startHub({ databaseUrl: database.url });
      await hub.api.login();
      const scene = new GatewayScene(hub);
      await scene.lay(4);
      await scene.rule(AWAY);
      const [first, second, third, fourth] = scene.behind as [Sensor, Sensor, Sensor, Sensor];
      await scene.go(scene.gateway, first, second, third);
      const loss = await scene.titled("Gateway Hall lost: 4 of 5 devices");
      // While it stands: one goes out of it that is lost already, and one that is lost later.
      for (const { uid } of [first, fourth])
        assert.equal((await hub.api.call("DELETE", `/api/v1/relationships/${scene.edges.get(uid)}`)).status, 204);
      await scene.go(fourth);
      await scene.titled("Away: Behind 3");
      await scene.isTold(["Gateway Hall lost: 4 of 5 devices", "Away: Behind 3"]);
      assert.deepEqual(await scene.parts(loss), [scene.gateway, first, second, third].map(({ uid }) => uid).toSorted());
      const removed = await hub.api.call("DELETE", `/api/v1/devices/${scene.gateway.uid}`);
      assert.equal(removed.status, 204, JSON.stringify(removed.body));
      assert.equal((await scene.over(loss)).title, "Gateway Hall lost: 4 of 5 devices");
      assert.equal((await scene.alerts(`&device=${scene.gateway.uid}`)).find(({ id }) => id !== loss.id)?.resolution, "gone");
      await scene.isTold(["3 devices are still away: Gateway Hall lost: 4 of 5 devices ×3", "Away: Behind 3"]);
      assert.deepEqual(
        new Map((await scene.alerts("&status=open")).map(({ uid, parent_id: parentId }) => [uid, parentId])),
        new Map(scene.behind.map(({ uid }) => [uid, null])),
      );
      await scene.come(...scene.behind);
      await until(async () => (await scene.alerts("&status=open")).length === 0, { what: "the end of all" });
      await scene.go(...scene.behind);
    });
  });
}
