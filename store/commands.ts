import type { Command, CommandRecord, CommandSource, CommandStatus } from "../core/command.ts";
import type { Actor, Scope } from "../core/principal.ts";
import type { Db } from "./open.ts";
import { fromJson, isoOf, type Page, pageOf, scoped, storableText, toJson } from "./sql.ts";

// As text, since SQLite uses the index of the open commands only when it sees the very words of its condition.
const IS_OPEN = "status in ('queued', 'sent')";

const COLUMNS = { organization: "organization_id", device: "device_id" };

/** An id is used once in the whole hub: `existing` is the record that has it, whoever made it. */
export async function insertCommand(
  db: Db,
  record: CommandRecord,
): Promise<{ inserted: true } | { inserted: false; existing: CommandRecord }> {
  const inserted = (await db("commands").insert(rowOf(record)).onConflict("id").ignore().returning("id")) as { id: string }[];
  if (inserted.length > 0) return { inserted: true };
  const existing = (await db("commands").where({ id: record.id }).first()) as CommandRow | undefined;
  // It was there and went with its device in between: try once more, for the id is free now.
  return existing ? { inserted: false, existing: recordOf(existing) } : await insertCommand(db, record);
}

export async function findCommand(db: Db, scope: Scope, id: string): Promise<CommandRecord | undefined> {
  const row = (await scoped(db("commands").where({ id }), scope, COLUMNS).first()) as CommandRow | undefined;
  return row && recordOf(row);
}

/** From `queued` to `sent` with the time limit of its answer; false when it is not queued any more. `now` in ms since 1970. */
export async function markSent(db: Db, id: string, deadlineAt: string, now: number): Promise<boolean> {
  const sent = { status: "sent", deadline_at: deadlineAt, sent_at: isoOf(now) };
  return (await db("commands").where({ id, status: "queued" }).update(sent)) > 0;
}

export interface CommandEnd {
  readonly status: Exclude<CommandStatus, "queued" | "sent">;
  readonly error?: string | null | undefined;
  readonly latencyMs?: number | null | undefined;
  readonly now: number;
}

/** The record as it ended, or undefined when there is none or it had ended before: a final status never changes. */
export async function finishCommand(db: Db, id: string, end: CommandEnd): Promise<CommandRecord | undefined> {
  const rows = (await db("commands")
    .where({ id })
    .whereRaw(IS_OPEN)
    .update({
      status: end.status,
      error: end.error ? storableText(end.error) : null,
      latency_ms: end.latencyMs ?? null,
      finished_at: isoOf(end.now),
    })
    .returning("*")) as CommandRow[];
  return rows[0] && recordOf(rows[0]);
}

/** Notes the first acknowledgement that came after the end. */
export async function noteLateAck(db: Db, id: string, now: number): Promise<void> {
  await db("commands")
    .where({ id })
    .whereNull("late_ack_at")
    .update({ late_ack_at: isoOf(now) });
}

/** Queued or sent, oldest first; of one device or of all. */
export async function listOpenCommands(db: Db, deviceId?: string): Promise<CommandRecord[]> {
  const query = db("commands").whereRaw(IS_OPEN).orderBy(["created_at", "id"]);
  if (deviceId !== undefined) query.where({ device_id: deviceId });
  return ((await query) as CommandRow[]).map(recordOf);
}

/** Open commands whose deadline is past, the most overdue first. */
export async function overdueCommands(db: Db, now: number, limit: number): Promise<CommandRecord[]> {
  const rows = (await db("commands")
    .whereRaw(IS_OPEN)
    .where("deadline_at", "<=", isoOf(now))
    .orderBy("deadline_at")
    .limit(limit)) as CommandRow[];
  return rows.map(recordOf);
}

/** Newest first. `after` is the id of the last record of the page before. */
export async function listCommands(
  db: Db,
  scope: Scope,
  filter: { deviceId?: string | undefined; limit: number; after?: string | undefined },
): Promise<Page<CommandRecord>> {
  const query = scoped(db("commands"), scope, COLUMNS)
    .orderBy([
      { column: "created_at", order: "desc" },
      { column: "id", order: "desc" },
    ])
    .limit(filter.limit + 1);
  if (filter.deviceId !== undefined) query.where({ device_id: filter.deviceId });
  if (filter.after !== undefined) {
    // Within the scope: the answer must not tell whether, and when, somebody else used this id.
    const last = scoped(db("commands as c").where("c.id", filter.after), scope, {
      organization: "c.organization_id",
      device: "c.device_id",
    }).select("c.created_at", "c.id");
    query.whereRaw("(created_at, id) < (?)", [last]);
  }
  const rows = (await query) as CommandRow[];
  return pageOf(rows.map(recordOf), filter.limit, (record) => record.id);
}

interface CommandRow {
  id: string;
  device_id: string;
  organization_id: string | null;
  task_id: string | null;
  command: unknown;
  status: CommandStatus;
  actor_kind: Actor["kind"];
  actor_id: string;
  source: CommandSource;
  correlation_id: string;
  causation_id: string | null;
  rule_version: number | null;
  error: string | null;
  latency_ms: number | null;
  created_at: string;
  deadline_at: string;
  finished_at: string | null;
}

function rowOf(record: CommandRecord): CommandRow {
  return {
    id: record.id,
    device_id: record.deviceId,
    organization_id: record.organizationId,
    task_id: record.taskId,
    command: toJson(record.command),
    status: record.status,
    actor_kind: record.actor.kind,
    actor_id: record.actor.id,
    source: record.source,
    correlation_id: record.correlationId,
    causation_id: record.causationId,
    rule_version: record.ruleVersion,
    error: record.error,
    latency_ms: record.latencyMs,
    created_at: record.createdAt,
    deadline_at: record.deadlineAt,
    finished_at: record.finishedAt,
  };
}

function recordOf(row: CommandRow): CommandRecord {
  return {
    id: row.id,
    deviceId: row.device_id,
    organizationId: row.organization_id,
    taskId: row.task_id,
    command: fromJson(row.command) as Command,
    status: row.status,
    actor: { kind: row.actor_kind, id: row.actor_id },
    source: row.source,
    correlationId: row.correlation_id,
    causationId: row.causation_id,
    ruleVersion: row.rule_version,
    error: row.error,
    latencyMs: row.latency_ms,
    createdAt: row.created_at,
    deadlineAt: row.deadline_at,
    finishedAt: row.finished_at,
  };
}
