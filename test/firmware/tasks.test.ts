import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { UP_PAYLOADS } from "../../core/payloads.ts";
import { signEnvelope, type TaskAction, type TaskEnvelope, verifyEnvelope } from "../../core/task-envelope.ts";
import { parserFor } from "../../core/validate.ts";
import type { VirtualDevice } from "../../firmware/virtual/device.ts";
import type { Faults } from "../../firmware/virtual/execution.ts";
import { mosquittoMissing, type Service, startMosquitto } from "../support/services.ts";
import { until } from "../support/wait.ts";
import { type HubSide, startDevice, startHubSide } from "./hub-side.ts";

const KEY = Buffer.alloc(32, 5);
const NEXT_KEY = Buffer.alloc(32, 6);
const parseResult = parserFor(UP_PAYLOADS.task_result);
const ON: TaskAction = { action_id: "a1", command: "set_relay", relay: 0, state: "ON" };
const TOGGLE: TaskAction = { action_id: "a2", command: "set_relay", relay: 1, state: "TOGGLE" };
const LIGHT: TaskAction = { action_id: "a3", command: "set_light", light: 0, brightness: 40 };
const THREE = [ON, TOGGLE, LIGHT];

function signed(more: Partial<TaskEnvelope> = {}, key = KEY): TaskEnvelope {
  const now = Date.now();
  const times = { issued_at: new Date(now).toISOString(), expires_at: new Date(now + 60_000).toISOString() };
  return signEnvelope({ type: "task.exec", task_id: "t1", attempt: 1, ...times, actions: THREE, key_id: "1", ...more }, key);
}

