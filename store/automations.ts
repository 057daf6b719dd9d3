import { type Memory, NO_MEMORY } from "../core/automation.ts";
import { HubError } from "../core/errors.ts";
import { newId } from "../core/id.ts";
import type { Scope } from "../core/principal.ts";
import { type Edit, isRedefined, siteColumn, versionsIn } from "./definition-versions.ts";
import { checkQuota } from "./entity-rows.ts";
import type { Db } from "./open.ts";
import { lockOrganization } from "./organizations.ts";
import { containing, engineOf, fromJson, isoOf, type Page, pageOf, rowSource, rowsOf, scoped, storableText, toJson } from "./sql.ts";

/** As it was written; `core/automation.ts` parses the definition. */
export interface Automation {
  readonly id: string;
  readonly organizationId: string;
  readonly name: string;
  readonly description: string | null;
  readonly isEnabled: boolean;
  readonly version: number;
  readonly definition: Readonly<Record<string, unknown>>;
  readonly fireCount: number;
  readonly lastFiredAt: string | null;
  readonly createdAt: string;
  readonly updatedAt: string;
}

/** With what holds where the definition names no zone or coordinates. */
export interface PlacedAutomation extends Automation {
  readonly timeZone: string | null;
  readonly latitude: number | null;
  readonly longitude: number | null;
}

export type AutomationFields = Pick<Automation, "name" | "description" | "isEnabled" | "definition">;

export const automationVersions = versionsIn("automation_versions", "automation_id");

const COLUMNS = { organization: "a.organization_id" };

/** Throws `quota_exceeded`. */
export async function createAutomation(
  trx: Db,
  organizationId: string,
  fields: AutomationFields,
  most: number,
  edit: Edit,
): Promise<Automation> {
  await lockOrganization(trx, organizationId);
  await checkQuota(trx("automations").where({ organization_id: organizationId }), most);
  const id = newId();
  const at = isoOf(edit.now);
  await trx("automations").insert({
    id,
    organization_id: organizationId,
    ...columnsOf(fields),
    ...siteColumn(fields),
    version: 1,
    created_at: at,
    updated_at: at,
  });
  await automationVersions.insert(trx, { id, version: 1 }, fields, edit);
  return await readAutomation(trx, id);
}

/** Throws `not_found`. */
export async function getAutomation(db: Db, scope: Scope, id: string): Promise<PlacedAutomation> {
  const row = (await scoped(automations(db).where("a.id", id), scope, COLUMNS).first()) as Row | undefined;
  if (!row) throw notFound();
  return automationOf(row);
}

/** As {@link getAutomation}; nobody else changes it, or the place it is at, until the transaction ends. */
export async function lockAutomation(trx: Db, scope: Scope, id: string): Promise<PlacedAutomation> {
  await lockOrganization(trx, (await getAutomation(trx, scope, id)).organizationId);
  const row: unknown = await scoped(trx("automations as a").where("a.id", id), scope, COLUMNS).forUpdate().first("a.id");
  if (!row) throw notFound();
  return await getAutomation(trx, scope, id);
}

export interface AutomationFilter {
  readonly limit: number;
  readonly after?: string | undefined;
  readonly search?: string | undefined;
  readonly isEnabled?: boolean | undefined;
}

/** Oldest first. */
export async function listAutomations(
  db: Db,
  scope: Scope,
  { limit, after, search, isEnabled }: AutomationFilter,
): Promise<Page<Automation>> {
  const query = scoped(automations(db), scope, COLUMNS)
    .orderBy("a.id")
    .limit(limit + 1);
  if (after !== undefined) query.where("a.id", ">", after);
  if (search !== undefined) query.whereRaw("hub_lower(a.name) like ? escape '\\'", [containing(search)]);
  if (isEnabled !== undefined) query.where("a.is_enabled", isEnabled);
  return pageOf(((await query) as Row[]).map(automationOf), limit, ({ id }) => id);
}

/** Of one that is locked: another definition is another version, and what its triggers saw is forgotten. */
export async function updateAutomation(trx: Db, before: Automation, fields: AutomationFields, edit: Edit): Promise<Automation> {
  const isEdited = isRedefined(before, fields) || before.name !== fields.name || before.description !== fields.description;
  const version = before.version + (isEdited ? 1 : 0);
  await trx("automations")
    .where({ id: before.id })
    .update({ ...columnsOf(fields), ...siteColumn(fields, before), version, updated_at: isoOf(edit.now) });
  if (isEdited) await automationVersions.insert(trx, { id: before.id, version }, fields, edit);
  await trx("automation_states").where({ automation_id: before.id }).del();
  return await readAutomation(trx, before.id);
}

export async function deleteAutomation(trx: Db, id: string): Promise<void> {
  await trx("automations").where({ id }).del();
}

/** Those that are enabled, of all organisations or of these, by their ids: what the hub has to follow. */
export async function readEnabled(db: Db, ids?: readonly string[]): Promise<Map<string, PlacedAutomation>> {
  const query = automations(db).where("a.is_enabled", true).orderBy("a.id");
  if (ids) query.whereIn("a.id", ids);
  return new Map(((await query) as Row[]).map((row) => [row.id, automationOf(row)]));
}

