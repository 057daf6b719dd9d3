import type { Link } from "../core/event-chain.ts";
import type { HubEvent } from "../core/event.ts";
import type { Scope } from "../core/principal.ts";
import { chainEvents, getEvent } from "./events.ts";
import type { Db } from "./open.ts";
import { idsParameter, rowsOf, toJson } from "./sql.ts";

export const MAX_CHAIN_EVENTS = 1_000;
/** Events that are passed over on the way to a cause that is shown. */
const MAX_HIDDEN = 1_000;

export interface Chain {
  readonly correlationId: string;
  /** Oldest first. */
  readonly events: readonly HubEvent[];
  /** Of causes that the scope may not see, or that there are too many of: nothing but what they follow from. */
  readonly hidden: readonly Link[];
  readonly isTruncated: boolean;
}

/** The chain that the event is in; of one that is too long its beginning, and the event. Throws `not_found`. */
export async function readChain(db: Db, scope: Scope, eventId: string): Promise<Chain> {
  const asked = await getEvent(db, scope, eventId);
  const { correlationId } = asked;
  const found = await chainEvents(db, scope, correlationId, MAX_CHAIN_EVENTS + 1);
  const isTruncated = found.length > MAX_CHAIN_EVENTS;
  const events = found.slice(0, MAX_CHAIN_EVENTS);
  if (!events.some(({ id }) => id === asked.id)) events.splice(-1, 1, asked);
  return { correlationId, events, hidden: await hiddenCauses(db, correlationId, events), isTruncated };
}

async function hiddenCauses(db: Db, correlationId: string, events: readonly HubEvent[]): Promise<Link[]> {
  const asked = new Set(events.map(({ id }) => id));
  const hidden: Link[] = [];
  const causesOf = (links: readonly Link[]): string[] => [
    ...new Set(links.flatMap(({ causationId }) => (causationId === null || asked.has(causationId) ? [] : [causationId]))),
  ];
  // One level of causes each time, and no event twice: circles end too.
  for (let missing = causesOf(events); missing.length > 0 && hidden.length < MAX_HIDDEN; ) {
    for (const id of missing) asked.add(id);
    const rows = await rowsOf<{ id: string; causation_id: string | null }>(
      db,
      `select id, causation_id from events where id in ${idsParameter(db)} and correlation_id = ?`,
      [toJson(missing), correlationId],
    );
    const links = rows.map((row): Link => ({ id: row.id, causationId: row.causation_id }));
    hidden.push(...links);
    missing = causesOf(links);
  }
  return hidden;
}
