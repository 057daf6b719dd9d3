import { RETENTION_SETTING } from "../core/service-settings.ts";
import { firstIdAt } from "../core/id.ts";
import type { Db } from "./open.ts";
import { rowsOf } from "./sql.ts";

export interface EventRetention {
  /** Of the hub; 0 is for ever. */
  readonly days: number;
  /** ms since 1970 */
  readonly now: number;
  /** Nothing more is begun when it aborts. */
  readonly signal?: AbortSignal;
}

const DAY_MS = 86_400_000;
/** One statement removes so many: SQLite has one writer, and devices wait for it. */
const BATCH = 500;

/** Removes events that have had their days: those of the hub, and of organisations that keep theirs for less. Answers how many. */
export async function purgeEvents(db: Db, { days, now, signal }: EventRetention): Promise<number> {
  const firstKept = (kept: number): string => firstIdAt(now - kept * DAY_MS);
  let removed = days === 0 ? 0 : await removeInBatches(db, "id < ?", [firstKept(days)], signal);
  for (const [organizationId, own] of await ownRetentions(db)) {
    if (days !== 0 && own >= days) continue;
    removed += await removeInBatches(db, "organization_id = ? and id < ?", [organizationId, firstKept(own)], signal);
  }
  return removed;
}

async function removeInBatches(db: Db, condition: string, bindings: readonly string[], signal: AbortSignal | undefined): Promise<number> {
  for (let removed = 0; ; ) {
    if (signal?.aborted) return removed;
    const rows = await rowsOf(
      db,
      `delete from events where id in (select id from events where ${condition} order by id limit ?) returning id`,
      [...bindings, BATCH],
    );
    removed += rows.length;
    if (rows.length < BATCH) return removed;
  }
}

/** Days by organisation: its own setting, else the platform's. */
async function ownRetentions(db: Db): Promise<Map<string, number>> {
  const settings = (await db("service_settings").where({ setting_key: RETENTION_SETTING }).select("organization_id", "content")) as {
    organization_id: string | null;
    content: string;
  }[];
  const wanted = new Map(settings.map(({ organization_id, content }) => [organization_id, JSON.parse(content) as unknown]));
  const organizations = wanted.size === 0 ? [] : ((await db("organizations").select("id")) as { id: string }[]);
  const found = new Map<string, number>();
  for (const { id } of organizations) {
    const days = wanted.get(id) ?? wanted.get(null);
    // A value that was written before it was checked is none.
    if (typeof days === "number" && Number.isInteger(days) && days >= 1) found.set(id, days);
  }
  return found;
}
