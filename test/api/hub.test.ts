import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { startVirtualDevice } from "../../firmware/virtual/device.ts";
import { databases, type TestDatabase } from "../support/databases.ts";
import { startHub, type TestHub } from "../support/hub.ts";
import { until } from "../support/wait.ts";

interface CommandReply {
  command_id: string;
  status: string;
  state: unknown;
  code?: string;
}

for (const engine of databases())
  describe(`the API of a whole hub on ${engine.name}`, { skip: engine.skip }, () => {
    let hub: TestHub;
    let database: TestDatabase;
    before(async () => {
      database = await engine.open();
      hub = await startHub({ databaseUrl: database.url });
      await hub.api.login();
    });
    after(async () => {
      await hub[Symbol.asyncDispose]();
      await database[Symbol.asyncDispose]();
    });

    const connect = ({ uid, token }: { uid: string; token: string }) =>
      startVirtualDevice({ url: hub.mqtt, uid, password: token, deviceClass: "relay_controller" });
    const command = (uid: string, body: object, headers: Record<string, string> = {}) =>
      hub.api.call<CommandReply>(
        "POST",
        `/api/v1/devices/${uid}/commands`,
        { command: "set_relay", relay: 0, state: "ON", ...body },
        headers,
      );
    const statusOf = async (uid: string) =>
      (await hub.api.call<{ device: { connection_status: string } }>("GET", `/api/v1/devices/${uid}`)).body.device.connection_status;

    test("commands a device that is there, and says so when it is not", async () => {
      const enrolled = await hub.api.addDevice();
      const offline = await command(enrolled.uid, {});
      assert.deepEqual([offline.status, offline.body.code], [409, "device_offline"]);
      await using device = await connect(enrolled);

      const done = await command(enrolled.id, { command_id: "first" });
      assert.deepEqual([done.status, done.body.command_id, done.body.status, done.body.state], [200, "first", "ok", "ON"]);
      const again = await command(enrolled.uid, { command_id: "first" });
      assert.deepEqual([again.status, again.body.state], [200, "ON"]);
      assert.equal(device.executed.length, 1);
      const lacking = await command(enrolled.uid, { relay: 31 });
      assert.deepEqual([lacking.status, lacking.body.code], [422, "unsupported_command"]);

      const { body } = await hub.api.call<{ data: { id: string; status: string; source: string }[] }>(
        "GET",
        `/api/v1/devices/${enrolled.uid}/commands`,
      );
      assert.deepEqual(
        body.data.map(({ id, status, source }) => [id, status, source]),
        [["first", "ok", "rest"]],
      );
    });

    test("does a command once however often a timed-out request is repeated with its idempotency key", async () => {
      const enrolled = await hub.api.addDevice();
      await using device = await connect(enrolled);
      device.faults = { silent: true };
      const attempts = [];
      for (let attempt = 0; attempt < 2; attempt++)
        attempts.push(await command(enrolled.uid, { timeout_ms: 200 }, { "idempotency-key": "only-once" }));
      assert.deepEqual(
        attempts.map(({ status, body }) => [status, body.code]),
        [
          [504, "command_timeout"],
          [504, "command_timeout"],
        ],
      );
      assert.equal(device.executed.length, 1);
    });

    test("queues for a device that is away when asked so, and refuses what the device refuses", async () => {
      const enrolled = await hub.api.addDevice();
      const queued = await command(enrolled.uid, { queue_for_s: 60 });
      assert.deepEqual([queued.status, queued.body.status], [202, "queued"]);
      await using device = await connect(enrolled);
      await until(() => device.executed.length === 1, { what: "the queued command to be executed" });
      assert.equal(device.executed[0]?.commandId, queued.body.command_id);
      device.faults = { refuse: "relay is stuck" };
      const refused = await command(enrolled.uid, { state: "OFF" });
      assert.deepEqual([refused.status, refused.body.code], [502, "device_error"]);
    });

    test("ends the session of a device whose credentials are rotated", async () => {
      const enrolled = await hub.api.addDevice();
      await using device = await connect(enrolled);
      const lost = device.next("lost");
      const rotated = await hub.api.call<{ device_token: string }>("POST", `/api/v1/devices/${enrolled.uid}/rotate-token`);
      assert.equal(rotated.status, 201);
      await lost;
      await until(async () => (await statusOf(enrolled.uid)) === "offline", { what: "the device to be offline" });
      await using renewed = await connect({ uid: enrolled.uid, token: rotated.body.device_token });
      assert.ok(renewed.connected);
    });

    test("reads back over HTTP what a device sent over MQTT and over HTTP", async () => {
      const enrolled = await hub.api.addDevice();
      await using device = await connect(enrolled);
      await device.sendTelemetry({ temperature: 20 }, Date.now() - 60_000);
      const report = await hub.api.call(
        "POST",
        "/api/v1/devices/sensor-report",
        { values: { temperature: 21 } },
        { "x-device-uid": enrolled.uid, "x-device-token": enrolled.token },
      );
      assert.deepEqual([report.status, report.body], [202, { accepted: 1 }]);
      const { body } = await hub.api.call<{ data: { value: number }[] }>("GET", `/api/v1/readings?device=${enrolled.uid}&key=temperature`);
      assert.deepEqual(
        body.data.map(({ value }) => value),
        [20, 21],
      );
    });

    test("gives a device up to its next owner without its past", async () => {
      const enrolled = await hub.api.addDevice();
      await using device = await connect(enrolled);
      await device.sendTelemetry({ temperature: 20 });
      const ready = device.next("ready");
      const released = await hub.api.call<{ claim_code: string }>("POST", `/api/v1/devices/${enrolled.uid}/release`);
      assert.equal(released.status, 200);
      await ready;
      const claimed = await hub.api.call("POST", "/api/v1/devices/claim", { claim_code: released.body.claim_code });
      assert.equal(claimed.status, 200);
      assert.equal((await command(enrolled.uid, {})).status, 200);
      const { body } = await hub.api.call<{ sensors: unknown[] }>("GET", `/api/v1/devices/${enrolled.uid}`);
      assert.deepEqual(body.sensors, []);
    });

    test("removes a device for good", async () => {
      const enrolled = await hub.api.addDevice();
      await using device = await connect(enrolled);
      const lost = device.next("lost");
      assert.equal((await hub.api.call("DELETE", `/api/v1/devices/${enrolled.uid}`)).status, 204);
      await lost;
      assert.equal((await hub.api.call("GET", `/api/v1/devices/${enrolled.uid}`)).status, 404);
    });
  });
