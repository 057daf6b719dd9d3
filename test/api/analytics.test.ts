import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { DAY_MS } from "../../core/durations.ts";
import { METRIC_TYPES } from "../../core/metric.ts";
import { sketchOf } from "../../core/quantile-sketch.ts";
import { PLATFORM } from "../../core/principal.ts";
import { listAudit } from "../../store/audit.ts";
import { insertInsight } from "../../store/insights.ts";
import { insertMeasures, type StoredMeasure } from "../../store/metrics.ts";
import { databases } from "../support/databases.ts";
import { ids, inScene, type Json, type Scene } from "./places-scene.ts";
import type { Answered } from "./test-api.ts";

const HOUR = 3_600_000;
const TODAY = Math.floor(Date.now() / DAY_MS) * DAY_MS;

const data = (answer: Answered): Json[] => {
  assert.equal(answer.status, 200, answer.text);
  return answer.json["data"] as Json[];
};

/** A device of the owner, and how to say what it amounts to. */
async function measured({ hub, owner, make }: Scene, name = "Hall") {
  const { id, uid } = (await make("devices", { name })) as { id: string; uid: string };
  const whose = { deviceId: id, organizationId: owner.organizationId };
  await hub.context.store
    .db("devices")
    .where({ id })
    .update({ claimed_at: new Date(TODAY - 60 * DAY_MS).toISOString() });
  const put = async (
    table: "metric_hours" | "metric_days",
    measures: readonly (Partial<StoredMeasure> & Pick<StoredMeasure, "ts" | "type">)[],
  ) =>
    await insertMeasures(
      hub.context.store.db,
      table,
      measures.map((one) => ({ ...whose, channel: "", n: 1, sum: 1, min: 1, max: 1, last: null, sketch: null, ...one })),
    );
  return { id, uid, put, whose };
}

/** Commands of ten days: of each, one in ten fails, and they take longer by a tenth every day. */
async function commandsOf({ put }: Awaited<ReturnType<typeof measured>>): Promise<void> {
  for (let day = 1; day <= 10; day++) {
    const ts = TODAY - day * DAY_MS;
    const values = Array.from({ length: 9 }, (_, index) => (100 + index) * 1.1 ** (10 - day));
    const latency = {
      n: 9,
      sum: values.reduce((a, b) => a + b, 0),
      min: Math.min(...values),
      max: Math.max(...values),
      sketch: sketchOf(values),
    };
    await put("metric_days", [
      { ts, type: "command.success", channel: "relay 3", n: 10, sum: 9, min: 0 },
      { ts, type: "command.latency", channel: "relay 3", ...latency },
      { ts, type: "command.timeout", channel: "relay 3", n: 1 },
      { ts, type: "command.by_hand", channel: "relay 3", n: 4, sum: 4 },
      { ts, type: "presence.online", n: 24, sum: 43_200, min: 1_800, max: 1_800, last: 1 },
      { ts, type: "relay.on", channel: "relay 3", n: 2, sum: 7_200, min: 3_600, max: 3_600, last: 0 },
      { ts, type: "task.success", n: 2, sum: 1, min: 0 },
    ]);
  }
}
const RANGE = `from=${new Date(TODAY - 10 * DAY_MS).toISOString()}&to=${new Date(TODAY).toISOString()}`;

