import assert from "node:assert/strict";
import { describe, mock, test } from "node:test";
import { messageTo, readMessage, topicOf } from "../../broker/gateway-messages.ts";
import type { Down } from "../../broker/gateway-session.ts";
import { PendingMessages } from "../../broker/pending-messages.ts";
import { HubError } from "../../core/errors.ts";

const said = (text: string): { type: string; payload: string } => topicOf(readMessage(text));

describe("what a device of a gateway says", () => {
  test("is the payload of its topic, without what is the message's alone", () => {
    assert.deepEqual(said('{"type":"telemetry","id":7,"values":{"t":1}}'), { type: "telemetry", payload: '{"values":{"t":1}}' });
    assert.deepEqual(said('{"type":"state_report"}'), { type: "state_report", payload: "{}" });
  });

  test("keeps the type of a task's result, which is part of what was signed", () => {
    assert.deepEqual(said('{"type":"task.result","id":"r","task_id":"t","results":[]}'), {
      type: "task_result",
      payload: '{"type":"task.result","task_id":"t","results":[]}',
    });
  });

  test("passes no token on", () => {
    assert.deepEqual(said('{"type":"register","device_id":"a","device_token":"secret","model":"x"}'), {
      type: "register",
      payload: '{"device_id":"a","model":"x"}',
    });
  });

  test("may have any names of fields, which are fields and nothing more", () => {
    assert.deepEqual(said('{"type":"log","__proto__":{"x":1},"constructor":2}'), {
      type: "log",
      payload: '{"__proto__":{"x":1},"constructor":2}',
    });
  });

  test("is no message when it is nested so deeply that nobody could write it again", () => {
    const text = `{"type":"log","x":${"[".repeat(100_000)}${"]".repeat(100_000)}}`;
    assert.throws(
      () => readMessage(text),
      (error) => error instanceof HubError && error.code === "validation_error",
    );
  });
});

test("what the hub says has the names of the gateway, whatever a field says", () => {
  assert.deepEqual(messageTo("task", { type: "task.exec", task_id: "t" }), { type: "task.exec", task_id: "t" });
  assert.deepEqual(messageTo("registered", { uid: "u" }), { type: "register.ok", uid: "u" });
  assert.deepEqual(messageTo("command", { type: "ok", command_id: "c" }), { type: "command", command_id: "c" });
});

describe("what waits for a device's answer", () => {
  const at = (ms: number): string => new Date(ms).toISOString();
  const command = (packetId: number, until: number): Down => ({
    type: "command",
    payload: { command_id: `c${packetId}`, expires_at: at(until) },
    packetId,
  });
  function waiting(start: number) {
    const time = { now: start };
    const acknowledged: number[] = [];
    const pending = new PendingMessages(
      (packetId) => acknowledged.push(packetId),
      () => time.now,
    );
    return { time, acknowledged, pending };
  }

  test("is offered until it is answered, in its order, and acknowledged then", () => {
    const { pending, acknowledged } = waiting(0);
    for (const packetId of [2, 1, 3]) assert.equal(pending.add(command(packetId, 1_000)), true);
    assert.equal(pending.hasNew, true);
    assert.deepEqual(
      pending.offer().map(({ packetId }) => packetId),
      [2, 1, 3],
    );
    assert.equal(pending.hasNew, false);
    pending.settle("c1");
    pending.settle("no such command");
    assert.deepEqual(acknowledged, [1]);
    assert.deepEqual(
      pending.offer().map(({ packetId }) => packetId),
      [2, 3],
    );
    pending.clear();
    assert.deepEqual(acknowledged, [1]);
  });

  test("is acknowledged and left when its time is up, whether anybody asks or not", () => {
    mock.timers.enable({ apis: ["setTimeout"] });
    const { time, pending, acknowledged } = waiting(5_000);
    assert.equal(pending.add(command(1, 5_000)), false);
    pending.add(command(2, 6_000));
    pending.add(command(3, 9_000));
    time.now = 6_001;
    mock.timers.tick(1_001);
    assert.deepEqual(acknowledged, [1, 2]);
    time.now = 9_000;
    assert.deepEqual(pending.offer(), []);
    assert.deepEqual(acknowledged, [1, 2, 3]);
    pending.clear();
    mock.timers.reset();
  });

  test("needs no answer when it is no command and no task: it was offered once when the device asks again", () => {
    const { pending, acknowledged } = waiting(0);
    pending.add({ type: "config", payload: { reading_interval_s: 5 }, packetId: 1 });
    pending.settleOffered();
    assert.deepEqual(acknowledged, []);
    assert.equal(pending.offer().length, 1);
    pending.settleOffered();
    assert.deepEqual([acknowledged, pending.size], [[1], 0]);
  });
});
