import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { DeviceRef, UpMessage } from "../../core/bus.ts";
import type { Command, CommandRequest } from "../../core/command.ts";
import { newEvent } from "../../core/event.ts";
import { PLATFORM, SYSTEM } from "../../core/principal.ts";
import { findCommand, insertCommand } from "../../store/commands.ts";
import { deleteDevice } from "../../store/devices.ts";
import { readState } from "../../store/state.ts";
import { databases, type TestDatabase } from "../support/databases.ts";
import { until } from "../support/wait.ts";
import { startWiredPath, type WiredPath } from "./wired-path.ts";

const ON: Command = { command: "set_relay", relay: 0, state: "ON" };
const OFF: Command = { command: "set_relay", relay: 0, state: "OFF" };
const TOGGLE: Command = { command: "set_relay", relay: 0, state: "TOGGLE" };
const A_MINUTE_MS = 60_000;

for (const { name, skip, open } of databases()) {
  describe(`the end of a command on ${name}`, { skip }, () => {
    let database: TestDatabase;
    let wired: WiredPath;
    before(async () => {
      database = await open();
      wired = await startWiredPath({ databaseUrl: database.url });
    });
    after(async () => {
      await wired[Symbol.asyncDispose]();
      await database[Symbol.asyncDispose]();
    });

    const ask = (ref: DeviceRef, command: Command, extra: Partial<CommandRequest> = {}): CommandRequest => ({
      device: ref.id,
      scope: PLATFORM,
      command,
      actor: SYSTEM,
      source: "rest",
      timeoutMs: A_MINUTE_MS,
      ...extra,
    });
    const up = (device: DeviceRef, type: UpMessage["type"], payload: object): Promise<void> =>
      wired.broker.ingest.commit({ device, type, payload, receivedAt: Date.now() });

    test("comes by the sweep when its own timer could not bring it", async () => {
      const { ref, device } = await wired.addDevice({ faults: { silent: true } });
      await using _device = device;
      const answer = assert.rejects(wired.path.send(ask(ref, ON, { commandId: `swept-${ref.uid}` })), { code: "command_timeout" });
      await until(() => wired.dispatched.includes(`swept-${ref.uid}`), { what: "the command to be sent" });
      await wired.path.sweep(Date.now() + 2 * A_MINUTE_MS);
      await answer;
    });

    test("comes with its time limit also when its row went with the device", async () => {
      const { ref, device } = await wired.addDevice({ faults: { silent: true } });
      await using _device = device;
      const answer = assert.rejects(wired.path.send(ask(ref, ON, { commandId: `gone-${ref.uid}`, timeoutMs: 300 })), { code: "not_found" });
      await until(() => wired.dispatched.includes(`gone-${ref.uid}`), { what: "the command to be sent" });
      assert.equal(await deleteDevice(wired.store.db, PLATFORM, ref.id), true);
      await answer;
      assert.deepEqual(
        await wired.states.known({ ...ref, capabilities: { relays: 2 } }),
        { relays: [], lights: [] },
        "nothing is expected of it any more",
      );
    });

    test("is told at once when the device is removed", async () => {
      const { ref, device } = await wired.addDevice({ faults: { silent: true } });
      await using _device = device;
      const answer = assert.rejects(wired.path.send(ask(ref, ON, { commandId: `removed-${ref.uid}` })), { code: "not_found" });
      await until(() => wired.dispatched.includes(`removed-${ref.uid}`), { what: "the command to be sent" });
      await deleteDevice(wired.store.db, PLATFORM, ref.id);
      await wired.broker.events.emit([
        newEvent(
          "device.deleted",
          { organizationId: wired.organizationId, entityId: ref.id, actor: SYSTEM, now: Date.now() },
          { uid: ref.uid },
        ),
      ]);
      await answer;
    });

    test("is not_found, and no fault of the hub, for a request that waited while the device was removed", async () => {
      const { ref, device } = await wired.addDevice();
      await using _device = device;
      const removal = deleteDevice(wired.store.db, PLATFORM, ref.id);
      const answers = await Promise.allSettled(Array.from({ length: 6 }, () => wired.path.accept(ask(ref, ON))));
      await removal;
      for (const answer of answers)
        if (answer.status === "rejected") assert.equal((answer.reason as { code?: string }).code, "not_found", String(answer.reason));
      await assert.rejects(wired.path.accept(ask(ref, ON)), { code: "not_found" });
    });

    test("is awaited once when the device turns up twice at once, and no newer command overtakes it", async () => {
      const { ref, device } = await wired.addDevice();
      await using _device = device;
      const queued = wired.record(ref, { id: `queued-${ref.uid}`, command: OFF, status: "queued" });
      await insertCommand(wired.store.db, queued);
      wired.path.deviceReachable(ref);
      wired.path.deviceReachable(ref);
      const { state } = await wired.path.send(ask(ref, ON, { commandId: `newer-${ref.uid}` }));
      assert.equal(state, "ON");
      await until(async () => (await findCommand(wired.store.db, PLATFORM, queued.id))?.status === "ok", { what: "the queued command" });
      assert.deepEqual(
        wired.dispatched.filter((id) => id.endsWith(ref.uid)),
        [`queued-${ref.uid}`, `newer-${ref.uid}`],
      );
      assert.equal(device.state.relays[0]?.state, "ON");
    });

    test("of a queued command counts for a toggle while the device still works on it", async () => {
      const { ref, device } = await wired.addDevice({ faults: { slowMs: 100 } });
      await using _device = device;
      await insertCommand(wired.store.db, wired.record(ref, { status: "queued", command: ON }));
      wired.path.deviceReachable(ref);
      const { state } = await wired.path.send(ask(ref, TOGGLE));
      assert.equal(state, "OFF");
    });

    test("does not come by the sweep while the device takes it from the queue", async () => {
      const { ref, device } = await wired.addDevice();
      await using _device = device;
      const now = Date.now();
      // Wanted for another second by the hub's clock, and no longer by the sweep's.
      const record = wired.record(ref, { status: "queued", deadlineAt: new Date(now + 1_000).toISOString() });
      await insertCommand(wired.store.db, record);
      wired.path.deviceReachable(ref);
      await wired.path.sweep(now + 2_000);
      const ended = await until(
        async () => {
          const found = await findCommand(wired.store.db, PLATFORM, record.id);
          return found?.finishedAt ? found : undefined;
        },
        { what: "the end of the queued command" },
      );
      assert.equal(ended.status, "ok");
    });

    test("and a state report of the same moment build on each other", async () => {
      const { ref, device } = await wired.addDevice();
      await using _device = device;
      await up(ref, "state_report", { relays: [{ index: 0, state: "OFF" }] });
      const first = wired.record(ref);
      await insertCommand(wired.store.db, first);
      await Promise.all([
        up(ref, "ack", { command_id: first.id, status: "ok" }),
        up(ref, "state_report", { relays: [{ index: 1, state: "ON" }] }),
      ]);
      const bothOn = [
        { index: 0, state: "ON" },
        { index: 1, state: "ON" },
      ];
      assert.deepEqual((await wired.states.known({ ...ref, capabilities: { relays: 2 } })).relays, bothOn);
      const second = wired.record(ref, { command: OFF });
      await insertCommand(wired.store.db, second);
      await Promise.all([
        up(ref, "ack", { command_id: second.id, status: "ok" }),
        up(ref, "state_report", { relays: [{ index: 0, state: "ON" }] }),
      ]);
      assert.deepEqual(
        (await wired.states.known({ ...ref, capabilities: { relays: 2 } })).relays,
        bothOn,
        "the report is believed over the acknowledgement",
      );
      assert.deepEqual((await readState(wired.store.db, ref.id)).relays, bothOn);
    });
  });
}

test("a hub that stops tells whoever waits for a device, and takes no more commands", async () => {
  const wired = await startWiredPath();
  const { ref, device } = await wired.addDevice({ faults: { silent: true } });
  await using _device = device;
  const request: CommandRequest = { device: ref.id, scope: PLATFORM, command: ON, actor: SYSTEM, source: "rest", timeoutMs: A_MINUTE_MS };
  const answer = assert.rejects(wired.path.send(request), { code: "unavailable" });
  await until(() => wired.dispatched.length === 1, { what: "the command to be sent" });
  await wired.path[Symbol.asyncDispose]();
  await answer;
  await assert.rejects(wired.path.send(request), { code: "unavailable" });
  await wired[Symbol.asyncDispose]();
});
