import { setTimeout as pause } from "node:timers/promises";
import type { Duties, EventSink, Log } from "../core/bus.ts";
import { DAY_MS } from "../core/durations.ts";
import { type EventType, newEvent } from "../core/event.ts";
import { disconnectsRise, FALSE_SHARE, isComparable, latencyRise, successDrop } from "../core/insight-changes.ts";
import { batteryLow, sensorSilent, sensorStuck } from "../core/insight-sensors.ts";
import { usagePatterns } from "../core/insight-usage.ts";
import type { Finding, Insight, InsightKind, TestedFinding } from "../core/insight.ts";
import { SEVERITIES } from "../core/notification.ts";
import { SYSTEM } from "../core/principal.ts";
import { discoveries } from "../core/statistics.ts";
import { insertEvents } from "../store/events.ts";
import { type DeviceDays, daysOf, devicesToExamine, type ExaminedDevice, handCommands, sensorPasts } from "../store/insight-facts.ts";
import {
  endInsight,
  insertInsight,
  MOST_OPEN_INSIGHTS,
  noteExamined,
  openInsights,
  organizationsToExamine,
  seeInsight,
} from "../store/insights.ts";
import { hasOpenHours } from "../store/metric-hours.ts";
import type { Db } from "../store/open.ts";
import { afterCommit, inTransaction } from "../store/transaction.ts";

export interface InsightContext {
  readonly db: Db;
  readonly events: EventSink;
  readonly duties: Duties;
  readonly log: Log;
  /** ms since 1970 */
  readonly clock: () => number;
}

const EVERY_MS = 600_000;
/** After midnight (UTC), when the last hour of the day before has been worked out. */
const SETTLED_MS = 15 * 60_000;
const DEVICES_AT_ONCE = 10;
/** Between two groups of devices: whatever else is asked of the database goes first. */
const BREATH_MS = 20;
/** What was told goes on while it is no worse than this by chance, and for so long after it was last seen. */
const STILL = 0.05;
const LINGER_MS = 1.5 * DAY_MS;
/** Chance is ruled out by their number. */
const TESTED: readonly InsightKind[] = ["latency_rise", "success_drop", "disconnects_rise"];

/** Looks at every organisation once a day: on one node of a cluster. */
export function startInsights(context: InsightContext): AsyncDisposable {
  return context.duties.hold("insights", async (signal) => {
    while (!signal.aborted) {
      await examineDue(context, signal).catch((error: unknown) => {
        context.log.error({ err: error }, "insights could not be looked for; it is tried again");
      });
      await pause(EVERY_MS, undefined, { signal, ref: false }).catch(() => undefined);
    }
  });
}

/** Those that were not looked at since midnight (UTC), once its days are worked out: after a while without the hub that takes its time. */
export async function examineDue(context: Omit<InsightContext, "duties">, signal?: AbortSignal): Promise<void> {
  const { db, clock } = context;
  const day = Math.floor((clock() - SETTLED_MS) / DAY_MS) * DAY_MS;
  if (await hasOpenHours(db, day)) return;
  for (const organizationId of await organizationsToExamine(db, day)) {
    if (signal?.aborted) return;
    await examine(context, organizationId, { day, ...(signal ? { signal } : {}) });
  }
}

/** What was found of a device. */
interface Found {
  readonly device: ExaminedDevice;
  readonly finding: Finding;
}
interface Looked {
  readonly certain: Found[];
  readonly tested: { readonly device: ExaminedDevice; readonly finding: TestedFinding; readonly p: number }[];
  /** How many rows were tested for each kind. */
  readonly tests: Map<InsightKind, number>;
}

/** What holds at the beginning of the day, in ms since 1970: done twice, nothing is told twice. */
export async function examine(
  context: Omit<InsightContext, "duties">,
  organizationId: string,
  { day, signal }: { readonly day: number; readonly signal?: AbortSignal },
): Promise<void> {
  const looked: Looked = { certain: [], tested: [], tests: new Map() };
  for (let after = ""; ; ) {
    const devices = await devicesToExamine(context.db, organizationId, { after, limit: DEVICES_AT_ONCE });
    await look(context.db, { organizationId, devices, day }, looked);
    const last = devices.at(-1);
    if (!last || devices.length < DEVICES_AT_ONCE) break;
    after = last.id;
    await pause(BREATH_MS, undefined, { ref: false });
    if (signal?.aborted) return;
  }
  await conclude(context, organizationId, looked, day);
}

interface Looking {
  readonly organizationId: string;
  readonly devices: readonly ExaminedDevice[];
  readonly day: number;
}

