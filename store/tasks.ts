import { HubError } from "../core/errors.ts";
import type { Scope } from "../core/principal.ts";
import { FINAL_TASKS, MOST_OPEN_OF_DEVICE, MOST_OPEN_TASKS, type Task, type TaskStatus } from "../core/task.ts";
import type { Db } from "./open.ts";
import { engineOf, fromJson, idsParameter, isoOf, type Page, pageOf, rowsOf, scoped, toJson } from "./sql.ts";
import { changedColumns, rowOf, type TaskChange, taskOf, type TaskRow } from "./task-rows.ts";

const SCOPE = { organization: "organization_id", device: "device_id" };
const KEPT_MS = 90 * 86_400_000;
const PURGED_AT_ONCE = 5_000;
const IS_OPEN = "status in ('draft', 'awaiting_confirmation', 'queued', 'assigned', 'running')";
const IS_UNDER_WAY = "status in ('assigned', 'running')";

/** Throws `quota_exceeded` when too many of the organisation wait, or of the device. False when its command id is a task's already. */
export async function insertTask(trx: Db, task: Task): Promise<boolean> {
  const [open] = await rowsOf<{ n: number | string }>(
    trx,
    `select count(*) as n from (select 1 from tasks where organization_id = ? and status in ('draft', 'awaiting_confirmation', 'queued')
       limit ${MOST_OPEN_TASKS}) as w`,
    [task.organizationId],
  );
  if (Number(open?.n ?? 0) >= MOST_OPEN_TASKS)
    throw new HubError("quota_exceeded", `${MOST_OPEN_TASKS} tasks wait already`, { details: { limit: MOST_OPEN_TASKS } });
  const [ofDevice] = await rowsOf<{ n: number | string }>(trx, `select count(*) as n from tasks where device_id = ? and ${IS_OPEN}`, [
    task.deviceId,
  ]);
  if (Number(ofDevice?.n ?? 0) >= MOST_OPEN_OF_DEVICE)
    throw new HubError("quota_exceeded", `${MOST_OPEN_OF_DEVICE} tasks of the device wait already`, {
      details: { limit: MOST_OPEN_OF_DEVICE },
    });
  const inserted = (await trx("tasks").insert(rowOf(task)).onConflict().ignore().returning("id")) as unknown[];
  if (inserted.length === 0) return false;
  for (const other of task.dependsOn) await trx("task_dependencies").insert({ task_id: task.id, depends_on: other });
  return true;
}

export async function findTask(db: Db, scope: Scope, id: string): Promise<Task | undefined> {
  const row = (await scoped(db("tasks").where({ id }), scope, SCOPE).first()) as TaskRow | undefined;
  return row && taskOf(row);
}

/** Throws `not_found`. */
export async function getTask(db: Db, scope: Scope, id: string): Promise<Task> {
  const task = await findTask(db, scope, id);
  if (!task) throw notFound();
  return task;
}

/** As {@link getTask}; nobody else changes it until the transaction ends. */
export async function lockTask(trx: Db, scope: Scope, id: string): Promise<Task> {
  const row = (await scoped(trx("tasks").where({ id }), scope, SCOPE).forUpdate().first()) as TaskRow | undefined;
  if (!row) throw notFound();
  return taskOf(row);
}

/** With everything that was written of it. */
export async function deleteTask(trx: Db, id: string): Promise<void> {
  await trx("tasks").where({ id }).delete();
}

export async function findTaskOfCommand(db: Db, commandId: string): Promise<Task | undefined> {
  const row = (await db("tasks").where({ command_id: commandId }).first()) as TaskRow | undefined;
  return row && taskOf(row);
}

export interface TaskFilter {
  readonly status?: readonly TaskStatus[] | undefined;
  readonly deviceId?: string | undefined;
  readonly tag?: string | undefined;
  readonly limit: number;
  readonly after?: string | undefined;
}

