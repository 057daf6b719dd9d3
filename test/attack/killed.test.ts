import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { places } from "./kill-place.ts";
import { type Kill, surviveKills } from "./kill-rounds.ts";

/** After how many acknowledgements each hub dies, anything but regular; and which of two. */
const SQLITE = [1, 70, 400, 30, 150, 2, 300];
const POSTGRES = [61, 1, 230, 120, 3, 350];
const TWO_NODES: readonly Kill[] = [
  { after: 150, pick: 0 },
  { after: 1, pick: 3 },
  { after: 400, pick: 1 },
  { after: 70, pick: 2 },
  { after: 230, pick: 2 },
  { after: 2, pick: 3 },
  { after: 120, pick: 0 },
];
const alone = (moments: readonly number[]): Kill[] => moments.map((after) => ({ after, pick: 0 }));

// Most of the time a hub starts: all places do that side by side.
describe("kill -9", { concurrency: true }, () => {
  const [sqlite, postgres, two] = places();
  const plans = [[sqlite, alone(SQLITE)] as const, [postgres, alone(POSTGRES)] as const, [two, TWO_NODES] as const];
  for (const [{ name, skip, open }, plan] of plans) {
    test(`${name}: ${plan.length} times under load loses nothing that was acknowledged and does nothing twice`, {
      skip,
      timeout: 240_000,
    }, async () => {
      await using place = await open();
      const { kills, acknowledged } = await surviveKills(place, plan);
      assert.equal(kills, plan.length);
      assert.ok(acknowledged >= plan.reduce((sum, { after }) => sum + after, 0));
    });
  }
});
