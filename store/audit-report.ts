import { DAY_MS } from "../core/durations.ts";
import type { Scope } from "../core/principal.ts";
import { inPeriod } from "./audit.ts";
import type { Db } from "./open.ts";
import { scoped } from "./sql.ts";

export interface AuditReport {
  readonly total: number;
  readonly first: string | null;
  readonly last: string | null;
  /** Most first. */
  readonly actions: readonly { readonly action: string; readonly count: number }[];
  readonly actors: readonly { readonly kind: string; readonly id: string; readonly count: number }[];
  /** Those with any, in UTC. */
  readonly days: readonly { readonly day: string; readonly count: number }[];
}

export interface Period {
  /** ms since 1970, inclusive */
  readonly from: number;
  /** ms since 1970, exclusive */
  readonly to: number;
}

export const REPORT_ACTORS = 100;
/** Of one day: those who did most. */
const ACTORS_OF_A_DAY = 1_000;

/** Counts day by day, so that no question keeps SQLite's thread for long. */
export async function reportAudit(db: Db, scope: Scope, { from, to }: Period): Promise<AuditReport> {
  const actions = new Map<string, number>();
  const actors = new Map<string, { kind: string; id: string; count: number }>();
  const days: { day: string; count: number }[] = [];
  let [first, last]: [string | null, string | null] = [null, null];
  for (let start = from; start < to; start = (Math.floor(start / DAY_MS) + 1) * DAY_MS) {
    const period = { from: start, to: Math.min(to, (Math.floor(start / DAY_MS) + 1) * DAY_MS) };
    const counted = await countActions(db, scope, period);
    if (counted.length === 0) continue;
    days.push({ day: new Date(start).toISOString().slice(0, 10), count: counted.reduce((sum, { count }) => sum + count, 0) });
    for (const one of counted) {
      actions.set(one.action, (actions.get(one.action) ?? 0) + one.count);
      if (first === null || one.first < first) first = one.first;
      if (last === null || one.last > last) last = one.last;
    }
    for (const { kind, id, count } of await countActors(db, scope, period)) {
      const known = actors.get(`${kind} ${id}`);
      actors.set(`${kind} ${id}`, { kind, id, count: count + (known?.count ?? 0) });
    }
  }
  return {
    total: days.reduce((sum, { count }) => sum + count, 0),
    first,
    last,
    actions: [...actions].map(([action, count]) => ({ action, count })).toSorted(mostFirst),
    actors: [...actors.values()].toSorted(mostFirst).slice(0, REPORT_ACTORS),
    days,
  };
}

const mostFirst = (a: { readonly count: number }, b: { readonly count: number }): number => b.count - a.count;

async function countActions(db: Db, scope: Scope, period: Period) {
  const rows: unknown = await inPeriod(scoped(db("audit_outbox"), scope, { organization: "organization_id" }), period)
    .groupBy("action")
    .select("action")
    .count({ count: "*" })
    .min({ first: "created_at" })
    .max({ last: "created_at" });
  return rows as { action: string; count: number; first: string; last: string }[];
}

async function countActors(db: Db, scope: Scope, period: Period) {
  const rows: unknown = await inPeriod(scoped(db("audit_outbox"), scope, { organization: "organization_id" }), period)
    .groupBy("actor_kind", "actor_id")
    .select({ kind: "actor_kind", id: "actor_id" })
    .count({ count: "*" })
    .orderBy([{ column: "count", order: "desc" }, "actor_kind", "actor_id"])
    .limit(ACTORS_OF_A_DAY);
  return rows as { kind: string; id: string; count: number }[];
}
