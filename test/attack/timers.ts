import assert from "node:assert/strict";
import type { ApiClient } from "../support/hub.ts";
import { until } from "../support/wait.ts";
import type { Place } from "./kill-place.ts";
import { randomOf } from "./random-of.ts";

/** Of each kind; 1,000 in all. */
const EACH = 250;
const TICK_MS = 10_000;
/** Whoever carries out a run when its hub dies has it for so long. */
const LEASE_MS = 10_000;
/** What it takes to hear that a hub is ready, and to carry out what is due. */
const SLACK_MS = 1_500;
const AT_ONCE = 8;
/** All wait before the first is due. */
const HEAD_START_MS = 8_000;
const TYPE = "custom.attack";

export const KINDS = ["schedule", "automation", "hold", "run"] as const;
export type Kind = (typeof KINDS)[number];

/** ms since 1970 */
interface Outage {
  readonly from: number;
  readonly to: number;
}

interface Attacked {
  readonly kind: Kind;
  /** Of its schedule or automation. */
  readonly id: string;
  readonly dueAt: number;
  /** By when what it waits for was asked for: a hub that is slow to answer begins before its answer. */
  readonly earliestAt: number;
}

export interface Moments {
  readonly kills: number;
  /** Over which the timers are due. */
  readonly spreadMs: number;
  readonly seed: number;
}

/**
 * Has 1,000 timers of all kinds waiting, kills hubs at random moments while they are due, and asserts that each has fired once and had
 * its effect once, at most a tick late, counted from when there was a hub again. Gives the worst lateness of each kind.
 */
export async function surviveTimers(place: Place, { kills, spreadMs, seed }: Moments): Promise<Readonly<Record<Kind, number>>> {
  const random = randomOf(seed);
  const { api } = place;
  const attacked = await lay(api, () => Math.floor(random() * spreadMs));
  const dues = attacked.map(({ dueAt }) => dueAt).toSorted((a, b) => a - b);
  const moments = Array.from({ length: kills }, () => dues[Math.floor(random() * dues.length)] ?? 0).toSorted((a, b) => a - b);
  const outages: Outage[] = [];
  for (const moment of moments) {
    await until(() => Date.now() >= moment, { what: "the moment of the next death", timeoutMs: spreadMs + 120_000 });
    const from = Date.now();
    await place.killOne(Math.floor(random() * 2));
    outages.push({ from, to: Date.now() });
  }
  const left = Math.max(0, (dues.at(-1) ?? 0) - Date.now());
  const effects = async (): Promise<number> => (await eventsOf(api)).filter(({ type }) => type === TYPE).length;
  await until(async () => Date.now() >= (dues.at(-1) ?? 0) && (await effects()) >= attacked.length, {
    what: "the effect of every timer",
    timeoutMs: left + LEASE_MS + 3 * TICK_MS,
  });
  // Where another node lives nobody has to wait for this one.
  return await judge(api, attacked, place.urls.length === 1 ? outages : []);
}

/** Makes them all wait. Those of a time of day have theirs when everything else is there. */
async function lay(api: ApiClient, offset: () => number): Promise<Attacked[]> {
  const { uid, token } = await api.addDevice();
  const startedAt = performance.now();
  const relative = [...many("hold"), ...many("run")].map((kind) => ({ kind, afterMs: HEAD_START_MS + offset() }));
  const laid = await inTurns(relative, async ({ kind, afterMs }) => ({ kind, afterMs, id: await make(api, kind, { afterMs, uid }) }));
  // The other half takes as long, and the runs have to begin.
  const base = Date.now() + 3 * (performance.now() - startedAt) + 3_000;
  const absolute = [...many("schedule"), ...many("automation")].map((kind) => ({ kind, dueAt: Math.ceil(base + offset()) }));
  const timed = await inTurns(absolute, async ({ kind, dueAt }) => ({
    kind,
    dueAt,
    earliestAt: dueAt,
    id: await make(api, kind, { dueAt }),
  }));
  const begun = await inTurns(laid, async ({ kind, afterMs, id }) => {
    const earliestAt = Date.now() + afterMs;
    if (kind === "run") await call(api, 202, "POST", `/api/v1/automations/${id}/run`);
    return { kind, id, dueAt: Date.now() + afterMs, earliestAt };
  });
  const device = { "x-device-uid": uid, "x-device-token": token };
  const askedAt = Date.now();
  const report = await api.call("POST", "/api/v1/devices/sensor-report", { values: { level: 1 } }, device);
  assert.equal(report.status, 202, JSON.stringify(report.body));
  const reportedAt = Date.now();
  assert.ok(reportedAt < base, "everything waits before the first time comes");
  const held = new Map(
    laid
      .filter(({ kind }) => kind === "hold")
      .map(({ id, afterMs }) => [id, { dueAt: reportedAt + afterMs, earliestAt: askedAt + afterMs }]),
  );
  return [...timed, ...begun.map((one) => ({ ...one, ...held.get(one.id) }))];
}

