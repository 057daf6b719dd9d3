import assert from "node:assert/strict";
import type { CommandRecord } from "../../core/command.ts";
import { newId } from "../../core/id.ts";
import { PLATFORM } from "../../core/principal.ts";
import {
  finishCommand,
  findCommand,
  insertCommand,
  listCommands,
  listOpenCommands,
  markSent,
  noteLateAck,
  overdueCommands,
} from "../../store/commands.ts";
import { deleteDevice } from "../../store/devices.ts";
import { forEachEngine } from "./engines.ts";
import { device, tenant, type Tenant } from "./fixtures.ts";

const NOW = Date.parse("2026-11-21T05:22:10.123Z");
const iso = (ms: number): string => new Date(ms).toISOString();

function command(owner: Tenant, deviceId: string, wanted: Partial<CommandRecord> = {}): CommandRecord {
  return {
    id: newId(),
    deviceId,
    organizationId: owner.organization.id,
    taskId: null,
    command: { command: "set_relay", relay: 0, state: "ON" },
    status: "sent",
    actor: { kind: "user", id: owner.user.id },
    source: "rest",
    correlationId: newId(),
    causationId: null,
    ruleVersion: null,
    error: null,
    latencyMs: null,
    createdAt: iso(NOW),
    deadlineAt: iso(NOW + 5_000),
    finishedAt: null,
    ...wanted,
  };
}

forEachEngine(({ test }) => {
  test("an id is used once in the whole hub, also when two insert it at once", async (db) => {
    const [a, b] = [await tenant(db, "a"), await tenant(db, "b")];
    const [one, two] = [command(a, (await device(db, a)).id, { id: "same" }), command(b, (await device(db, b)).id, { id: "same" })];
    const answers = await Promise.all([one, two, one, two].map((record) => insertCommand(db, record)));
    const winner = await findCommand(db, PLATFORM, "same");
    assert.ok(winner);
    assert.equal(answers.filter((answer) => answer.inserted).length, 1);
    for (const answer of answers) if (!answer.inserted) assert.deepEqual(answer.existing, winner);
    assert.deepEqual(winner, winner.deviceId === one.deviceId ? one : two);
  });

  test("a final status never changes, and of two ends one counts", async (db) => {
    const a = await tenant(db, "a");
    const record = command(a, (await device(db, a)).id);
    await insertCommand(db, record);
    const ends = await Promise.all([
      finishCommand(db, record.id, { status: "ok", latencyMs: 42, now: NOW + 42 }),
      finishCommand(db, record.id, { status: "timeout", now: NOW + 42, error: "late" }),
    ]);
    const [ended, ...others] = ends.filter((one) => one !== undefined);
    assert.deepEqual(others, []);
    assert.deepEqual(await findCommand(db, a.scope, record.id), ended);
    assert.equal(ended?.finishedAt, iso(NOW + 42));
    assert.equal(await finishCommand(db, record.id, { status: "expired", now: NOW + 99 }), undefined);
    assert.equal(await finishCommand(db, "unknown", { status: "ok", now: NOW }), undefined);
    assert.equal(await markSent(db, record.id, iso(NOW + 9), NOW), false);
    await noteLateAck(db, record.id, NOW + 50);
    await noteLateAck(db, record.id, NOW + 60);
    assert.deepEqual(await findCommand(db, a.scope, record.id), ended);
    assert.equal((await db("commands").first("late_ack_at"))?.late_ack_at, iso(NOW + 50));
  });

  test("another organisation sees no command", async (db) => {
    const [a, b] = [await tenant(db, "a"), await tenant(db, "b")];
    const record = command(a, (await device(db, a)).id);
    await insertCommand(db, record);
    assert.equal(await findCommand(db, b.scope, record.id), undefined);
    assert.deepEqual((await listCommands(db, b.scope, { limit: 10 })).items, []);
    assert.deepEqual((await listCommands(db, b.scope, { limit: 10, deviceId: record.deviceId })).items, []);
    assert.deepEqual(await findCommand(db, a.scope, record.id), record);
  });

  test("open commands are listed oldest first, by device, by queue and by deadline", async (db) => {
    const a = await tenant(db, "a");
    const [one, two] = [(await device(db, a)).id, (await device(db, a)).id];
    const make = async (id: string, deviceId: string, age: number, status: CommandRecord["status"], left: number) =>
      void (await insertCommand(db, command(a, deviceId, { id, status, createdAt: iso(NOW - age), deadlineAt: iso(NOW + left) })));
    await make("young", one, 10, "queued", 1);
    await make("old", one, 30, "sent", -1);
    await make("other", two, 20, "queued", -5);
    await make("done", one, 40, "ok", -9);
    const ids = (records: CommandRecord[]): string[] => records.map((record) => record.id);
    assert.deepEqual(ids(await listOpenCommands(db)), ["old", "other", "young"]);
    assert.deepEqual(ids(await listOpenCommands(db, one)), ["old", "young"]);
    assert.deepEqual(ids(await overdueCommands(db, NOW, 10)), ["other", "old"]);
    assert.deepEqual(ids(await overdueCommands(db, NOW, 1)), ["other"]);
    assert.equal(await markSent(db, "young", iso(NOW + 77), NOW), true);
    assert.deepEqual(await findCommand(db, PLATFORM, "young").then((record) => [record?.status, record?.deadlineAt]), [
      "sent",
      iso(NOW + 77),
    ]);
    assert.equal(await deleteDevice(db, PLATFORM, two), true);
    assert.deepEqual(ids(await listOpenCommands(db)), ["old", "young"]);
  });

  test("the history goes back page by page, also through commands of one moment", async (db) => {
    const a = await tenant(db, "a");
    const { id } = await device(db, a);
    for (const name of ["e", "b", "d", "a", "c"])
      await insertCommand(db, command(a, id, { id: name, createdAt: iso(name < "c" ? NOW : NOW + 1) }));
    const seen: string[] = [];
    let after: string | undefined;
    do {
      const page = await listCommands(db, a.scope, { deviceId: id, limit: 2, after });
      seen.push(...page.items.map((record) => record.id));
      after = page.next ?? undefined;
    } while (after !== undefined);
    assert.deepEqual(seen, ["e", "d", "c", "b", "a"]);
  });
});
