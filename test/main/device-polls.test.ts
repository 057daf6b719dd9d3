import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { startVirtualDevice } from "../../firmware/virtual/device.ts";
import { databases } from "../support/databases.ts";
import { type Answer, startHub, type TestHub } from "../support/hub.ts";
import { until } from "../support/wait.ts";
import { deviceUrl, openSocket, presenceOf } from "./json-device.ts";
import { type Given, polling } from "./polling-device.ts";

const ON = { command: "set_relay", relay: 0, state: "ON" };
/** How long a device counts as there after a poll, in tests about that. */
const LEAST_MS = 4_000;

type Device = { readonly uid: string; readonly id: string; readonly token: string };

const idsOf = (given: readonly Given[]): (string | undefined)[] =>
  given.filter(({ type }) => type === "command").map(({ command_id: id }) => id);

for (const { name: database, skip, open } of databases()) {
  describe(`${database}: a device that polls`, { skip }, () => {
    const resources = new AsyncDisposableStack();
    let hub: TestHub;
    before(async () => {
      const options = { databaseUrl: resources.use(await open()).url, pace: { polls: { leastMs: LEAST_MS, mostMs: 6_000 } } };
      hub = resources.use(await startHub(options));
      await hub.api.login();
    });
    after(() => resources.disposeAsync());

    const send = (device: Device, body: object): Promise<Answer> => hub.api.call("POST", `/api/v1/devices/${device.id}/commands`, body);
    /** Waits in a poll until it is given a command, whatever else comes before. */
    const untilGiven = (device: ReturnType<typeof polling>, id: string): Promise<Given[]> =>
      until(
        async () => {
          const given = await device.poll(5);
          return idsOf(given).includes(id) && given;
        },
        { what: `the command ${id}` },
      );

    test("says what it is, gets a command while it waits, answers it and reports", async () => {
      const added = await hub.api.addDevice();
      const device = polling(hub, added);
      const registered = await device.ask("POST", "/api/v1/devices/register", { capabilities: { relays: 2 }, model: "Poller" });
      assert.deepEqual(registered, { status: 202, body: { status: "stored" } });
      await device.poll();
      await until(async () => (await presenceOf(hub, added.id)) === "online", { what: "the device to be online" });

      const id = `polled-${database}`;
      const given = untilGiven(device, id);
      const sent = send(added, { ...ON, command_id: id, timeout_ms: 10_000 });
      const command = (await given).find(({ command_id }) => command_id === id);
      assert.deepEqual([command?.["command"], command?.["relay"], command?.["state"]], ["set_relay", 0, "ON"]);
      // Not answered yet: it is given again.
      assert.deepEqual(idsOf(await device.poll()), [id]);
      assert.equal(await device.answer(id), 202);
      const { status, body } = await sent;
      assert.deepEqual([status, body["state"]], [200, "ON"]);
      assert.deepEqual(idsOf(await device.poll()), []);

      assert.equal((await device.ask("POST", "/api/v1/devices/state-report", { relays: [{ index: 0, state: "OFF" }] })).status, 202);
      const { body: shown } = await hub.api.call<{ device: { model: string }; state: { relays: unknown[] } }>(
        "GET",
        `/api/v1/devices/${added.id}`,
      );
      assert.deepEqual([shown.state.relays[0], shown.device.model], [{ index: 0, state: "OFF" }, "Poller"]);
    });

    test("gets its configuration with the first poll, and again when it changes", async () => {
      const added = await hub.api.addDevice();
      const device = polling(hub, added);
      await hub.api.call("PATCH", `/api/v1/devices/${added.id}`, { settings: { reading_interval_s: 60 } }, { "if-match": "*" });
      const configs = async (): Promise<unknown[]> =>
        (await device.poll()).filter(({ type }) => type === "config").map((one) => one["reading_interval_s"]);
      await until(async () => (await configs())[0] === 60, { what: "the configuration" });
      assert.deepEqual(await configs(), []);
      await hub.api.call("PATCH", `/api/v1/devices/${added.id}`, { settings: { reading_interval_s: 90 } }, { "if-match": "*" });
      await until(async () => (await configs())[0] === 90, { what: "the new configuration" });
    });

    test("is not given what is out of time", async () => {
      const added = await hub.api.addDevice();
      const device = polling(hub, added);
      await device.poll();
      const sent = send(added, { ...ON, command_id: `late-${database}`, timeout_ms: 300 });
      assert.deepEqual(idsOf(await untilGiven(device, `late-${database}`)), [`late-${database}`]);
      assert.equal((await sent).status, 504);
      await until(async () => idsOf(await device.poll()).length === 0, { what: "nothing that is out of time" });
    });

    test("has one poll at a time: the newer ends the older with nothing", async () => {
      const device = polling(hub, await hub.api.addDevice());
      await device.poll();
      const began = performance.now();
      let answer: unknown;
      const older = device.poll(25).then((given) => (answer = given));
      await until(async () => (await device.poll()).length === 0 && answer, { what: "the older poll to end" });
      assert.deepEqual(await older, []);
      assert.ok(performance.now() - began < 5_000);
    });

    test("is offline when it polls no more, and online again when it does", async () => {
      const added = await hub.api.addDevice();
      const device = polling(hub, added);
      await device.poll();
      await until(async () => (await presenceOf(hub, added.id)) === "online", { what: "the device to be online" });
      await until(async () => (await presenceOf(hub, added.id)) === "offline", { what: "the device to be offline" });
      assert.equal((await send(added, ON)).status, 409);
      await device.poll();
      await until(async () => (await presenceOf(hub, added.id)) === "online", { what: "the device to be online again" });
    });

    test("is refused as soon as its credential is revoked, in the middle of a poll", async () => {
      const added = await hub.api.addDevice();
      const device = polling(hub, added);
      await device.poll();
      const waiting = device.ask("GET", "/api/v1/commands/pending?wait=25");
      const began = performance.now();
      assert.equal((await hub.api.call("POST", `/api/v1/devices/${added.id}/revoke`, {})).status, 200);
      assert.equal((await waiting).status, 401);
      assert.ok(performance.now() - began < 1_000);
      assert.equal((await device.ask("GET", "/api/v1/commands/pending")).status, 401);
    });

    test("and a device with MQTT or a socket take the session from each other", async () => {
      const added = await hub.api.addDevice();
      const device = polling(hub, added);
      await device.poll();
      const waiting = device.poll(25);
      await using virtual = await startVirtualDevice({
        url: hub.mqtt,
        uid: added.uid,
        password: added.token,
        deviceClass: "relay_controller",
        reconnectMs: 0,
      });
      assert.deepEqual(await waiting, []);
      assert.equal((await send(added, ON)).status, 200);
      const lost = virtual.next("lost");
      await device.poll();
      await lost;
      await using socket = await openSocket(deviceUrl(hub, added));
      await socket.ask({ type: "heartbeat" });
      await device.poll();
      assert.equal(await socket.closed, 4_409);
    });

    test("answers a command of another device for nobody", async () => {
      const [mine, other] = [await hub.api.addDevice(), await hub.api.addDevice()];
      const [device, intruder] = [polling(hub, mine), polling(hub, other)];
      await device.poll();
      const id = `mine-${database}`;
      const sent = send(mine, { ...ON, command_id: id, timeout_ms: 10_000 });
      await untilGiven(device, id);
      assert.equal(await intruder.answer(id, { status: "error", error: "nothing" }), 202);
      assert.deepEqual(idsOf(await device.poll()), [id]);
      assert.equal(await device.answer(id), 202);
      assert.equal((await sent).status, 200);
    });
  });
}