const many = <K extends Kind>(kind: K): K[] => Array.from({ length: EACH }, () => kind);

async function make(
  api: ApiClient,
  kind: Kind,
  { dueAt = 0, afterMs = 0, uid = "" }: { readonly dueAt?: number; readonly afterMs?: number; readonly uid?: string },
): Promise<string> {
  const recurrence = { kind: "once", at: new Date(dueAt).toISOString() };
  const effect = { kind: "event", type: TYPE };
  const bodies = {
    schedule: { recurrence, actions: [effect] },
    automation: { triggers: [{ kind: "schedule", recurrence }], actions: [effect] },
    hold: { triggers: [{ kind: "telemetry", device: uid, key: "level", above: 0.5, for_s: afterMs / 1_000 }], actions: [effect] },
    run: { triggers: [{ kind: "event", type: "custom.never" }], actions: [{ kind: "delay", for_s: afterMs / 1_000 }, effect] },
  };
  const what = kind === "schedule" ? "schedule" : "automation";
  const made = await call<Record<string, { id: string }>>(api, 201, "POST", `/api/v1/${what}s`, { name: kind, ...bodies[kind] });
  return made[what]?.id ?? assert.fail("it has no id");
}

async function judge(api: ApiClient, attacked: readonly Attacked[], outages: readonly Outage[]): Promise<Record<Kind, number>> {
  const events = await eventsOf(api);
  const effects = events.filter(({ type }) => type === TYPE);
  const fired = events.filter(({ type }) => type === "schedule.fired" || type === "automation.fired");
  const effectsOf = Map.groupBy(effects, (event) => event.entity_id);
  const firedOf = Map.groupBy(fired, (event) => event.entity_id);
  const worst: Record<Kind, number> = { schedule: 0, automation: 0, hold: 0, run: 0 };
  for (const { kind, id, dueAt, earliestAt } of attacked) {
    const times = { effects: effectsOf.get(id)?.length ?? 0, fired: firedOf.get(id)?.length ?? 0 };
    assert.deepEqual(times, { effects: 1, fired: 1 }, `${kind} ${id}`);
    // A run was begun by hand, and its delay is what it waited for.
    const [event] = (kind === "run" ? effectsOf : firedOf).get(id) ?? [];
    const at = Date.parse(event?.timestamp ?? "");
    assert.ok(at >= earliestAt - (kind === "schedule" || kind === "automation" ? 0 : SLACK_MS), `${kind} ${id} came early`);
    worst[kind] = Math.max(worst[kind], at - readyFor(dueAt, at, outages));
  }
  for (const kind of KINDS) {
    const limit = TICK_MS + SLACK_MS + (kind === "run" ? LEASE_MS : 0);
    assert.ok(worst[kind] <= limit, `${kind}: ${worst[kind]} ms late`);
  }
  return worst;
}

/** From when on somebody could have fired what was due then and fired at `at`. */
function readyFor(dueAt: number, at: number, outages: readonly Outage[]): number {
  let ready = dueAt;
  for (const { from, to } of outages) if (from <= at && to > ready) ready = to;
  return Math.min(ready, at);
}

interface ListedEvent {
  readonly type: string;
  readonly entity_id: string;
  readonly timestamp: string;
}

/** All that there are. */
async function eventsOf(api: ApiClient): Promise<ListedEvent[]> {
  const all: ListedEvent[] = [];
  let cursor = "";
  do {
    const page = await call<{ data: ListedEvent[]; next_cursor: string | null }>(api, 200, "GET", `/api/v1/events?limit=200${cursor}`);
    all.push(...page.data);
    cursor = page.next_cursor === null ? "" : `&cursor=${page.next_cursor}`;
  } while (cursor !== "");
  return all;
}

async function call<T>(api: ApiClient, status: number, method: string, path: string, body?: unknown): Promise<T> {
  const answer = await api.call<T>(method, path, body);
  assert.equal(answer.status, status, `${method} ${path}: ${JSON.stringify(answer.body)}`);
  return answer.body;
}

/** A few at a time, in any order. */
async function inTurns<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const waiting = [...items];
  const done: R[] = [];
  const worker = async (): Promise<void> => {
    for (let item = waiting.pop(); item !== undefined; item = waiting.pop()) done.push(await work(item));
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return done;
}
