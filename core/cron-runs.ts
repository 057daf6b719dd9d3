import { type Cron, isFrequent, nextMatch } from "./cron.ts";
import { DAY, firstShowing, firstUnshown, type Zone } from "./zone.ts";

/**
 * The first run after an instant; undefined after the year 9999. What it does where clocks are changed is what Vixie's cron
 * does (docs/decisions/0013-daylight-saving.md):
 *
 * - Fixed hours: a time runs at the first moment at which the clocks show it or, because they went forward past it, something later.
 *   So a time that does not exist runs at the end of the gap, once for all that were to run in it; one that comes twice runs
 *   the first time only.
 * - All hours (`isFrequent`): it follows real time. It runs at every moment whose time matches, in a repeated hour both times, and
 *   what does not exist is skipped.
 */
export function nextCronRun(cron: Cron, zone: Zone, after: number): number | undefined {
  if (isFrequent(cron)) return nextShown(cron, zone, after);
  const wall = nextMatch(cron, firstUnshown(zone, after));
  return wall === undefined ? undefined : firstShowing(zone, wall);
}

/** More than clocks were ever set back, and farther than they ever were from UTC. */
const APART = DAY + 2 * 3_600_000;

function nextShown(cron: Cron, zone: Zone, after: number): number | undefined {
  for (let at = after + 1; ; ) {
    const { until, offset } = zone.stretchAt(at);
    const wall = nextMatch(cron, at + offset);
    if (wall === undefined) return undefined;
    if (wall - offset < until) return wall - offset;
    // Nothing before `wall` matches, except what is shown again after the clocks were set back: those are less than a day away.
    at = until - at < APART ? until : Math.max(until, wall - APART);
  }
}
