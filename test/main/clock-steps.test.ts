import assert from "node:assert/strict";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { fakeClockIn, faketimeMissing } from "../support/fake-clock.ts";
import { type ApiClient, spawnHub } from "../support/hub.ts";
import { temporaryFolder, until } from "../support/wait.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const iso = (ms: number): string => new Date(ms).toISOString();

async function make(api: ApiClient, recurrence: object, misfire: object): Promise<string> {
  const body = { name: "Told", recurrence, misfire, actions: [{ kind: "event", type: "custom.told" }] };
  const made = await api.call<{ schedule: { id: string } }>("POST", "/api/v1/schedules", body);
  assert.equal(made.status, 201, JSON.stringify(made.body));
  return made.body.schedule.id;
}

/** Each day at this minute, in UTC. */
const dailyAt = (ms: number): string => `${new Date(ms).getUTCMinutes()} ${new Date(ms).getUTCHours()} * * *`;

test("a clock that is set forward, back and to 1970: what was missed goes by its policy, without a burst and without silence", {
  skip: faketimeMissing(),
  timeout: 120_000,
}, async () => {
  await using folder = temporaryFolder();
  const clock = fakeClockIn(folder.path);
  const dataDir = join(folder.path, "data");
  await using hub = await spawnHub({ dataDir, env: { ...clock.env, HEXA_LOG_LEVEL: "error" } });
  await hub.api.login();
  using db = new DatabaseSync(join(dataDir, "hexahub.db"), { readOnly: true });
  const count = (id: string): number => db.prepare("select count(*) as n from runs where source_id = ?").get(id)?.["n"] as number;

  // At 10, 30 and 50 minutes from now.
  const now = Date.now();
  const thrice = { kind: "interval", every_s: 1_200, starting_at: iso(now + 10 * MINUTE) };
  const every = await make(hub.api, { kind: "interval", every_s: 1 }, {});
  const seconds = await make(hub.api, { kind: "cron", expression: "* * * * * *" }, {});
  const ids = {
    skip: await make(hub.api, thrice, { policy: "skip", grace_s: 60 }),
    once: await make(hub.api, thrice, { policy: "once" }),
    all: await make(hub.api, thrice, { policy: "all", limit: 2 }),
    daily: await make(hub.api, { kind: "cron", expression: dailyAt(now + 30 * MINUTE) }, { policy: "once" }),
  };
  const counts = () => Object.fromEntries(Object.entries(ids).map(([name, id]) => [name, count(id)]));

  /** It goes on, second by second, as if nothing had been. */
  async function goesOn(what: string): Promise<void> {
    for (const id of [every, seconds]) {
      const [from, before] = [performance.now(), count(id)];
      await until(() => count(id) >= before + 4, { what: `four runs more ${what}`, timeoutMs: 15_000 });
      const passed = (performance.now() - from) / 1_000;
      assert.ok(count(id) <= before + passed + 3, `${count(id) - before} runs in ${passed} s ${what}`);
    }
  }

  await goesOn("at first");
  assert.deepEqual(counts(), { skip: 0, once: 0, all: 0, daily: 0 });

  clock.setAhead(HOUR);
  await goesOn("an hour ahead");
  assert.deepEqual(counts(), { skip: 0, once: 1, all: 2, daily: 1 });

  clock.setAhead(0);
  await goesOn("set back by an hour");
  assert.deepEqual(counts(), { skip: 0, once: 1, all: 2, daily: 1 });

  // An interval follows the time that goes by: this hour is another one for it. The time of day has been.
  clock.setAhead(HOUR);
  await goesOn("an hour ahead again");
  assert.deepEqual(counts(), { skip: 0, once: 2, all: 4, daily: 1 });

  clock.setAhead(-now);
  await goesOn("in 1970");
  clock.setAhead(HOUR);
  await goesOn("out of 1970");
  assert.deepEqual(counts(), { skip: 0, once: 2, all: 4, daily: 1 });
});
