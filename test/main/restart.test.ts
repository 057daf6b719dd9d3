import assert from "node:assert/strict";
import { test } from "node:test";
import mqtt from "mqtt";
import { startVirtualDevice } from "../../firmware/virtual/device.ts";
import { databases } from "../support/databases.ts";
import { ADMIN, spawnHub } from "../support/hub.ts";
import { freePort } from "../support/services.ts";
import { temporaryFolder, until } from "../support/wait.ts";

for (const { name, skip, open } of databases()) {
  for (const protocolVersion of [4, 5] as const) {
    test(`${name}, MQTT ${protocolVersion}: a restart keeps retained state, subscriptions and what was queued meanwhile`, {
      skip,
    }, async () => {
      await using database = await open();
      await using folder = temporaryFolder();
      const options = { dataDir: folder.path, databaseUrl: database.url };
      const session = {
        clientId: "viewer",
        username: ADMIN.email,
        password: ADMIN.password,
        protocolVersion,
        clean: false,
        ...(protocolVersion === 5 ? { properties: { sessionExpiryInterval: 3600 } } : {}),
        reconnectPeriod: 0,
      };

      let uid = "";
      let token = "";
      {
        await using hub = await spawnHub(options);
        const device = await (await hub.api.login()).addDevice();
        ({ uid, token } = device);
        const viewer = await mqtt.connectAsync(hub.mqtt, session);
        await viewer.subscribeAsync(`hexa/${uid}/#`, { qos: 1 });
        await viewer.endAsync();
        await using relay = await startVirtualDevice({
          url: hub.mqtt,
          uid,
          password: token,
          deviceClass: "relay_controller",
          protocolVersion: 4,
        });
        const { status } = await hub.api.call("POST", `/api/v1/devices/${uid}/commands`, { command: "set_relay", relay: 3, state: "ON" });
        assert.equal(status, 200);
        assert.equal(relay.state.relays.find(({ index }) => index === 3)?.state, "ON");
      }
      {
        await using hub = await spawnHub(options);
        const received: string[] = [];
        const viewer = mqtt.connect(hub.mqtt, session);
        viewer.on("message", (topic, payload) => received.push(`${topic} ${payload.toString()}`));
        const connack = await new Promise<{ sessionPresent: boolean }>((resolve) => viewer.once("connect", resolve));
        assert.equal(connack.sessionPresent, true);
        await until(() => received.includes(`hexa/${uid}/relay/3/state ON`), { what: "the state that was queued before the restart" });

        const late: string[] = [];
        const second = await mqtt.connectAsync(hub.mqtt, { ...session, clientId: "second", clean: true });
        second.on("message", (topic, payload, packet) => packet.retain && late.push(`${topic} ${payload.toString()}`));
        await second.subscribeAsync(`hexa/${uid}/+/+/state`);
        await second.subscribeAsync(`hexa/${uid}/availability`);
        await until(() => late.includes(`hexa/${uid}/relay/3/state ON`) && late.includes(`hexa/${uid}/availability offline`), {
          what: "the retained state after the restart",
        });
        await second.endAsync();
        await viewer.endAsync();
      }
    });
  }

  test(`${name}: kill -9 in the middle of telemetry loses no acknowledged reading`, { skip }, async () => {
    await using database = await open();
    await using folder = temporaryFolder();
    const options = { dataDir: folder.path, databaseUrl: database.url };
    const acknowledged: number[] = [];
    const base = Date.now() - 3_600_000;
    let device = { uid: "", token: "", id: "" };
    {
      await using hub = await spawnHub(options);
      device = await (await hub.api.login()).addDevice({ device_class: "sensor_hub" });
      await using sensor = await startVirtualDevice({
        url: hub.mqtt,
        uid: device.uid,
        password: device.token,
        deviceClass: "sensor_hub",
        protocolVersion: 5,
      });
      let next = 0;
      const senders = Array.from({ length: 20 }, async () => {
        for (;;) {
          const n = next++;
          try {
            await sensor.sendTelemetry({ n }, base + n);
          } catch {
            return;
          }
          acknowledged.push(n);
        }
      });
      await until(() => acknowledged.length >= 500, { what: "500 acknowledged readings" });
      await hub.kill9();
      await sensor.kill();
      await Promise.all(senders);
    }
    await using hub = await spawnHub(options);
    await hub.api.login();
    const { body } = await hub.api.call<{ data: { value: number }[] }>(
      "GET",
      `/api/v1/readings?device=${device.uid}&key=n&from=${base - 1}&limit=10000`,
    );
    const stored = new Set(body.data.map(({ value }) => value));
    assert.deepEqual(
      acknowledged.filter((n) => !stored.has(n)),
      [],
    );
    assert.equal(stored.size, body.data.length);
  });

  test(`${name}: kill -9 in the middle of commands executes none twice and forgets none that was acknowledged`, { skip }, async () => {
    await using database = await open();
    await using folder = temporaryFolder();
    const options = { dataDir: folder.path, databaseUrl: database.url, env: { HEXA_MQTT_PORT: String(await freePort()) } };
    const acknowledged: string[] = [];
    let device = { uid: "", token: "", id: "" };
    const first = await spawnHub(options);
    device = await (await first.api.login()).addDevice();
    await using relay = await startVirtualDevice({
      url: first.mqtt,
      uid: device.uid,
      password: device.token,
      deviceClass: "relay_controller",
      protocolVersion: 5,
      faults: { slowMs: 20 },
    });
    let next = 0;
    const asking = Array.from({ length: 8 }, async () => {
      for (;;) {
        const id = `cmd-${next++}`;
        try {
          const { status } = await first.api.call("POST", `/api/v1/devices/${device.uid}/commands`, {
            command: "set_relay",
            relay: 0,
            state: next % 2 ? "ON" : "OFF",
            command_id: id,
          });
          if (status === 200) acknowledged.push(id);
        } catch {
          return;
        }
      }
    });
    await until(() => acknowledged.length >= 40, { what: "40 acknowledged commands" });
    await first.kill9();
    await Promise.all(asking);

    await using second = await spawnHub(options);
    await relay.next("ready", 20_000).catch(() => relay.reconnect());
    await second.api.login();
    await until(
      async () => {
        const { body } = await second.api.call<{ data: { status: string }[] }>("GET", `/api/v1/devices/${device.uid}/commands?limit=100`);
        return body.data.every(({ status }) => status !== "sent" && status !== "queued");
      },
      { what: "an end of every command", timeoutMs: 20_000 },
    );
    const executed = relay.executed.map(({ commandId }) => commandId);
    assert.deepEqual(executed.length, new Set(executed).size);
    assert.deepEqual(
      acknowledged.filter((id) => !executed.includes(id)),
      [],
    );
    for (const id of acknowledged.slice(-5)) {
      const { status, body } = await second.api.call("POST", `/api/v1/devices/${device.uid}/commands`, {
        command: "set_relay",
        relay: 0,
        state: "TOGGLE",
        command_id: id,
      });
      assert.deepEqual([status, body["status"]], [200, "ok"]);
    }
    assert.equal(relay.executed.length, executed.length);
  });
}
