import { HubError } from "../core/errors.ts";
import { newId } from "../core/id.ts";
import type { Finding, Insight, InsightKind } from "../core/insight.ts";
import type { Severity } from "../core/notification.ts";
import type { Actor, Scope } from "../core/principal.ts";
import type { Db } from "./open.ts";
import { fromJson, isoOf, type Page, pageOf, placesFor, rowsOf, scoped, storableText, toJson } from "./sql.ts";

const SCOPE = { organization: "organization_id", device: "device_id" };
/** Of an organisation. */
export const MOST_OPEN_INSIGHTS = 1_000;
const KEPT_MS = 365 * 86_400_000;
const PURGED_AT_ONCE = 5_000;

export interface NewInsight {
  readonly organizationId: string;
  readonly device: { readonly id: string; readonly uid: string };
  readonly finding: Finding;
  /** ms since 1970 */
  readonly now: number;
}

/** undefined when one of the same device, kind and subject is open. */
export async function insertInsight(trx: Db, { organizationId, device, finding, now }: NewInsight): Promise<Insight | undefined> {
  const id = newId();
  const at = isoOf(now);
  const row = {
    id,
    organization_id: organizationId,
    device_id: device.id,
    uid: device.uid,
    kind: finding.kind,
    subject: storableText(finding.subject),
    severity: finding.severity,
    message: storableText(finding.message),
    evidence: toJson(finding.evidence),
    since: isoOf(finding.since),
    found_at: at,
    seen_at: at,
    correlation_id: id,
  };
  const names = Object.keys(row);
  const [inserted] = await rowsOf<Row>(
    trx,
    `insert into insights (${names.join(", ")}) values (${placesFor(names)}) on conflict do nothing returning *`,
    Object.values(row),
  );
  return inserted && insightOf(inserted);
}

/** It holds still, with these numbers. */
export async function seeInsight(trx: Db, id: string, { severity, message, evidence }: Finding, now: number): Promise<void> {
  await trx("insights")
    .where({ id })
    .update({ severity, message: storableText(message), evidence: toJson(evidence), seen_at: isoOf(now) });
}

/** undefined when it had ended. */
export async function endInsight(trx: Db, id: string, now: number): Promise<Insight | undefined> {
  const rows = (await trx("insights")
    .where({ id })
    .whereNull("ended_at")
    .update({ ended_at: isoOf(now) })
    .returning("*")) as Row[];
  return rows[0] && insightOf(rows[0]);
}

/** Of an organisation: {@link MOST_OPEN_INSIGHTS} at most. */
export async function openInsights(db: Db, organizationId: string): Promise<Insight[]> {
  return ((await db("insights").where({ organization_id: organizationId }).whereNull("ended_at").orderBy("id")) as Row[]).map(insightOf);
}

/** Throws `not_found`. Nobody else changes it until the transaction ends. */
export async function lockInsight(trx: Db, scope: Scope, id: string): Promise<Insight> {
  const row = (await scoped(trx("insights").where({ id }), scope, SCOPE).forUpdate().first()) as Row | undefined;
  if (!row) throw new HubError("not_found", "there is no such insight");
  return insightOf(row);
}

export async function dismissInsight(trx: Db, id: string, actor: Actor, now: number): Promise<Insight> {
  const [row] = (await trx("insights")
    .where({ id })
    .update({ dismissed_at: isoOf(now), dismissed_by_kind: actor.kind, dismissed_by: actor.id })
    .returning("*")) as Row[];
  return insightOf(row as Row);
}

export interface InsightFilter {
  readonly limit: number;
  readonly after?: string | undefined;
  /** `open`: neither ended nor dismissed. */
  readonly status?: "open" | "dismissed" | "ended" | undefined;
  readonly kind?: InsightKind | undefined;
  readonly severity?: Severity | undefined;
  readonly deviceId?: string | undefined;
  readonly siteId?: string | undefined;
  readonly roomId?: string | undefined;
}

/** Newest first. */
export async function listInsights(db: Db, scope: Scope, filter: InsightFilter): Promise<Page<Insight>> {
  const query = scoped(db("insights as i"), scope, { organization: "i.organization_id", device: "i.device_id" })
    .select("i.*")
    .orderBy("i.id", "desc")
    .limit(filter.limit + 1);
  if (filter.after !== undefined) query.where("i.id", "<", filter.after);
  if (filter.status === "ended") query.whereNotNull("i.ended_at");
  if (filter.status === "open") query.whereNull("i.ended_at").whereNull("i.dismissed_at");
  if (filter.status === "dismissed") query.whereNotNull("i.dismissed_at");
  if (filter.kind !== undefined) query.where("i.kind", filter.kind);
  if (filter.severity !== undefined) query.where("i.severity", filter.severity);
  if (filter.deviceId !== undefined) query.where("i.device_id", filter.deviceId);
  if (filter.siteId !== undefined || filter.roomId !== undefined) {
    query.join("devices as d", "d.id", "i.device_id").join("rooms as r", "r.id", "d.room_id");
    if (filter.siteId !== undefined) query.where("r.site_id", filter.siteId);
    if (filter.roomId !== undefined) query.where("r.id", filter.roomId);
  }
  return pageOf(((await query) as Row[]).map(insightOf), filter.limit, ({ id }) => id);
}

/** What is over for a year; at most some thousands at once. */
export async function purgeInsights(db: Db, now: number): Promise<void> {
  await rowsOf(db, "delete from insights where id in (select id from insights where ended_at < ? order by ended_at limit ?)", [
    isoOf(now - KEPT_MS),
    PURGED_AT_ONCE,
  ]);
}

/** Organisations that were last looked at before that day, in ms since 1970. */
export async function organizationsToExamine(db: Db, day: number): Promise<string[]> {
  const rows = await rowsOf<{ id: string }>(
    db,
    "select o.id from organizations as o left join insight_days as i on i.organization_id = o.id where i.day is null or i.day < ? order by o.id",
    [day],
  );
  return rows.map(({ id }) => id);
}

export async function noteExamined(trx: Db, organizationId: string, day: number): Promise<void> {
  await trx("insight_days").insert({ organization_id: organizationId, day }).onConflict("organization_id").merge(["day"]);
}

interface Row {
  id: string;
  organization_id: string;
  device_id: string;
  uid: string;
  kind: InsightKind;
  subject: string;
  severity: Severity;
  message: string;
  evidence: unknown;
  since: string;
  found_at: string;
  seen_at: string;
  ended_at: string | null;
  dismissed_at: string | null;
  dismissed_by_kind: Actor["kind"] | null;
  dismissed_by: string | null;
  correlation_id: string;
}

const insightOf = (row: Row): Insight => ({
  id: row.id,
  organizationId: row.organization_id,
  deviceId: row.device_id,
  uid: row.uid,
  kind: row.kind,
  subject: row.subject,
  severity: row.severity,
  message: row.message,
  evidence: fromJson(row.evidence) as Insight["evidence"],
  since: row.since,
  foundAt: row.found_at,
  seenAt: row.seen_at,
  endedAt: row.ended_at,
  dismissedAt: row.dismissed_at,
  dismissedBy: row.dismissed_by_kind === null ? null : { kind: row.dismissed_by_kind, id: row.dismissed_by ?? "" },
  correlationId: row.correlation_id,
});
