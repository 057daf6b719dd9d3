import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { startVirtualDevice } from "../../firmware/virtual/device.ts";
import { PLATFORM } from "../../core/principal.ts";
import { getDevice } from "../../store/devices.ts";
import { measure } from "../../store/metric-hours.ts";
import { measuresBetween } from "../../store/metrics.ts";
import { openStore } from "../../store/open.ts";
import { databases } from "../support/databases.ts";
import { startHub } from "../support/hub.ts";
import { temporaryFolder, until } from "../support/wait.ts";

const HOUR = 3_600_000;

for (const { name, skip, open } of databases()) {
  describe(`analytics of a real device on ${name}`, { skip }, () => {
    test("what it did is there when its hour is over", { timeout: 60_000 }, async () => {
      await using database = await open();
      await using folder = temporaryFolder("analytics");
      const options = { dataDir: folder.path, databaseUrl: database.url };
      const began = Date.now();
      const uid = await useDevice(options);
      await using store = await openStore(options);
      // An hour may have ended while it was used.
      const over = Date.now() + 2 * HOUR;
      while ((await measure(store.db, over)) > 0);
      const { id: deviceId, organizationId } = await getDevice(store.db, PLATFORM, uid);
      assert.ok(organizationId !== null);
      const measures = await measuresBetween(store.db, "metric_hours", [{ deviceId, organizationId }], { from: 0, to: began + HOUR });
      const total = (type: string, channel: string, what: "n" | "sum"): number =>
        measures.filter((one) => one.type === type && one.channel === channel).reduce((all, one) => all + one[what], 0);
      assert.deepEqual(
        [total("command.success", "relay 1", "sum"), total("command.by_hand", "relay 1", "n"), total("command.latency", "relay 1", "n")],
        [2, 2, 2],
      );
      assert.deepEqual([total("task.success", "", "sum"), total("task.duration", "", "n")], [1, 1]);
      const [online, relay] = [total("presence.online", "", "sum"), total("relay.on", "relay 1", "sum")];
      // It has left soon, and its relay stays as it was.
      assert.ok(online > 0 && online < 60 && relay > online, `${online} s, ${relay} s`);
    });
  });
}

/** Two commands and a task, which it does. */
async function useDevice(options: { readonly dataDir: string; readonly databaseUrl: string | undefined }): Promise<string> {
  await using hub = await startHub(options);
  const api = await hub.api.login();
  const { uid, token } = await api.addDevice({ device_class: "relay_controller" });
  assert.equal((await api.call("GET", `/api/v1/analytics/devices/${uid}/health`)).body["status"], "unknown");
  await using device = await startVirtualDevice({ url: hub.mqtt, uid, password: token, deviceClass: "relay_controller" });
  const send = (state: string): Promise<{ readonly status: number }> =>
    api.call("POST", `/api/v1/devices/${uid}/commands`, { command: "set_relay", relay: 1, state });
  assert.equal((await send("ON")).status, 200);
  assert.equal((await send("ON")).status, 200);
  const actions = [{ command: "set_relay", relay: 0, state: "ON" }];
  const made = await api.call<{ task: { id: string } }>("POST", "/api/v1/tasks", { device: uid, name: "Light", actions });
  const status = async () => (await api.call<{ task: { status: string } }>("GET", `/api/v1/tasks/${made.body.task.id}`)).body.task.status;
  await until(async () => (await status()) === "completed", { what: "the task" });
  assert.ok(device.executed.length >= 3);
  return uid;
}
