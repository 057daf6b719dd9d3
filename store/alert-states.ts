import { FINE, shifted, type Watch } from "../core/alert.ts";
import type { Db } from "./open.ts";
import { engineOf, fromJson, idsParameter, rowsOf, toJson } from "./sql.ts";

/** What an alert is made of, when it is raised: by a signal, or by the time that went by since. */
export interface AlertCause {
  readonly device: { readonly id: string; readonly uid: string } | null;
  readonly values: Readonly<Record<string, unknown>>;
  readonly event: { readonly id: string; readonly correlationId: string } | null;
}

/** What a rule knows of one subject. */
export interface AlertState {
  readonly watch: Watch;
  readonly cause: AlertCause | null;
  /** When the subject's timer comes, in ms since 1970; null when none is out. */
  readonly timerAt: number | null;
  /** Times of the events that are counted. */
  readonly recent: readonly number[];
}

export interface StateKey {
  readonly ruleId: string;
  readonly version: number;
  readonly subject: string;
}

const NOTHING: AlertState = { watch: FINE, cause: null, timerAt: null, recent: [] };

/** The rule stays as this version until the transaction ends. False when it is another one by now, or none. */
export async function holdAlertRule(trx: Db, { ruleId, version }: Pick<StateKey, "ruleId" | "version">): Promise<boolean> {
  const lock = engineOf(trx) === "postgres" ? " for share" : "";
  const sql = `select 1 as one from alert_rules where id = ? and version = ? and is_enabled${lock}`;
  return (await rowsOf(trx, sql, [ruleId, version])).length > 0;
}

/** Locked, so that signals from several nodes come one after the other; of a rule that is held. */
export async function lockAlertState(trx: Db, { ruleId, version, subject }: StateKey): Promise<AlertState> {
  const isPostgres = engineOf(trx) === "postgres";
  const key = [ruleId, version, subject];
  await rowsOf(trx, "insert into alert_states (rule_id, version, subject, is_bad, state) values (?, ?, ?, ?, ?) on conflict do nothing", [
    ...key,
    isPostgres ? false : 0,
    toJson(NOTHING),
  ]);
  const [row] = await rowsOf<{ state: unknown }>(
    trx,
    `select state from alert_states where rule_id = ? and version = ? and subject = ?${isPostgres ? " for update" : ""}`,
    key,
  );
  return row ? (fromJson(row.state) as AlertState) : NOTHING;
}

/** What says nothing leaves no row. */
export async function saveAlertState(trx: Db, { ruleId, version, subject }: StateKey, state: AlertState): Promise<void> {
  const row = trx("alert_states").where({ rule_id: ruleId, version, subject });
  if (state.watch.status === "ok" && state.timerAt === null && state.recent.length === 0) await row.del();
  else await row.update({ is_bad: state.watch.isBad, state: toJson(state) });
}

/** Those with a device's uid as their subject, of rules as they are now. */
export async function listAlertStates(db: Db, subject: string): Promise<StateKey[]> {
  return await rowsOf<StateKey>(
    db,
    `select a.rule_id as "ruleId", a.subject, a.version from alert_states a join alert_rules r on r.id = a.rule_id and r.version = a.version
     where a.subject = ? order by a.rule_id`,
    [subject],
  );
}

/** Those of the organisation's devices, with where these are; of rules as they are now. */
export async function listPlacedStates(
  db: Db,
  organizationId: string,
): Promise<(StateKey & { readonly siteId: string | null; readonly roomId: string | null })[]> {
  return await rowsOf(
    db,
    `select a.rule_id as "ruleId", a.subject, a.version, o.site_id as "siteId", d.room_id as "roomId" from alert_states a
       join alert_rules r on r.id = a.rule_id and r.version = a.version
       join devices d on d.uid = a.subject and d.organization_id = r.organization_id left join rooms o on o.id = d.room_id
     where r.organization_id = ? order by a.rule_id, a.subject`,
    [organizationId],
  );
}

export async function deleteAlertStates(trx: Db, ruleId: string): Promise<void> {
  await trx("alert_states").where({ rule_id: ruleId }).del();
}

/** Those of rules, and versions, that are not there any more. */
export async function purgeAlertStates(db: Db): Promise<void> {
  await rowsOf(
    db,
    "delete from alert_states where not exists (select 1 from alert_rules r where r.id = alert_states.rule_id and r.version = alert_states.version)",
  );
}

/** Of all rules, or of these: the subjects that are bad now. */
export async function readBad(db: Db, ruleIds?: readonly string[]): Promise<Map<string, Set<string>>> {
  const within = ruleIds ? ` and a.rule_id in ${idsParameter(db)}` : "";
  const rows = await rowsOf<{ rule_id: string; subject: string }>(
    db,
    `select a.rule_id, a.subject from alert_states a join alert_rules r on r.id = a.rule_id and r.version = a.version where a.is_bad${within}`,
    ruleIds ? [toJson(ruleIds)] : [],
  );
  const bad = new Map<string, Set<string>>();
  for (const { rule_id: id, subject } of rows) bad.set(id, (bad.get(id) ?? new Set()).add(subject));
  return bad;
}

/**
 * The clock was set by so much, to `now`: whatever counts time that goes by moves along. Gives those that wait for the end of a silence,
 * which is a time of day: theirs is to be looked at now.
 */
export async function shiftAlertStates(trx: Db, stepMs: number, now: number): Promise<StateKey[]> {
  const silent: StateKey[] = [];
  const lock = engineOf(trx) === "postgres" ? " for update" : "";
  const rows = await rowsOf<StateKey & { state: unknown }>(
    trx,
    `select rule_id as "ruleId", version, subject, state from alert_states order by rule_id, version, subject${lock}`,
  );
  for (const { state: stored, ...key } of rows) {
    const state = fromJson(stored) as AlertState;
    const isSilent = state.watch.quietUntil > 0 && state.timerAt !== null;
    if (isSilent) silent.push(key);
    await saveAlertState(trx, key, {
      ...state,
      watch: shifted(state.watch, stepMs),
      timerAt: isSilent ? now : state.timerAt === null ? null : state.timerAt + stepMs,
      recent: state.recent.map((at) => at + stepMs),
    });
  }
  return silent;
}