/** Those that are enabled and go by the clocks of the site. */
export async function automationsOfSite(db: Db, siteId: string): Promise<string[]> {
  const rows = (await db("automations").where({ site_id: siteId, is_enabled: true }).orderBy("id").select("id")) as { id: string }[];
  return rows.map(({ id }) => id);
}

/** Nobody changes it, or fires it, until the transaction ends. False when it is not there as that version any more. */
export async function holdAutomation(trx: Db, id: string, version: number): Promise<boolean> {
  // What an update takes: with less, two that fire at once would wait for each other when they count it.
  const lock = engineOf(trx) === "postgres" ? " for no key update" : "";
  return (
    (await rowsOf(trx, `select 1 as one from automations where id = ? and version = ? and is_enabled${lock}`, [id, version])).length > 0
  );
}

export interface Firings {
  readonly id: string;
  readonly version: number;
  readonly times: number;
}

/** They have fired so often more, last at `now`; nothing of one that is not there as that version any more. */
export async function noteFirings(trx: Db, firings: readonly Firings[], now: number): Promise<void> {
  const source = rowSource(trx, { id: "text", version: "int", times: "int" });
  const rows = toJson(firings.map(({ id, version, times }) => ({ id, version, times })));
  // In one order everywhere, so that two nodes do not wait for each other in a ring.
  if (engineOf(trx) === "postgres" && firings.length > 1)
    await rowsOf(trx, `select a.id from automations a join ${source} on r.id = a.id order by a.id for no key update of a`, [rows]);
  await rowsOf(
    trx,
    `update automations set fire_count = fire_count + r.times, last_fired_at = ? from ${source}
     where automations.id = r.id and automations.version = r.version and is_enabled`,
    [isoOf(now), rows],
  );
}

/** Subject of what an automation remembers of its firings. */
const FIRINGS = "";

/** Locked, so that two firings at once see each other. */
export async function lockMemory(trx: Db, id: string): Promise<Memory> {
  await rowsOf(trx, "insert into automation_states (automation_id, subject, state) values (?, ?, ?) on conflict do nothing", [
    id,
    FIRINGS,
    toJson(NO_MEMORY),
  ]);
  const lock = engineOf(trx) === "postgres" ? " for update" : "";
  const [row] = await rowsOf<{ state: unknown }>(
    trx,
    `select state from automation_states where automation_id = ? and subject = ?${lock}`,
    [id, FIRINGS],
  );
  return row ? (fromJson(row.state) as Memory) : NO_MEMORY;
}

export async function saveMemory(trx: Db, id: string, memory: Memory): Promise<void> {
  await trx("automation_states")
    .where({ automation_id: id, subject: FIRINGS })
    .update({ state: toJson(memory) });
}

/** What a trigger watches is so now, or is not. */
export async function saveWatched(trx: Db, id: string, subject: string, isOn: boolean): Promise<void> {
  // Whoever changes the automation forgets its states afterwards: in the same order, so that nobody waits in a ring.
  const lock = engineOf(trx) === "postgres" ? " for key share" : "";
  await rowsOf(
    trx,
    `insert into automation_states (automation_id, subject, state) select a.id, ?, ? from automations a where a.id = ?${lock}
     on conflict (automation_id, subject) do update set state = excluded.state`,
    [subject, toJson({ isOn }), id],
  );
}

/** Of all automations, or of these: the subjects that are so now. */
export async function readWatched(db: Db, ids?: readonly string[]): Promise<Map<string, Set<string>>> {
  const query = db("automation_states").whereNot({ subject: FIRINGS });
  if (ids) query.whereIn("automation_id", ids);
  const watched = new Map<string, Set<string>>();
  for (const row of (await query) as { automation_id: string; subject: string; state: unknown }[]) {
    if (!(fromJson(row.state) as { isOn: boolean }).isOn) continue;
    const subjects = watched.get(row.automation_id) ?? new Set();
    watched.set(row.automation_id, subjects.add(row.subject));
  }
  return watched;
}

interface Row {
  id: string;
  organization_id: string;
  name: string;
  description: string | null;
  is_enabled: boolean | number;
  version: number;
  definition: unknown;
  fire_count: number;
  last_fired_at: string | null;
  created_at: string;
  updated_at: string;
  time_zone: string | null;
  latitude: number | null;
  longitude: number | null;
}
const notFound = (): HubError => new HubError("not_found", "there is no such automation");

const automations = (db: Db) =>
  db("automations as a").leftJoin("sites as s", "s.id", "a.site_id").select("a.*", "s.time_zone", "s.latitude", "s.longitude");

async function readAutomation(trx: Db, id: string): Promise<Automation> {
  return automationOf((await automations(trx).where("a.id", id).first()) as Row);
}

function columnsOf({ name, description, isEnabled, definition }: AutomationFields) {
  return {
    name: storableText(name),
    description: description === null ? null : storableText(description),
    is_enabled: isEnabled,
    definition: toJson(definition),
  };
}

const automationOf = (row: Row): PlacedAutomation => ({
  id: row.id,
  organizationId: row.organization_id,
  name: row.name,
  description: row.description,
  isEnabled: Boolean(row.is_enabled),
  version: row.version,
  definition: fromJson(row.definition) as Record<string, unknown>,
  fireCount: row.fire_count,
  lastFiredAt: row.last_fired_at,
  createdAt: row.created_at,
  updatedAt: row.updated_at,
  timeZone: row.time_zone,
  latitude: row.latitude,
  longitude: row.longitude,
});
