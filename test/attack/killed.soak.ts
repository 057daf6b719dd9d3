import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { places } from "./kill-place.ts";
import { randomKills, surviveKills } from "./kill-rounds.ts";

const MINUTES = Number(process.env.SOAK_MINUTES ?? 10);
/** In each place, however short the time is; 200 in all. */
const KILLS = [70, 65, 65];

describe("kill -9", { concurrency: true }, () => {
  for (const [index, { name, skip, open }] of places().entries()) {
    const seed = Number(process.env.KILL_SEED ?? Date.now()) >>> 0;
    const least = KILLS[index] ?? 0;
    test(`${name}: at random moments for ${MINUTES} minutes (KILL_SEED=${seed}) loses and repeats nothing`, { skip }, async () => {
      await using place = await open();
      const { kills, acknowledged } = await surviveKills(place, randomKills(seed, least, performance.now() + MINUTES * 60_000));
      assert.ok(kills >= least && acknowledged > 0);
    });
  }
});
