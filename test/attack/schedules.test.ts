import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { ApiClient } from "../support/hub.ts";
import { until } from "../support/wait.ts";
import { places } from "./kill-place.ts";

const RUNS = 16;
const KILLS = 3;
/** All are made, and wait, before the first time comes. */
const HEAD_START_MS = 4_000;

interface RunJson {
  readonly id: string;
  readonly status: string;
  readonly scheduled_for: string;
  readonly correlation_id: string;
}
interface EventJson {
  readonly type: string;
  readonly correlation_id: string;
}

async function call<T>(api: ApiClient, status: number, method: string, path: string, body?: unknown): Promise<T> {
  const answer = await api.call<T>(method, path, body);
  assert.equal(answer.status, status, `${method} ${path}: ${JSON.stringify(answer.body)}`);
  return answer.body;
}

const eventsOf = async (api: ApiClient, type: string): Promise<EventJson[]> =>
  (await call<{ data: EventJson[] }>(api, 200, "GET", `/api/v1/events?limit=200&type=${type}`)).data;
const runsOf = async (api: ApiClient, id: string): Promise<RunJson[]> =>
  (await call<{ data: RunJson[] }>(api, 200, "GET", `/api/v1/schedules/${id}/runs?limit=200`)).data.toReversed();

describe("schedules that come each second", { concurrency: true }, () => {
  for (const { name, skip, open } of places())
    test(`${name}: kill -9 ${KILLS} times, and each time has its one run, which does its work once`, {
      skip,
      timeout: 120_000,
    }, async () => {
      await using place = await open();
      const { api } = place;
      const first = Math.ceil((Date.now() + HEAD_START_MS) / 1_000) * 1_000;
      const times = Array.from({ length: RUNS }, (_, index) => new Date(first + index * 1_000).toISOString());
      const [starts, ends] = [times[0], times.at(-1)];
      const common = { misfire: { policy: "all", limit: 100 }, overlap: "queue" };
      // All of them end: a hub that is away for long would else make up for the latest times, and not for these.
      const wanted = [
        { recurrence: { kind: "interval", every_s: 1, starting_at: starts }, ends_at: ends, max_runs: RUNS },
        { recurrence: { kind: "cron", expression: "* * * * * *" }, starts_at: starts, ends_at: ends },
        // Longer than its time: it goes on when its hub dies, and the next one waits behind it.
        { recurrence: { kind: "interval", every_s: 1, starting_at: starts }, ends_at: times[RUNS / 4 - 1], max_runs: RUNS / 4, delay: 1 },
      ];
      const ids: string[] = [];
      for (const [index, { delay = 0, ...one }] of wanted.entries()) {
        const pauses = delay === 0 ? [] : [{ kind: "delay", for_s: delay }];
        const actions = [{ kind: "event", type: `custom.told${index}` }, ...pauses, { kind: "event", type: `custom.done${index}` }];
        const body = { name: `Told ${index}`, ...common, ...one, actions };
        ids.push((await call<{ schedule: { id: string } }>(api, 201, "POST", "/api/v1/schedules", body)).schedule.id);
      }
      assert.ok(Date.now() < first, "everything waits before the first time comes");
      for (let death = 1; death <= KILLS; death++) {
        const moment = first + death * 3_000 + Math.random() * 1_000;
        await until(() => Date.now() >= moment, { what: "the moment of the next death", timeoutMs: 30_000 });
        await place.killOne(death);
      }
      for (const [index, id] of ids.entries()) {
        const due = times.slice(0, wanted[index]?.max_runs ?? RUNS);
        const runs = await until(
          async () => {
            const all = await runsOf(api, id);
            return all.length >= due.length && all.every(({ status }) => status === "ok") && all;
          },
          { what: `the runs of ${index}`, timeoutMs: 60_000 },
        );
        assert.deepEqual(runs.map((run) => run.scheduled_for).toSorted(), due, `${index}`);
        for (const type of ["told", "done"]) {
          const events = await eventsOf(api, `custom.${type}${index}`);
          assert.deepEqual(
            events.map((event) => event.correlation_id).toSorted(),
            runs.map((run) => run.correlation_id).toSorted(),
            `${type} of ${index}`,
          );
        }
        const { schedule } = await call<{ schedule: { run_count: number; next_runs: string[] } }>(
          api,
          200,
          "GET",
          `/api/v1/schedules/${id}`,
        );
        assert.deepEqual([schedule.run_count, schedule.next_runs], [due.length, []]);
      }
      assert.equal((await eventsOf(api, "schedule.fired")).length, 2 * RUNS + RUNS / 4);
    });
});
