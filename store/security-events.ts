import { boundedCache } from "../core/bounded-cache.ts";
import type { Log } from "../core/bus.ts";
import { MINUTE_MS } from "../core/durations.ts";
import { newAudit } from "../core/event.ts";
import { SYSTEM } from "../core/principal.ts";
import type { SecurityEvent, SecurityEvents } from "../core/security-event.ts";
import { insertAudit } from "./audit.ts";
import type { Db } from "./open.ts";

export interface SecurityEventsContext {
  readonly db: Db;
  readonly log: Log;
  /** ms since 1970 */
  readonly clock: () => number;
}

/** Rows a minute of one kind, actor and source. */
const PER_KEY = 5;
/** Rows a minute of everybody who is not known: a botnet has many sources. */
const OF_STRANGERS = 100;
/** What was quiet for longest is forgotten first. */
const MAX_KEYS = 10_000;
/** The command line asks every few seconds. */
const QUIET_MS = { "operator.access": 600_000 } as const;

interface Counted {
  since: number;
  written: number;
  /** Not written since the last row. */
  untold: number;
}

/** A hostile client can cause some rows a minute, whatever it does. Disposing waits for those on their way. */
export function createSecurityEvents({ db, log, clock }: SecurityEventsContext): SecurityEvents & AsyncDisposable {
  const counts = boundedCache<Counted>(MAX_KEYS);
  const strangers: Counted = { since: 0, written: 0, untold: 0 };
  const writing = new Set<Promise<void>>();

  function write(event: SecurityEvent, untold: number): void {
    const { actor = SYSTEM, organizationId, action, resource, source, requestId = null } = event;
    const details = { ...event.details, address: source, ...(untold === 0 ? {} : { untold }) };
    const about = resource ?? { resourceType: "hub", resourceId: null };
    const entry = newAudit({ ...about, actor, organizationId, action, details, requestId, now: clock() });
    const done = insertAudit(db, [entry])
      .catch((error: unknown) => log.error({ err: error, action }, "a security event could not be written to the audit"))
      .finally(() => writing.delete(done));
    writing.add(done);
  }

  return {
    note(event) {
      const { action, actor, source } = event;
      const now = clock();
      const isSlow = action in QUIET_MS;
      const key = `${action} ${actor?.kind ?? ""}:${actor?.id ?? ""} ${source}`;
      const count = counts.get(key) ?? { since: now, written: 0, untold: 0 };
      counts.set(key, count);
      const limit = isSlow ? { most: 1, ms: QUIET_MS[action as keyof typeof QUIET_MS] } : { most: PER_KEY, ms: MINUTE_MS };
      const isWritten = take(count, limit, now) && (actor !== undefined || take(strangers, { most: OF_STRANGERS, ms: MINUTE_MS }, now));
      if (!isWritten) {
        count.untold++;
        return;
      }
      write(event, count.untold);
      count.untold = 0;
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(writing);
    },
  };
}

function take(count: Counted, { most, ms }: { readonly most: number; readonly ms: number }, now: number): boolean {
  if (now - count.since >= ms || now < count.since) Object.assign(count, { since: now, written: 0 });
  if (count.written >= most) return false;
  count.written++;
  return true;
}
