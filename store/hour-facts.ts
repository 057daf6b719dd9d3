import { HOUR_MS } from "../core/durations.ts";
import { type Change, channelOf, type CommandFact, type HourFacts, type TaskFact } from "../core/metric.ts";
import type { Command } from "../core/command.ts";
import { firstIdAt } from "../core/id.ts";
import { keyOf, type Measured, measuresBetween } from "./metrics.ts";
import type { Db } from "./open.ts";
import { engineOf, fromJson, idsParameter, isoOf, rowSource, rowsOf, toJson } from "./sql.ts";

export interface HourOf extends Measured {
  /** Since 1970. */
  readonly hour: number;
}

const PRESENCE = ["device.online", "device.stale", "device.offline", "device.claimed", "device.released"];
const COMMANDS = ["command.completed", "command.failed"];
const TASKS = ["task.completed", "task.failed", "task.expired"];
/** What is known of an hour stands in these; all else is of no account. */
export const MEASURED_EVENTS: ReadonlySet<string> = new Set([...PRESENCE, ...COMMANDS, ...TASKS, "device.state_changed"]);
/** An event's id is made when its time is read, or a little later: so much later at most. */
const ID_DELAY_MS = 3_600_000;

interface Happened {
  readonly type: string;
  /** ms since 1970 */
  readonly at: number;
  readonly data: Readonly<Record<string, unknown>>;
}

/** By {@link keyOf}: what happened in the hour that begins at `from`, in ms since 1970, while it was the organisation's. */
export async function hourFacts(trx: Db, of: readonly Measured[], from: number): Promise<Map<string, HourFacts>> {
  const to = from + HOUR_MS;
  const happened = await eventsOf(trx, of, { from, to });
  const ended = await statesBefore(trx, of, from);
  const commands = await commandsOf(trx, [...happened.values()].flat());
  const tasks = await attemptsOf(trx, [...happened.values()].flat());
  const connected = await connectedNow(trx, of);
  return new Map(
    of.map((one) => {
      const events = happened.get(keyOf(one)) ?? [];
      const was = ended.get(keyOf(one)) ?? new Set();
      return [
        keyOf(one),
        {
          from,
          to,
          wasConnected: was.has("presence.online"),
          presence: presenceOf(events, connected.has(one.deviceId)),
          disconnects: events.filter(({ type }) => type === "device.offline").length,
          relays: relaysOf(events, was),
          commands: events.flatMap(({ type, data }) => (COMMANDS.includes(type) ? (commands.get(String(data["command_id"])) ?? []) : [])),
          tasks: events.filter(isTaskEnd).map((event) => taskOf(event, tasks)),
        },
      ];
    }),
  );
}

/** One that nobody approved in time says nothing of its device. */
const isTaskEnd = ({ type, data }: Happened): boolean => TASKS.includes(type) && (type !== "task.expired" || data["code"] !== undefined);

async function eventsOf(
  trx: Db,
  of: readonly Measured[],
  { from, to }: { readonly from: number; readonly to: number },
): Promise<Map<string, Happened[]>> {
  const own = `e.entity_id = r.device_id and e.organization_id = r.organization_id and e.id >= ? and e.id < ? and e.type in ${idsParameter(trx)}
    and e.timestamp >= ? and e.timestamp < ?`;
  const pairs = rowSource(trx, { device_id: "text", organization_id: "text" });
  // PostgreSQL, which does not know how few they are, would read the whole table.
  const source =
    engineOf(trx) === "postgres"
      ? `${pairs} cross join lateral (select * from events as e where ${own} offset 0) as e`
      : `${pairs} cross join events as e indexed by events_entity where ${own}`;
  const rows = await rowsOf<{ entity_id: string; organization_id: string; type: string; timestamp: string; data: unknown }>(
    trx,
    `select e.entity_id, e.organization_id, e.type, e.timestamp, e.data from ${source} order by e.timestamp, e.id`,
    [
      toJson(of.map(({ deviceId, organizationId }) => ({ device_id: deviceId, organization_id: organizationId }))),
      firstIdAt(from - ID_DELAY_MS),
      firstIdAt(to + ID_DELAY_MS),
      toJson([...MEASURED_EVENTS]),
      isoOf(from),
      isoOf(to),
    ],
  );
  const happened = rows.map((row) => ({
    deviceId: row.entity_id,
    organizationId: row.organization_id,
    type: row.type,
    at: Date.parse(row.timestamp),
    data: fromJson(row.data) as Record<string, unknown>,
  }));
  return Map.groupBy(happened, keyOf);
}

