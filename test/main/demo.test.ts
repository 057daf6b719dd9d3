import assert from "node:assert/strict";
import { test } from "node:test";
import { startHub } from "../support/hub.ts";
import { temporaryFolder, until } from "../support/wait.ts";

interface DemoStatus {
  devices: { uid: string; name: string; connected: boolean }[];
}

test("the demo home joins under its own topic root, obeys, measures, survives a restart and goes without a trace", async () => {
  await using folder = temporaryFolder();
  const options = { dataDir: folder.path, env: { HEXA_TOPIC_ROOT: "casa" } };
  let uids: string[];
  {
    await using hub = await startHub(options);
    const { api } = hub;
    await api.login();
    const started = await api.call<DemoStatus>("POST", "/api/v1/demo");
    assert.equal(started.body.devices.length, 6);
    assert.deepEqual([...new Set(started.body.devices.map(({ connected }) => connected))], [true]);
    const again = await api.call<DemoStatus>("POST", "/api/v1/demo");
    uids = started.body.devices.map(({ uid }) => uid);
    assert.deepEqual(
      again.body.devices.map(({ uid }) => uid),
      uids,
    );
    const named = (name: RegExp): string => started.body.devices.find((device) => name.test(device.name))?.uid as string;
    const relay = await api.call("POST", `/api/v1/devices/${named(/relays/)}/commands`, { command: "set_relay", relay: 3, state: "ON" });
    assert.deepEqual([relay.status, relay.body["state"]], [200, "ON"]);
    const light = await api.call("POST", `/api/v1/devices/${named(/light/)}/commands`, { command: "set_light", light: 0, brightness: 30 });
    assert.deepEqual([light.status, light.body["state"]], [200, { index: 0, state: "ON", brightness: 30 }]);
    const infrared = await api.call("POST", `/api/v1/devices/${named(/infrared/)}/commands`, {
      command: "ir_send",
      timings: [9000, -4500, 560],
    });
    assert.equal(infrared.status, 200);
    await until(
      async () => {
        const { body } = await api.call<{ data: unknown[] }>("GET", `/api/v1/readings?device=${named(/climate/)}&key=temperature`);
        return body.data.length > 0;
      },
      { what: "a temperature of the demo home" },
    );
  }
  await using hub = await startHub(options);
  const { api } = hub;
  await api.login();
  const resumed = await until(
    async () => {
      const { body } = await api.call<DemoStatus>("GET", "/api/v1/demo");
      return body.devices.length === 6 && body.devices.every(({ connected }) => connected) && body;
    },
    { what: "the demo home after the restart" },
  );
  assert.deepEqual(resumed.devices.map(({ uid }) => uid).toSorted(), uids.toSorted());
  assert.equal((await api.call("DELETE", "/api/v1/demo")).status, 200);
  const { body } = await api.call<{ data: unknown[] }>("GET", "/api/v1/devices");
  assert.deepEqual(body.data, []);
});
