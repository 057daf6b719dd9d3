import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { SYSTEM } from "../../core/principal.ts";
import { READING_RETENTION_SETTING } from "../../core/service-settings.ts";
import { putSetting } from "../../store/service-settings.ts";
import { databases } from "../support/databases.ts";
import { assertEnvelope, startTestApi } from "./test-api.ts";

for (const { name, skip, open } of databases()) {
  describe(`the days of a series on ${name}`, { skip }, () => {
    test("are set, shown, bounded by those of the organisation and of the hub, taken away, and audited", async () => {
      await using database = await open();
      await using hub = await startTestApi({ readingRetentionDays: 90 }, database.url);
      const { token, organizationId } = await hub.member();
      const made = await hub.ask("POST", "/api/v1/devices", { token, body: { name: "Meter", device_class: "sensor_hub" } });
      const { id } = made.json["device"] as { id: string };
      const path = `/api/v1/devices/${id}/series/power/retention`;
      const put = (days: number) => hub.ask("PUT", path, { token, body: { days } });
      const shown = async () => (await hub.ask("GET", path, { token })).json;
      assert.deepEqual(await shown(), { key: "power", days: null, organization_days: 90, effective_days: 90 });
      assert.deepEqual((await put(30)).json, { key: "power", days: 30, organization_days: 90, effective_days: 30 });
      assertEnvelope(await put(91), 400, "validation_error");
      assertEnvelope(await put(0), 400, "validation_error");
      const setting = { key: READING_RETENTION_SETTING, value: 14, actor: SYSTEM, now: Date.now() };
      await putSetting(hub.context.store.db, organizationId, setting, () => undefined);
      assert.deepEqual(await shown(), { key: "power", days: 30, organization_days: 14, effective_days: 14 });
      assertEnvelope(await put(15), 400, "validation_error");
      assert.equal((await put(7)).status, 200);
      assert.equal((await hub.ask("DELETE", path, { token })).status, 204);
      assert.equal((await hub.ask("DELETE", path, { token })).status, 204);
      assert.deepEqual((await shown())["days"], null);
      const audit = await hub.ask("GET", `/api/v1/audit?action=series.retention&resource_id=${id}`, { token });
      assert.deepEqual(
        (audit.json["data"] as { details: unknown }[]).map(({ details }) => details),
        [
          { key: "power", days: { before: 7, after: null } },
          { key: "power", days: { before: 30, after: 7 } },
          { key: "power", days: { before: null, after: 30 } },
        ],
      );
      const stranger = await hub.member();
      assertEnvelope(await hub.ask("GET", path, { token: stranger.token }), 404, "not_found");
      assertEnvelope(await hub.ask("GET", path.replace("power", "Power"), { token }), 400, "validation_error");
    });
  });
}
