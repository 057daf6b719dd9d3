import { HubError } from "../core/errors.ts";
import { newId } from "../core/id.ts";
import type { Scope } from "../core/principal.ts";
import { type Edit, isRedefined, siteColumn, versionsIn } from "./definition-versions.ts";
import { checkQuota } from "./entity-rows.ts";
import type { Db } from "./open.ts";
import { lockOrganization } from "./organizations.ts";
import { containing, engineOf, fromJson, idsParameter, isoOf, type Page, pageOf, rowsOf, scoped, storableText, toJson } from "./sql.ts";

/** As it was written; `core/schedule.ts` parses the definition. With what its site has to say. */
export interface StoredSchedule {
  readonly id: string;
  readonly organizationId: string;
  readonly name: string;
  readonly description: string | null;
  readonly isActive: boolean;
  readonly version: number;
  readonly definition: Readonly<Record<string, unknown>>;
  readonly runCount: number;
  readonly lastRunAt: string | null;
  readonly nextRunAt: string | null;
  readonly createdAt: string;
  readonly updatedAt: string;
  readonly timeZone: string | null;
  readonly latitude: number | null;
  readonly longitude: number | null;
}

export type ScheduleFields = Pick<StoredSchedule, "name" | "description" | "isActive" | "definition">;

export const scheduleVersions = versionsIn("schedule_versions", "schedule_id");

const COLUMNS = { organization: "c.organization_id" };

/** Throws `quota_exceeded`. Gives its id. */
export async function createSchedule(
  trx: Db,
  organizationId: string,
  fields: ScheduleFields,
  { most, ...edit }: Edit & { readonly most: number },
): Promise<string> {
  await lockOrganization(trx, organizationId);
  await checkQuota(trx("schedules").where({ organization_id: organizationId }), most);
  const id = newId();
  const at = isoOf(edit.now);
  await trx("schedules").insert({
    id,
    organization_id: organizationId,
    ...columnsOf(fields),
    ...siteColumn(fields),
    version: 1,
    created_at: at,
    updated_at: at,
  });
  await scheduleVersions.insert(trx, { id, version: 1 }, fields, edit);
  return id;
}

/** Throws `not_found`. */
export async function getSchedule(db: Db, scope: Scope, id: string): Promise<StoredSchedule> {
  const row = (await scoped(schedules(db).where("c.id", id), scope, COLUMNS).first()) as Row | undefined;
  if (!row) throw notFound();
  return scheduleOf(row);
}

/** As {@link getSchedule}; nobody else changes it, or the place it is at, until the transaction ends. */
export async function lockSchedule(trx: Db, scope: Scope, id: string): Promise<StoredSchedule> {
  await lockOrganization(trx, (await getSchedule(trx, scope, id)).organizationId);
  const row: unknown = await scoped(trx("schedules as c").where("c.id", id), scope, COLUMNS).forUpdate().first("c.id");
  if (!row) throw notFound();
  return await getSchedule(trx, scope, id);
}

/** Locked for whoever fires it; "busy" while somebody changes it, which is not waited for: they may wait for its timer. */
export async function takeSchedule(trx: Db, id: string): Promise<StoredSchedule | "busy" | undefined> {
  if (engineOf(trx) === "postgres") {
    const locked = await rowsOf(trx, "select id from schedules where id = ? for update skip locked", [id]);
    if (locked.length === 0) return (await findSchedule(trx, id)) && "busy";
  }
  return await findSchedule(trx, id);
}

/** Of any organisation. */
export async function findSchedule(db: Db, id: string): Promise<StoredSchedule | undefined> {
  const row = (await schedules(db).where("c.id", id).first()) as Row | undefined;
  return row && scheduleOf(row);
}

export interface ScheduleFilter {
  readonly limit: number;
  readonly after?: string | undefined;
  readonly search?: string | undefined;
  readonly isActive?: boolean | undefined;
  /** A uid: those that were written for this one device. */
  readonly device?: string | undefined;
}

/** Oldest first. */
export async function listSchedules(
  db: Db,
  scope: Scope,
  { limit, after, search, isActive, device }: ScheduleFilter,
): Promise<Page<StoredSchedule>> {
  const query = scoped(schedules(db), scope, COLUMNS)
    .orderBy("c.id")
    .limit(limit + 1);
  if (after !== undefined) query.where("c.id", ">", after);
  if (search !== undefined) query.whereRaw("hub_lower(c.name) like ? escape '\\'", [containing(search)]);
  if (isActive !== undefined) query.where("c.is_active", isActive);
  if (device !== undefined) query.where("c.device_uid", device);
  return pageOf(((await query) as Row[]).map(scheduleOf), limit, ({ id }) => id);
}

