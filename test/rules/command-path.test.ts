import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import mqtt from "mqtt";
import { startVirtualDevice, type VirtualDevice } from "../../firmware/virtual/device.ts";
import { databases, type TestDatabase } from "../support/databases.ts";
import { ADMIN, startHub, type TestHub } from "../support/hub.ts";
import { until } from "../support/wait.ts";

interface CommandAnswer {
  command_id: string;
  status: string;
  state: unknown;
  latency_ms: number;
  code: string;
  details: Record<string, unknown>;
}

for (const { name, skip, open } of databases()) {
  describe(`the command path on ${name}`, { skip }, () => {
    let database: TestDatabase;
    let hub: TestHub;
    before(async () => {
      database = await open();
      hub = await startHub({ databaseUrl: database.url, env: { HEXA_COMMAND_TIMEOUT_MS: "400" } });
      await hub.api.login();
    });
    after(async () => {
      await hub[Symbol.asyncDispose]();
      await database[Symbol.asyncDispose]();
    });

    async function newDevice(capabilities: object = { relays: 2, lights: 1 }): Promise<VirtualDevice> {
      const { uid, token } = await hub.api.addDevice({ device_class: "hybrid", capabilities });
      return startVirtualDevice({
        url: hub.mqtt,
        uid,
        password: token,
        deviceClass: "hybrid",
        capabilities,
        protocolVersion: 5,
        heartbeatMs: 0,
      });
    }
    const command = (uid: string, body: object) => hub.api.call<CommandAnswer>("POST", `/api/v1/devices/${uid}/commands`, body);
    const audited = async (uid: string): Promise<string[]> => {
      const { body } = await hub.api.call<{ data: { action: string; details: { uid?: string } }[] }>("GET", "/api/v1/audit?limit=200");
      return body.data.filter((entry) => entry.details.uid === uid).map((entry) => entry.action);
    };

    test("sets one relay, all relays and a light, and answers with their state", async () => {
      await using device = await newDevice();
      const one = await command(device.uid, { command: "set_relay", relay: 1, state: "ON" });
      assert.deepEqual([one.status, one.body.status, one.body.state], [200, "ok", "ON"]);
      const all = await command(device.uid, { command: "set_all_relays", state: "OFF" });
      assert.deepEqual([all.status, all.body.state], [200, "OFF"]);
      const light = await command(device.uid, { command: "set_light", light: 0, brightness: 40 });
      assert.equal(light.status, 200);
      assert.deepEqual(light.body.state, { index: 0, state: "ON", brightness: 40 });
      const { body } = await hub.api.call<{ state: { relays: unknown; lights: unknown } }>("GET", `/api/v1/devices/${device.uid}`);
      assert.deepEqual(body.state.relays, [
        { index: 0, state: "OFF" },
        { index: 1, state: "OFF" },
      ]);
    });

    test("toggles from the known state, also while an earlier toggle is on its way", async () => {
      await using device = await newDevice();
      device.faults = { slowMs: 30 };
      const answers = await Promise.all([0, 1, 2].map(() => command(device.uid, { command: "set_relay", relay: 0, state: "TOGGLE" })));
      assert.deepEqual(
        answers.map(({ status }) => status),
        [200, 200, 200],
      );
      assert.equal(device.state.relays[0]?.state, "ON");
    });

    test("gives a repeated command id the same answer and no second effect, also when both come at once", async () => {
      await using device = await newDevice();
      const id = `twice-${device.uid}`;
      const both = await Promise.all(
        [0, 1].map(() => command(device.uid, { command: "set_relay", relay: 0, state: "ON", command_id: id })),
      );
      assert.deepEqual(
        both.map(({ status, body }) => [status, body.status, body.state]),
        [
          [200, "ok", "ON"],
          [200, "ok", "ON"],
        ],
      );
      assert.equal(device.executed.length, 1);
      const other = await command(device.uid, { command: "set_relay", relay: 1, state: "ON", command_id: id });
      assert.deepEqual([other.status, other.body.code], [409, "command_id_conflict"]);
    });

    test("answers device_offline at once, and queues when asked to until the device is back", async () => {
      const { uid, token } = await hub.api.addDevice();
      const refused = await command(uid, { command: "set_relay", relay: 0, state: "ON" });
      assert.deepEqual([refused.status, refused.body.code], [409, "device_offline"]);
      const queued = await command(uid, { command: "set_relay", relay: 0, state: "ON", queue_for_s: 60, command_id: `queued-${uid}` });
      assert.deepEqual([queued.status, queued.body.status], [202, "queued"]);
      await using device = await startVirtualDevice({
        url: hub.mqtt,
        uid,
        password: token,
        deviceClass: "relay_controller",
        protocolVersion: 4,
      });
      await until(() => device.executed.length === 1, { what: "the queued command" });
      const done = await until(
        async () => {
          const answer = await command(uid, { command: "set_relay", relay: 0, state: "ON", queue_for_s: 60, command_id: `queued-${uid}` });
          return answer.status === 200 && answer;
        },
        { what: "the queued command's answer" },
      );
      assert.equal(done.body.state, "ON");
      assert.equal(device.executed.length, 1);
    });

    test("answers command_timeout for a silent device, keeps that answer, and takes a late acknowledgement as state", async () => {
      await using device = await newDevice();
      device.faults = { slowMs: 700 };
      const id = `late-${device.uid}`;
      const answer = await command(device.uid, { command: "set_relay", relay: 0, state: "ON", command_id: id });
      assert.deepEqual([answer.status, answer.body.code, answer.body.details["command_id"]], [504, "command_timeout", id]);
      await until(async () => (await audited(device.uid)).includes("command.late_ack"), { what: "the audit of the late acknowledgement" });
      const { body } = await hub.api.call<{ state: { relays: { index: number; state: string }[] } }>(
        "GET",
        `/api/v1/devices/${device.uid}`,
      );
      assert.equal(body.state.relays.find(({ index }) => index === 0)?.state, "ON");
      const again = await command(device.uid, { command: "set_relay", relay: 0, state: "ON", command_id: id });
      assert.deepEqual([again.status, again.body.code], [504, "command_timeout"]);
    });

    test("answers device_error when the device refuses, and believes the state that a device reports over the one it was told", async () => {
      await using device = await newDevice();
      device.faults = { refuse: "relay stuck" };
      const refused = await command(device.uid, { command: "set_relay", relay: 0, state: "ON" });
      assert.deepEqual([refused.status, refused.body.code], [502, "device_error"]);
      assert.match(JSON.stringify(refused.body), /relay stuck/);
      device.faults = { lie: true };
      const lied = await command(device.uid, { command: "set_relay", relay: 0, state: "ON" });
      assert.equal(lied.status, 200);
      await until(
        async () => {
          const { body } = await hub.api.call<{ state: { relays: { state: string }[] } }>("GET", `/api/v1/devices/${device.uid}`);
          return body.state.relays[0]?.state === "OFF";
        },
        { what: "the reported state in place of the acknowledged one" },
      );
    });

    test("refuses what the device cannot do before anything is sent", async () => {
      await using device = await newDevice({ relays: 1 });
      for (const body of [
        { command: "set_relay", relay: 1, state: "ON" },
        { command: "set_light", light: 0, state: "ON" },
        { command: "ir_send", timings: [100, -100] },
      ]) {
        const { status, body: answer } = await command(device.uid, body);
        assert.deepEqual([status, answer.code], [422, "unsupported_command"], JSON.stringify(body));
      }
      for (const body of [
        {},
        { command: "explode" },
        { command: "set_relay", relay: "0", state: "ON" },
        { command: "set_relay", relay: 0, state: "MAYBE" },
        { command: "set_relay", relay: 0, state: "ON", extra: 1 },
      ]) {
        const { status, body: answer } = await command(device.uid, body);
        assert.deepEqual([status, answer.code], [400, "validation_error"], JSON.stringify(body));
      }
      assert.equal(device.executed.length, 0);
    });

    test("obeys a set topic, and shows the true state again when the device does not", async () => {
      await using device = await newDevice();
      const client = await mqtt.connectAsync(hub.mqtt, {
        clientId: "setter",
        username: ADMIN.email,
        password: ADMIN.password,
        protocolVersion: 5,
      });
      const states: string[] = [];
      client.on("message", (topic, payload) => states.push(`${topic.split("/").slice(2).join("/")} ${payload.toString()}`));
      await client.subscribeAsync(`hexa/${device.uid}/+/+/state`, { qos: 1 });
      await client.publishAsync(`hexa/${device.uid}/relay/0/set`, "ON", { qos: 1 });
      await until(() => states.includes("relay/0/state ON"), { what: "the relay's state" });
      await client.publishAsync(`hexa/${device.uid}/light/0/set`, JSON.stringify({ state: "ON", brightness: 7 }), { qos: 1 });
      await until(() => states.includes('light/0/state {"state":"ON","brightness":7}'), { what: "the light's state" });
      device.faults = { silent: true };
      states.length = 0;
      await client.publishAsync(`hexa/${device.uid}/relay/0/set`, "OFF", { qos: 1 });
      await until(() => states.includes("relay/0/state ON"), { what: "the true state after the time-out" });
      await client.endAsync();
    });

    test("ends a command under way with a clear answer when the device is released, and the same again for its id", async () => {
      await using device = await newDevice();
      device.faults = { silent: true };
      const body = { command: "set_relay", relay: 0, state: "ON", command_id: `released-${device.uid}`, timeout_ms: 60_000 };
      const sent = device.next("command");
      const answer = command(device.uid, body);
      await sent;
      assert.equal((await hub.api.call("POST", `/api/v1/devices/${device.uid}/release`)).status, 200);
      for (const { status, body: problem } of [await answer, await command(device.uid, body)])
        assert.deepEqual([status, problem.code, problem.details["status"]], [409, "device_not_claimed", "expired"]);
    });

    test("ends a command under way as not_found when the device is removed", async () => {
      await using device = await newDevice();
      device.faults = { silent: true };
      const sent = device.next("command");
      const answer = command(device.uid, { command: "set_relay", relay: 0, state: "ON", timeout_ms: 60_000 });
      await sent;
      assert.equal((await hub.api.call("DELETE", `/api/v1/devices/${device.uid}`)).status, 204);
      const { status, body } = await answer;
      assert.deepEqual([status, body.code], [404, "not_found"]);
    });

    test("learns the state of a device anew after it was released and claimed", async () => {
      await using device = await newDevice({ relays: 1 });
      const relays = async () =>
        (await hub.api.call<{ state: { relays: { state: string }[] } }>("GET", `/api/v1/devices/${device.uid}`)).body.state.relays;
      await device.setRelayLocally(0, "ON");
      await until(async () => (await relays())[0]?.state === "ON", { what: "the relay's state" });
      await device.disconnect();
      const { body } = await hub.api.call<{ claim_code: string }>("POST", `/api/v1/devices/${device.uid}/release`);
      assert.equal((await hub.api.call("POST", "/api/v1/devices/claim", { claim_code: body.claim_code })).status, 200);
      assert.deepEqual(await relays(), []);
      await device.reconnect();
      await until(async () => (await relays())[0]?.state === "ON", { what: "the relay's state after the claim" });
    });

    test("an acknowledgement that comes after the device was given up writes nothing, for nobody", async () => {
      const { uid, token } = await hub.api.addDevice();
      const connect = () => mqtt.connectAsync(hub.mqtt, { clientId: uid, username: uid, password: token, reconnectPeriod: 0 });
      const device = await connect();
      const ids: string[] = [];
      device.on("message", (_topic, payload) => ids.push((JSON.parse(payload.toString()) as { command_id: string }).command_id));
      await device.subscribeAsync(`hexa/${uid}/down/command`, { qos: 1 });
      const asked = command(uid, { command: "set_relay", relay: 0, state: "ON", timeout_ms: 60_000 });
      await until(() => ids.length === 1, { what: "the command" });
      const { body: released } = await hub.api.call<{ claim_code: string }>("POST", `/api/v1/devices/${uid}/release`);
      assert.equal((await asked).status, 409);
      const again = await connect();
      await again.publishAsync(`hexa/${uid}/up/ack`, JSON.stringify({ command_id: ids[0], status: "ok", state: "ON" }), { qos: 1 });
      await again.endAsync();
      assert.equal((await hub.api.call("POST", "/api/v1/devices/claim", { claim_code: released.claim_code })).status, 200);
      assert.ok(!(await audited(uid)).includes("command.late_ack"));
      const { body } = await hub.api.call<{ state: { relays: unknown[] } }>("GET", `/api/v1/devices/${uid}`);
      assert.deepEqual(body.state.relays, []);
    });

    test("audits a state report only when a relay changed, as the system", async () => {
      await using device = await newDevice();
      await device.setRelayLocally(0, "ON");
      await until(async () => (await audited(device.uid)).includes("state.reconciled"), { what: "the audit of the changed relay" });
      const entries = (await audited(device.uid)).length;
      await device.send("state_report", { relays: [{ index: 0, state: "ON" }] });
      assert.equal((await audited(device.uid)).length, entries);
    });
  });
}
