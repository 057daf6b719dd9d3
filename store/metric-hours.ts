import { setTimeout as pause } from "node:timers/promises";
import type { Duties, Log } from "../core/bus.ts";
import { DAY_MS, HOUR_MS } from "../core/durations.ts";
import type { HubEvent } from "../core/event.ts";
import { measuresOf, mergeMeasures } from "../core/metric.ts";
import { witnessEvents } from "./events.ts";
import { type HourOf, hourFacts, MEASURED_EVENTS } from "./hour-facts.ts";
import { HOURS_KEPT_DAYS, insertMeasures, keyOf, type Measured, measuresBetween, type StoredMeasure, takeMeasures } from "./metrics.ts";
import type { Db } from "./open.ts";
import { hourOf, isMarkedFor } from "./rollups.ts";
import { engineOf, rowSource, rowsOf, toJson } from "./sql.ts";
import { inSteps } from "./steps.ts";
import { afterCommit, inTransaction, write } from "./transaction.ts";

/** An hour is worked out so long after its end, when what is on its way by then has been committed. */
const SETTLED_MS = 5 * 60_000;
const MOST_AT_ONCE = 100;
const EVERY_MS = 10_000;
const PACE = { aimMs: 15, breathMs: 20, most: MOST_AT_ONCE };

interface MeasuringContext {
  readonly db: Db;
  readonly duties: Duties;
  readonly log: Log;
  /** ms since 1970 */
  readonly clock: () => number;
}

/** From now on the hours of what happens to devices are marked, and worked out when they are over: on one node of a cluster. */
export function startMeasuring({ db, duties, log, clock }: MeasuringContext): AsyncDisposable {
  witnessEvents(db, createMarks(clock));
  return duties.hold("metrics", async (signal) => {
    while (!signal.aborted) {
      await inSteps(PACE, signal, async (most) => (await measure(db, clock(), most)) === 0).catch((error: unknown) =>
        log.error({ err: error }, "metrics could not be worked out; it is tried again"),
      );
      await pause(EVERY_MS, undefined, { signal, ref: false }).catch(() => undefined);
    }
  });
}

/** Marks the hours of events, each once while it goes on. What is late marks it again, and it is worked out anew. */
export function createMarks(clock: () => number): (trx: Db, events: readonly HubEvent[]) => Promise<void> {
  let marked = { hour: 0, devices: new Set<string>() };
  return async (trx, events) => {
    const now = clock();
    const wanted = new Map<string, HourOf>();
    for (const { type, entityId: deviceId, organizationId, timestamp } of events) {
      if (deviceId === null || organizationId === null || !MEASURED_EVENTS.has(type)) continue;
      const hour = hourOf(Date.parse(timestamp));
      const key = keyOf({ deviceId, organizationId });
      if (marked.hour === hour && marked.devices.has(key) && isMarkedFor(hour, now)) continue;
      wanted.set(`${hour} ${key}`, { deviceId, organizationId, hour });
    }
    if (wanted.size === 0) return;
    await mark(trx, [...wanted.values()]);
    const present = hourOf(now);
    const remember = (): void => {
      if (marked.hour !== present) marked = { hour: present, devices: new Set() };
      for (const one of wanted.values()) if (one.hour === present) marked.devices.add(keyOf(one));
    };
    if (trx.isTransaction) afterCommit(trx, remember);
  };
}

async function mark(trx: Db, hours: readonly HourOf[]): Promise<void> {
  const sorted = hours.toSorted((a, b) => a.hour - b.hour || (a.deviceId < b.deviceId ? -1 : 1));
  // On PostgreSQL an update, so that whoever is about to take the mark waits for this transaction.
  const again = engineOf(trx) === "postgres" ? "update set hour = excluded.hour" : "nothing";
  await write(
    trx,
    `insert into metric_dirty (hour, device_id, organization_id)
     select hour, device_id, organization_id from ${rowSource(trx, { hour: "int", device_id: "text", organization_id: "text" })}
     where true on conflict (hour, device_id, organization_id) do ${again}`,
    [toJson(sorted.map(({ hour, deviceId, organizationId }) => ({ hour, device_id: deviceId, organization_id: organizationId })))],
  );
}

