import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { startVirtualDevice } from "../../firmware/virtual/device.ts";
import { databases } from "../support/databases.ts";
import { startHub, type TestHub } from "../support/hub.ts";
import { until } from "../support/wait.ts";

interface Code {
  readonly id: string;
  readonly name: string;
  readonly source: string;
}
interface Learned {
  readonly data: { readonly ir_code_id: string | null; readonly timings: readonly number[] };
}

const codesOf = async ({ api }: TestHub, uid: string) =>
  (await api.call<{ data: Code[] }>("GET", `/api/v1/devices/${uid}/ir-codes`)).body.data;
const eventsOf = async ({ api }: TestHub) =>
  (await api.call<{ data: Learned[] }>("GET", "/api/v1/events?type=device.ir_learned")).body.data;

for (const { name, skip, open } of databases()) {
  describe(`learning of infrared codes on ${name}`, { skip }, () => {
    test("a device that is asked to learn tells a code, which is kept, recognised and sent again", { timeout: 60_000 }, async () => {
      await using database = await open();
      await using hub = await startHub({ databaseUrl: database.url });
      const api = await hub.api.login();
      const { uid, token } = await api.addDevice({ device_class: "ir_hub" });
      const path = `/api/v1/devices/${uid}/ir-codes`;
      assert.equal((await api.call("POST", `${path}/learn`, {})).status, 409);
      await using device = await startVirtualDevice({ url: hub.mqtt, uid, password: token, deviceClass: "ir_hub" });
      const listening = device.next("down");
      const asked = await api.call("POST", `${path}/learn`, { timeout_s: 5 });
      assert.equal(asked.status, 202, JSON.stringify(asked.body));
      assert.deepEqual(await listening, { type: "ir_learn", payload: { timeout_s: 5 } });
      const [learned] = await until(async () => (await codesOf(hub, uid)).length === 1 && (await codesOf(hub, uid)), { what: "the code" });
      assert.deepEqual([learned?.name, learned?.source], ["Remote", "learned"]);
      const [event] = await eventsOf(hub);
      assert.equal(event?.data.ir_code_id, learned?.id);
      const shown = await api.call<{ ir_code: { recognised: object; timings: number[] } }>("GET", `${path}/${learned?.id}`);
      assert.deepEqual(shown.body.ir_code.recognised, { protocol: "NEC", address: 4, command: 8 });
      const executed = device.next("executed");
      assert.equal((await api.call("POST", `${path}/${learned?.id}/send`, {})).status, 200);
      const { command } = await executed;
      assert.deepEqual(command, { command: "ir_send", timings: shown.body.ir_code.timings, carrier_hz: 38_000 });

      // What cannot be sent again is told, and not kept.
      await device.send("ir_learned", { timings: [900, 450] });
      await device.send("ir_learned", { timings: [900, -450], name: " \u0007 " });
      const all = await until(async () => (await codesOf(hub, uid)).length === 2 && (await codesOf(hub, uid)), { what: "another code" });
      assert.match(all[1]?.name ?? "", /^Learned \d{4}-/);
      const kept = (await eventsOf(hub)).map(({ data }) => data.ir_code_id);
      assert.deepEqual([kept.length, kept.filter((id) => id === null).length], [3, 1]);
    });
  });
}
