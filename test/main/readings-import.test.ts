import assert from "node:assert/strict";
import { request } from "node:http";
import { test } from "node:test";
import { databases } from "../support/databases.ts";
import { type ApiClient, spawnHub } from "../support/hub.ts";
import { temporaryFolder, until } from "../support/wait.ts";

interface Import {
  readonly id: string;
  readonly state: string;
  readonly error: string | null;
  readonly stored: number;
  readonly known: number;
}
const importsAt = async (api: ApiClient): Promise<readonly Import[]> =>
  (await api.call<{ data: readonly Import[] }>("GET", "/api/v1/readings/imports")).body.data;

for (const { name, skip, open } of databases())
  test(`${name}: a file that was being taken in when the hub was killed is interrupted, keeps what was stored, and may be sent again`, {
    skip,
  }, async () => {
    await using database = await open();
    await using folder = temporaryFolder();
    const options = { dataDir: folder.path, databaseUrl: database.url };
    const from = Date.now() - 3_600_000;
    const line = (uid: string, count: number): string => `${JSON.stringify({ device: uid, key: "t", ts: from + count, value: count })}\n`;
    let count = 0;
    let uid = "";
    {
      await using hub = await spawnHub(options);
      await hub.api.login();
      ({ uid } = await hub.api.addDevice());
      const sending = request(`${hub.http}/api/v1/readings/import`, {
        method: "POST",
        headers: { authorization: `Bearer ${hub.api.token}`, "content-type": "application/x-ndjson" },
      });
      sending.on("error", () => undefined);
      await until(
        async () => {
          sending.write(Array.from({ length: 200 }, () => line(uid, count++)).join(""));
          return (await importsAt(hub.api)).some(({ state, stored }) => state === "running" && stored > 0);
        },
        { what: "progress", timeoutMs: 20_000 },
      );
      await hub.kill9();
    }
    await using hub = await spawnHub(options);
    await hub.api.login();
    const [ended] = await importsAt(hub.api);
    assert.ok(ended);
    assert.deepEqual([ended.state, ended.error], ["interrupted", "unavailable"]);
    const response = await fetch(`${hub.http}/api/v1/readings/import`, {
      method: "POST",
      headers: { authorization: `Bearer ${hub.api.token}`, "content-type": "application/x-ndjson" },
      body: Array.from({ length: count }, (_, index) => line(uid, index)).join(""),
    });
    const report = ((await response.json()) as { import: Import }).import;
    assert.deepEqual([report.state, report.stored + report.known], ["completed", count]);
    assert.ok(report.known >= ended.stored && ended.stored > 0, `${report.known} were there, ${ended.stored} had been told`);
  });