/** Newest first. */
export async function listTasks(db: Db, scope: Scope, { status, deviceId, tag, limit, after }: TaskFilter): Promise<Page<Task>> {
  const query = scoped(db("tasks"), scope, SCOPE)
    .orderBy("id", "desc")
    .limit(limit + 1);
  if (status) query.whereIn("status", status);
  if (deviceId !== undefined) query.where({ device_id: deviceId });
  if (tag !== undefined)
    query.whereRaw(
      engineOf(db) === "postgres" ? "tags @> ?::jsonb" : "exists (select 1 from json_each(tags) where value = json_extract(?, '$[0]'))",
      [toJson([tag])],
    );
  if (after !== undefined) query.where("id", "<", after);
  return pageOf(((await query) as TaskRow[]).map(taskOf), limit, ({ id }) => id);
}

/** How many there are of each status. */
export async function countTasks(db: Db, scope: Scope): Promise<ReadonlyMap<TaskStatus, number>> {
  const rows = (await scoped(db("tasks"), scope, SCOPE).groupBy("status").select("status").count({ n: "*" })) as unknown as {
    status: TaskStatus;
    n: number | string;
  }[];
  return new Map(rows.map(({ status, n }) => [status, Number(n)]));
}

/** Changes it if it has one of these statuses; undefined when it has not: somebody else was quicker. */
export async function moveTask(
  trx: Db,
  id: string,
  from: readonly TaskStatus[],
  change: TaskChange,
  now: number,
): Promise<Task | undefined> {
  const rows = (await trx("tasks")
    .where({ id })
    .whereIn("status", from)
    .update({ ...changedColumns(change), version: trx.raw("version + 1"), updated_at: isoOf(now) })
    .returning("*")) as TaskRow[];
  return rows[0] && taskOf(rows[0]);
}

/** Those that the device has, or is about to get, oldest first; until the transaction ends nobody else hands it one. */
export async function lockDeviceTasks(trx: Db, deviceId: string): Promise<Task[]> {
  if (engineOf(trx) === "postgres") await rowsOf(trx, "select pg_advisory_xact_lock(hashtextextended(?, 1))", [deviceId]);
  const rows = (await trx("tasks").where({ device_id: deviceId }).whereRaw(IS_UNDER_WAY).orderBy("id")) as TaskRow[];
  return rows.map(taskOf);
}

/** All that may still come of it, oldest first; nobody else changes them until the transaction ends. */
export async function lockOpenTasks(trx: Db, deviceId: string): Promise<Task[]> {
  const rows = (await trx("tasks").where({ device_id: deviceId }).whereRaw(IS_OPEN).orderBy("id").forUpdate()) as TaskRow[];
  return rows.map(taskOf);
}

/** Another task has something that this one needs. */
const LACKS_RESOURCE = {
  sqlite: `select 1 from json_each(tasks.resources) as w join task_resources as r on r.name = w.value
    where r.organization_id = tasks.organization_id and r.task_id <> tasks.id`,
  postgres: `select 1 from task_resources as r where r.organization_id = tasks.organization_id and r.task_id <> tasks.id
    and jsonb_exists(tasks.resources, r.name)`,
};
const WAITS_FOR_OTHERS =
  "select 1 from task_dependencies as d join tasks as t on t.id = d.depends_on where d.task_id = tasks.id and t.status <> 'completed'";

/** What it may do next, the most urgent first: nothing that waits for another task. */
export async function nextTasks(trx: Db, deviceId: string, now: number, limit: number): Promise<Task[]> {
  const rows = (await trx("tasks")
    .where({ device_id: deviceId, status: "queued" })
    .whereRaw("(not_before is null or not_before <= ?)", [isoOf(now)])
    .whereRaw(`not exists (${WAITS_FOR_OTHERS}) and not exists (${LACKS_RESOURCE[engineOf(trx)]})`)
    .orderByRaw("priority desc, queued_at, id")
    .limit(limit)) as TaskRow[];
  return rows.map(taskOf);
}

