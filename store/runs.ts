import type { Action } from "../core/action.ts";
import type { Mode } from "../core/automation.ts";
import type { Scope } from "../core/principal.ts";
import type { Frame } from "../core/program.ts";
import type { Run, RunSource, RunStatus, RunStep } from "../core/run.ts";
import type { Db } from "./open.ts";
import { engineOf, fromJson, isoOf, type Page, pageOf, rowsOf, rowSource, scoped, toJson } from "./sql.ts";

const KEPT_MS = 30 * 86_400_000;
const PURGED_AT_ONCE = 5_000;

const COLUMNS = {
  id: "text",
  organization_id: "text",
  source_kind: "text",
  source_id: "text",
  source_version: "int",
  status: "text",
  mode: "text",
  cause: "json",
  actions: "json",
  frames: "json",
  steps: "json",
  effects: "int",
  attempt: "int",
  depth: "int",
  event_id: "text",
  correlation_id: "text",
  causation_id: "text",
  scheduled_for: "time",
  created_at: "time",
} as const;
const NAMES = Object.keys(COLUMNS).join(", ");

/** Those of a schedule's time that is there already are left out; gives the ids of the others. */
export async function insertRuns(trx: Db, runs: readonly Run[]): Promise<ReadonlySet<string>> {
  if (runs.length === 0) return new Set();
  const rows = await rowsOf<{ id: string }>(
    trx,
    `insert into runs (${NAMES}) select ${NAMES} from ${rowSource(trx, COLUMNS)} where true on conflict do nothing returning id`,
    [toJson(runs.map(rowOf))],
  );
  return new Set(rows.map(({ id }) => id));
}

/** Those of a source that have not finished, oldest first; until the transaction ends nobody else begins one of it. */
export async function lockOpenRuns(trx: Db, sourceId: string): Promise<Pick<Run, "id" | "status">[]> {
  if (engineOf(trx) === "postgres") await rowsOf(trx, "select pg_advisory_xact_lock(hashtextextended(?, 0))", [sourceId]);
  return (await trx("runs").where({ source_id: sourceId }).whereNull("finished_at").orderBy("id").select("id", "status")) as Pick<
    Run,
    "id" | "status"
  >[];
}

export async function openRunIds(db: Db, sourceId: string): Promise<string[]> {
  const rows = (await db("runs").where({ source_id: sourceId }).whereNull("finished_at").select("id")) as { id: string }[];
  return rows.map(({ id }) => id);
}

/** Makes the run the caller's, whoever had it before; undefined when it has finished, or is not to begin yet. */
export async function takeRun(trx: Db, id: string): Promise<Run | undefined> {
  const [row] = await rowsOf<RunRow>(
    trx,
    "update runs set attempt = attempt + 1, status = 'running' where id = ? and finished_at is null and status <> 'queued' returning *",
    [id],
  );
  return row && runOf(row);
}

/** The oldest of a source that waits for its turn, when none of it goes on; now it runs. */
export async function beginQueuedRun(trx: Db, sourceId: string): Promise<string | undefined> {
  const [row] = await rowsOf<{ id: string }>(
    trx,
    `update runs set status = 'running' where id = (select id from runs where source_id = ? and status = 'queued' order by id limit 1)
       and not exists (select 1 from runs as r where r.source_id = ? and r.finished_at is null and r.status <> 'queued') returning id`,
    [sourceId, sourceId],
  );
  return row?.id;
}

/** undefined when it does not wait for its turn. */
export async function findQueuedRun(trx: Db, id: string): Promise<Pick<Run, "id" | "sourceId" | "organizationId"> | undefined> {
  const [row] = await rowsOf<Pick<Run, "id" | "sourceId" | "organizationId">>(
    trx,
    `select id, source_id as "sourceId", organization_id as "organizationId" from runs where id = ? and status = 'queued'`,
    [id],
  );
  return row;
}

/** Those that have not finished and have no timer. */
export async function forgottenRuns(trx: Db): Promise<Pick<Run, "id" | "organizationId">[]> {
  return await rowsOf<Pick<Run, "id" | "organizationId">>(
    trx,
    `select id, organization_id as "organizationId" from runs where finished_at is null
       and not exists (select 1 from timers where kind = 'run' and timer_key = runs.id)`,
  );
}

export type RunProgress = Pick<Run, "id" | "attempt" | "status" | "frames" | "steps" | "effects">;

/** False when somebody else has the run by now, or it was cancelled. */
export async function saveProgress(
  trx: Db,
  { id, attempt, status, frames, steps, effects }: RunProgress,
  finishedAt?: number,
): Promise<boolean> {
  const done = finishedAt === undefined ? "" : ", finished_at = ?, actions = null";
  const rows = await rowsOf(
    trx,
    `update runs set status = ?, frames = ?, steps = ?, effects = ?${done} where id = ? and attempt = ? and finished_at is null returning id`,
    [status, toJson(frames), toJson(steps), effects, ...(finishedAt === undefined ? [] : [isoOf(finishedAt)]), id, attempt],
  );
  return rows.length > 0;
}

