import { isBeyond } from "../core/alert-signals.ts";
import { FUTURE_MS } from "../core/hub-clock.ts";
import type { NewTimer } from "../core/timer.ts";
import {
  findPlacedDevice,
  lastClockStep,
  lastReadingsAt,
  listWatchedDevices,
  newestReadings,
  type PlacedDevice,
} from "../store/alert-facts.ts";
import { listAlertStates, readBad } from "../store/alert-states.ts";
import type { Db } from "../store/open.ts";
import { isAbout, type WatchingRule } from "./alert-index.ts";
import type { TurnsContext } from "./alert-record.ts";

const AT_ONCE = 200;
/** After a start devices have so long to come back, before their silence counts. */
const START_GRACE_MS = 60_000;
/** What sends no readings is looked at so often, while it is silent. */
const AGAIN_MS = 15_000;
/** The last sign of life of a session is written down so late. */
const WRITTEN_LATE_MS = 6_000;

const timer = ({ rule }: WatchingRule, key: string, dueAt: number, payload: Record<string, unknown>): NewTimer => ({
  kind: "alert",
  key,
  organizationId: rule.organizationId,
  dueAt: Math.ceil(dueAt),
  isRelative: true,
  payload: { ...payload, rule: rule.id, version: rule.version },
});

/** A rule that is new has to see what is there already, and what happened on a node that had not heard of it yet. */
export const surveyTimer = (rule: WatchingRule, dueAt: number, after = ""): NewTimer =>
  timer(rule, `${rule.rule.id} survey`, dueAt, { what: "survey", after });

export const silenceTimer = (rule: WatchingRule, uid: string, dueAt: number): NewTimer =>
  timer(rule, `${rule.rule.id} silence ${uid}`, dueAt, { what: "silence", subject: uid });

/** Looks at the devices that a rule is about, some at a time. */
export async function survey(context: TurnsContext, trx: Db, rule: WatchingRule, after: string): Promise<void> {
  const { condition } = rule.definition;
  if (condition.kind === "event" || condition.kind === "rate") return;
  const devices = await listWatchedDevices(trx, rule.rule.organizationId, rule.definition, { after, limit: AT_ONCE });
  const ids = devices.map(({ id }) => id);
  if (condition.kind === "threshold") {
    const newest = await newestReadings(trx, ids, condition.key);
    for (const device of devices) {
      const value = newest.get(device.id)?.value;
      if (isBeyond(condition, value, false)) await bad(context, trx, rule, device, { device: device.uid, key: condition.key, value });
    }
  } else if (condition.kind === "device_offline") {
    const known = (await readBad(trx, [rule.rule.id])).get(rule.rule.id);
    for (const device of devices) {
      // One that was never there is not lost.
      const isAway = device.presence === "offline" && device.lastSeenAt !== null;
      if (isAway) await bad(context, trx, rule, device, { device: device.uid });
      else if (known?.has(device.uid)) await context.apply(trx, { rule, subject: device.uid, signal: { kind: "fine" } });
    }
  } else {
    const heard = condition.key === undefined ? await lastReadingsAt(trx, ids) : await newestReadings(trx, ids, condition.key);
    // Of any device those that have sent it before; of one device that one, also when it never has.
    const awaited = devices.filter(
      ({ id, lastSeenAt }) => rule.definition.device !== undefined || heard.has(id) || (condition.key === undefined && lastSeenAt !== null),
    );
    const dueAt = context.timers.now() + 1;
    await context.timers.put(
      trx,
      awaited.map(({ uid }) => silenceTimer(rule, uid, dueAt)),
    );
  }
  const last = devices.at(-1);
  if (last && devices.length === AT_ONCE) await context.timers.put(trx, [surveyTimer(rule, context.timers.now(), last.id)]);
}

async function bad(
  context: TurnsContext,
  trx: Db,
  rule: WatchingRule,
  { id, uid }: PlacedDevice,
  values: Record<string, unknown>,
): Promise<void> {
  await context.apply(trx, { rule, subject: uid, signal: { kind: "bad" }, cause: { device: { id, uid }, values, event: null } });
}

/**
 * The time for which a device may be silent is over, if it has said nothing since. What it has said stands in the tables, so that a
 * reading costs nothing, and whichever node heard it. Silence is not counted while nobody could hear: before the hub's start, before the rule, and
 * before the clock was set.
 */
export async function silenceIsOver(
  context: TurnsContext,
  trx: Db,
  rule: WatchingRule,
  { uid, sinceStartMs }: { readonly uid: string; readonly sinceStartMs: number },
): Promise<void> {
  const { condition, forMs } = rule.definition;
  if (condition.kind !== "absence") return;
  const device = await findPlacedDevice(trx, uid, rule.rule.organizationId);
  if (!device || !isAbout(rule.definition, device)) {
    await context.apply(trx, { rule, subject: uid, signal: { kind: "gone", why: "gone" } });
    return;
  }
  const now = context.timers.now();
  const { lastAt, knownAt } = await lastSign(trx, device, condition.key);
  // A rule that is newer than now was written before the clock was set back.
  const starts = [Date.parse(rule.rule.updatedAt), await lastClockStep(trx)].filter((at) => at <= now + FUTURE_MS);
  const endsAt = Math.max(Math.min(Math.max(knownAt, ...starts), now) + forMs, now - sinceStartMs + Math.min(forMs, START_GRACE_MS));
  if (endsAt > now) {
    // Being waited for longer is not being heard: what is told already stays.
    const isHeard = knownAt + forMs > now;
    const isKnown = isHeard && (await listAlertStates(trx, uid)).some(({ ruleId }) => ruleId === rule.rule.id);
    if (isKnown) await context.apply(trx, { rule, subject: uid, signal: { kind: "fine" } });
    return await context.timers.put(trx, [silenceTimer(rule, uid, endsAt)]);
  }
  const values = { device: uid, key: condition.key ?? null, last_at: lastAt === 0 ? null : new Date(lastAt).toISOString() };
  await context.apply(trx, { rule, subject: uid, signal: { kind: "bad" }, cause: { device, values, event: null } });
  // A reading ends it by itself; what else a device says, only its last sign of life tells.
  await context.timers.put(trx, [
    silenceTimer(rule, uid, now + (condition.key === undefined ? Math.min(forMs, AGAIN_MS) : Math.max(forMs, AGAIN_MS))),
  ]);
}

/** `knownAt`: what came before it would be written down by now, once the silence is over. Both are 0 for one that was never heard. */
async function lastSign(trx: Db, { id, lastSeenAt }: PlacedDevice, key: string | undefined): Promise<{ lastAt: number; knownAt: number }> {
  if (key !== undefined) {
    const lastAt = (await newestReadings(trx, [id], key)).get(id)?.receivedAt ?? 0;
    return { lastAt, knownAt: lastAt };
  }
  const seenAt = lastSeenAt === null ? 0 : Date.parse(lastSeenAt);
  const readAt = (await lastReadingsAt(trx, [id])).get(id) ?? 0;
  return { lastAt: Math.max(seenAt, readAt), knownAt: Math.max(seenAt === 0 ? 0 : seenAt + WRITTEN_LATE_MS, readAt) };
}
