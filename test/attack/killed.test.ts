import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { databases } from "../support/databases.ts";
import { surviveKills } from "./kill-rounds.ts";

/** After how many acknowledgements each hub dies: anything but regular. */
const MOMENTS = [1, 70, 400, 30, 150, 230, 2, 61, 300, 120];

// Most of the time a hub starts: the two do that side by side.
describe("kill -9", { concurrency: true }, () => {
  for (const { name, skip, open } of databases()) {
    test(`${name}: ${MOMENTS.length} times under load loses nothing that was acknowledged and does nothing twice`, {
      skip,
      timeout: 120_000,
    }, async () => {
      await using database = await open();
      const { kills, acknowledged } = await surviveKills(database.url, MOMENTS);
      assert.equal(kills, MOMENTS.length);
      assert.ok(acknowledged >= MOMENTS.reduce((sum, moment) => sum + moment));
    });
  }
});
