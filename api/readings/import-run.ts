import { setTimeout as pause } from "node:timers/promises";
import { HubError } from "../../core/errors.ts";
import { mayOn } from "../../core/permissions.ts";
import type { Member } from "../../core/principal.ts";
import type { ReadingFile, ReadingLine } from "../../core/reading-file.ts";
import {
  addTotals,
  type ImportTotals,
  type LineRefusal,
  MOST_IMPORT_SERIES,
  NO_TOTALS,
  type RefusedLine,
} from "../../core/reading-import.ts";
import { MAX_AGE_MS, MAX_AHEAD_MS } from "../../core/telemetry.ts";
import { endedAmong } from "../../store/ended-credentials.ts";
import type { Db } from "../../store/open.ts";
import { holdDevices, noteProgress } from "../../store/reading-imports.ts";
import { type Kept, keptReadings } from "../../store/reading-retention.ts";
import type { SeriesReading } from "../../store/telemetry.ts";
import { inTransaction } from "../../store/transaction.ts";
import type { ApiContext } from "../context.ts";

type Needs = Pick<ApiContext, "store" | "telemetry" | "access" | "clock" | "settings">;

const MOST_LINES = 1_000;
/**
 * Lines of a batch at least (fewer would cost as much: most of it is the commit), about how long a batch takes, and for how many times as
 * long the others have their turn after it. SQLite has one writer, and devices wait for it.
 */
const PACES = {
  sqlite: { leastLines: 50, aimMs: 2, turn: 4 },
  postgres: { leastLines: 200, aimMs: 5, turn: 2 },
} as const;
const LEAST_PAUSE_MS = 2;
const MOST_PAUSE_MS = 250;
/** How often it is written down how far it is, and asked whether whoever sends it may go on. */
const NOTE_MS = 1_000;
/** What has come and is less than a batch waits no longer. */
const LINGER_MS = 1_000;

