import { HubError } from "../core/errors.ts";
import { newId } from "../core/id.ts";
import type { Severity } from "../core/notification.ts";
import type { Scope } from "../core/principal.ts";
import { type Edit, siteColumn, versionsIn } from "./definition-versions.ts";
import { checkQuota } from "./entity-rows.ts";
import type { Db } from "./open.ts";
import { lockOrganization } from "./organizations.ts";
import { containing, engineOf, fromJson, isoOf, type Page, pageOf, rowsOf, scoped, storableText, toJson } from "./sql.ts";

/** As it was written; `core/alert-rule.ts` parses the definition. */
export interface AlertRule {
  readonly id: string;
  readonly organizationId: string;
  readonly name: string;
  readonly description: string | null;
  readonly isEnabled: boolean;
  readonly severity: Severity;
  readonly version: number;
  readonly definition: Readonly<Record<string, unknown>>;
  readonly createdAt: string;
  readonly updatedAt: string;
  /** Of its site, where the definition names no zone. */
  readonly timeZone: string | null;
  readonly latitude: number | null;
  readonly longitude: number | null;
}

export type AlertRuleFields = Pick<AlertRule, "name" | "description" | "isEnabled" | "severity" | "definition">;

export const alertRuleVersions = versionsIn("alert_rule_versions", "rule_id");

const COLUMNS = { organization: "a.organization_id" };

/** Throws `quota_exceeded`. */
export async function createAlertRule(
  trx: Db,
  organizationId: string,
  fields: AlertRuleFields,
  most: number,
  edit: Edit,
): Promise<AlertRule> {
  await lockOrganization(trx, organizationId);
  await checkQuota(trx("alert_rules").where({ organization_id: organizationId }), most);
  const id = newId();
  const at = isoOf(edit.now);
  await trx("alert_rules").insert({
    id,
    organization_id: organizationId,
    ...columnsOf(fields),
    ...siteColumn(fields),
    version: 1,
    created_at: at,
    updated_at: at,
  });
  await alertRuleVersions.insert(trx, { id, version: 1 }, fields, edit);
  return await readRule(trx, id);
}

/** Throws `not_found`. */
export async function getAlertRule(db: Db, scope: Scope, id: string): Promise<AlertRule> {
  const row = (await scoped(rules(db).where("a.id", id), scope, COLUMNS).first()) as Row | undefined;
  if (!row) throw notFound();
  return ruleOf(row);
}

/** As {@link getAlertRule}; nobody else changes it, or the place it is at, until the transaction ends. */
export async function lockAlertRule(trx: Db, scope: Scope, id: string): Promise<AlertRule> {
  await lockOrganization(trx, (await getAlertRule(trx, scope, id)).organizationId);
  const row: unknown = await scoped(trx("alert_rules as a").where("a.id", id), scope, COLUMNS).forUpdate().first("a.id");
  if (!row) throw notFound();
  return await getAlertRule(trx, scope, id);
}

export interface AlertRuleFilter {
  readonly limit: number;
  readonly after?: string | undefined;
  readonly search?: string | undefined;
  readonly isEnabled?: boolean | undefined;
}

/** Oldest first. */
export async function listAlertRules(db: Db, scope: Scope, { limit, after, search, isEnabled }: AlertRuleFilter): Promise<Page<AlertRule>> {
  const query = scoped(rules(db), scope, COLUMNS)
    .orderBy("a.id")
    .limit(limit + 1);
  if (after !== undefined) query.where("a.id", ">", after);
  if (search !== undefined) query.whereRaw("hub_lower(a.name) like ? escape '\\'", [containing(search)]);
  if (isEnabled !== undefined) query.where("a.is_enabled", isEnabled);
  return pageOf(((await query) as Row[]).map(ruleOf), limit, ({ id }) => id);
}

/** Of one that is locked. Every change is another version: what waits for the former one does nothing any more. */
export async function updateAlertRule(trx: Db, before: AlertRule, fields: AlertRuleFields, edit: Edit): Promise<AlertRule> {
  const version = before.version + 1;
  await trx("alert_rules")
    .where({ id: before.id })
    .update({ ...columnsOf(fields), ...siteColumn(fields, before), version, updated_at: isoOf(edit.now) });
  await alertRuleVersions.insert(trx, { id: before.id, version }, fields, edit);
  return await readRule(trx, before.id);
}

export async function deleteAlertRule(trx: Db, id: string): Promise<void> {
  await trx("alert_rules").where({ id }).del();
}

/** Those that are enabled, of all organisations or of these, by their ids: what the hub has to follow. */
export async function readEnabledRules(db: Db, ids?: readonly string[]): Promise<Map<string, AlertRule>> {
  const query = rules(db).where("a.is_enabled", true).orderBy("a.id");
  if (ids) query.whereIn("a.id", ids);
  return new Map(((await query) as Row[]).map((row) => [row.id, ruleOf(row)]));
}

/** Those that are enabled and go by the clocks of the site. */
export async function alertRulesOfSite(db: Db, siteId: string): Promise<string[]> {
  const rows = (await db("alert_rules").where({ site_id: siteId, is_enabled: true }).orderBy("id").select("id")) as { id: string }[];
  return rows.map(({ id }) => id);
}

/** Until the transaction ends nobody else has to do with losses of the rule. */
export async function lockLosses(trx: Db, id: string): Promise<void> {
  if (engineOf(trx) === "postgres") await rowsOf(trx, "select pg_advisory_xact_lock(hashtextextended(?, 0))", [id]);
}

interface Row {
  id: string;
  organization_id: string;
  name: string;
  description: string | null;
  is_enabled: boolean | number;
  severity: Severity;
  version: number;
  definition: unknown;
  created_at: string;
  updated_at: string;
  time_zone: string | null;
  latitude: number | null;
  longitude: number | null;
}
const notFound = (): HubError => new HubError("not_found", "there is no such alert rule");

const rules = (db: Db) =>
  db("alert_rules as a").leftJoin("sites as s", "s.id", "a.site_id").select("a.*", "s.time_zone", "s.latitude", "s.longitude");

async function readRule(trx: Db, id: string): Promise<AlertRule> {
  return ruleOf((await rules(trx).where("a.id", id).first()) as Row);
}

function columnsOf({ name, description, isEnabled, severity, definition }: AlertRuleFields) {
  return {
    name: storableText(name),
    description: description === null ? null : storableText(description),
    is_enabled: isEnabled,
    severity,
    definition: toJson(definition),
  };
}

const ruleOf = (row: Row): AlertRule => ({
  id: row.id,
  organizationId: row.organization_id,
  name: row.name,
  description: row.description,
  isEnabled: Boolean(row.is_enabled),
  severity: row.severity,
  version: row.version,
  definition: fromJson(row.definition) as Record<string, unknown>,
  createdAt: row.created_at,
  updatedAt: row.updated_at,
  timeZone: row.time_zone,
  latitude: row.latitude,
  longitude: row.longitude,
});
