import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { places } from "./kill-place.ts";
import { type Kill, surviveKills } from "./kill-rounds.ts";

const MINUTES = Number(process.env.SOAK_MINUTES ?? 10);
/** In each place, however short the time is; 200 in all. */
const KILLS = [70, 65, 65];
const MOST_BETWEEN_KILLS = 400;

/** Random moments and hubs until the time is over; the seed is printed, so that a failing run can be repeated. */
function* plan(seed: number, kills: number, untilMs: number): Generator<Kill> {
  for (let state = seed, made = 0; made < kills || performance.now() < untilMs; made++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    // The lowest bits take turns.
    const random = state >>> 8;
    yield { after: 1 + (random % MOST_BETWEEN_KILLS), pick: random >>> 12 };
  }
}

describe("kill -9", { concurrency: true }, () => {
  for (const [index, { name, skip, open }] of places().entries()) {
    const seed = Number(process.env.KILL_SEED ?? Date.now()) >>> 0;
    const least = KILLS[index] ?? 0;
    test(`${name}: at random moments for ${MINUTES} minutes (KILL_SEED=${seed}) loses and repeats nothing`, { skip }, async () => {
      await using place = await open();
      const { kills, acknowledged } = await surviveKills(place, plan(seed, least, performance.now() + MINUTES * 60_000));
      assert.ok(kills >= least && acknowledged > 0);
    });
  }
});
