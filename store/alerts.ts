import type { Alert, AlertEntry, AlertStatus } from "../core/alert.ts";
import { HubError } from "../core/errors.ts";
import { newId } from "../core/id.ts";
import type { Severity } from "../core/notification.ts";
import type { Actor, Scope } from "../core/principal.ts";
import type { Db } from "./open.ts";
import { fromJson, isoOf, type Page, pageOf, placesFor, rowsOf, scoped, storableText, toJson } from "./sql.ts";

const KEPT_MS = 365 * 86_400_000;
const PURGED_AT_ONCE = 5_000;
/** Of an alert's history the latest. */
const MOST_ENTRIES = 200;

/** False when one of the same rule and subject, or the same key, is open. */
export async function insertAlert(trx: Db, alert: Alert): Promise<boolean> {
  const row = rowOf(alert);
  const names = Object.keys(row);
  const rows = await rowsOf(
    trx,
    `insert into alerts (${names.join(", ")}) values (${placesFor(names)}) on conflict do nothing returning id`,
    Object.values(row),
  );
  return rows.length > 0;
}

export type AlertPatch = Partial<
  Pick<
    Alert,
    "status" | "severity" | "parentId" | "silencedUntil" | "toldAt" | "acknowledgedAt" | "resolvedAt" | "resolution" | "values" | "title"
  >
>;

export async function updateAlert(trx: Db, alert: Alert, patch: AlertPatch): Promise<Alert> {
  const after = { ...alert, ...patch };
  const { id: _id, ...columns } = rowOf(after);
  await trx("alerts").where({ id: alert.id }).update(columns);
  return after;
}

export async function addEntry(trx: Db, alertId: string, { at, what, actor, details }: AlertEntry): Promise<void> {
  await trx("alert_entries").insert({
    id: newId(),
    alert_id: alertId,
    at,
    what,
    actor_kind: actor.kind,
    actor_id: actor.id,
    details: toJson(details),
  });
}

/** The open one. */
export async function findOpenAlert(
  db: Db,
  { ruleId, organizationId, subject }: Pick<Alert, "ruleId" | "organizationId" | "subject">,
): Promise<Alert | undefined> {
  const [row] = await rowsOf<Row>(
    db,
    "select * from alerts where coalesce(rule_id, organization_id) = ? and subject = ? and status <> 'resolved'",
    [ruleId ?? organizationId, subject],
  );
  return row && alertOf(row);
}

/** Of a rule, oldest first. */
export async function openAlertsOf(db: Db, of: { readonly rule_id: string } | { readonly parent_id: string }): Promise<Alert[]> {
  return ((await db("alerts").where(of).whereNot({ status: "resolved" }).orderBy("id")) as Row[]).map(alertOf);
}

/** Throws `not_found`. */
export async function getAlert(db: Db, scope: Scope, id: string): Promise<Alert> {
  const row = (await scoped(db("alerts").where({ id }), scope, { organization: "organization_id" }).first()) as Row | undefined;
  if (!row) throw new HubError("not_found", "there is no such alert");
  return alertOf(row);
}

/** As {@link getAlert}; nobody else changes it until the transaction ends. */
export async function lockAlert(trx: Db, scope: Scope, id: string): Promise<Alert> {
  const query = scoped(trx("alerts").where({ id }), scope, { organization: "organization_id" });
  const row = (await query.forUpdate().first()) as Row | undefined;
  if (!row) throw new HubError("not_found", "there is no such alert");
  return alertOf(row);
}

export interface AlertFilter {
  readonly limit: number;
  readonly after?: string | undefined;
  readonly status?: AlertStatus | "open" | undefined;
  readonly severity?: Severity | undefined;
  readonly ruleId?: string | undefined;
  /** A device's uid or id. */
  readonly device?: string | undefined;
  readonly siteId?: string | undefined;
  readonly parentId?: string | undefined;
  /** ms since 1970, inclusive: when it was raised */
  readonly from?: number | undefined;
  /** ms since 1970, exclusive */
  readonly to?: number | undefined;
}

