import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { databases } from "../support/databases.ts";
import { surviveKills } from "./kill-rounds.ts";

const MINUTES = Number(process.env.SOAK_MINUTES ?? 10);
/** On each engine, however short the time is; 200 in all. */
const KILLS = 100;
const MOST_BETWEEN_KILLS = 400;

/** Random moments until the time is over; the seed is printed, so that a failing run can be repeated. */
function* moments(seed: number, untilMs: number): Generator<number> {
  for (let state = seed, made = 0; made < KILLS || performance.now() < untilMs; made++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    yield 1 + (state % MOST_BETWEEN_KILLS);
  }
}

describe("kill -9", { concurrency: true }, () => {
  for (const { name, skip, open } of databases()) {
    const seed = Date.now() >>> 0;
    test(`${name}: at random moments for ${MINUTES} minutes (seed ${seed}) loses and repeats nothing`, { skip }, async () => {
      await using database = await open();
      const { kills, acknowledged } = await surviveKills(database.url, moments(seed, performance.now() + MINUTES * 60_000));
      assert.ok(kills >= KILLS && acknowledged > 0);
    });
  }
});