/** What was on when the hour before ended: `presence.online`, `relay.on relay 0`. */
async function statesBefore(trx: Db, of: readonly Measured[], from: number): Promise<Map<string, Set<string>>> {
  const states = await measuresBetween(trx, "metric_hours", of, { from: from - HOUR_MS, to: from, types: ["presence.online", "relay.on"] });
  const on = states.filter(({ last }) => last === 1);
  return new Map(
    [...Map.groupBy(on, keyOf)].map(([key, group]) => [key, new Set(group.map(({ type, channel }) => `${type} ${channel}`.trim()))]),
  );
}

/** A device that is claimed may be connected already, and says so no more. */
async function connectedNow(trx: Db, of: readonly Measured[]): Promise<Set<string>> {
  const rows = await rowsOf<{ id: string }>(
    trx,
    `select id from devices where connection_status <> 'offline' and id in ${idsParameter(trx)}`,
    [toJson(of.map(({ deviceId }) => deviceId))],
  );
  return new Set(rows.map(({ id }) => id));
}

function presenceOf(events: readonly Happened[], isConnectedNow: boolean): Change[] {
  const told = events.filter(({ type }) => PRESENCE.includes(type));
  return told.map(({ type, at }, index) => {
    if (type !== "device.claimed") return { at, isOn: type === "device.online" || type === "device.stale" };
    const next = told[index + 1]?.type;
    return { at, isOn: next === undefined ? isConnectedNow : next === "device.offline" || next === "device.stale" };
  });
}

function relaysOf(events: readonly Happened[], was: ReadonlySet<string>): HourFacts["relays"] {
  const relays = new Map<number, { readonly wasOn: boolean; readonly changes: Change[] }>();
  const relay = (index: number) => {
    const known = relays.get(index) ?? { wasOn: was.has(`relay.on relay ${index}`), changes: [] };
    relays.set(index, known);
    return known;
  };
  for (const name of was) if (name.startsWith("relay.on ")) relay(Number(name.split(" ").at(-1)));
  for (const { type, at, data } of events) {
    // Whoever has it next finds its relays as they find them.
    if (type === "device.released") for (const { changes } of relays.values()) changes.push({ at, isOn: false });
    if (type !== "device.state_changed") continue;
    const changed = (data["relays"] ?? []) as readonly { readonly index: number; readonly state: string }[];
    for (const { index, state } of changed) relay(index).changes.push({ at, isOn: state === "ON" });
  }
  return relays;
}

async function commandsOf(trx: Db, events: readonly Happened[]): Promise<Map<string, CommandFact>> {
  const ids = events.filter(({ type }) => COMMANDS.includes(type)).map(({ data }) => String(data["command_id"]));
  if (ids.length === 0) return new Map();
  const rows = await rowsOf<{
    id: string;
    command: unknown;
    status: string;
    actor_kind: string;
    latency_ms: number | null;
    sent_at: string | null;
    finished_at: string | null;
  }>(trx, `select id, command, status, actor_kind, latency_ms, sent_at, finished_at from commands where id in ${idsParameter(trx)}`, [
    toJson(ids),
  ]);
  return new Map(
    rows.map((row) => {
      const waited = row.sent_at === null || row.finished_at === null ? undefined : Date.parse(row.finished_at) - Date.parse(row.sent_at);
      const latencyMs = row.latency_ms === null ? undefined : Math.max(0, waited ?? row.latency_ms);
      const channel = channelOf(fromJson(row.command) as Command);
      return [row.id, { channel, status: row.status, latencyMs, isByHand: row.actor_kind === "user" }];
    }),
  );
}

/** How long attempts took, by task and number. */
async function attemptsOf(trx: Db, events: readonly Happened[]): Promise<Map<string, number>> {
  const ids = events.filter(({ type }) => TASKS.includes(type)).map(({ data }) => String(data["task_id"]));
  if (ids.length === 0) return new Map();
  const rows = await rowsOf<{ task_id: string; attempt: number; started_at: string; completed_at: string }>(
    trx,
    `select task_id, attempt, started_at, completed_at from task_executions where completed_at is not null and task_id in ${idsParameter(trx)}`,
    [toJson(ids)],
  );
  return new Map(
    rows.map((row) => [`${row.task_id} ${row.attempt}`, Math.max(0, Date.parse(row.completed_at) - Date.parse(row.started_at))]),
  );
}

const taskOf = ({ type, data }: Happened, attempts: ReadonlyMap<string, number>): TaskFact => ({
  isCompleted: type === "task.completed",
  durationMs: attempts.get(`${String(data["task_id"])} ${String(data["attempt"])}`),
});