/** Lines in batches of at most `size()`, as their pieces come. */
export async function* linesIn(
  pieces: AsyncIterable<Buffer>,
  file: ReadingFile,
  size: () => number,
): AsyncGenerator<readonly ReadingLine[]> {
  let batch: ReadingLine[] = [];
  let since = performance.now();
  for await (const piece of pieces) {
    for (const line of file.push(piece)) {
      batch.push(line);
      if (batch.length < size()) continue;
      yield batch;
      batch = [];
      since = performance.now();
    }
    if (batch.length === 0 || performance.now() - since < LINGER_MS) continue;
    yield batch;
    batch = [];
    since = performance.now();
  }
  for (const line of file.end()) {
    batch.push(line);
    if (batch.length < size()) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}

/** One file on its way into the tables, a batch after the other, with turns for all others in between. */
export class ImportRun {
  readonly #context: Needs;
  readonly #who: Member;
  readonly #id: string;
  readonly #series = new Set<string>();
  #totals = NO_TOTALS;
  readonly #pace: (typeof PACES)[keyof typeof PACES];
  #size: number;
  #notedAt = performance.now();
  #kept: Kept | undefined;

  constructor(context: Needs, who: Member, id: string) {
    this.#context = context;
    this.#who = who;
    this.#id = id;
    this.#pace = PACES[context.store.engine];
    this.#size = this.#pace.leastLines;
  }

  get totals(): ImportTotals {
    return this.#totals;
  }

  /** Lines of the next batch. */
  get size(): number {
    return this.#size;
  }

  /** Throws `unauthorized` when whoever sends it may not go on, `storage_full` and `unavailable`. */
  async take(lines: readonly ReadingLine[]): Promise<void> {
    const began = performance.now();
    const isDue = this.#kept === undefined || began - this.#notedAt > NOTE_MS;
    if (isDue) await this.#look();
    const now = this.#context.clock();
    const checked = lines.map((line) => timed(line, now, this.#kept?.from ?? 0));
    const timestamps = checked.flatMap((line) => ("reading" in line ? [line.reading.ts] : []));
    await this.#context.telemetry.ensurePartitions(timestamps);
    await this.#store(checked, isDue);
    const tookMs = Math.max(1, performance.now() - began);
    const { leastLines, aimMs, turn } = this.#pace;
    this.#size = Math.min(MOST_LINES, this.#size * 2, Math.max(leastLines, Math.round((lines.length * aimMs) / tookMs)));
    await pause(Math.min(MOST_PAUSE_MS, Math.max(LEAST_PAUSE_MS, tookMs * turn)));
  }

  async #look(): Promise<void> {
    const { store, clock, settings } = this.#context;
    const now = clock();
    if ((await endedAmong(store.db, [this.#who], now)).size > 0)
      throw new HubError("unauthorized", "the login or token has ended meanwhile");
    this.#kept = await keptReadings(store.db, this.#who.organizationId, { days: settings.readingRetentionDays, now });
    this.#notedAt = performance.now();
  }

  async #store(lines: readonly ReadingLine[], isDue: boolean): Promise<void> {
    const { store, telemetry, clock } = this.#context;
    const done = await inTransaction(store.db, async (trx) => {
      const sorted = await this.#sortOut(trx, lines);
      let stored = 0;
      await telemetry.insert(trx, sorted.readings, { onStored: (count) => (stored = count) });
      if (isDue) await noteProgress(trx, this.#id, this.#totals, clock());
      return { ...sorted, stored: () => stored };
    });
    for (const name of done.series) this.#series.add(name);
    this.#totals = addTotals(this.#totals, { lines: lines.length, stored: done.stored(), refusals: done.refusals });
  }

  /** What is stored of them, for whom, and what is not. */
  async #sortOut(trx: Db, lines: readonly ReadingLine[]) {
    const refs = new Set(lines.flatMap((line) => ("reading" in line ? [line.reading.device] : [])));
    const devices = new Map<string, string>();
    for (const { id, uid } of await holdDevices(trx, this.#who.organizationId, [...refs])) devices.set(id, id).set(uid, id);
    const readings: SeriesReading[] = [];
    const refusals: RefusedLine[] = [];
    const series = new Set<string>();
    for (const line of lines) {
      const { organizationId } = this.#who;
      const code = "code" in line ? line.code : this.#faultOf(devices.get(line.reading.device), line.reading, series);
      if (code !== undefined) refusals.push({ line: line.line, code });
      else if ("reading" in line) readings.push({ ...line.reading, deviceId: devices.get(line.reading.device) as string, organizationId });
    }
    return { readings, refusals, series };
  }

  /** Notes the series among those of the batch. */
  #faultOf(id: string | undefined, { key, ts }: Pick<SeriesReading, "key" | "ts">, series: Set<string>): LineRefusal | undefined {
    const { organizationId } = this.#who;
    const rights = this.#context.access.of(this.#who);
    if (id === undefined || !mayOn(rights, "device.read", { id, organizationId })) return "unknown_device";
    if (!mayOn(rights, "device.manage", { id, organizationId })) return "forbidden";
    const name = `${id} ${key}`;
    if (ts < (this.#kept?.bySeries.get(name) ?? 0)) return "past_retention";
    if (this.#series.has(name) || series.has(name)) return undefined;
    if (this.#series.size + series.size >= MOST_IMPORT_SERIES) return "too_many_series";
    series.add(name);
    return undefined;
  }
}

/** Whether its time is one that is taken. */
function timed(line: ReadingLine, now: number, kept: number): ReadingLine {
  if (!("reading" in line)) return line;
  const { ts } = line.reading;
  if (ts > now + MAX_AHEAD_MS || ts < now - MAX_AGE_MS) return { line: line.line, code: "clock_out_of_range" };
  return ts < kept ? { line: line.line, code: "past_retention" } : line;
}
