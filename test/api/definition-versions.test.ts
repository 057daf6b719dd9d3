import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { newId } from "../../core/id.ts";
import { PLATFORM } from "../../core/principal.ts";
import { listAudit } from "../../store/audit.ts";
import { databases } from "../support/databases.ts";
import { inScene, type Json, SITE } from "./places-scene.ts";
import { type Answered, assertEnvelope } from "./test-api.ts";

const etag = (answer: Answered): Record<string, string> => ({ "if-match": answer.headers.get("etag") as string });
const PUBLISH = { kind: "publish", name: "done", payload: "x" };

/** What has versions, beside templates, which are also somebody else's (templates.test.ts). */
const KINDS = [
  {
    path: "automations",
    member: "automation",
    resource: "automation",
    body: { name: "One", triggers: [{ kind: "topic", filter: "hexa/+/up/state" }], actions: [PUBLISH], cooldown_s: 2 },
    change: { name: "Two", cooldown_s: 5 },
    off: { is_enabled: false },
    differs: [
      { path: "/name", before: "One", after: "Two" },
      { path: "/cooldown_s", before: 2, after: 5 },
    ],
  },
  {
    path: "schedules",
    member: "schedule",
    resource: "schedule",
    body: { name: "One", recurrence: { kind: "cron", expression: "0 3 * * *" }, actions: [PUBLISH] },
    change: { name: "Two", recurrence: { kind: "interval", every_s: 60 } },
    off: { is_active: false },
    differs: [
      { path: "/name", before: "One", after: "Two" },
      { path: "/recurrence/kind", before: "cron", after: "interval" },
      { path: "/recurrence/expression", before: "0 3 * * *" },
      { path: "/recurrence/every_s", after: 60 },
    ],
  },
  {
    path: "alert-rules",
    member: "rule",
    resource: "alert_rule",
    body: { name: "One", severity: "info", condition: { kind: "threshold", key: "t", above: 30 } },
    change: { name: "Two", condition: { kind: "threshold", key: "t", above: 40 } },
    off: { is_enabled: false },
    differs: [
      { path: "/name", before: "One", after: "Two" },
      { path: "/condition/above", before: 30, after: 40 },
    ],
  },
] as const;

const ON = { command: "set_relay", relay: 0, state: "ON" };
/** Definitions that name a site and a device. */
const NAMING = [
  {
    path: "automations",
    member: "automation",
    off: { is_enabled: false },
    naming: (site: string, device: unknown) => ({
      triggers: [{ kind: "schedule", recurrence: { kind: "cron", expression: "0 3 * * *" } }],
      actions: [{ kind: "command", device, command: ON }],
      site_id: site,
    }),
  },
  {
    path: "schedules",
    member: "schedule",
    off: { is_active: false },
    naming: (site: string, device: unknown) => ({
      recurrence: { kind: "cron", expression: "0 3 * * *" },
      device,
      command: ON,
      site_id: site,
    }),
  },
  {
    path: "alert-rules",
    member: "rule",
    off: { is_enabled: false },
    naming: (site: string, device: unknown) => ({
      severity: "info",
      condition: { kind: "threshold", key: "t", above: 30 },
      actions: [{ kind: "command", device, command: ON }],
      site_id: site,
    }),
  },
] as const;