/** Devices with something to do now, the most urgent first. `deviceIds`: only of these. */
export async function waitingDevices(
  db: Db,
  { now, limit, after }: { readonly now: number; readonly limit: number; readonly after?: string | undefined },
): Promise<{ readonly id: string; readonly uid: string; readonly organizationId: string | null; readonly priority: number }[]> {
  return await rowsOf(
    db,
    `select d.id, d.uid, d.organization_id as "organizationId", w.priority from (
       select device_id, max(priority) as priority from tasks
       where status = 'queued' and (not_before is null or not_before <= ?)${after === undefined ? "" : " and device_id > ?"}
       group by device_id order by device_id limit ?) as w join devices as d on d.id = w.device_id order by d.id`,
    [isoOf(now), ...(after === undefined ? [] : [after]), limit],
  );
}

/** What it depends on, as far as that is there. */
export async function dependenciesOf(
  trx: Db,
  taskId: string,
): Promise<{ readonly id: string; readonly status: TaskStatus; readonly isLost: boolean }[]> {
  const rows = await rowsOf<{ id: string; status: TaskStatus }>(
    trx,
    "select t.id, t.status from task_dependencies as d join tasks as t on t.id = d.depends_on where d.task_id = ?",
    [taskId],
  );
  return rows.map(({ id, status }) => ({ id, status, isLost: status !== "completed" && FINAL_TASKS.includes(status) }));
}

/** Those that wait for it. */
export async function dependentTasks(
  trx: Db,
  taskId: string,
): Promise<Pick<Task, "id" | "status" | "deviceId" | "uid" | "organizationId">[]> {
  return await rowsOf(
    trx,
    `select t.id, t.status, t.device_id as "deviceId", t.uid, t.organization_id as "organizationId"
     from task_dependencies as d join tasks as t on t.id = d.task_id
     where d.depends_on = ? and t.status in ('draft', 'awaiting_confirmation', 'queued') order by t.id`,
    [taskId],
  );
}

/** Those of the ids that the scope may see, with their status. */
export async function taskStatuses(db: Db, scope: Scope, ids: readonly string[]): Promise<ReadonlyMap<string, TaskStatus>> {
  if (ids.length === 0) return new Map();
  const query = scoped(db("tasks"), scope, SCOPE).select("id", "status");
  query.whereRaw(`id in ${idsParameter(query)}`, [toJson(ids)]);
  return new Map(((await query) as { id: string; status: TaskStatus }[]).map(({ id, status }) => [id, status]));
}

/** All of them or none; false when another task has one. */
export async function holdResources(trx: Db, { id, organizationId, resources }: Task): Promise<boolean> {
  for (const name of resources.toSorted()) {
    const held = (await trx("task_resources")
      .insert({ organization_id: organizationId, name, task_id: id })
      .onConflict(["organization_id", "name"])
      .ignore()
      .returning("name")) as unknown[];
    if (held.length > 0) continue;
    await releaseResources(trx, id);
    return false;
  }
  return true;
}

export async function releaseResources(trx: Db, taskId: string): Promise<void> {
  await trx("task_resources").where({ task_id: taskId }).delete();
}

/** Devices whose next task may have waited for one of these. */
export async function devicesWaitingForResources(
  trx: Db,
  organizationId: string,
  names: readonly string[],
): Promise<{ readonly id: string; readonly uid: string; readonly organizationId: string }[]> {
  const rows = (await trx("tasks")
    .where({ organization_id: organizationId, status: "queued" })
    .whereNot("resources", "[]")
    .select("device_id", "uid", "resources")
    .limit(MOST_OPEN_TASKS)) as Pick<TaskRow, "device_id" | "uid" | "resources">[];
  const waits = ({ resources }: Pick<TaskRow, "resources">): boolean =>
    (fromJson(resources) as string[]).some((one) => names.includes(one));
  const devices = rows.filter(waits).map(({ device_id: id, uid }) => ({ id, uid, organizationId }));
  return [...new Map(devices.map((one) => [one.id, one])).values()];
}

/** What ended long ago, with its attempts and its log; the commands that it was stay with their device. */
export async function purgeTasks(db: Db, now: number): Promise<number> {
  const old = db("tasks")
    .where("finished_at", "<=", isoOf(now - KEPT_MS))
    .limit(PURGED_AT_ONCE)
    .select("id");
  return await db("tasks").whereIn("id", old).del();
}

const notFound = (): HubError => new HubError("not_found", "there is no such task");