async function look(db: Db, { organizationId, devices, day }: Looking, into: Looked): Promise<void> {
  const ids = devices.map(({ id }) => id);
  const byDevice = await daysOf(db, organizationId, ids, day);
  const sensors = Map.groupBy(await sensorPasts(db, organizationId, ids, day), ({ deviceId }) => deviceId);
  for (const device of devices) {
    const days = byDevice.get(device.id);
    if (!days) continue;
    lookAtDays(device, days, into);
    const commands = await handCommands(db, device.id, days, day);
    const certain = [
      ...(sensors.get(device.id) ?? []).flatMap((sensor) => [
        sensor.isBattery ? batteryLow(sensor.key, sensor.days) : sensorStuck(sensor.key, sensor.hours),
        // One that is offline has more to answer for than one sensor.
        device.isConnected ? sensorSilent(sensor.key, sensor.hours, { lastAt: sensor.lastAt, now: day }) : undefined,
      ]),
      ...usagePatterns(commands, { timeZone: device.timeZone, now: day }),
    ];
    for (const finding of certain) if (finding) into.certain.push({ device, finding });
  }
}

function lookAtDays(device: ExaminedDevice, { latencies, success, disconnects }: DeviceDays, { tests, tested }: Looked): void {
  const test = (kind: InsightKind, finding: TestedFinding | undefined): void => {
    tests.set(kind, (tests.get(kind) ?? 0) + 1);
    if (finding) tested.push({ device, finding, p: finding.p });
  };
  for (const [channel, row] of latencies) if (isComparable(row)) test("latency_rise", latencyRise(row, channel));
  if (isComparable(success)) test("success_drop", successDrop(success));
  if (isComparable(disconnects)) test("disconnects_rise", disconnectsRise(disconnects));
}

const keyOf = (deviceId: string, { kind, subject }: Pick<Finding, "kind" | "subject">): string => `${deviceId} ${kind} ${subject}`;

async function conclude(
  { db, events, log, clock }: Omit<InsightContext, "duties">,
  organizationId: string,
  looked: Looked,
  day: number,
): Promise<void> {
  const { certain, tested, tests } = looked;
  const proven = [...tests].flatMap(([kind, count]) =>
    discoveries(
      tested.filter(({ finding }) => finding.kind === kind),
      count,
      FALSE_SHARE,
    ),
  );
  const told = new Map([...certain, ...proven].map((one): [string, Found] => [keyOf(one.device.id, one.finding), one]));
  const plausible = new Map(tested.filter(({ p }) => p <= STILL).map((one): [string, Found] => [keyOf(one.device.id, one.finding), one]));
  const now = clock();
  await inTransaction(db, async (trx) => {
    const open = await openInsights(trx, organizationId);
    const ended: Insight[] = [];
    for (const insight of open) {
      const key = keyOf(insight.deviceId, insight);
      const still = told.get(key) ?? plausible.get(key);
      const lingers = TESTED.includes(insight.kind) && now - Date.parse(insight.seenAt) < LINGER_MS;
      if (still) await seeInsight(trx, insight.id, still.finding, now);
      else if (!lingers) {
        const over = await endInsight(trx, insight.id, now);
        if (over) ended.push(over);
      }
    }
    const places = Math.max(0, MOST_OPEN_INSIGHTS - open.length + ended.length);
    const known = new Set(open.map((insight) => keyOf(insight.deviceId, insight)));
    const unknown = [...told].filter(([key]) => !known.has(key)).map(([, one]) => one);
    const fresh = unknown.toSorted((a, b) => SEVERITIES.indexOf(b.finding.severity) - SEVERITIES.indexOf(a.finding.severity));
    if (fresh.length > places)
      log.warn({ organizationId, left: fresh.length - places }, "an organisation has as many insights as it may have");
    const found: Insight[] = [];
    for (const { device, finding } of fresh.slice(0, places)) {
      const insight = await insertInsight(trx, { organizationId, device, finding, now });
      if (insight) found.push(insight);
    }
    await noteExamined(trx, organizationId, day);
    const happened = [...found.map((one) => eventOf("insight.found", one, now)), ...ended.map((one) => eventOf("insight.ended", one, now))];
    if (happened.length === 0) return;
    await insertEvents(trx, happened);
    afterCommit(trx, () => {
      events.emit(happened).catch((error: unknown) => log.error({ err: error, organizationId }, "events could not be published"));
    });
  });
}

const eventOf = (type: EventType, insight: Insight, now: number) =>
  newEvent(
    type,
    {
      organizationId: insight.organizationId,
      entityId: insight.deviceId,
      actor: SYSTEM,
      now,
      ...(type === "insight.ended" ? { correlationId: insight.correlationId } : {}),
    },
    {
      insight_id: insight.id,
      uid: insight.uid,
      kind: insight.kind,
      subject: insight.subject,
      severity: insight.severity,
      message: insight.message,
      evidence: insight.evidence,
      since: insight.since,
    },
  );
