import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Cron as Croner } from "croner";
import { isFrequent, parseCron } from "../../core/cron.ts";
import { nextCronRun } from "../../core/cron-runs.ts";
import { zoneOf } from "../../core/zone.ts";
import { type Change, changesIn, type WallClock, wallClock } from "./wall-clock.ts";

const [MINUTE, HOUR] = [60_000, 3_600_000];
const iso = (instant: number): string => new Date(instant).toISOString();

/** With the years of which every change is looked at. */
const ZONES: readonly (readonly [string, number, number])[] = [
  ["Europe/Berlin", 2023, 2025],
  ["Europe/London", 2023, 2025],
  ["Europe/Dublin", 2023, 2025],
  ["America/New_York", 2023, 2025],
  ["America/St_Johns", 2023, 2025],
  ["America/Havana", 2023, 2025],
  ["America/Santiago", 2023, 2025],
  ["America/Sao_Paulo", 2016, 2018],
  ["America/Scoresbysund", 2023, 2025],
  ["Atlantic/Azores", 2023, 2025],
  ["Africa/Cairo", 2023, 2025],
  ["Africa/Casablanca", 2023, 2025],
  ["Asia/Beirut", 2023, 2025],
  ["Asia/Jerusalem", 2023, 2025],
  ["Asia/Tehran", 2020, 2022],
  ["Antarctica/Troll", 2023, 2025],
  ["Australia/Sydney", 2023, 2025],
  ["Australia/Lord_Howe", 2023, 2025],
  ["Pacific/Auckland", 2023, 2025],
  ["Pacific/Apia", 2011, 2013],
];
const FREQUENT = ["*/30 * * * *", "0 * * * *", "20 */2 * * *", "45 1-23/1,0 * * *", "*/40 0-23/3 * * *"];
const FIXED = [
  "30 2 * * *",
  "0 0 * * *",
  "30 0 * * *",
  "*/20 1-3 * * *",
  "15 23,0 * * *",
  "30 1 * * SUN",
  "0 3 L * *",
  "0,30 2 * 3,4,10,11 7L",
];

/**
 * Why croner may have a run that is none of ours, or have none where we have one. croner knows nothing of the two kinds of cron: it runs at
 * every moment that matches, as we do for all hours, so that what is in a gap is left out and what is repeated comes twice.
 */
const REASONS = {
  "end of gap": "ours: fixed hours, a time in the gap runs at its end",
  "second time": "croner's: fixed hours, a time that was shown before",
} as const;
type Reason = keyof typeof REASONS;

interface Scene {
  readonly clock: WallClock;
  readonly change: Change;
  readonly isAllHours: boolean;
  /** Whether the expression has a time of the wall; by croner's fields, without a zone. */
  readonly hasMatch: (wall: number) => boolean;
}

/** What the policy says of one instant, minute by minute and without anything of ours but whether the cron is frequent. */
function isDue(scene: Scene, instant: number): boolean {
  const { clock, change, isAllHours, hasMatch } = scene;
  const wall = clock(instant);
  if (!isAllHours && instant === change.at)
    for (let missing = wall - change.by; missing < wall; missing += MINUTE) if (hasMatch(missing)) return true;
  return hasMatch(wall) && (isAllHours || !isSecondTime(scene, instant));
}

/** Whether the clocks had shown this before they were set back. */
function isSecondTime({ clock, change }: Scene, instant: number): boolean {
  return change.by < 0 && instant >= change.at && clock(instant) < clock(change.at - 1_000) + 1_000;
}

function reasonOf(scene: Scene, instant: number, isOurs: boolean): Reason | undefined {
  const { clock, change, isAllHours, hasMatch } = scene;
  if (isAllHours) return undefined;
  const isMatch = hasMatch(clock(instant));
  if (isOurs) return !isMatch && instant === change.at ? "end of gap" : undefined;
  return isMatch && isSecondTime(scene, instant) ? "second time" : undefined;
}

function runsOf(next: (after: number) => number | undefined, from: number, to: number): Set<number> {
  const runs = new Set<number>();
  for (let run = next(from); run !== undefined && run <= to; run = next(run)) runs.add(run);
  return runs;
}

describe("a cron around a change of clocks", () => {
  const seen = new Map<Reason, number>();
  let compared = 0;
  for (const [timeZone, first, last] of ZONES)
    test(`in ${timeZone} runs when croner says, or has a reason not to, and always when the policy says`, () => {
      const clock = wallClock(timeZone);
      const changes = changesIn(clock, Date.UTC(first, 0, 1), Date.UTC(last + 1, 0, 1));
      assert.ok(changes.length >= 4, `${changes.length} changes`);
      for (const change of changes) compared += compareAll(timeZone, remembering(clock), change, seen);
    });

  test("has been compared enough, and each of the reasons is one", () => {
    assert.ok(compared > 8_000, `${compared} runs`);
    assert.deepEqual([...seen.keys()].toSorted(), Object.keys(REASONS).toSorted());
  });
});

function remembering(clock: WallClock): WallClock {
  const known = new Map<number, number>();
  return (instant) => {
    const wall = known.get(instant) ?? clock(instant);
    known.set(instant, wall);
    return wall;
  };
}

/** How many runs were compared. */
function compareAll(timeZone: string, clock: WallClock, change: Change, seen: Map<Reason, number>): number {
  let compared = 0;
  for (const expression of [...FREQUENT, ...FIXED]) {
    const cron = parseCron(expression, "/");
    const pattern = new Croner(expression, { utcOffset: 0, paused: true });
    const scene = { clock, change, isAllHours: isFrequent(cron), hasMatch: (wall: number) => pattern.match(new Date(wall)) };
    const around = scene.isAllHours ? 3 * HOUR : 27 * HOUR;
    const [from, to] = [change.at - around, change.at + Math.abs(change.by) + around];
    const zone = zoneOf(timeZone);
    const ours = runsOf((after) => nextCronRun(cron, zone, after), from, to);
    const croner = new Croner(expression, { timezone: timeZone, paused: true });
    const theirs = runsOf((after) => croner.nextRun(new Date(after))?.getTime(), from, to);
    compared += ours.size;
    compare(scene, { from, to, ours, theirs }, `${expression} in ${timeZone}`, seen);
  }
  return compared;
}

interface Runs {
  readonly from: number;
  readonly to: number;
  readonly ours: ReadonlySet<number>;
  readonly theirs: ReadonlySet<number>;
}

function compare(scene: Scene, { from, to, ours, theirs }: Runs, about: string, seen: Map<Reason, number>): void {
  const due: number[] = [];
  for (let instant = from + MINUTE; instant <= to; instant += MINUTE) if (isDue(scene, instant)) due.push(instant);
  assert.deepEqual([...ours].map(iso), due.map(iso), about);
  for (const instant of ours.symmetricDifference(theirs)) {
    const isOurs = ours.has(instant);
    const reason = reasonOf(scene, instant, isOurs);
    assert.ok(reason, `${about}: only ${isOurs ? "ours" : "croner's"} runs at ${iso(instant)}, which shows ${iso(scene.clock(instant))}`);
    seen.set(reason, (seen.get(reason) ?? 0) + 1);
  }
}
