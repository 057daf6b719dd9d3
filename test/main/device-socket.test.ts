import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import WebSocket from "ws";
import { startVirtualDevice } from "../../firmware/virtual/device.ts";
import { databases } from "../support/databases.ts";
import { startHub, type TestHub } from "../support/hub.ts";
import { until } from "../support/wait.ts";
import { deviceUrl, openRelay, openSocket, presenceOf } from "./json-device.ts";

const ON = { command: "set_relay", relay: 0, state: "ON" };

for (const { name: database, skip, open } of databases()) {
  describe(`${database}: a device with JSON over a WebSocket`, { skip }, () => {
    const resources = new AsyncDisposableStack();
    let hub: TestHub;
    before(async () => {
      hub = resources.use(await startHub({ databaseUrl: resources.use(await open()).url }));
      await hub.api.login();
    });
    after(() => resources.disposeAsync());

    test("is told that it is registered, does a command and reports", async () => {
      const device = await hub.api.addDevice();
      await using relay = await openRelay(hub, device);
      const registered = await relay.untilHeard(({ type }) => type === "register.ok", "register.ok");
      assert.deepEqual([registered["uid"], registered["claimed"]], [device.uid, true]);
      await until(async () => (await presenceOf(hub, device.id)) === "online", { what: "the device to be online" });

      const { status, body } = await hub.api.call("POST", `/api/v1/devices/${device.id}/commands`, { ...ON, command_id: "first" });
      assert.deepEqual([status, body["status"], body["state"]], [200, "ok", "ON"]);
      const command = relay.heard.find(({ type }) => type === "command");
      assert.deepEqual([command?.["command_id"], command?.["state"]], ["first", "ON"]);

      assert.equal((await relay.ask({ type: "state_report", relays: [{ index: 0, state: "OFF" }] })).type, "ok");
      const { body: shown } = await hub.api.call<{ state: { relays: unknown[] } }>("GET", `/api/v1/devices/${device.id}`);
      assert.deepEqual(shown.state.relays[0], { index: 0, state: "OFF" });
      assert.equal((await relay.ask({ type: "telemetry", values: { temperature: 21.5 } })).type, "ok");
      const { body: readings } = await hub.api.call<{ data: { value: number }[] }>(
        "GET",
        `/api/v1/readings?device=${device.uid}&key=temperature`,
      );
      assert.deepEqual(
        readings.data.map(({ value }) => value),
        [21.5],
      );
    });

    test("may name an output twice in a report: the last word counts", async () => {
      const device = await hub.api.addDevice({ device_class: "hybrid", capabilities: { relays: 2, lights: 2 } });
      await using one = await openSocket(deviceUrl(hub, device));
      const [on, off] = [
        { index: 1, state: "ON", brightness: 40 },
        { index: 1, state: "OFF" },
      ];
      const relays = [
        { index: 0, state: "OFF" },
        { index: 0, state: "ON" },
      ];
      assert.equal((await one.ask({ type: "state_report", relays, lights: [on, { index: 0, state: "ON" }, off] })).type, "ok");
      const { body } = await hub.api.call<{ state: { relays: unknown[]; lights: unknown[] } }>("GET", `/api/v1/devices/${device.id}`);
      assert.deepEqual(body.state.relays, [{ index: 0, state: "ON" }]);
      assert.deepEqual(body.state.lights, [
        { index: 0, state: "ON" },
        { ...on, ...off },
      ]);
    });

    test("loses its session within a second when its credential is revoked, with 4401", async () => {
      const device = await hub.api.addDevice();
      await using relay = await openRelay(hub, device);
      const began = performance.now();
      assert.equal((await hub.api.call("POST", `/api/v1/devices/${device.id}/revoke`, {})).status, 200);
      assert.equal(await relay.closed, 4_401);
      assert.ok(performance.now() - began < 1_000);
      await using again = await openSocket(deviceUrl(hub, device));
      assert.equal(await again.closed, 4_401);
    });

    test("and a device with MQTT take the session from each other", async () => {
      const device = await hub.api.addDevice();
      await using relay = await openRelay(hub, device);
      await using virtual = await startVirtualDevice({
        url: hub.mqtt,
        uid: device.uid,
        password: device.token,
        deviceClass: "relay_controller",
        protocolVersion: 5,
        reconnectMs: 0,
      });
      assert.equal(await relay.closed, 4_409);
      assert.equal((await hub.api.call("POST", `/api/v1/devices/${device.id}/commands`, ON)).status, 200);
      const lost = virtual.next("lost");
      await using third = await openRelay(hub, device);
      await lost;
      assert.equal((await hub.api.call("POST", `/api/v1/devices/${device.id}/commands`, ON)).status, 200);
      await using fourth = await openRelay(hub, device);
      assert.equal(await third.closed, 4_409);
      assert.equal(fourth.socket.readyState, WebSocket.OPEN);
      assert.equal(await presenceOf(hub, device.id), "online");
    });

    test("is offline when its socket is gone", async () => {
      const device = await hub.api.addDevice();
      await using relay = await openRelay(hub, device);
      await until(async () => (await presenceOf(hub, device.id)) === "online", { what: "the device to be online" });
      relay.socket.terminate();
      await until(async () => (await presenceOf(hub, device.id)) === "offline", { what: "the device to be offline" });
      assert.equal((await hub.api.call("POST", `/api/v1/devices/${device.id}/commands`, ON)).status, 409);
    });

    test("gets a command that it had no time to answer again with its next session", async () => {
      const device = await hub.api.addDevice();
      const first = await openSocket(deviceUrl(hub, device));
      await first.ask({ type: "register", capabilities: { relays: 2 } });
      const sent = hub.api.call("POST", `/api/v1/devices/${device.id}/commands`, {
        ...ON,
        command_id: `again-${database}`,
        timeout_ms: 20_000,
      });
      await first.untilHeard(({ type }) => type === "command", "the command");
      first.socket.terminate();
      await first.closed;
      await using relay = await openRelay(hub, device);
      const { status } = await sent;
      assert.equal(status, 200);
      assert.equal(relay.heard.filter(({ type }) => type === "command").length, 1);
      await relay[Symbol.asyncDispose]();
      await using third = await openSocket(deviceUrl(hub, device));
      await third.ask({ type: "heartbeat" });
      assert.deepEqual(
        third.heard.filter(({ type }) => type === "command"),
        [],
      );
    });
  });
}
