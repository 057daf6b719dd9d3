import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { createFlow } from "./flow.ts";

describe("the flow of a group", () => {
  test("has room as long as the slowest subscriber has less than a window to get", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 4 }),
        fc.array(fc.tuple(fc.nat(3), fc.integer({ min: 1, max: 15 })), { maxLength: 200 }),
        (subscribers, arrivals) => {
          const flow = createFlow({ subscribers, batchMessages: 5, windowMessages: 20 });
          const received = Array.from({ length: subscribers }, () => 0);
          let sent = 0;
          for (const [who, wanted] of arrivals) {
            for (; flow.hasRoom(); sent += 5) flow.addBatch();
            const slowest = Math.min(...received);
            assert.ok(sent - slowest <= 20, `${sent - slowest} under way`);
            assert.ok(sent - slowest > 15, "room was left");
            const index = who % subscribers;
            const count = Math.min(wanted, sent - (received[index] ?? 0));
            received[index] = (received[index] ?? 0) + count;
            flow.arrive(index, count);
          }
          assert.equal(flow.sentMessages, sent);
          assert.equal(
            flow.deliveredMessages,
            received.reduce((sum, count) => sum + count, 0),
          );
          assert.equal(flow.lostMessages, 0);
        },
      ),
      { numRuns: 300 },
    );
  });

  test("goes on after a loss, and takes back what comes late", () => {
    const flow = createFlow({ subscribers: 2, batchMessages: 10, windowMessages: 20 });
    for (; flow.hasRoom(); ) flow.addBatch();
    flow.arrive(0, 20);
    flow.arrive(1, 3);
    assert.equal(flow.hasRoom(), false);
    flow.writeOff();
    assert.equal(flow.hasRoom(), true);
    assert.equal(flow.lostMessages, 17);
    flow.arrive(1, 17);
    assert.equal(flow.lostMessages, 0);
    assert.equal(flow.deliveredMessages, 40);
    for (; flow.hasRoom(); ) flow.addBatch();
    assert.equal(flow.sentMessages, 40);
  });
});
