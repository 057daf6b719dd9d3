import assert from "node:assert/strict";
import { test } from "node:test";
import { startClickhouseReceiver } from "../support/clickhouse-receiver.ts";
import { databases } from "../support/databases.ts";
import { startHub } from "../support/hub.ts";
import { freePort } from "../support/services.ts";
import { temporaryFolder, until } from "../support/wait.ts";

for (const { name, skip, open } of databases()) {
  test(`${name}: a hub ships what it stores, and without ClickHouse what waits takes no room`, { skip }, async () => {
    await using database = await open();
    await using folder = temporaryFolder();
    const options = { dataDir: folder.path, databaseUrl: database.url };
    const port = await freePort();
    const env = { CLICKHOUSE_URL: `http://hexahub:secret@127.0.0.1:${port}/hexahub` };
    let id = "";
    const metric = (text: string, line: RegExp): number => Number(line.exec(text)?.[1] ?? Number.NaN);
    {
      await using hub = await startHub({ ...options, env });
      ({ id } = await (await hub.api.login()).addDevice());
      const metrics = async (): Promise<string> => (await hub.api.call<string>("GET", "/metrics")).body;
      const waiting = async () => metric(await metrics(), /^hexahub_clickhouse_waiting_rows\{lane="events"\} (\d+)$/m);
      await until(async () => (await waiting()) > 0, { what: "events that wait, in the metrics", timeoutMs: 20_000 });
      await using server = await startClickhouseReceiver(port);
      const hasArrived = () => server.rows("events").some(([, type, , , entity]) => type === "device.registered" && entity === id);
      await until(hasArrived, { what: "the event of the device", timeoutMs: 20_000 });
      await until(() => server.rows("audit").length > 0, { what: "the audit", timeoutMs: 20_000 });
    }
    {
      await using hub = await startHub(options);
      await hub.api.login();
      assert.ok(!(await hub.api.call<string>("GET", "/metrics")).body.includes("hexahub_clickhouse"));
    }
    await using server = await startClickhouseReceiver(port);
    await using _hub = await startHub({ ...options, env });
    const isThere = () => server.rows("events").some(([, , , , entity]) => entity === id);
    await until(isThere, { what: "what was there before", timeoutMs: 20_000 });
  });
}
