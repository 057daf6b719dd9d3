import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { places } from "../attack/kill-place.ts";
import { randomKills, surviveKills } from "../attack/kill-rounds.ts";
import { killService, type Service } from "../support/services.ts";
import { temporaryFolder } from "../support/wait.ts";
import { installEngine, startEngine } from "./engine.ts";
import { startLossyProxy } from "./lossy-proxy.ts";
import { assertAllShipped } from "./shipped.ts";

/** One place after the other: the engine wants the machine. */
const MINUTES = Number(process.env["SOAK_MINUTES"] ?? 10) / 3;
/** In each place, however short the time is. */
const KILLS = 12;
/** To begin and to ship the rest. */
const MORE_MS = 5 * 60_000;
const LOST = 0.4;

describe("ClickHouse", () => {
  before(installEngine, { timeout: 20 * 60_000 });

  for (const { name, skip, open } of places()) {
    const seed = Number(process.env["KILL_SEED"] ?? Date.now()) >>> 0;
    test(`${name}: kill -9 of hub and engine for ${MINUTES.toFixed(1)} minutes (KILL_SEED=${seed}), ${LOST * 100} % of the answers lost: rows in are rows out`, {
      skip,
      timeout: MINUTES * 60_000 + MORE_MS,
    }, async (context) => {
      await using data = temporaryFolder();
      await using stack = new AsyncDisposableStack();
      let engine: Service = await startEngine(data.path);
      stack.defer(() => engine[Symbol.asyncDispose]());
      const lossy = stack.use(await startLossyProxy(engine, { share: LOST, random: Math.random }));
      const url = `${lossy.url}/hexahub`;
      const place = stack.use(await open({ CLICKHOUSE_URL: url }));
      let deaths = 0;
      const killOne = async (pick: number): Promise<void> => {
        if (pick % 3 !== 0) return await place.killOne(Math.floor(pick / 3));
        deaths++;
        await killService(engine);
        await engine[Symbol.asyncDispose]();
        engine = await startEngine(data.path, engine.port);
      };
      const { kills } = await surviveKills({ ...place, killOne }, randomKills(seed, KILLS, performance.now() + MINUTES * 60_000));
      const rows = await assertAllShipped(place.store, { url, engineUrl: `${engine.url}/hexahub` });
      const { lost, answered } = lossy.counts;
      assert.ok(deaths > 0 && lost > 0);
      context.diagnostic(
        `${name}: ${kills} deaths, ${deaths} of them the engine's, ${lost} of ${answered} answers lost, ${JSON.stringify(rows)}`,
      );
    });
  }
});
