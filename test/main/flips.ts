import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import type { OnOff } from "../../core/state.ts";
import { randomOf } from "../attack/random-of.ts";
import { until } from "../support/wait.ts";
import { type FlipScene, type Reason, type Shown, SIDES, type Side, startFlipScene } from "./flip-scene.ts";

/** What everybody is given to agree. */
const AGREE_MS = 1_000;
/** So often two sides want something at the same time, and so often one wants what is already so. */
const RACES = 0.2;
const REPEATS = 0.1;

/** As a whole test, which says how long it took. */
export async function turnFromAllSides(context: TestContext, { steps, seed }: { steps: number; seed: number }): Promise<void> {
  await using scene = await startFlipScene();
  const before = await trailOf(scene);
  const startedAt = performance.now();
  const course = await flip(scene, steps, randomOf(seed));
  context.diagnostic(`${Math.round(performance.now() - startedAt)} ms, the slowest step ${Math.round(course.slowestMs)} ms`);
  assertExplained(course, before, await trailOf(scene));
  assertToldOnce(scene);
}

interface Step {
  readonly sides: readonly Side[];
  readonly wanted: readonly OnOff[];
}

/** What was done, in its order. */
interface Course {
  /** Of each step with commands: the ids that the device has seen, and the sides that sent them. */
  readonly commands: readonly { readonly ids: readonly string[]; readonly senders: readonly Side[] }[];
  /** Each change of the relay. */
  readonly changes: readonly OnOff[];
  readonly slowestMs: number;
}

/** So many steps, after each of which all sides have to agree in a second. */
async function flip(scene: FlipScene, steps: number, random: () => number): Promise<Course> {
  const { device } = scene;
  const commands: { ids: readonly string[]; senders: readonly Side[] }[] = [];
  const changes: OnOff[] = [];
  const actors = new Map<Side, Reason["actor"]>();
  const first = relayOf(scene);
  let answers = 0;
  device.events.on("acknowledged", () => answers++);
  device.events.on("state", () => {
    if (relayOf(scene) !== (changes.at(-1) ?? first)) changes.push(relayOf(scene));
  });
  let slowestMs = 0;
  for (let at = 0; at < steps; at++) {
    const before = { state: relayOf(scene), executed: device.executed.length };
    const step = stepOf(random, before.state);
    const senders = step.sides.filter((side) => side !== "device");
    try {
      await turnBy(scene, step);
      const startedAt = performance.now();
      await until(() => answers === before.executed + senders.length, { what: "the device's answers", timeoutMs: AGREE_MS });
      const why = await agreed(scene, { isRace: step.sides.length > 1, deadline: startedAt + AGREE_MS });
      slowestMs = Math.max(slowestMs, performance.now() - startedAt);
      const ids = device.executed.slice(before.executed).map(({ commandId }) => commandId);
      if (senders.length > 0) commands.push({ ids, senders });
      if (step.sides.length === 1) {
        assert.equal(relayOf(scene), step.wanted[0]);
        if (senders.length > 0 || relayOf(scene) !== before.state) assertReason(why, { side: step.sides[0] as Side, id: ids[0], actors });
      }
    } catch (cause) {
      throw new Error(`step ${at}: ${step.sides.map((side, index) => `${side} to ${step.wanted[index]}`).join(", ")}`, { cause });
    }
  }
  return { commands, changes, slowestMs };
}

/** Who turns it, and how: mostly one side, and to what it is not. */
function stepOf(random: () => number, state: OnOff): Step {
  const [first, second] = SIDES.map((side) => ({ side, at: random() }))
    .toSorted((a, b) => a.at - b.at)
    .map(({ side }) => side) as [Side, Side];
  const any = (): OnOff => (random() < 0.5 ? "ON" : "OFF");
  const kind = random();
  if (kind < RACES) return { sides: [first, second], wanted: [any(), any()] };
  return { sides: [first], wanted: [kind < RACES + REPEATS ? state : state === "ON" ? "OFF" : "ON"] };
}

async function turnBy({ turn }: FlipScene, { sides, wanted }: Step): Promise<void> {
  await Promise.all(sides.map((side, index) => turn[side](wanted[index] as OnOff)));
}

const relayOf = ({ device }: FlipScene): OnOff => device.state.relays[0]?.state ?? "OFF";