for (const { name, skip, open } of databases()) {
  describe(`analytics on ${name}`, { skip }, () => {
    test("tell how commands, tasks and connections of a range went", async () => {
      await inScene(open, async (scene) => {
        const { ask, owner } = scene;
        const device = await measured(scene);
        await commandsOf(device);
        const [commands, ...others] = data(await ask(owner, "GET", `analytics/commands?${RANGE}`));
        assert.deepEqual(others, []);
        assert.deepEqual(
          [commands?.["uid"], commands?.["count"], commands?.["success_share"], commands?.["timeouts"], commands?.["by_hand"]],
          [device.uid, 100, 0.9, 10, 40],
        );
        const [channel] = (commands?.["channels"] ?? []) as Json[];
        assert.equal(channel?.["channel"], "relay 3");
        const latency = channel?.["latency"] as Record<string, number>;
        assert.deepEqual([latency["count"], latency["min_ms"]], [90, 100]);
        // The middle day has 100 * 1.1 ** 4.5.
        assert.ok(Math.abs(Number(latency["p50_ms"]) / 158 - 1) < 0.1, JSON.stringify(latency));
        const [tasks] = data(await ask(owner, "GET", `analytics/tasks?${RANGE}`));
        assert.deepEqual([tasks?.["count"], tasks?.["completed"], tasks?.["success_share"]], [20, 10, 0.5]);
        const [use] = data(await ask(owner, "GET", `analytics/devices?${RANGE}`));
        assert.deepEqual(
          [use?.["online_s"], use?.["online_share"], use?.["disconnects"], use?.["relays"]],
          [432_000, 0.5, 0, [{ relay: 3, on_s: 72_000 }]],
        );
        const series = await ask(owner, "GET", `analytics/metrics/series?device=${device.uid}&type=command.latency&${RANGE}`);
        assert.equal(data(series).length, 10);
        const trend = series.json["trend"] as Record<string, number>;
        assert.ok(Number(trend["p"]) < 0.001 && Number(trend["per_day_low"]) > 5 && Number(trend["per_day_high"]) < 30, series.text);
        assert.deepEqual(
          data(await ask(owner, "GET", "analytics/metrics")).map(({ type }) => type),
          METRIC_TYPES,
        );
      });
    });

    test("are paged by device, narrowed to a place, and whoever has one device sees that one", async () => {
      await inScene(open, async (scene) => {
        const { ask, owner, make, join } = scene;
        const [one, two] = [await measured(scene, "One"), await measured(scene, "Two")];
        const { id: siteId } = await make("sites", { name: "Villa", time_zone: "Europe/Zurich" });
        const { id: roomId } = await make("rooms", { name: "Hall", site_id: siteId });
        await scene.hub.context.store.db("devices").where({ id: two.id }).update({ room_id: roomId });
        const uids = (answer: Answered): unknown[] => data(answer).map(({ uid }) => uid);
        const first = await ask(owner, "GET", "analytics/devices?limit=1");
        const second = await ask(owner, "GET", `analytics/devices?limit=1&cursor=${String(first.json["next_cursor"])}`);
        assert.deepEqual([uids(first), uids(second), second.json["next_cursor"]], [[one.uid], [two.uid], null]);
        for (const place of [`site_id=${siteId}`, `room_id=${roomId.toUpperCase()}`])
          assert.deepEqual(uids(await ask(owner, "GET", `analytics/commands?${place}`)), [two.uid]);
        const guest = await join(null);
        const grant = { user_id: guest.userId, device: one.uid, role: "viewer" };
        assert.equal((await ask(owner, "POST", `organizations/${owner.organizationId}/grants`, grant)).status, 200);
        assert.deepEqual(uids(await ask(guest, "GET", "analytics/tasks")), [one.uid]);
        assert.equal((await ask(guest, "GET", `analytics/tasks?device=${two.uid}`)).status, 404);
        assert.equal((await ask(guest, "GET", `analytics/devices/${two.uid}/health`)).status, 404);
        await two.put("metric_hours", [{ ts: TODAY - 3 * DAY_MS, type: "command.success", n: 7, sum: 7 }]);
        const hours = (answer: Answered): unknown => answer.json["hours"];
        assert.deepEqual(hours(await ask(guest, "GET", "analytics/usage")), []);
        assert.equal((hours(await ask(owner, "GET", `analytics/usage?room_id=${roomId}`)) as Json[]).length, 1);
      });
    });

    test("of a device nothing is known of say so, and each part of a score has its reason", async () => {
      await inScene(open, async (scene) => {
        const { ask, owner } = scene;
        const device = await measured(scene);
        const unknown = (await ask(owner, "GET", `analytics/devices/${device.uid}/health`)).json;
        assert.deepEqual([unknown["status"], unknown["score"]], ["unknown", null]);
        await commandsOf(device);
        const known = (await ask(owner, "GET", `analytics/devices/${device.id}/health`)).json;
        assert.equal(known["status"], "known");
        const parts = known["parts"] as Json[];
        const commands = parts.find(({ part }) => part === "commands");
        assert.equal(commands?.["value"], 90);
        assert.match(String(commands?.["reason"]), /^\d+ of \d+ commands were done$/);
        assert.equal(parts.find(({ part }) => part === "battery")?.["value"], null);
        assert.ok(Number(known["score"]) > 30 && Number(known["score"]) < 95, JSON.stringify(known));
      });
    });

    test("put the hours of the week where the clocks of a zone show them", async () => {
      await inScene(open, async (scene) => {
        const { ask, owner } = scene;
        const device = await measured(scene);
        const ts = TODAY - 2 * DAY_MS + 23 * HOUR;
        await device.put("metric_hours", [
          { ts, type: "command.success", n: 5, sum: 5 },
          { ts, type: "command.success", channel: "relay 1", n: 2, sum: 2 },
          { ts, type: "command.by_hand", n: 3, sum: 3 },
        ]);
        const at = async (zone: string): Promise<unknown> =>
          (await ask(owner, "GET", `analytics/usage?device=${device.uid}&time_zone=${encodeURIComponent(zone)}`)).json["hours"];
        const day = (new Date(ts).getUTCDay() + 6) % 7;
        assert.deepEqual(await at("UTC"), [{ day, hour: 23, commands: 7, by_hand: 3 }]);
        // Nine hours ahead all year round.
        assert.deepEqual(await at("Asia/Tokyo"), [{ day: (day + 1) % 7, hour: 8, commands: 7, by_hand: 3 }]);
        assert.equal((await ask(owner, "GET", "analytics/usage?time_zone=Mars/Olympus")).status, 400);
      });
    });

    test("insights are listed, narrowed, and dismissed once by somebody who may", async () => {
      await inScene(open, async (scene) => {
        const { ask, owner, hub, join } = scene;
        const device = await measured(scene);
        const finding = {
          kind: "latency_rise",
          subject: "relay 3",
          severity: "warning",
          message: "slow",
          evidence: { p: 1e-6 },
          since: TODAY,
        } as const;
        const { organizationId } = owner;
        const insight = await insertInsight(hub.context.store.db, { organizationId, device, finding, now: TODAY + 1 });
        assert.ok(insight);
        const list = async (query: string): Promise<unknown[]> => ids(await ask(owner, "GET", `analytics/insights?${query}`));
        for (const query of ["", "status=open", "kind=latency_rise", "severity=warning", `device=${device.uid}`])
          assert.deepEqual(await list(query), [insight.id], query);
        for (const query of ["status=ended", "status=dismissed", "kind=sensor_stuck", "severity=info"])
          assert.deepEqual(await list(query), [], query);
        const path = `analytics/insights/${insight.id}/dismiss`;
        assert.equal((await ask(await join("viewer"), "POST", path)).status, 403);
        const operator = await join("operator");
        const dismissed = (await ask(operator, "POST", path)).json["insight"] as Json;
        assert.deepEqual(dismissed["dismissed_by"], { kind: "user", id: operator.userId });
        assert.deepEqual((await ask(owner, "POST", path)).json["insight"], dismissed, "who was first stays");
        assert.deepEqual([await list("status=open"), await list("status=dismissed")], [[], [insight.id]]);
        const { items } = await listAudit(hub.context.store.db, PLATFORM, { limit: 50, action: "insight.dismiss" });
        assert.deepEqual(
          items.map(({ resourceId, actor }) => [resourceId, actor.id]),
          [[insight.id, operator.userId]],
        );
        await hub.context.store.db("insights").update({ ended_at: new Date().toISOString(), dismissed_at: null });
        assert.equal((await ask(owner, "POST", path)).status, 409);
      });
    });

    test("refuse a range that is too long or ends before it begins", async () => {
      await inScene(open, async (scene) => {
        const { ask, owner } = scene;
        const device = await measured(scene);
        for (const path of [
          "analytics/commands?from=2020-01-01T00:00:00Z",
          `analytics/tasks?from=${TODAY}&to=${TODAY - DAY_MS}`,
          `analytics/metrics/series?device=${device.uid}&type=relay.on&bucket=hour&from=${TODAY - 44 * DAY_MS}`,
          `analytics/metrics/series?device=${device.uid}&type=none`,
        ])
          assert.equal((await ask(owner, "GET", path)).status, 400, path);
      });
    });
  });
}
