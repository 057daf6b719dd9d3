import assert from "node:assert/strict";
import { test } from "node:test";
import { databases } from "../support/databases.ts";
import { surviveKills } from "./kill-rounds.ts";

/** After how many acknowledgements each hub dies: anything but regular. */
const MOMENTS = [1, 7, 40, 3, 90, 23, 2, 61, 13, 120];

for (const { name, skip, open } of databases()) {
  test(`${name}: ${MOMENTS.length} times kill -9 under load loses nothing that was acknowledged, does nothing twice, and the hub starts again`, {
    skip,
  }, async () => {
    await using database = await open();
    assert.ok((await surviveKills(database.url, MOMENTS)) >= MOMENTS.reduce((sum, moment) => sum + moment));
  });
}
