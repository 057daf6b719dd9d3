import { describe, test } from "node:test";
import { places } from "./kill-place.ts";
import { KINDS, surviveTimers } from "./timers.ts";

const KILLS = 50;
/** A death every five seconds. */
const SPREAD_MS = KILLS * 5_000;

describe("a thousand timers", { concurrency: true }, () => {
  for (const { name, skip, open } of places()) {
    const seed = Number(process.env["KILL_SEED"] ?? Date.now()) >>> 0;
    test(`${name}: kill -9 ${KILLS} times at random moments (KILL_SEED=${seed}), and each fires once`, { skip }, async (context) => {
      await using place = await open();
      const worst = await surviveTimers(place, { kills: KILLS, spreadMs: SPREAD_MS, seed });
      context.diagnostic(`${name}: late by at most ${KINDS.map((kind) => `${kind} ${worst[kind]} ms`).join(", ")}`);
    });
  }
});
