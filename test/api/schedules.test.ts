import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { newId } from "../../core/id.ts";
import { PLATFORM } from "../../core/principal.ts";
import { listAudit } from "../../store/audit.ts";
import { rowsOf } from "../../store/sql.ts";
import { databases } from "../support/databases.ts";
import { until } from "../support/wait.ts";
import { ids, inScene, type Json, type Scene, SITE } from "./places-scene.ts";
import { type Answered, assertEnvelope } from "./test-api.ts";

const DAILY = { kind: "cron", expression: "30 18 * * *" };
const TELL = [{ kind: "event", type: "custom.told" }];
const ON = { command: "set_relay", relay: 0, state: "ON" };
const etag = (answer: Answered): Record<string, string> => ({ "if-match": answer.headers.get("etag") as string });
const schedule = (answer: Answered): Json & { id: string } => answer.json["schedule"] as Json & { id: string };

async function make({ ask, owner }: Pick<Scene, "ask" | "owner">, body: object): Promise<Answered> {
  const answer = await ask(owner, "POST", "schedules", body);
  assert.equal(answer.status, 201, answer.text);
  return answer;
}

for (const { name, skip, open } of databases()) {
  describe(`schedules on ${name}`, { skip }, () => {
    test("come back as they were made, with their next times, are filtered, changed with If-Match, and removed", async () => {
      await inScene(open, async (scene) => {
        const { ask, owner, hub } = scene;
        const coming = (await ask(owner, "POST", "schedules/preview", { recurrence: DAILY, time_zone: "Europe/Berlin" })).json["next_runs"];
        const { uid } = await scene.make("devices", { name: "Relay", capabilities: { relays: 1 } });
        const made = await make(scene, {
          name: "Garden lights",
          recurrence: DAILY,
          device: uid,
          command: ON,
          time_zone: "Europe/Berlin",
          misfire: { policy: "once" },
          note: "for the summer",
        });
        const one = schedule(made);
        assert.deepEqual(
          { ...one, id: "", created_at: "", updated_at: "" },
          {
            id: "",
            organization_id: owner.organizationId,
            name: "Garden lights",
            description: null,
            is_active: true,
            version: 1,
            recurrence: DAILY,
            device: uid,
            command: ON,
            time_zone: "Europe/Berlin",
            misfire: { policy: "once" },
            run_count: 0,
            last_run_at: null,
            next_runs: coming,
            created_at: "",
            updated_at: "",
          },
        );
        const other = schedule(
          await make(scene, { name: "Other", recurrence: { kind: "interval", every_s: 60 }, actions: TELL, is_active: false }),
        );
        assert.deepEqual(other["next_runs"], []);
        assert.deepEqual(ids(await ask(owner, "GET", "schedules")), [one.id, other.id]);
        assert.deepEqual(ids(await ask(owner, "GET", "schedules?is_active=false")), [other.id]);
        assert.deepEqual(ids(await ask(owner, "GET", `schedules?device=${String(uid)}`)), [one.id]);
        assert.deepEqual(ids(await ask(owner, "GET", "schedules?search=LIGHTS&limit=1")), [one.id]);
        const path = `schedules/${one.id}`;
        assert.deepEqual((await ask(owner, "GET", `schedules/${one.id.toUpperCase()}`)).json, made.json);

        for (const method of ["PATCH", "DELETE"])
          assertEnvelope(await ask(owner, method, path, method === "PATCH" ? { name: "x" } : undefined), 428, "precondition_required");
        const paused = await ask(owner, "PATCH", path, { is_active: false }, etag(made));
        assert.deepEqual([paused.status, schedule(paused)["next_runs"], schedule(paused)["version"]], [200, [], 1]);
        assertEnvelope(await ask(owner, "PATCH", path, { name: "x" }, etag(made)), 412, "precondition_failed");
        const moved = await ask(
          owner,
          "PATCH",
          path,
          { is_active: true, recurrence: { expression: "0 19 * * *" }, misfire: { limit: 5 }, note: "later" },
          etag(paused),
        );
        assert.deepEqual(
          [schedule(moved)["recurrence"], schedule(moved)["misfire"], schedule(moved)["version"]],
          [{ kind: "cron", expression: "0 19 * * *" }, { policy: "once", limit: 5 }, 2],
        );
        const interval = { kind: "interval", every_s: 3_600 };
        const another = await ask(owner, "PATCH", path, { recurrence: interval, device: null, command: null, actions: TELL }, etag(moved));
        assert.deepEqual(
          [schedule(another)["recurrence"], schedule(another)["device"], schedule(another)["actions"]],
          [interval, undefined, TELL],
        );
        const versions = (await ask(owner, "GET", `${path}/versions?limit=2`)).json;
        assert.deepEqual(
          (versions["data"] as Json[]).map(({ version, note, changed_by: by }) => [version, note, (by as Json)["id"]]),
          [
            [3, null, owner.userId],
            [2, "later", owner.userId],
          ],
        );
        const rest = (await ask(owner, "GET", `${path}/versions?cursor=${String(versions["next_cursor"])}`)).json["data"] as Json[];
        assert.deepEqual(
          rest.map(({ version, note }) => [version, note]),
          [[1, "for the summer"]],
        );

        assert.equal((await ask(owner, "DELETE", path, undefined, etag(another))).status, 204);
        assertEnvelope(await ask(owner, "GET", path), 404, "not_found");
        const { db } = hub.context.store;
        assert.deepEqual(await rowsOf(db, "select timer_key from timers where kind = 'schedule' and timer_key = ?", [one.id]), []);
        const { items } = await listAudit(db, PLATFORM, { limit: 100 });
        const actions = items.filter(({ resourceId }) => resourceId === one.id).map(({ action }) => action);
        assert.deepEqual(actions.toReversed(), [
          "schedule.create",
          "schedule.update",
          "schedule.update",
          "schedule.update",
          "schedule.delete",
        ]);
      });
    });

    test("are refused where they cannot be done, with the place of the fault", async () => {
      await inScene(open, async (scene) => {
        const { ask, owner, hub } = scene;
        const { uid } = await scene.make("devices", { name: "Relay", capabilities: { relays: 1 } });
        const stranger = await hub.member();
        const foreignSite = await scene.make("sites", SITE, stranger);
        const flat = await scene.make("sites", SITE);
        const good = { name: "x", recurrence: DAILY, actions: TELL };
        const { recurrence: _, ...without } = good;
        const bad: readonly [object, string][] = [
          [without, "/"],
          [{ ...good, recurrence: { kind: "cron", expression: "61 * * * *" } }, "/recurrence/expression"],
          [{ ...good, recurrence: { kind: "sun", event: "sunset" } }, "/recurrence/latitude"],
          [{ ...good, recurrence: { kind: "sun", event: "sunset" }, site_id: flat.id }, "/recurrence/latitude"],
          [{ ...good, site_id: foreignSite.id }, "/site_id"],
          [{ ...good, site_id: newId() }, "/site_id"],
          [{ ...good, time_zone: "Europe/Nowhere" }, "/time_zone"],
          [{ ...good, device: uid }, "/device"],
          [{ ...good, command: ON }, "/command"],
          [{ ...without, recurrence: DAILY, actions: undefined }, "/actions"],
          [{ name: "x", recurrence: DAILY, device: uid }, "/command"],
          [{ name: "x", recurrence: DAILY, device: uid, command: { ...ON, relay: 1 } }, "/device"],
          [{ name: "x", recurrence: DAILY, device: "relay-nobody99", command: ON }, "/device"],
          [{ ...good, actions: [{ kind: "command", device: "relay-nobody99", command: ON }] }, "/actions/0/device"],
          [{ ...good, actions: [{ kind: "scene", scene_id: newId() }] }, "/actions/0/scene_id"],
          [{ ...good, actions: [] }, "/actions"],
          [{ ...good, misfire: { limit: 101 } }, "/misfire/limit"],
          [{ ...good, misfire: { grace_s: 1 } }, "/misfire/grace_s"],
          [{ ...good, starts_at: "2027-02-30T00:00:00Z" }, "/starts_at"],
          [{ ...good, starts_at: "2027-02-02T00:00:00Z", ends_at: "2027-02-01T00:00:00Z" }, "/ends_at"],
          [{ ...good, max_runs: 0 }, "/max_runs"],
        ];
        for (const [body, path] of bad) {
          const answer = await ask(owner, "POST", "schedules", body);
          assertEnvelope(answer, 400, "validation_error");
          assert.equal((answer.json["details"] as Json[])[0]?.["path"], path, answer.text);
        }
        assert.deepEqual(ids(await ask(owner, "GET", "schedules")), []);
        const made = await make(scene, good);
        const path = `schedules/${schedule(made).id}`;
        for (const patch of [
          { recurrence: { kind: "interval" } },
          { recurrence: null },
          { device: uid },
          { actions: null },
          { name: null },
          {},
        ])
          assertEnvelope(await ask(owner, "PATCH", path, patch, etag(made)), 400, "validation_error");
        for (const [method, sub, body] of [
          ["GET", ""],
          ["PATCH", "", { name: "y" }],
          ["DELETE", ""],
          ["GET", "/runs"],
          ["GET", "/versions"],
          ["POST", "/run"],
        ] as const)
          assertEnvelope(await ask(stranger, method, `${path}${sub}`, body, sub === "" ? etag(made) : {}), 404, "not_found");
        assert.deepEqual((await ask(owner, "GET", path)).json, made.json);
      });
    });

    test("run by hand for whoever may control devices, and tell what they did", async () => {
      await inScene(open, async (scene) => {
        const { ask, owner, hub, join } = scene;
        const [operator, viewer] = [await join("operator"), await join("viewer")];
        const { uid } = await scene.make("devices", { name: "Relay", capabilities: { relays: 1 } });
        const made = schedule(await make(scene, { name: "Lights", recurrence: DAILY, device: uid, command: ON }));
        const path = `schedules/${made.id}`;
        assertEnvelope(await ask(viewer, "POST", `${path}/run`), 403, "forbidden");
        const started = await ask(operator, "POST", `${path}/run`);
        assert.equal(started.status, 202, started.text);
        const runs = await until(
          async () => {
            const data = (await ask(viewer, "GET", `${path}/runs`)).json["data"] as Json[];
            return data.some(({ finished_at: at }) => at !== null) && data;
          },
          { what: "the end of the run" },
        );
        // The device is not there, and that is what the run says.
        assert.deepEqual(
          runs.map(({ id, status, scheduled_for: scheduledFor, cause }) => [id, status, scheduledFor, (cause as Json)["by"]]),
          [[started.json["run_id"], "failed", null, { kind: "user", id: operator.userId }]],
        );
        assert.deepEqual(
          hub.sent.map(({ source, actor }) => [source, actor]),
          [["schedule", { kind: "schedule", id: made.id }]],
        );
        assert.deepEqual(ids(await ask(owner, "GET", `${path}/runs?status=ok`)), []);
        const after = schedule(await ask(owner, "GET", path));
        assert.deepEqual([after["run_count"], after["last_run_at"] !== null], [0, true]);

        const slow = schedule(await make(scene, { name: "Slow", recurrence: DAILY, actions: [{ kind: "delay", for_s: 3_600 }] }));
        assert.equal((await ask(owner, "POST", `schedules/${slow.id}/run`)).status, 202);
        assertEnvelope(await ask(owner, "POST", `schedules/${slow.id}/run`), 409, "conflict");
        const present = await ask(owner, "GET", `schedules/${slow.id}`);
        assert.equal((await ask(owner, "DELETE", `schedules/${slow.id}`, undefined, etag(present))).status, 204);
        const statuses = await rowsOf<{ status: string }>(hub.context.store.db, "select status from runs where source_id = ?", [slow.id]);
        assert.deepEqual(
          statuses.map(({ status }) => status),
          ["cancelled"],
        );
      });
    });

    test("are shown in advance without being kept, and follow their site", async () => {
      await inScene(open, async (scene) => {
        const { ask, owner, hub } = scene;
        const preview = async (body: object): Promise<Json> => {
          const answer = await ask(owner, "POST", "schedules/preview", body);
          assert.equal(answer.status, 200, answer.text);
          return answer.json;
        };
        const from = "2027-06-01T00:00:00Z";
        // The clocks go forward in the night to the 28th.
        assert.deepEqual(
          (await preview({ recurrence: DAILY, time_zone: "Europe/Berlin", from: "2027-03-26T12:00:00Z" }))["next_runs"],
          [26, 27, 28, 29, 30].map((day) => `2027-03-${day}T${day < 28 ? "17" : "16"}:30:00.000Z`),
        );
        assert.deepEqual(
          await preview({ recurrence: { kind: "cron", expression: "0 8 * * MON#1" }, time_zone: "Europe/Berlin", from, count: 2 }),
          {
            time_zone: "Europe/Berlin",
            next_runs: ["2027-06-07T06:00:00.000Z", "2027-07-05T06:00:00.000Z"],
          },
        );
        const interval = { kind: "interval", every_s: 86_400 };
        const bounded = { recurrence: interval, from, starts_at: "2027-06-10T05:00:00Z", ends_at: "2027-06-12T05:00:00Z", count: 100 };
        assert.deepEqual(
          (await preview(bounded))["next_runs"],
          [10, 11, 12].map((day) => `2027-06-${day}T05:00:00.000Z`),
        );
        assert.equal(((await preview({ ...bounded, max_runs: 2 }))["next_runs"] as string[]).length, 2);
        assert.deepEqual((await preview({ recurrence: { kind: "once", at: "2026-01-01T00:00:00Z" } }))["next_runs"], []);
        for (const body of [
          {},
          { recurrence: { kind: "sun", event: "dusk" } },
          { recurrence: interval, count: 101 },
          { recurrence: interval, from: "today" },
        ])
          assertEnvelope(await ask(owner, "POST", "schedules/preview", body), 400, "validation_error");

        const site = await scene.make("sites", { ...SITE, latitude: 47.4, longitude: 8.5 });
        const made = schedule(
          await make(scene, { name: "Morning", recurrence: { kind: "cron", expression: "0 6 * * *" }, actions: TELL, site_id: site.id }),
        );
        const timer = async (): Promise<string> => {
          const sql = "select due_at from timers where kind = 'schedule' and timer_key = ?";
          const [row] = await rowsOf<{ due_at: string }>(hub.context.store.db, sql, [made.id]);
          return row?.due_at ?? "none";
        };
        assert.equal(await timer(), (made["next_runs"] as string[])[0]);
        const moved = await ask(owner, "PATCH", `sites/${site.id}`, { time_zone: "Asia/Tokyo" });
        assert.equal(moved.status, 200, moved.text);
        const there = schedule(await ask(owner, "GET", `schedules/${made.id}`))["next_runs"] as string[];
        assert.match(there[0] ?? "", /T21:00:00.000Z$/);
        assert.equal(await timer(), there[0]);
        const gone = await ask(owner, "DELETE", `sites/${site.id}`);
        assert.equal(gone.status, 204, gone.text);
        assert.match(await timer(), /T06:00:00.000Z$/);
      });
    });
  });
}
