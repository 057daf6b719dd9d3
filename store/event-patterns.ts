import type { PatternEvent } from "../core/event-patterns.ts";
import type { Scope } from "../core/principal.ts";
import { type EventFilter, readEvents } from "./event-query.ts";
import type { Db } from "./open.ts";

export const MAX_PATTERN_EVENTS = 10_000;
/** So many in one question, which keeps SQLite's thread for a few ms. */
const PAGE = 2_000;

/** The last events of the filter by time, and whether there are older ones. */
export async function recentEvents(db: Db, scope: Scope, filter: EventFilter): Promise<{ events: PatternEvent[]; isTruncated: boolean }> {
  const columns = ["id", "type", "entity_id", "timestamp"];
  const rows: { id: string; type: string; entity_id: string | null; timestamp: string }[] = [];
  while (rows.length <= MAX_PATTERN_EVENTS) {
    const limit = Math.min(PAGE, MAX_PATTERN_EVENTS + 1 - rows.length);
    const page = await readEvents<(typeof rows)[number]>(db, scope, filter, { limit, before: rows.at(-1)?.id, columns });
    rows.push(...page);
    if (page.length < limit) break;
  }
  const events = rows
    .slice(0, MAX_PATTERN_EVENTS)
    .toReversed()
    .map(({ type, entity_id, timestamp }): PatternEvent => ({ type, entityId: entity_id, at: Date.parse(timestamp) }))
    .toSorted((a, b) => a.at - b.at);
  return { events, isTruncated: rows.length > MAX_PATTERN_EVENTS };
}
