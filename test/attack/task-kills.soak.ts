import { describe, test } from "node:test";
import { places } from "./kill-place.ts";
import { surviveTaskKills } from "./task-kills.ts";

const KILLS = 40;

describe("tasks of devices", { concurrency: true }, () => {
  for (const { name, skip, open } of places()) {
    const seed = Number(process.env["KILL_SEED"] ?? Date.now()) >>> 0;
    test(`${name}: kill -9 ${KILLS} times at random moments (KILL_SEED=${seed}), and none is lost or done twice`, {
      skip,
    }, async (context) => {
      await using place = await open();
      const { tasks, deaths } = await surviveTaskKills(place, { kills: KILLS, tasks: 600, seed });
      context.diagnostic(`${name}: ${tasks} tasks over ${deaths} deaths`);
    });
  }
});
