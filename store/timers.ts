import { newId } from "../core/id.ts";
import type { NewTimer, Timer, TimerKind } from "../core/timer.ts";
import type { Db } from "./open.ts";
import { engineOf, fromJson, idsParameter, isoOf, rowsOf, rowSource, toJson } from "./sql.ts";
import { write } from "./transaction.ts";

const COLUMNS = {
  id: "text",
  kind: "text",
  timer_key: "text",
  organization_id: "text",
  due_at: "time",
  is_relative: "bool",
  payload: "json",
} as const;
const NAMES = Object.keys(COLUMNS).join(", ");

/** Later years are written with a sign, which PostgreSQL does not read and text does not sort: all other timers would wait behind it. */
const LATEST_MS = Date.UTC(9999, 11, 31);

/** One of the same kind and key takes the other's place. */
export async function putTimers(trx: Db, timers: readonly NewTimer[]): Promise<void> {
  if (timers.length === 0) return;
  // Of one key twice in a statement PostgreSQL would refuse the second; in the order of their keys two writers do not wait for each other in a ring.
  const wanted = [...new Map(timers.map((timer) => [`${timer.kind} ${timer.key}`, timer])).entries()].toSorted(([a], [b]) =>
    a < b ? -1 : 1,
  );
  const rows = wanted.map(([, timer]) => ({
    id: newId(),
    kind: timer.kind,
    timer_key: timer.key,
    organization_id: timer.organizationId,
    due_at: isoOf(Math.min(timer.dueAt, LATEST_MS)),
    is_relative: timer.isRelative,
    payload: timer.payload,
  }));
  await write(
    trx,
    `insert into timers (${NAMES}) select ${NAMES} from ${rowSource(trx, COLUMNS)} where true
     on conflict (kind, timer_key) do update set id = excluded.id, organization_id = excluded.organization_id, due_at = excluded.due_at,
       is_relative = excluded.is_relative, payload = excluded.payload, attempts = 0`,
    [toJson(rows)],
  );
}

export async function dropTimers(trx: Db, kind: TimerKind, keys: readonly string[]): Promise<void> {
  if (keys.length > 0) await write(trx, `delete from timers where kind = ? and timer_key in ${idsParameter(trx)}`, [kind, toJson(keys)]);
}

/** Those of the kind whose keys begin with the id and a blank. */
export async function dropTimersOf(trx: Db, kind: TimerKind, id: string): Promise<void> {
  // Keys are in the order of their bytes, where ! comes next.
  await rowsOf(trx, "delete from timers where kind = ? and timer_key >= ? and timer_key < ?", [kind, `${id} `, `${id}!`]);
}

export interface DueTimers {
  /** ms since 1970 */
  readonly now: number;
  readonly kinds: readonly TimerKind[];
  readonly limit: number;
  /** Of these alone. */
  readonly ids?: readonly string[];
}

/** Takes away what is due, the earliest first; what another node is about to take is left to it. */
export async function takeDueTimers(trx: Db, { now, kinds, limit, ids }: DueTimers): Promise<Timer[]> {
  const bindings: unknown[] = [isoOf(now), toJson(kinds)];
  if (ids) bindings.push(toJson(ids));
  const rows = await rowsOf<TimerRow>(
    trx,
    `delete from timers where id in (
       select id from timers where due_at <= ? and kind in ${idsParameter(trx)} ${ids ? `and id in ${idsParameter(trx)}` : ""}
       order by due_at limit ? ${engineOf(trx) === "postgres" ? "for update skip locked" : ""}
     ) returning ${NAMES}, attempts`,
    [...bindings, limit],
  );
  return rows.map(timerOf).toSorted((a, b) => a.dueAt - b.dueAt || (a.id < b.id ? -1 : 1));
}

/** When it comes, in ms since 1970; undefined when there is none, also when somebody is about to fire it. */
export async function timerDueAt(trx: Db, kind: TimerKind, key: string): Promise<number | undefined> {
  const lock = engineOf(trx) === "postgres" ? " for share skip locked" : "";
  const [row] = await rowsOf<{ due_at: string }>(trx, `select due_at from timers where kind = ? and timer_key = ?${lock}`, [kind, key]);
  return row && Date.parse(row.due_at);
}