for (const { name, skip, open } of databases()) {
  describe(`versions of what is defined, on ${name}`, { skip }, () => {
    for (const { path, member, resource, body, change, off, differs } of KINDS) {
      test(`${path}: a list, one of them, what they have different, and the way back`, async () => {
        await inScene(open, async ({ ask, owner, hub }) => {
          const stranger = await hub.member();
          const made = await ask(owner, "POST", path, { ...body, note: "at first" });
          assert.equal(made.status, 201, made.text);
          const shown = (answer: Answered): Json => answer.json[member] as Json;
          const { id } = shown(made) as { id: string };
          const of = `${path}/${id}`;
          const changed = await ask(owner, "PATCH", of, { ...change, note: "better" }, etag(made));
          assert.equal(changed.status, 200, changed.text);
          // Whether it is on is no part of its definition, and stays as it is on the way back.
          const paused = await ask(owner, "PATCH", of, off, etag(changed));

          const list = await ask(owner, "GET", `${of}/versions?limit=1`);
          const newest = (list.json["data"] as Json[]).map((one) => [one["version"], one["name"]]);
          assert.deepEqual(newest, [[shown(paused)["version"], "Two"]]);
          const rest = await ask(owner, "GET", `${of}/versions?limit=100&cursor=${list.json["next_cursor"] as string}`);
          const first = (rest.json["data"] as Json[]).at(-1) as Json;
          assert.deepEqual([first["version"], first["name"], first["note"]], [1, "One", "at first"]);
          assert.deepEqual((await ask(owner, "GET", `${of}/versions/1`)).json, { version: first });
          const diff = await ask(owner, "GET", `${of}/versions/1/diff?to=2`);
          assert.deepEqual(diff.json, { from: 1, to: 2, changes: differs });

          const back = `${of}/versions/1/restore`;
          assertEnvelope(await ask(owner, "POST", back), 428, "precondition_required");
          assertEnvelope(await ask(owner, "POST", back, undefined, etag(made)), 412, "precondition_failed");
          const restored = await ask(owner, "POST", back, undefined, etag(paused));
          assert.equal(restored.status, 200, restored.text);
          const version = (shown(paused)["version"] as number) + 1;
          const known = { ...shown(made), ...off, version, updated_at: "", next_runs: [] };
          assert.deepEqual(
            { ...shown(restored), updated_at: "", next_runs: [] },
            { ...known, ...(path === "automations" ? { next_run_at: null } : {}) },
          );
          assert.deepEqual((await ask(owner, "GET", `${of}/versions/1/diff`)).json["changes"], []);
          const entries = (await listAudit(hub.context.store.db, PLATFORM, { limit: 50, resourceId: id })).items;
          assert.deepEqual(
            entries.map(({ action }) => action).filter((action) => action === `${resource}.restore`),
            [`${resource}.restore`],
          );
          for (const missing of ["9", "0", "-1", "1e0", "x"]) {
            assertEnvelope(await ask(owner, "GET", `${of}/versions/${missing}`), 404, "not_found");
            assertEnvelope(await ask(owner, "GET", `${of}/versions/1/diff?to=${missing}`), 404, "not_found");
            assertEnvelope(await ask(owner, "POST", `${of}/versions/${missing}/restore`, undefined, etag(restored)), 404, "not_found");
          }
          for (const [method, more] of [
            ["GET", ""],
            ["GET", "/1"],
            ["GET", "/1/diff"],
            ["POST", "/1/restore"],
          ] as const) {
            assertEnvelope(await ask(stranger, method, `${of}/versions${more}`, undefined, etag(restored)), 404, "not_found");
            assertEnvelope(await ask(owner, method, `${path}/${newId()}/versions${more}`, undefined, etag(restored)), 404, "not_found");
          }
        });
      });
    }

    for (const { path, member, off, naming } of NAMING) {
      test(`${path}: what names something that is gone is switched off and renamed, and neither switched on nor brought back`, async () => {
        await inScene(open, async ({ ask, make, owner }) => {
          const [site, device] = [await make("sites", SITE), await make("devices", { name: "Relay", capabilities: { relays: 1 } })];
          const made = await ask(owner, "POST", path, { name: "One", ...naming(site.id, device["uid"]) });
          assert.equal(made.status, 201, made.text);
          const of = `${path}/${(made.json[member] as { id: string }).id}`;
          for (const gone of [`devices/${device.id}`, `sites/${site.id}`]) assert.equal((await ask(owner, "DELETE", gone)).status, 204);
          const patch = (body: object) => ask(owner, "PATCH", of, body, { "if-match": "*" });
          for (const body of [{ name: "Two" }, off, { description: "Of the old house" }]) {
            const answer = await patch(body);
            assert.equal(answer.status, 200, answer.text);
          }
          const [flag = ""] = Object.keys(off);
          for (const body of [{ [flag]: true }, { time_zone: "Europe/Rome" }]) assertEnvelope(await patch(body), 400, "validation_error");
          const back = await ask(owner, "POST", `${of}/versions/1/restore`, undefined, { "if-match": "*" });
          assertEnvelope(back, 400, "validation_error");
          assert.equal(((await ask(owner, "GET", of)).json[member] as Json)[flag], false);
        });
      });
    }
  });
}
