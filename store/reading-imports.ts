import { HubError } from "../core/errors.ts";
import { newId } from "../core/id.ts";
import { type ImportFormat, type ImportState, type ImportTotals, NO_TOTALS, type RefusedLine } from "../core/reading-import.ts";
import type { Actor, Scope } from "../core/principal.ts";
import type { Db } from "./open.ts";
import { engineOf, fromJson, idsParameter, isoOf, type Page, pageOf, rowsOf, scoped, toJson } from "./sql.ts";

export interface ReadingImport extends ImportTotals {
  readonly id: string;
  readonly organizationId: string;
  readonly actor: Actor;
  readonly format: ImportFormat;
  readonly state: ImportState;
  /** Code of what ended it before its end. */
  readonly error: string | null;
  readonly startedAt: string;
  readonly endedAt: string | null;
}

/** Of each organisation, the newest. */
export const MOST_IMPORTS_KEPT = 100;
/** One that runs is heard of more often: whoever ran this one is gone. */
const SILENT_MS = 120_000;

export interface NewImport {
  readonly organizationId: string;
  readonly actor: Actor;
  readonly format: ImportFormat;
  /** ms since 1970 */
  readonly now: number;
}

/** It runs from now on. The oldest of those that are over make room for it. */
export async function createImport(trx: Db, { organizationId, actor, format, now }: NewImport): Promise<ReadingImport> {
  const at = isoOf(now);
  const row: ImportRow = {
    id: newId(),
    organization_id: organizationId,
    actor_kind: actor.kind,
    actor_id: actor.id,
    format,
    state: "running",
    error: null,
    ...columnsOf(NO_TOTALS),
    started_at: at,
    updated_at: at,
    ended_at: null,
  };
  await trx("reading_imports").insert(row);
  await rowsOf(
    trx,
    `delete from reading_imports where state <> 'running' and organization_id = ? and id < (
       select id from reading_imports where organization_id = ? order by id desc limit 1 offset ${MOST_IMPORTS_KEPT - 1})`,
    [organizationId, organizationId],
  );
  return importOf(row, now);
}

/** How far it is. */
export async function noteProgress(db: Db, id: string, totals: ImportTotals, now: number): Promise<void> {
  await db("reading_imports")
    .where({ id, state: "running" })
    .update({ ...columnsOf(totals), updated_at: isoOf(now) });
}

export interface ImportEnd {
  readonly state: Exclude<ImportState, "running">;
  readonly error: string | null;
  readonly totals: ImportTotals;
  readonly now: number;
}

/** undefined where there is none any more: its organisation is gone. */
export async function endImport(db: Db, id: string, { state, error, totals, now }: ImportEnd): Promise<ReadingImport | undefined> {
  const at = isoOf(now);
  const rows = (await db("reading_imports")
    .where({ id })
    .update({ state, error, ...columnsOf(totals), updated_at: at, ended_at: at })
    .returning("*")) as ImportRow[];
  return rows[0] && importOf(rows[0], now);
}

/** At the start of a hub: those that ran when it ended are over. Where others are at work, those of which nobody has said anything for long. */
export async function endAbandonedImports(db: Db, { isAlone, now }: { readonly isAlone: boolean; readonly now: number }): Promise<void> {
  const query = db("reading_imports").where({ state: "running" });
  if (!isAlone) query.where("updated_at", "<", isoOf(now - SILENT_MS));
  await query.update({ state: "interrupted", error: "unavailable", ended_at: isoOf(now) });
}

/** Whoever may see devices of their organisation one by one sees what they have done themselves. */
export interface ImportReader {
  readonly scope: Scope;
  readonly actorId: string;
  readonly now: number;
}

export async function listImports(
  db: Db,
  reader: ImportReader,
  { limit, after }: { readonly limit: number; readonly after?: string | undefined },
): Promise<Page<ReadingImport>> {
  const query = importsFor(db, reader)
    .orderBy("id", "desc")
    .limit(limit + 1);
  if (after !== undefined) query.where("id", "<", after);
  const rows = (await query) as ImportRow[];
  return pageOf(
    rows.map((row) => importOf(row, reader.now)),
    limit,
    ({ id }) => id,
  );
}

/** Throws `not_found`. */
export async function getImport(db: Db, reader: ImportReader, id: string): Promise<ReadingImport> {
  const row = (await importsFor(db, reader).where({ id }).first()) as ImportRow | undefined;
  if (!row) throw new HubError("not_found", "there is no such import");
  return importOf(row, reader.now);
}

function importsFor(db: Db, { scope, actorId }: ImportReader) {
  const query = db("reading_imports");
  if (scope.kind === "devices") return query.where({ organization_id: scope.organizationId, actor_id: actorId });
  return scoped(query, scope, { organization: "organization_id" });
}

/** Of these uids and UUIDs, the devices that the organisation has, and that it keeps until the transaction ends. */
export async function holdDevices(
  trx: Db,
  organizationId: string,
  refs: readonly string[],
): Promise<readonly { readonly id: string; readonly uid: string }[]> {
  const ids = idsParameter(trx);
  const wanted = toJson(refs);
  const lock = engineOf(trx) === "postgres" ? " order by id for key share" : "";
  return await rowsOf(trx, `select id, uid from devices where organization_id = ? and (uid in ${ids} or id in ${ids})${lock}`, [
    organizationId,
    wanted,
    wanted,
  ]);
}

interface ImportRow {
  id: string;
  organization_id: string;
  actor_kind: Actor["kind"];
  actor_id: string;
  format: ImportFormat;
  state: ImportState;
  error: string | null;
  line_count: number;
  stored_count: number;
  known_count: number;
  refused_count: number;
  refusals: unknown;
  started_at: string;
  updated_at: string;
  ended_at: string | null;
}

const columnsOf = ({ lines, stored, known, refused, refusals }: ImportTotals) => ({
  line_count: lines,
  stored_count: stored,
  known_count: known,
  refused_count: refused,
  refusals: toJson(refusals.map(({ line, code }) => [line, code])),
});

function importOf(row: ImportRow, now: number): ReadingImport {
  const isSilent = row.state === "running" && Date.parse(row.updated_at) < now - SILENT_MS;
  return {
    id: row.id,
    organizationId: row.organization_id,
    actor: { kind: row.actor_kind, id: row.actor_id },
    format: row.format,
    state: isSilent ? "interrupted" : row.state,
    error: isSilent ? "unavailable" : row.error,
    lines: row.line_count,
    stored: row.stored_count,
    known: row.known_count,
    refused: row.refused_count,
    refusals: (fromJson(row.refusals) as [number, RefusedLine["code"]][]).map(([line, code]) => ({ line, code })),
    startedAt: row.started_at,
    endedAt: row.ended_at,
  };
}
