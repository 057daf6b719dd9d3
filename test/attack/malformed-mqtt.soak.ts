import assert from "node:assert/strict";
import { test } from "node:test";
import { collectErrors } from "../support/collected-errors.ts";
import { startHub } from "../support/hub.ts";
import { until } from "../support/wait.ts";
import { besiege } from "./malformed-attack.ts";

const MINUTES = Number(process.env.SOAK_MINUTES ?? 10);
const ROUND_PACKETS = 50_000;
/** What a soak of ten minutes has to send. */
const MIN_PACKETS = 1_000_000 * Math.min(1, MINUTES / 10);
const MAX_GROWTH_BYTES = 24 * 1_048_576;
const MAX_P99_MS = 50;
/** A connection whose handshake never ended is let go after 30 s. */
const SETTLE_TIMEOUT_MS = 45_000;

const seed = Date.now() >>> 0;
test(`the hub outlives damaged MQTT packets for ${MINUTES} minutes (seeds from ${seed}), ${MIN_PACKETS} at least, and serves good clients meanwhile`, async (t) => {
  const { errors, log } = collectErrors();
  await using hub = await startHub({ log });
  await using siege = await besiege(hub);
  await siege.attack(seed, ROUND_PACKETS);
  await siege.calm();
  const before = siege.heldBytes();
  let packets = 0;
  const allMs: number[] = [];
  for (const untilMs = performance.now() + MINUTES * 60_000; performance.now() < untilMs && errors.length === 0; ) {
    siege.served();
    const roundSeed = seed + packets;
    const report = await siege.attack(roundSeed, ROUND_PACKETS);
    packets += report.packets;
    const { roundTripsMs, losses } = siege.served();
    const p99Ms = roundTripsMs[Math.floor(roundTripsMs.length * 0.99)] as number;
    t.diagnostic(
      `${packets} packets, seed ${roundSeed}: p99 ${p99Ms.toFixed(1)} ms, memory +${((siege.heldBytes() - before) / 1_048_576).toFixed(1)} MiB`,
    );
    assert.deepEqual([losses, report.leftOpen], [[], 0], `seed ${roundSeed}`);
    assert.ok(p99Ms <= MAX_P99_MS, `seed ${roundSeed}: p99 of the good clients is ${p99Ms} ms`);
    allMs.push(...roundTripsMs);
  }
  await siege.calm();
  await until(() => siege.heldBytes() < before + MAX_GROWTH_BYTES, {
    what: "the memory to come back to its level",
    timeoutMs: SETTLE_TIMEOUT_MS,
  });
  assert.deepEqual([...new Set(errors)], [], `seeds from ${seed}`);
  const p99Ms = allMs.toSorted((a, b) => a - b)[Math.floor(allMs.length * 0.99)] as number;
  t.diagnostic(`${allMs.length} round trips of good clients, p99 ${p99Ms.toFixed(1)} ms`);
  assert.ok(packets >= MIN_PACKETS, `only ${packets} packets`);
});