/** At most so many devices of the oldest hour that is marked and over at `now`, in ms since 1970. Answers how many. */
export async function measure(db: Db, now: number, most = MOST_AT_ONCE): Promise<number> {
  return await inTransaction(db, async (trx) => {
    const taken = await takeMarks(trx, now, most);
    const [first] = taken;
    if (!first) return 0;
    const from = first.hour * HOUR_MS;
    // Some hours of its day have gone: the day stays as it is.
    if (Math.floor(from / DAY_MS) * DAY_MS < now - HOURS_KEPT_DAYS * DAY_MS) return taken.length;
    const present = await thoseThere(trx, taken);
    const before = await takeMeasures(trx, "metric_hours", present, from);
    const facts = await hourFacts(trx, present, from);
    const measured = present.flatMap((whose): StoredMeasure[] => {
      const known = facts.get(keyOf(whose));
      const { deviceId, organizationId } = whose;
      return known ? measuresOf(known).map((one) => ({ ...one, deviceId, organizationId, ts: from })) : [];
    });
    await insertMeasures(trx, "metric_hours", measured);
    await renewDays(trx, present, from);
    await markNext(trx, { present, before, measured, from });
    return taken.length;
  });
}

/** Whether hours that began before that, in ms since 1970, are not worked out, or not as they are now. */
export async function hasOpenHours(db: Db, before: number): Promise<boolean> {
  return (await rowsOf(db, "select 1 from metric_dirty where hour < ? limit 1", [hourOf(before)])).length > 0;
}

/** Of one hour: the next one begins as this one ends. */
async function takeMarks(trx: Db, now: number, most: number): Promise<HourOf[]> {
  const lock = engineOf(trx) === "postgres" ? " for update skip locked" : "";
  const rows = await rowsOf<{ hour: number | string; device_id: string; organization_id: string }>(
    trx,
    `delete from metric_dirty where (hour, device_id, organization_id) in (
       select hour, device_id, organization_id from metric_dirty
       where hour = (select min(hour) from metric_dirty) and hour < ? order by device_id limit ${most}${lock}
     ) returning hour, device_id, organization_id`,
    [hourOf(now - SETTLED_MS)],
  );
  return rows.map(({ hour, device_id: deviceId, organization_id: organizationId }) => ({ hour: Number(hour), deviceId, organizationId }));
}

/** A device that has changed hands has its hours with each of them; one that is gone has none. */
async function thoseThere(trx: Db, taken: readonly HourOf[]): Promise<Measured[]> {
  return await rowsOf<Measured>(
    trx,
    `select r.device_id as "deviceId", r.organization_id as "organizationId" from ${rowSource(trx, { device_id: "text", organization_id: "text" })}
     join devices as d on d.id = r.device_id join organizations as o on o.id = r.organization_id`,
    [toJson(taken.map(({ deviceId, organizationId }) => ({ device_id: deviceId, organization_id: organizationId })))],
  );
}

async function renewDays(trx: Db, of: readonly Measured[], hourFrom: number): Promise<void> {
  const day = Math.floor(hourFrom / DAY_MS) * DAY_MS;
  await takeMeasures(trx, "metric_days", of, day);
  const hours = await measuresBetween(trx, "metric_hours", of, { from: day, to: day + DAY_MS });
  const byDevice = Map.groupBy(hours, keyOf);
  const days = [...byDevice.values()].flatMap((group) => {
    const [first] = group;
    if (!first) return [];
    const { deviceId, organizationId } = first;
    return mergeMeasures(group).map((merged) => ({ ...merged, deviceId, organizationId, ts: day }));
  });
  await insertMeasures(trx, "metric_days", days);
}

interface Worked {
  readonly present: readonly Measured[];
  readonly before: readonly StoredMeasure[];
  readonly measured: readonly StoredMeasure[];
  readonly from: number;
}

/** What is on at the end of an hour is on in the next one, whether anything happens then or not. */
async function markNext(trx: Db, { present, before, measured, from }: Worked): Promise<void> {
  const endsOf = (measures: readonly StoredMeasure[]): Map<string, string> =>
    new Map(
      [...Map.groupBy(measures, keyOf)].map(([key, group]) => [
        key,
        group
          .filter(({ last }) => last === 1)
          .map(({ type, channel }) => `${type} ${channel}`)
          .toSorted()
          .join(),
      ]),
    );
  const [old, fresh] = [endsOf(before), endsOf(measured)];
  const isSame = (key: string): boolean => (old.get(key) ?? "") === (fresh.get(key) ?? "");
  const next = present.filter((one) => !isSame(keyOf(one)));
  if (next.length > 0)
    await mark(
      trx,
      next.map((one) => ({ ...one, hour: from / HOUR_MS + 1 })),
    );
}
