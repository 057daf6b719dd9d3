import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Command } from "../../core/command.ts";
import type { VirtualDevice } from "../../firmware/virtual/device.ts";
import { databases } from "../support/databases.ts";
import { until } from "../support/wait.ts";
import { DOORS } from "./approval-doors.ts";
import { type DoorScene, must, startDoorScene, type Target, TARGETS } from "./door-scene.ts";

interface Danger {
  readonly name: string;
  readonly sensitivity: "normal" | "high" | "critical";
  readonly command: Command;
}

const DANGERS: readonly Danger[] = [
  { name: "a critical device", sensitivity: "critical", command: { command: "set_relay", relay: 0, state: "ON" } },
  { name: "a relay of which a rule says it", sensitivity: "normal", command: { command: "set_relay", relay: 1, state: "ON" } },
  { name: "all relays of a sensitive device by night", sensitivity: "high", command: { command: "set_all_relays", state: "ON" } },
];
const HOUR_MS = 3_600_000;
const clockAt = (time: number): string => new Date(time).toISOString().slice(11, 16);
const POLICY = {
  rules: [{ name: "The gate", match: { relays: [1] }, require_approval: true }],
  weights: { night: { from: clockAt(Date.now() - HOUR_MS), to: clockAt(Date.now() + 2 * HOUR_MS), points: 10 } },
};

/** One task for each attempt, in their order. */
interface Attempts {
  readonly target: Target;
  readonly device: VirtualDevice;
  readonly tasks: readonly string[];
}

async function knockAtAll(scene: DoorScene, target: Target, { command, name }: Danger): Promise<Attempts> {
  const { uid } = target;
  const device = await target.connect();
  const tasks: string[] = [];
  const { operator, admin } = scene.people;
  for (const door of DOORS)
    for (const who of [operator, admin, scene.service]) {
      const wish = { who, uid, command };
      if (!door.isFor(wish)) continue;
      const about = `${door.name}, ${who.name}, ${name}, ${uid}`;
      const said = await door.knock(scene, wish).catch((cause: unknown) => {
        throw new Error(about, { cause });
      });
      const waiting = await until(
        async () => {
          const all = await scene.tasks(uid);
          return all.length > tasks.length && all;
        },
        { what: about, timeoutMs: 20_000 },
      );
      assert.equal(waiting.length, tasks.length + 1, about);
      const [made] = waiting.filter(({ id }) => !tasks.includes(id));
      if (said !== undefined) assert.equal(made?.id, said, about);
      assert.ok(made?.risk?.is_high === true && made.risk.reasons.length > 0, about);
      assert.equal(await scene.awaited(made.id), 1, about);
      assert.equal(device.executed.length, 0, about);
      tasks.push(made.id);
    }
  return { target, device, tasks };
}

/** Approves one half and rejects the other: the device does the one once each, and nothing of the other. */
async function decideAll(scene: DoorScene, { target, device, tasks }: Attempts, { command }: Danger, isOdd: boolean): Promise<void> {
  const approved = new Set(tasks.filter((_, index) => (index % 2 === 1) === isOdd));
  for (const id of tasks) assert.equal(await scene.decide(id, approved.has(id) ? "approve" : "reject"), 200);
  for (const id of tasks)
    assert.equal((await scene.until(id, "completed", "rejected")).status, approved.has(id) ? "completed" : "rejected");
  for (const id of tasks) assert.equal(await scene.decide(id, "approve"), 409, "it is decided");
  // Whatever else were on its way would come before it.
  await must(scene.people.operator.api, 200, ["POST", `devices/${target.uid}/commands`, { command: "identify", command_id: target.uid }]);
  await until(() => device.executed.some(({ commandId }) => commandId === target.uid), { what: "the last command" });
  const done = device.executed.filter((one) => one.command.command === command.command);
  assert.equal(done.length, approved.size, target.uid);
  assert.equal(new Set(done.map(({ commandId }) => commandId)).size, approved.size);
}

for (const { name, skip, open } of databases()) {
  describe(`${name}: what needs approval`, { skip }, () => {
    test("reaches a device by no door before it is approved, and once after", { timeout: 300_000 }, async (context) => {
      await using database = await open();
      await using scene = await startDoorScene(database.url);
      await scene.setPolicy(POLICY);
      let attempts = 0;
      let bypasses = 0;
      const one = async (danger: Danger, index: number): Promise<void> => {
        const target = await scene.add(TARGETS[index] ?? assert.fail(), danger.sensitivity);
        const made = await knockAtAll(scene, target, danger);
        attempts += made.tasks.length;
        bypasses += made.device.executed.length;
        await decideAll(scene, made, danger, index % 2 === 1);
      };
      await Promise.all(DANGERS.flatMap((danger) => TARGETS.map((_, index) => one(danger, index))));
      context.diagnostic(`${attempts} attempts, ${bypasses} bypasses`);
      assert.equal(bypasses, 0);
      assert.ok(attempts >= 300, `${attempts}`);
    });
  });
}