describe("a virtual device with tasks", { skip: mosquittoMissing() }, () => {
  let broker: Service;
  let hub: HubSide;
  before(async () => {
    broker = await startMosquitto(["set_tcp_nodelay true"]);
    hub = await startHubSide(broker.url);
  });
  after(async () => {
    await hub?.[Symbol.asyncDispose]();
    await broker?.[Symbol.asyncDispose]();
  });

  const start = (faults: Faults = {}, more: Partial<Parameters<typeof startDevice>[1]> = {}) =>
    startDevice(broker.url, {
      capabilities: { relays: 4, lights: 1, ir: true, tasks: true },
      taskKey: { id: "1", key: KEY.toString("base64url") },
      faults,
      ...more,
    });
  const send = async (device: VirtualDevice, envelope: object): Promise<void> => hub.down(device.uid, "task", envelope);
  const reports = (device: VirtualDevice) => hub.up(device.uid, "state_report");
  /** Past everything that the device has said before. */
  async function settled(device: VirtualDevice): Promise<void> {
    const acks = hub.up(device.uid, "ack").length;
    await hub.command(device.uid, { command_id: `settled-${acks}`, command: "identify" });
    await hub.untilAcks(device.uid, acks + 1);
  }
  const actionsOf = (device: VirtualDevice): string[] =>
    device.executed.filter(({ taskId }) => taskId !== undefined).map(({ taskId, commandId }) => `${taskId} ${commandId}`);

  test("does the actions in their order, signs what became of them and reports the outputs afterwards", async () => {
    await using device = await start();
    const answered = device.next("answered");
    await send(device, signed());
    const [result] = await hub.untilResults(device.uid, 1);
    assert.ok(result);
    verifyEnvelope(parseResult(result), KEY, { now: Date.now() });
    assert.deepEqual([result.type, result.task_id, result.attempt, result.key_id], ["task.result", "t1", 1, "1"]);
    assert.deepEqual(result.results, [
      { action_id: "a1", status: "ok", state: "ON" },
      { action_id: "a2", status: "ok", state: "ON" },
      { action_id: "a3", status: "ok", state: { relays: [], lights: [{ index: 0, state: "ON", brightness: 40 }] } },
    ]);
    assert.deepEqual(await answered, result);
    await until(() => reports(device).length === 2, { what: "the report after the task" });
    assert.deepEqual(reports(device)[1], {
      relays: [
        { index: 0, state: "ON" },
        { index: 1, state: "ON" },
      ],
      lights: [{ index: 0, state: "ON", brightness: 40 }],
    });
    const said = hub.heard.filter(({ topic }) => topic.startsWith(`hexa/${device.uid}/up/`)).map(({ topic }) => topic.split("/")[3]);
    assert.deepEqual(said, ["register", "state_report", "task_result", "state_report"]);
    assert.deepEqual(actionsOf(device), ["t1 a1", "t1 a2", "t1 a3"]);
    assert.equal(device.taskRuns("t1"), 1);
  });

  test("stops at the first action that fails, and says so", async () => {
    await using device = await start();
    const wrong: TaskAction = { action_id: "w", command: "set_relay", relay: 9, state: "ON" };
    await send(device, signed({ actions: [ON, wrong, TOGGLE] }));
    const [result] = await hub.untilResults(device.uid, 1);
    assert.deepEqual(
      result?.results.map(({ action_id, status }) => [action_id, status]),
      [
        ["a1", "ok"],
        ["w", "error"],
        ["a2", "skipped"],
      ],
    );
    assert.match(result?.results[1]?.error ?? "", /unsupported_command/);
    assert.deepEqual(actionsOf(device), ["t1 a1"]);
  });

  test("fails an action of a hub that is newer, and not the whole task", async () => {
    await using device = await start();
    await send(device, signed({ actions: [ON, { action_id: "n", command: "sing" } as unknown as TaskAction] }));
    const [result] = await hub.untilResults(device.uid, 1);
    assert.deepEqual(
      result?.results.map(({ status }) => status),
      ["ok", "error"],
    );
  });

  test("answers a repetition from memory, signed anew, and does nothing again; another attempt is done", async () => {
    const time = { ahead: 0 };
    await using device = await start({}, { now: () => Date.now() + time.ahead });
    const envelope = signed();
    await send(device, envelope);
    const [first] = await hub.untilResults(device.uid, 1);
    // By then it is older than anything new may be.
    time.ahead = 600_000;
    await send(device, envelope);
    await send(device, signed({ expires_at: new Date(Date.now() + 900_000).toISOString() }));
    const results = await hub.untilResults(device.uid, 3);
    for (const result of results.slice(1)) {
      assert.deepEqual(result.results, first?.results);
      verifyEnvelope(result, KEY, { now: Date.now() + time.ahead });
    }
    assert.equal(device.taskRuns("t1"), 1);
    time.ahead = 0;
    await send(device, signed({ attempt: 2 }));
    const again = (await hub.untilResults(device.uid, 4))[3];
    assert.deepEqual([again?.attempt, again?.results[1]?.state], [2, "OFF"]);
    assert.equal(device.taskRuns("t1"), 2);
    assert.equal(device.refusedTasks, 0);
  });

  test("remembers its tasks over a power cycle", async () => {
    await using device = await start();
    const envelope = signed({ actions: [TOGGLE] });
    await send(device, envelope);
    await hub.untilResults(device.uid, 1);
    await device.kill();
    await send(device, envelope);
    await device.reconnect();
    await hub.untilResults(device.uid, 2);
    assert.deepEqual(actionsOf(device), ["t1 a2"]);
  });

  test("remembers the last 100 attempts, and forgets older ones", async () => {
    await using device = await start();
    const attempts = Array.from({ length: 101 }, (_, index) => signed({ attempt: index + 1, actions: [ON] }));
    for (const envelope of attempts) await send(device, envelope);
    await hub.untilResults(device.uid, 101);
    await send(device, attempts[1] as TaskEnvelope);
    await hub.untilResults(device.uid, 102);
    assert.equal(device.taskRuns("t1"), 101);
    await send(device, attempts[0] as TaskEnvelope);
    await hub.untilResults(device.uid, 103);
    assert.equal(device.taskRuns("t1"), 102);
  });

  const past = { issued_at: new Date(Date.now() - 600_000).toISOString() };
  for (const [what, envelope, code] of [
    ["of another key", () => signed({}, NEXT_KEY), "task_signature_invalid"],
    ["of a generation that it has not", () => signed({ key_id: "2" }), "task_signature_invalid"],
    ["whose actions were changed", () => ({ ...signed(), actions: [ON] }), "task_signature_invalid"],
    ["whose attempt was changed", () => ({ ...signed(), attempt: 2 }), "task_signature_invalid"],
    ["that has grown a member", () => ({ ...signed(), more: 1 }), "task_signature_invalid"],
    ["without a signature", () => ({ ...signed(), signature: undefined }), "validation_error"],
    ["that is old", () => signed(past), "task_envelope_stale"],
    ["that has expired", () => signed({ expires_at: new Date(Date.now() - 1).toISOString() }), "task_envelope_stale"],
    ["without actions", () => signed({ actions: [] }), "validation_error"],
  ] as const)
    test(`refuses a task ${what}, counts it and says nothing of it`, async () => {
      await using device = await start();
      const refused = device.next("refused");
      await send(device, envelope());
      assert.deepEqual([(await refused).code, (await refused).topic], [code, `hexa/${device.uid}/down/task`]);
      await settled(device);
      assert.deepEqual(hub.up(device.uid, "task_result"), []);
      assert.deepEqual([device.refusedTasks, actionsOf(device), device.taskRuns("t1")], [1, [], 0]);
      assert.equal(device.state.relays[0]?.state, "OFF");
      await send(device, signed());
      assert.equal((await hub.untilResults(device.uid, 1))[0]?.results.length, 3);
    });

  test("refuses another task under the name of one that it has done, also when it is signed", async () => {
    await using device = await start();
    await send(device, signed({ actions: [ON] }));
    await hub.untilResults(device.uid, 1);
    const refused = device.next("refused");
    await send(device, signed({ actions: [TOGGLE] }));
    assert.equal((await refused).code, "task_signature_invalid");
    await settled(device);
    assert.deepEqual(actionsOf(device), ["t1 a1"]);
    assert.equal(hub.up(device.uid, "task_result").length, 1);
  });

  test("takes the key that it is given instead", async () => {
    await using device = await start();
    device.taskKey = { id: "2", key: NEXT_KEY.toString("base64url") };
    const refused = device.next("refused");
    await send(device, signed());
    await refused;
    await send(device, signed({ key_id: "2" }, NEXT_KEY));
    const [result] = await hub.untilResults(device.uid, 1);
    assert.equal(result?.key_id, "2");
    verifyEnvelope(parseResult(result), NEXT_KEY, { now: Date.now() });
  });

  for (const [what, more] of [
    ["without a key refuses every task", { taskKey: undefined }],
    ["that does not say so takes no tasks", { capabilities: { relays: 4 } }],
  ] as const)
    test(`a device ${what}`, async () => {
      await using device = await start({}, more);
      const heard = device.next(more.capabilities ? "down" : "refused");
      await send(device, signed());
      await heard;
      assert.deepEqual(actionsOf(device), []);
    });

  test("restarts after its answer when an action says so", async () => {
    await using device = await start();
    await send(device, signed({ actions: [{ action_id: "r", command: "restart" }, ON] }));
    const [result] = await hub.untilResults(device.uid, 1);
    assert.deepEqual(
      result?.results.map(({ status }) => status),
      ["ok", "ok"],
    );
    await until(() => hub.availability(device.uid).length === 3, { what: "offline and online" });
    assert.equal(device.state.relays[0]?.state, "ON");
  });

  describe("that is at fault", () => {
    test("fails the action that it should", async () => {
      await using device = await start({ tasks: { failAt: 1 } });
      await send(device, signed());
      const [result] = await hub.untilResults(device.uid, 1);
      assert.deepEqual(
        result?.results.map(({ status }) => status),
        ["ok", "error", "skipped"],
      );
      await until(() => reports(device).length === 2, { what: "the report of what was done" });
      assert.deepEqual(reports(device)[1], { relays: [{ index: 0, state: "ON" }] });
    });

    test("does everything and says nothing when it is silent", async () => {
      await using device = await start({ silent: true });
      const task = device.next("task");
      await send(device, signed());
      await task;
      device.faults = {};
      assert.equal(device.taskRuns("t1"), 1);
      // It is known by then: the hub's second try gets the answer and no second effect.
      await send(device, signed());
      await hub.untilResults(device.uid, 1);
      assert.equal(device.taskRuns("t1"), 1);
    });

    test("answers later when it is slow, and a repetition meanwhile has neither effect nor answer", async () => {
      await using device = await start({ slowMs: 200 });
      const startedAt = performance.now();
      await send(device, signed());
      await send(device, signed());
      await hub.untilResults(device.uid, 1);
      assert.ok(performance.now() - startedAt >= 190);
      await settled(device);
      assert.deepEqual([device.taskRuns("t1"), hub.up(device.uid, "task_result").length], [1, 1]);
    });

    test("signs with a wrong key", async () => {
      await using device = await start({ tasks: { wrongSignature: true } }, { taskKey: { id: "1", key: ODD_KEY.toString("base64url") } });
      await send(device, signed({}, ODD_KEY));
      const [result] = await hub.untilResults(device.uid, 1);
      assert.throws(() => verifyEnvelope(parseResult(result), ODD_KEY, { now: Date.now() }), { code: "task_signature_invalid" });
    });

    test("says everything twice", async () => {
      await using device = await start({ tasks: { doubleResult: true } });
      await send(device, signed());
      const [first, second] = await hub.untilResults(device.uid, 2);
      assert.deepEqual(first, second);
      assert.equal(device.taskRuns("t1"), 1);
    });

    test("answers for a task that is not its own", async () => {
      await using device = await start({ tasks: { resultFor: "foreign" } });
      await send(device, signed());
      const [result] = await hub.untilResults(device.uid, 1);
      assert.equal(result?.task_id, "foreign");
      verifyEnvelope(parseResult(result), KEY, { now: Date.now() });
    });
  });
});

/** Not the same backwards. */
const ODD_KEY = Buffer.from(Array.from({ length: 32 }, (_, byte) => byte));
