import assert from "node:assert/strict";
import { test } from "node:test";
import { startVirtualDevice } from "../../firmware/virtual/device.ts";
import { databases } from "../support/databases.ts";
import { spawnHub } from "../support/hub.ts";
import { temporaryFolder, until } from "../support/wait.ts";

for (const { name, skip, open } of databases())
  test(`${name}: after kill -9 a device is expected back: it stays available, and is offline once when it does not come`, {
    skip,
  }, async () => {
    await using database = await open();
    await using folder = temporaryFolder();
    const options = { dataDir: folder.path, databaseUrl: database.url, env: { HEXA_PRESENCE_GRACE_S: "3" } };
    const first = await spawnHub(options);
    await first.api.login();
    const accounts = [await first.api.addDevice(), await first.api.addDevice()];
    const connect = (mqttUrl: string, { uid, token }: { uid: string; token: string }) =>
      startVirtualDevice({ url: mqttUrl, uid, password: token, deviceClass: "relay_controller", protocolVersion: 5 });
    const devices = await Promise.all(accounts.map((account) => connect(first.mqtt, account)));
    const statusOf = async (hub: typeof first, { uid }: { uid: string }): Promise<unknown> =>
      (await hub.api.call<{ device: { connection_status: unknown } }>("GET", `/api/v1/devices/${uid}`)).body.device.connection_status;
    for (const account of accounts) await until(async () => (await statusOf(first, account)) === "online", { what: "an online device" });
    await first.kill9();
    for (const device of devices) await device.kill();

    await using hub = await spawnHub(options);
    await hub.api.login();
    const [back, away] = accounts as [(typeof accounts)[0], (typeof accounts)[0]];
    assert.deepEqual([await statusOf(hub, back), await statusOf(hub, away)], ["online", "online"]);
    await using _back = await connect(hub.mqtt, back);
    await until(async () => (await statusOf(hub, away)) === "offline", { what: "the end of the grace" });
    assert.equal(await statusOf(hub, back), "online");
    const eventsOf = async ({ id }: { id: string }): Promise<string[]> => {
      const { body } = await hub.api.call<{ data: { type: string }[] }>("GET", `/api/v1/events?entity_id=${id}`);
      return body.data.map(({ type }) => type).filter((type) => type.endsWith("line"));
    };
    assert.deepEqual(await eventsOf(away), ["device.offline", "device.online"]);
    assert.deepEqual(await eventsOf(back), ["device.online"]);
  });