/** Newest first. */
export async function listAlerts(db: Db, scope: Scope, filter: AlertFilter): Promise<Page<Alert>> {
  const { limit, after, status, device } = filter;
  const query = scoped(db("alerts"), scope, { organization: "organization_id" })
    .orderBy("id", "desc")
    .limit(limit + 1);
  if (after !== undefined) query.where("id", "<", after);
  if (status === "open") query.whereNot({ status: "resolved" });
  else if (status !== undefined) query.where({ status });
  if (filter.severity !== undefined) query.where({ severity: filter.severity });
  if (filter.ruleId !== undefined) query.where({ rule_id: filter.ruleId });
  if (filter.siteId !== undefined) query.where({ site_id: filter.siteId });
  if (filter.parentId !== undefined) query.where({ parent_id: filter.parentId });
  if (device !== undefined) query.andWhere((either) => void either.where({ uid: device }).orWhere({ device_id: device.toLowerCase() }));
  if (filter.from !== undefined) query.where("raised_at", ">=", isoOf(filter.from));
  if (filter.to !== undefined) query.where("raised_at", "<", isoOf(filter.to));
  return pageOf(((await query) as Row[]).map(alertOf), limit, ({ id }) => id);
}

/** Oldest first; of a very long one the latest. */
export async function historyOf(db: Db, alertId: string): Promise<AlertEntry[]> {
  const rows = (await db("alert_entries").where({ alert_id: alertId }).orderBy("id", "desc").limit(MOST_ENTRIES)) as {
    at: string;
    what: AlertEntry["what"];
    actor_kind: Actor["kind"];
    actor_id: string;
    details: unknown;
  }[];
  return rows.toReversed().map(({ at, what, actor_kind: kind, actor_id: id, details }) => ({
    at,
    what,
    actor: { kind, id },
    details: fromJson(details) as Record<string, unknown>,
  }));
}

/** Of all organisations, by severity. */
export async function countOpenAlerts(db: Db): Promise<ReadonlyMap<string, number>> {
  const rows = await rowsOf<{ severity: string; n: number | string }>(
    db,
    "select severity, count(*) as n from alerts where status <> 'resolved' group by severity",
  );
  return new Map(rows.map(({ severity, n }) => [severity, Number(n)]));
}

export async function countRaisedByHand(db: Db, organizationId: string): Promise<number> {
  const [row] = await rowsOf<{ n: number | string }>(
    db,
    "select count(*) as n from alerts where organization_id = ? and rule_id is null and status <> 'resolved'",
    [organizationId],
  );
  return Number(row?.n ?? 0);
}

/** What is over for a year; gives how many went, at most some thousands at once. */
export async function purgeAlerts(db: Db, now: number): Promise<number> {
  const rows = await rowsOf(
    db,
    "delete from alerts where id in (select id from alerts where resolved_at < ? order by resolved_at limit ?) returning id",
    [isoOf(now - KEPT_MS), PURGED_AT_ONCE],
  );
  return rows.length;
}

interface Row {
  id: string;
  organization_id: string;
  rule_id: string | null;
  rule_version: number | null;
  subject: string;
  device_id: string | null;
  uid: string | null;
  site_id: string | null;
  severity: Severity;
  status: AlertStatus;
  title: string;
  description: string | null;
  measured: unknown;
  parent_id: string | null;
  silenced_until: string | null;
  started_at: string;
  raised_at: string;
  told_at: string | null;
  acknowledged_at: string | null;
  resolved_at: string | null;
  resolution: string | null;
  correlation_id: string;
}

const rowOf = (alert: Alert) => ({
  id: alert.id,
  organization_id: alert.organizationId,
  rule_id: alert.ruleId,
  rule_version: alert.ruleVersion,
  subject: alert.subject,
  device_id: alert.deviceId,
  uid: alert.uid,
  site_id: alert.siteId,
  severity: alert.severity,
  status: alert.status,
  title: storableText(alert.title),
  description: alert.description === null ? null : storableText(alert.description),
  measured: toJson(alert.values),
  parent_id: alert.parentId,
  silenced_until: alert.silencedUntil,
  started_at: alert.startedAt,
  raised_at: alert.raisedAt,
  told_at: alert.toldAt,
  acknowledged_at: alert.acknowledgedAt,
  resolved_at: alert.resolvedAt,
  resolution: alert.resolution,
  correlation_id: alert.correlationId,
});

const alertOf = (row: Row): Alert => ({
  id: row.id,
  organizationId: row.organization_id,
  ruleId: row.rule_id,
  ruleVersion: row.rule_version,
  subject: row.subject,
  deviceId: row.device_id,
  uid: row.uid,
  siteId: row.site_id,
  severity: row.severity,
  status: row.status,
  title: row.title,
  description: row.description,
  values: fromJson(row.measured) as Record<string, unknown>,
  parentId: row.parent_id,
  silencedUntil: row.silenced_until,
  startedAt: row.started_at,
  raisedAt: row.raised_at,
  toldAt: row.told_at,
  acknowledgedAt: row.acknowledged_at,
  resolvedAt: row.resolved_at,
  resolution: row.resolution,
  correlationId: row.correlation_id,
});