/** Those that had not finished. */
export async function cancelRuns(trx: Db, ids: readonly string[], now: number): Promise<Pick<Run, "id" | "sourceId" | "organizationId">[]> {
  if (ids.length === 0) return [];
  return (await trx("runs")
    .whereIn("id", ids)
    .whereNull("finished_at")
    .update({ status: "cancelled", finished_at: isoOf(now), actions: null })
    .returning(["id", "source_id as sourceId", "organization_id as organizationId"])) as Pick<Run, "id" | "sourceId" | "organizationId">[];
}

/** Events between a run's and the one that follows from it: the command's end and the change of the device. */
const MOST_BETWEEN = 4;

/** How many runs stand before this event in its chain of causes. */
export async function depthOfCause(trx: Db, eventId: string): Promise<number> {
  let id: string | null = eventId;
  for (let step = 0; step <= MOST_BETWEEN && id !== null; step++) {
    const run = (await trx("runs").where({ event_id: id }).first("depth")) as { depth: number } | undefined;
    if (run) return run.depth + 1;
    const event = (await trx("events").where({ id }).first("causation_id")) as { causation_id: string | null } | undefined;
    id = event?.causation_id ?? null;
  }
  return 0;
}

export interface RunFilter {
  readonly sourceId?: string | undefined;
  readonly status?: RunStatus | undefined;
  readonly limit: number;
  readonly after?: string | undefined;
}

/** Newest first. */
export async function listRuns(db: Db, scope: Scope, { sourceId, status, limit, after }: RunFilter): Promise<Page<Run>> {
  const query = scoped(db("runs"), scope, { organization: "organization_id" })
    .orderBy("id", "desc")
    .limit(limit + 1);
  if (sourceId !== undefined) query.where({ source_id: sourceId });
  if (status !== undefined) query.where({ status });
  if (after !== undefined) query.where("id", "<", after);
  return pageOf(((await query) as RunRow[]).map(runOf), limit, ({ id }) => id);
}

export async function findRun(db: Db, scope: Scope, id: string): Promise<Run | undefined> {
  const row = (await scoped(db("runs").where({ id }), scope, { organization: "organization_id" }).first()) as RunRow | undefined;
  return row && runOf(row);
}

/** Removes some of those that finished a month ago. Answers how many. */
export async function purgeRuns(db: Db, now: number): Promise<number> {
  const old = db("runs")
    .where("finished_at", "<=", isoOf(now - KEPT_MS))
    .limit(PURGED_AT_ONCE)
    .select("id");
  return await db("runs").whereIn("id", old).del();
}

interface RunRow {
  id: string;
  organization_id: string;
  source_kind: RunSource;
  source_id: string;
  source_version: number | null;
  status: RunStatus;
  mode: Mode;
  cause: unknown;
  actions: unknown;
  frames: unknown;
  steps: unknown;
  effects: number;
  attempt: number;
  depth: number;
  event_id: string | null;
  correlation_id: string;
  causation_id: string | null;
  scheduled_for: string | null;
  created_at: string;
  finished_at: string | null;
}

function rowOf(run: Run): Omit<RunRow, "finished_at"> {
  return {
    id: run.id,
    organization_id: run.organizationId,
    source_kind: run.sourceKind,
    source_id: run.sourceId,
    source_version: run.sourceVersion,
    status: run.status,
    mode: run.mode,
    cause: run.cause,
    actions: run.actions,
    frames: run.frames,
    steps: run.steps,
    effects: run.effects,
    attempt: run.attempt,
    depth: run.depth,
    event_id: run.eventId,
    correlation_id: run.correlationId,
    causation_id: run.causationId,
    scheduled_for: run.scheduledFor,
    created_at: run.createdAt,
  };
}

const runOf = (row: RunRow): Run => ({
  id: row.id,
  organizationId: row.organization_id,
  sourceKind: row.source_kind,
  sourceId: row.source_id,
  sourceVersion: row.source_version,
  status: row.status,
  mode: row.mode,
  cause: fromJson(row.cause) as Record<string, unknown>,
  actions: row.actions === null ? [] : (fromJson(row.actions) as Action[]),
  frames: fromJson(row.frames) as Frame[],
  steps: fromJson(row.steps) as RunStep[],
  effects: row.effects,
  attempt: row.attempt,
  depth: row.depth,
  eventId: row.event_id,
  correlationId: row.correlation_id,
  causationId: row.causation_id,
  scheduledFor: row.scheduled_for,
  createdAt: row.created_at,
  finishedAt: row.finished_at,
});
