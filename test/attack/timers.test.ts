import { describe, test } from "node:test";
import { places } from "./kill-place.ts";
import { KINDS, surviveTimers } from "./timers.ts";

const KILLS = 6;
const SPREAD_MS = 25_000;

// Most of the time a hub starts, or waits: all places do that side by side.
describe("a thousand timers", { concurrency: true }, () => {
  for (const { name, skip, open } of places()) {
    const seed = Number(process.env["KILL_SEED"] ?? Date.now()) >>> 0;
    test(`${name}: kill -9 ${KILLS} times at random moments, and each fires once`, { skip, timeout: 240_000 }, async (context) => {
      context.diagnostic(`KILL_SEED=${seed}`);
      await using place = await open();
      const worst = await surviveTimers(place, { kills: KILLS, spreadMs: SPREAD_MS, seed });
      context.diagnostic(`${name}: late by at most ${KINDS.map((kind) => `${kind} ${worst[kind]} ms`).join(", ")}`);
    });
  }
});