/** Its handler failed: it comes again at `at`. */
export async function postponeTimer(db: Db, id: string, at: number): Promise<void> {
  await rowsOf(db, "update timers set due_at = ?, attempts = attempts + 1 where id = ?", [isoOf(at), id]);
}

/** ms since 1970; undefined when none waits. */
export async function nextTimerAt(db: Db, kinds: readonly TimerKind[]): Promise<number | undefined> {
  const [row] = await rowsOf<{ due_at: string }>(
    db,
    `select due_at from timers where kind in ${idsParameter(db)} order by due_at limit 1`,
    [toJson(kinds)],
  );
  return row && Date.parse(row.due_at);
}

/** The clock was set: what counts time that goes by is due so much later, or earlier. */
export async function shiftRelativeTimers(trx: Db, stepMs: number): Promise<void> {
  const shifted =
    engineOf(trx) === "postgres"
      ? "least(due_at + cast(? as float8) * interval '1 millisecond', ?)"
      : // Beyond the year 9999 there is no time.
        "min(ifnull(strftime('%Y-%m-%dT%H:%M:%fZ', due_at, (cast(? as real) / 1000) || ' seconds'), '9999'), ?)";
  await rowsOf(trx, `update timers set due_at = ${shifted} where is_relative`, [stepMs, isoOf(LATEST_MS)]);
}

/** ms since 1970, by the clock of the database's machine; undefined on SQLite, which has the hub's. */
export async function databaseTime(db: Db): Promise<number | undefined> {
  if (engineOf(db) === "sqlite") return undefined;
  const [row] = await rowsOf<{ ms: number }>(db, "select extract(epoch from clock_timestamp())::float8 * 1000 as ms");
  return row?.ms;
}

/** The latest time that was written down, in ms since 1970. */
export async function seenTime(db: Db): Promise<number | undefined> {
  const [row] = await rowsOf<{ seen_at: string }>(db, "select seen_at from hub_clock where id = 1");
  return row && Date.parse(row.seen_at);
}

export async function noteTime(db: Db, now: number): Promise<void> {
  await rowsOf(db, "insert into hub_clock (id, seen_at) values (1, ?) on conflict (id) do update set seen_at = excluded.seen_at", [
    isoOf(now),
  ]);
}

/** True for the one of the nodes that sees a step of their common clock first: theirs is to do what follows. */
export async function takeStep(trx: Db, now: number, stepMs: number): Promise<boolean> {
  const rows = await rowsOf<{ id: number }>(
    trx,
    `insert into hub_clock (id, seen_at, stepped_at, step_ms) values (1, ?, ?, ?)
     on conflict (id) do update set seen_at = excluded.seen_at, stepped_at = excluded.stepped_at, step_ms = excluded.step_ms
       where hub_clock.stepped_at is null or hub_clock.stepped_at < ? or hub_clock.stepped_at > ?
         or abs(coalesce(hub_clock.step_ms, 0) - excluded.step_ms) > ? returning id`,
    [isoOf(now), isoOf(now), stepMs, isoOf(now - SAME_STEP_MS), isoOf(now + SAME_STEP_MS), SAME_SIZE_MS],
  );
  return rows.length > 0;
}

/** All nodes see a step within their tick. */
const SAME_STEP_MS = 30_000;
/** What they make of its size differs by less. */
const SAME_SIZE_MS = 1_000;

interface TimerRow {
  id: string;
  kind: TimerKind;
  timer_key: string;
  organization_id: string | null;
  due_at: string;
  is_relative: boolean | number;
  payload: unknown;
  attempts: number;
}

const timerOf = (row: TimerRow): Timer => ({
  id: row.id,
  kind: row.kind,
  key: row.timer_key,
  organizationId: row.organization_id,
  dueAt: Date.parse(row.due_at),
  isRelative: Boolean(row.is_relative),
  payload: fromJson(row.payload) as Record<string, unknown>,
  attempts: row.attempts,
});
