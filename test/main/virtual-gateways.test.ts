import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { startVirtualDevice, type VirtualDeviceOptions } from "../../firmware/virtual/device.ts";
import { startHub, type TestHub } from "../support/hub.ts";
import { presenceOf } from "./json-device.ts";

for (const transport of ["ws", "poll"] as const) {
  describe(`a virtual device with the transport ${transport}`, () => {
    const resources = new AsyncDisposableStack();
    let hub: TestHub;
    before(async () => {
      hub = resources.use(await startHub());
      await hub.api.login();
    });
    after(() => resources.disposeAsync());

    const start = ({ uid, token }: { uid: string; token: string }, options: Partial<VirtualDeviceOptions> = {}) =>
      startVirtualDevice({ url: hub.http, transport, uid, password: token, deviceClass: "relay_controller", ...options });

    test("registers, does each command once, reports and measures", async () => {
      const device = await hub.api.addDevice();
      await using virtual = await start(device);
      assert.equal(virtual.registered?.uid, device.uid);
      const command = { command: "set_relay", relay: 1, state: "ON", command_id: `once-${transport}` };
      for (const _time of ["first", "again"]) {
        const { status, body } = await hub.api.call("POST", `/api/v1/devices/${device.id}/commands`, command);
        assert.deepEqual([status, body["state"]], [200, "ON"]);
      }
      assert.deepEqual(
        virtual.executed.map(({ commandId }) => commandId),
        [`once-${transport}`],
      );
      await virtual.setRelayLocally(0, "ON");
      await virtual.sendTelemetry({ power: 7 });
      const { body } = await hub.api.call<{ state: { relays: { state: string }[] } }>("GET", `/api/v1/devices/${device.id}`);
      assert.equal(body.state.relays[0]?.state, "ON");
      const readings = await hub.api.call<{ data: { value: number }[] }>("GET", `/api/v1/readings?device=${device.uid}&key=power`);
      assert.equal(readings.body.data[0]?.value, 7);
    });

    test("hears what the hub refuses, gets its configuration, and comes back", async () => {
      const device = await hub.api.addDevice();
      await using virtual = await start(device);
      const refused = virtual.next("refused");
      await virtual.send("state_report", { relays: [{ index: 99, state: "ON" }] });
      assert.equal((await refused).code, "validation_error");
      const config = virtual.next("config");
      await hub.api.call("PATCH", `/api/v1/devices/${device.id}`, { settings: { reading_interval_s: 30 } }, { "if-match": "*" });
      assert.equal((await config).reading_interval_s, 30);
      await virtual.disconnect();
      await virtual.reconnect();
      const { status } = await hub.api.call("POST", `/api/v1/devices/${device.id}/commands`, {
        command: "set_relay",
        relay: 0,
        state: "ON",
      });
      assert.equal(status, 200);
    });

    test("is not let in with a wrong token", async () => {
      const device = await hub.api.addDevice();
      await assert.rejects(start({ ...device, token: "wrong" }, { reconnectMs: 0 }));
      assert.equal(await presenceOf(hub, device.id), "offline");
    });
  });
}
