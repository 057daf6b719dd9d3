import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { Gate, GATE_LIMITS } from "../../bridges/webhooks/gate.ts";
import { until } from "../support/wait.ts";

const WEBHOOK = { id: "w", organizationId: "o" };
const HOUR = 3_600_000;

/** Places that it has now; they are given back. */
function placesOf(gate: Gate): number {
  gate.ask(WEBHOOK);
  const places = gate.admit()?.places ?? 0;
  gate.release(WEBHOOK, places);
  return places;
}

test("a receiver that failed gets one message when its time is over, however the clock is set, and two when that gets through", async () => {
  for (const setMs of [-HOUR, HOUR]) {
    const gate = new Gate({ ...GATE_LIMITS, failures: 2, breakMs: 200 });
    const send = (isFine: boolean) =>
      gate.attempt(
        WEBHOOK.id,
        async () => isFine,
        (result) => !result,
      );
    assert.equal(await send(false), false);
    assert.equal(placesOf(gate), 2);
    assert.equal(await send(false), false);
    try {
      mock.timers.enable({ apis: ["Date"], now: Date.now() + setMs });
      assert.ok(gate.closedForMs(WEBHOOK.id) > 0 && gate.closedForMs(WEBHOOK.id) <= 200);
      assert.deepEqual([placesOf(gate), await send(true)], [0, undefined]);
      await until(() => gate.closedForMs(WEBHOOK.id) === 0, { what: "its time" });
      assert.equal(placesOf(gate), 1);
      assert.equal(await send(false), false);
      assert.equal(placesOf(gate), 0);
      await until(() => gate.closedForMs(WEBHOOK.id) === 0, { what: "its next time" });
      assert.equal(await send(true), true);
      assert.equal(placesOf(gate), 2);
    } finally {
      mock.timers.reset();
    }
  }
});
