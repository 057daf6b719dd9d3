import assert from "node:assert/strict";
import { test } from "node:test";
import mqtt from "mqtt";
import { startHub } from "../support/hub.ts";
import { until } from "../support/wait.ts";

test("a device whose link flaps is one alarm for its organisation, however often it is refused", async () => {
  await using hub = await startHub({ env: { HEXA_MQTT_FLAPPING_COUNT: "60", HEXA_MQTT_FLAPPING_BAN_S: "2" } });
  await hub.api.login();
  const { uid, id, token } = await hub.api.addDevice();
  const connect = async (): Promise<boolean> => {
    try {
      const options = { clientId: uid, username: uid, password: token, reconnectPeriod: 0, protocolVersion: 5 } as const;
      const client = await mqtt.connectAsync(hub.mqtt, options);
      await client.endAsync(true);
      return true;
    } catch {
      return false;
    }
  };
  const alarms = async (): Promise<number> => {
    const { body } = await hub.api.call<{ data: unknown[] }>("GET", `/api/v1/events?entity_id=${id}&type=device.flapping`);
    return body.data.length;
  };
  await until(async () => !(await connect()), { what: "the link to be refused" });
  await until(async () => (await alarms()) === 1, { what: "the alarm" });
  await until(connect, { what: "the end of the ban" });
  await until(async () => !(await connect()), { what: "the link to be refused again" });
  assert.equal(await alarms(), 1);
});
