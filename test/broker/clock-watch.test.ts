import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { startVirtualDevice } from "../../firmware/virtual/device.ts";
import { databases } from "../support/databases.ts";
import { startHub, type TestHub } from "../support/hub.ts";
import { temporaryFolder, until } from "../support/wait.ts";

const HOUR = 3_600_000;
const QUICK = { clocks: { confirmMs: 20, confirmLateMs: 40 } };

interface Shown {
  readonly clock_error: { readonly offset_ms: number; readonly since: string } | null;
}
interface Told {
  readonly type: string;
  readonly data: { readonly uid: string; readonly offset_ms?: number };
}

const shown = async (hub: TestHub, id: string): Promise<Shown> =>
  (await hub.api.call<{ device: Shown }>("GET", `/api/v1/devices/${id}`)).body.device;
const told = async (hub: TestHub, id: string): Promise<string[]> => {
  const { body } = await hub.api.call<{ data: Told[] }>("GET", `/api/v1/events?entity_id=${id}&limit=100`);
  return body.data.map(({ type }) => type).filter((type) => type.startsWith("device.clock"));
};
const metric = async (hub: TestHub, name: string): Promise<number> => {
  const text = (await hub.api.call<string>("GET", "/metrics")).body;
  return Number(
    text
      .split("\n")
      .find((line) => line.startsWith(`${name} `))
      ?.slice(name.length) ?? Number.NaN,
  );
};

for (const { name, skip, open } of databases()) {
  describe(`a device's clock on ${name}`, { skip }, () => {
    test("that is wrong is shown and told once, whether its readings are taken or refused, and so is one that is right again", async () => {
      await using database = await open();
      await using hub = await startHub({ databaseUrl: database.url, pace: QUICK });
      await hub.api.login();
      const { uid, id, token } = await hub.api.addDevice({ device_class: "sensor_hub" });
      await using device = await startVirtualDevice({ url: hub.mqtt, uid, password: token, deviceClass: "sensor_hub" });
      const send = (offsetMs: number) => device.sendTelemetry({ t: 1 }, Date.now() + offsetMs);
      /** Until the hub says so, and some more. */
      const sendUntil = async (offsetMs: number, isSo: () => Promise<boolean>): Promise<void> => {
        await until(async () => send(offsetMs).then(isSo), { what: `the hub to notice ${offsetMs} ms` });
        for (let count = 0; count < 5; count++) await send(offsetMs);
      };
      assert.equal((await shown(hub, id)).clock_error, null);
      await sendUntil(5 * 60_000, async () => (await shown(hub, id)).clock_error !== null);
      const { clock_error: error } = await shown(hub, id);
      assert.ok(Math.abs((error?.offset_ms ?? 0) - 5 * 60_000) < 10_000, JSON.stringify(error));
      assert.ok(Date.now() - Date.parse(error?.since ?? "") < 60_000);
      await sendUntil(0, async () => (await shown(hub, id)).clock_error === null);
      await sendUntil(30 * HOUR, async () => (await shown(hub, id)).clock_error !== null);
      assert.ok(device.errors.length > 0 && device.errors.every(({ code }) => code === "clock_out_of_range"));
      assert.deepEqual(await told(hub, id), ["device.clock_wrong", "device.clock_right", "device.clock_wrong"]);
      await device.sendTelemetry({ t: 2 });
      assert.equal(await metric(hub, 'hexahub_telemetry_samples_total{clock="hub"}'), 1);
      assert.ok((await metric(hub, "hexahub_telemetry_clock_refused_total")) >= 6);
    });

    test("is believed again by a hub that has started since, when it is right", async () => {
      await using database = await open();
      await using folder = temporaryFolder();
      const options = { databaseUrl: database.url, dataDir: folder.path, pace: QUICK };
      await using first = await startHub(options);
      await first.api.login();
      const { uid, id, token } = await first.api.addDevice({ device_class: "sensor_hub" });
      const work = async (hub: TestHub, offsetMs: number, isWrong: boolean): Promise<void> => {
        await using device = await startVirtualDevice({ url: hub.mqtt, uid, password: token, deviceClass: "sensor_hub" });
        await until(
          async () => {
            await device.sendTelemetry({ t: 1 }, Date.now() + offsetMs);
            return ((await shown(hub, id)).clock_error !== null) === isWrong;
          },
          { what: "the hub to notice" },
        );
      };
      await work(first, HOUR, true);
      await first[Symbol.asyncDispose]();
      await using again = await startHub(options);
      await again.api.login();
      assert.notEqual((await shown(again, id)).clock_error, null);
      await work(again, 0, false);
      assert.deepEqual(await told(again, id), ["device.clock_right", "device.clock_wrong"]);
    });
  });
}
