import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { databases } from "../support/databases.ts";
import { heldTransaction } from "../support/held-transaction.ts";
import { until } from "../support/wait.ts";
import { inScene, type Json, SITE } from "./places-scene.ts";
import { assertEnvelope } from "./test-api.ts";

const TELL = [{ kind: "event", type: "custom.told" }];
const DAILY = { kind: "cron", expression: "0 3 * * *" };
const KINDS = [
  { path: "schedules", member: "schedule", body: { name: "x", recurrence: DAILY, actions: TELL } },
  { path: "automations", member: "automation", body: { name: "x", triggers: [{ kind: "schedule", recurrence: DAILY }], actions: TELL } },
  { path: "alert-rules", member: "rule", body: { name: "x", severity: "info", condition: { kind: "threshold", key: "t", above: 3 } } },
] as const;

// SQLite's transactions come one after the other.
for (const { name, skip, open } of databases().filter((one) => one.name === "PostgreSQL"))
  describe(`while a site is removed, on ${name}`, { skip }, () => {
    for (const { path, member, body } of KINDS)
      test(`${path} that name it, or are to, wait, and are told that it is gone`, async () => {
        await inScene(open, async ({ ask, make, owner, hub }) => {
          const { db } = hub.context.store;
          const site = await make("sites", SITE);
          const made = async (more: object): Promise<string> => {
            const answer = await ask(owner, "POST", path, { ...body, ...more });
            assert.equal(answer.status, 201, answer.text);
            return (answer.json[member] as Json)["id"] as string;
          };
          const here = { site_id: site.id };
          const held = await ask(owner, "POST", "schedules", { ...KINDS[0].body, ...here });
          const [present, former, other] = [await made(here), await made(here), await made({})];
          const match = { "if-match": "*" };
          assert.equal((await ask(owner, "PATCH", `${path}/${former}`, { site_id: null }, match)).status, 200);

          await using lock = await heldTransaction(db, async (trx) => {
            await trx("schedules")
              .where({ id: (held.json["schedule"] as Json)["id"] as string })
              .forUpdate();
          });
          const waiting = (count: number) =>
            until(
              async () => {
                const rows = await db("pg_stat_activity").where({ wait_event_type: "Lock", datname: db.raw("current_database()") });
                return rows.length === count;
              },
              { what: `${count} that wait`, timeoutMs: 30_000 },
            );
          const removing = ask(owner, "DELETE", `sites/${site.id}`);
          await waiting(1);
          const changing = [
            ask(owner, "PATCH", `${path}/${present}`, { time_zone: "UTC" }, match),
            ask(owner, "PATCH", `${path}/${other}`, here, match),
            ask(owner, "POST", `${path}/${former}/versions/1/restore`, undefined, match),
            ask(owner, "POST", path, { ...body, ...here }),
          ];
          await waiting(5);
          await lock.release();
          assert.equal((await removing).status, 204);
          for (const answer of await Promise.all(changing)) assertEnvelope(answer, 400, "validation_error");
        });
      });
  });