/** Those that are active and wait for a time after `now`, of all organisations: by their ids, in pages. */
export async function waitingSchedules(
  db: Db,
  { now, after, limit }: { readonly now: number; readonly after?: string | undefined; readonly limit: number },
): Promise<Page<StoredSchedule>> {
  const query = schedules(db)
    .where("c.is_active", true)
    .where("c.next_run_at", ">", isoOf(now))
    .orderBy("c.id")
    .limit(limit + 1);
  if (after !== undefined) query.where("c.id", ">", after);
  return pageOf(((await query) as Row[]).map(scheduleOf), limit, ({ id }) => id);
}

export async function schedulesOfSite(db: Db, siteId: string): Promise<string[]> {
  const rows = (await db("schedules").where({ site_id: siteId, is_active: true }).orderBy("id").select("id")) as { id: string }[];
  return rows.map(({ id }) => id);
}

/** Of one that is locked: another definition is another version. */
export async function updateSchedule(trx: Db, before: StoredSchedule, fields: ScheduleFields, edit: Edit): Promise<void> {
  const isEdited = isRedefined(before, fields) || before.name !== fields.name || before.description !== fields.description;
  const version = before.version + (isEdited ? 1 : 0);
  await trx("schedules")
    .where({ id: before.id })
    .update({ ...columnsOf(fields), ...siteColumn(fields, before), version, updated_at: isoOf(edit.now) });
  if (isEdited) await scheduleVersions.insert(trx, { id: before.id, version }, fields, edit);
}

export async function deleteSchedule(trx: Db, id: string): Promise<void> {
  await trx("schedules").where({ id }).del();
}

/** It waits for `nextRunAt` now, after so many more `runs`, the last of which began at `at`. */
export async function noteSchedule(
  trx: Db,
  id: string,
  { runs = 0, at, nextRunAt }: { readonly runs?: number; readonly at?: number; readonly nextRunAt: number | undefined },
): Promise<void> {
  await rowsOf(
    trx,
    `update schedules set run_count = run_count + ?, last_run_at = ${at === undefined ? "last_run_at" : "?"}, next_run_at = ? where id = ?`,
    [runs, ...(at === undefined ? [] : [isoOf(at)]), nextRunAt === undefined ? null : isoOf(nextRunAt), id],
  );
}

/** By hand, which changes nothing of when it comes. */
export async function noteManualRun(trx: Db, id: string, at: number): Promise<void> {
  await trx("schedules")
    .where({ id })
    .update({ last_run_at: isoOf(at) });
}

/** Times after `now` that were run already may come again: the clock was set back. */
export async function freeTimes(trx: Db, ids: readonly string[], now: number): Promise<void> {
  if (ids.length === 0) return;
  await rowsOf(trx, `update runs set scheduled_for = null where source_id in ${idsParameter(trx)} and scheduled_for > ?`, [
    toJson(ids),
    isoOf(now),
  ]);
}

interface Row {
  id: string;
  organization_id: string;
  name: string;
  description: string | null;
  is_active: boolean | number;
  version: number;
  definition: unknown;
  run_count: number;
  last_run_at: string | null;
  next_run_at: string | null;
  created_at: string;
  updated_at: string;
  time_zone: string | null;
  latitude: number | null;
  longitude: number | null;
}
const notFound = (): HubError => new HubError("not_found", "there is no such schedule");

const schedules = (db: Db) =>
  db("schedules as c").leftJoin("sites as s", "s.id", "c.site_id").select("c.*", "s.time_zone", "s.latitude", "s.longitude");

function columnsOf({ name, description, isActive, definition }: ScheduleFields) {
  const { device } = definition;
  return {
    name: storableText(name),
    description: description === null ? null : storableText(description),
    is_active: isActive,
    definition: toJson(definition),
    device_uid: typeof device === "string" ? device : null,
  };
}

const scheduleOf = (row: Row): StoredSchedule => ({
  id: row.id,
  organizationId: row.organization_id,
  name: row.name,
  description: row.description,
  isActive: Boolean(row.is_active),
  version: row.version,
  definition: fromJson(row.definition) as Record<string, unknown>,
  runCount: row.run_count,
  lastRunAt: row.last_run_at,
  nextRunAt: row.next_run_at,
  createdAt: row.created_at,
  updatedAt: row.updated_at,
  timeZone: row.time_zone,
  latitude: row.latitude,
  longitude: row.longitude,
});
