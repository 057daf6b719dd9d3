import assert from "node:assert/strict";
import { test } from "node:test";
import mqtt from "mqtt";
import { databases } from "../support/databases.ts";
import { startHub } from "../support/hub.ts";
import { until } from "../support/wait.ts";

interface Entry {
  readonly resource_id: string | null;
  readonly organization_id: string | null;
  readonly details: Record<string, unknown>;
}

for (const { name, skip, open } of databases()) {
  test(`${name}: log-ins that MQTT refuses stand in the audit of the device's organisation, a few a minute and without the password`, {
    skip,
  }, async () => {
    await using database = await open();
    await using hub = await startHub({ databaseUrl: database.url });
    await hub.api.login();
    const { uid, id, token } = await hub.api.addDevice();
    const attempt = (username: string, password: string) =>
      assert.rejects(mqtt.connectAsync(hub.mqtt, { clientId: uid, username, password, reconnectPeriod: 0 }));
    const refused = async () =>
      (await hub.api.call<{ data: Entry[] }>("GET", "/api/v1/audit?action=mqtt.login_refused&limit=200")).body.data;
    await hub.api.call("POST", `/api/v1/devices/${uid}/rotate-token`);
    for (let count = 0; count < 12; count++) await attempt(uid, token);
    const rows = await until(async () => await refused().then((found) => (found.length >= 5 ? found : undefined)), {
      what: "the refused log-ins",
    });
    assert.equal(rows.length, 5);
    for (const row of rows) {
      assert.ok(row.organization_id !== null);
      assert.deepEqual([row.resource_id, row.details], [id, { reason: "bad_credentials", uid, address: "127.0.0.1" }]);
    }
    assert.ok(!JSON.stringify(rows).includes(token));
  });
}