/** Resolves to why it is as it is, once everybody shows what the device is, and says so when asked. */
async function agreed(scene: FlipScene, { isRace, deadline }: { isRace: boolean; deadline: number }): Promise<Reason> {
  const assertAll = (shown: Shown): void => {
    if (Object.values(shown).some((state) => state !== relayOf(scene))) throw new Error(JSON.stringify(shown));
  };
  const within = (what: string) => ({ what, timeoutMs: Math.max(1, deadline - performance.now()) });
  await until(async () => {
    // Of its own write and another's at the same time a phone cannot tell which was first, until somebody looks at it.
    if (isRace) await scene.lookAtPhone();
    assertAll(scene.told());
    return true;
  }, within("all to be told the same"));
  return await until(async () => {
    const { shown, why } = await scene.asked();
    assertAll(shown);
    return why;
  }, within("all to say the same"));
}

interface Turned {
  readonly side: Side;
  readonly id: string | undefined;
  /** Each side has one. */
  readonly actors: Map<Side, Reason["actor"]>;
}

function assertReason({ source, actor, command_id }: Reason, { side, id, actors }: Turned): void {
  const known = actors.get(side) ?? actor;
  actors.set(side, known);
  assert.deepEqual({ source, actor, command_id }, { source: side, actor: known, command_id: id ?? null });
}

interface Entry {
  readonly id: string;
  readonly action: string;
  readonly correlation_id: string;
  readonly actor: { readonly kind: string; readonly id: string };
  readonly details: { readonly command_id?: string; readonly source?: Side };
}
interface Changed {
  readonly id: string;
  readonly correlation_id: string;
  readonly actor: { readonly kind: string; readonly id: string };
  readonly data: { readonly relays: readonly [{ readonly state: OnOff }]; readonly command_id?: string };
}

/** What the hub has written down, oldest first. */
interface Trail {
  readonly commands: readonly Entry[];
  readonly reconciled: readonly Entry[];
  readonly changes: readonly Changed[];
}

async function trailOf({ api, deviceId }: FlipScene): Promise<Trail> {
  const audit = await pagesOf<Entry>(api, `/api/v1/audit?resource_id=${deviceId}&limit=200`);
  const changes = await pagesOf<Changed>(api, `/api/v1/events?type=device.state_changed&entity_id=${deviceId}&limit=200`);
  return {
    commands: audit.filter(({ action }) => action.startsWith("command.")),
    reconciled: audit.filter(({ action }) => action === "state.reconciled"),
    changes,
  };
}

async function pagesOf<T>(api: FlipScene["api"], path: string): Promise<T[]> {
  const all: T[] = [];
  for (let next = ""; ; ) {
    const { status, body } = await api.call<{ data: T[]; next_cursor: string | null }>("GET", path + next);
    assert.equal(status, 200, JSON.stringify(body));
    all.push(...body.data);
    if (body.next_cursor === null) break;
    next = `&cursor=${body.next_cursor}`;
  }
  return all.toReversed();
}

/** Every change is there once, in its order, with the one entry of the audit that says whose it was. */
function assertExplained(course: Course, before: Trail, after: Trail): void {
  const commands = after.commands.slice(before.commands.length);
  const reconciled = after.reconciled.slice(before.reconciled.length);
  const changes = after.changes.slice(before.changes.length);
  assert.deepEqual(
    changes.map(({ data }) => data.relays[0].state),
    course.changes,
  );
  assert.ok(commands.every(({ action }) => action === "command.ok"));
  const byId = new Map(commands.map((entry) => [entry.details.command_id, entry]));
  assert.equal(byId.size, commands.length, "no command is there twice");
  assert.deepEqual(new Set(byId.keys()), new Set(course.commands.flatMap(({ ids }) => ids)), "what the device did is what the audit says");
  for (const { ids, senders } of course.commands) {
    assert.equal(ids.length, senders.length);
    assert.deepEqual(new Set(ids.map((id) => byId.get(id)?.details.source)), new Set(senders));
  }
  const own = new Set(reconciled.map(({ correlation_id }) => correlation_id));
  for (const { correlation_id, data, actor } of changes) {
    const { command_id } = data;
    const entry = byId.get(command_id);
    if (command_id !== undefined) assert.deepEqual([entry?.correlation_id, entry?.actor], [correlation_id, actor]);
    else assert.ok(own.delete(correlation_id), "the device's own change is in the audit");
  }
  assert.equal(own.size, 0, "no change of the device is there twice");
}

/** What Alexa was told unasked is a change each time. */
function assertToldOnce({ gateway, home }: FlipScene): void {
  const powers = gateway.events
    .filter(({ event }) => event.header.name === "ChangeReport")
    .map(({ event }) => (event.payload["change"] as { properties: { value: unknown }[] }).properties.map(({ value }) => value));
  for (const [index, power] of powers.entries()) assert.notDeepEqual(power, powers[index - 1]);
  assert.deepEqual([gateway.complaints, home.faults], [[], []]);
}
