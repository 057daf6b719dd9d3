import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { mosquittoMissing, startMosquitto } from "../support/services.ts";
import { generate, startGenerator } from "./child.ts";
import type { Target } from "./connection.ts";
import type { DurableResult } from "./durable.ts";
import { createHistogram } from "./histogram.ts";
import { fanIn, fanOut } from "./scenarios.ts";
import type { StreamResult } from "./stream.ts";

const SHORT = { warmUpMs: 300, measureMs: 700 };

describe("the load generator", () => {
  for (const [name, scenario] of [["fan-in", fanIn] as const, ["fan-out", fanOut] as const]) {
    test(`carries ${name} well above what mosquitto passes on, and loses nothing`, { skip: mosquittoMissing() }, async (t) => {
      await using sink = await startGenerator<Target>({ kind: "sink" });
      await using mosquitto = await startMosquitto();
      const ceiling = await generate<StreamResult>(scenario(sink.answer, SHORT));
      const real = await generate<StreamResult>(scenario({ host: "127.0.0.1", port: mosquitto.port }, SHORT));
      t.diagnostic(
        `sink ${Math.round(ceiling.deliveredPerS)}/s, mosquitto ${Math.round(real.deliveredPerS)}/s, generator's processor share ${real.cpuShare.toFixed(2)}`,
      );
      assert.equal(ceiling.lost, 0);
      assert.equal(real.lost, 0);
      assert.ok(real.deliveredPerS > 1_000, `${real.deliveredPerS}/s`);
      assert.ok(ceiling.deliveredPerS > 1.5 * real.deliveredPerS, `${ceiling.deliveredPerS}/s against ${real.deliveredPerS}/s`);
    });
  }

  test("counts PUBACKs and their latency at QoS 1", { skip: mosquittoMissing() }, async () => {
    await using mosquitto = await startMosquitto();
    const publishers = [1, 2].map((n) => ({ clientId: `durable-${n}`, topic: `hexa/durable-${n}/up/telemetry` }));
    const result = await generate<DurableResult>({
      kind: "durable",
      host: "127.0.0.1",
      port: mosquitto.port,
      publishers,
      inFlight: 10,
      firstTs: 1_700_000_000_000,
      ...SHORT,
    });
    assert.ok(result.ackedPerS > 500, `${result.ackedPerS}/s`);
    assert.ok(Math.abs(result.latency.count - result.ackedPerS * 0.7) < 0.2 * result.latency.count);
    assert.ok(result.latency.p50Ms > 0 && result.latency.p50Ms <= result.latency.p99Ms && result.latency.p99Ms <= result.latency.maxMs);
  });

  test("says what it could not do", async () => {
    await assert.rejects(
      generate({ kind: "idle", host: "127.0.0.1", port: 1, devices: [{ clientId: "nobody" }] }),
      /ended without an answer: [^]*ECONNREFUSED/,
    );
  });
});

test("the histogram gives quantiles within its step", () => {
  const histogram = createHistogram();
  for (let ms = 1; ms <= 1000; ms++) histogram.add(ms);
  const { count, p50Ms, p99Ms, p999Ms, maxMs } = histogram.summary();
  assert.equal(count, 1000);
  for (const [seen, exact] of [
    [p50Ms, 500],
    [p99Ms, 990],
    [p999Ms, 999],
  ] as const)
    assert.ok(Math.abs(seen - exact) <= 0.02, `${seen} for ${exact}`);
  assert.equal(maxMs, 1000);
  assert.deepEqual(createHistogram().summary(), { count: 0, p50Ms: 0, p99Ms: 0, p999Ms: 0, maxMs: 0 });
});
