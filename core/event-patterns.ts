/** What the analysis needs of an event. */
export interface PatternEvent {
  readonly type: string;
  readonly entityId: string | null;
  /** ms since 1970 */
  readonly at: number;
}

export interface Frequency {
  readonly type: string;
  readonly count: number;
  /** Between one and the next; null for a single one. */
  readonly meanMs: number | null;
  readonly medianMs: number | null;
  /** From 0 to 1: mean / (mean + standard deviation) of the intervals. 1 is clockwork, 0.5 chance, less comes in heaps. Null below two intervals. */
  readonly regularity: number | null;
}

export interface Sequence {
  readonly before: string;
  readonly after: string;
  /** How many of `before` were followed by an `after` of the same entity in time. */
  readonly count: number;
  /** That, of all events. */
  readonly support: number;
  /** That, of all of `before`. */
  readonly confidence: number;
  readonly medianDelayMs: number;
}

export interface Burst {
  /** ms since 1970, of the first and behind the last of its windows */
  readonly start: number;
  readonly end: number;
  readonly count: number;
}

/** Types beyond these are in no sequence, and sequences beyond these in no answer. */
export const MAX_SEQUENCE_TYPES = 50;
export const MAX_SEQUENCES = 100;
export const MAX_BURSTS = 100;
export const MAX_FREQUENCIES = 100;
/** Once is chance. */
const LEAST_COUNT = 2;
/** Among nearly no events each one would be a burst. */
const LEAST_BURST = 3;

/** By how many there are of each type, most first. */
export function frequencies(events: readonly PatternEvent[]): Frequency[] {
  return mostTypes(events, MAX_FREQUENCIES).map(([type, own]) => {
    const times = own.map(({ at }) => at).toSorted((a, b) => a - b);
    const intervals = times.slice(1).map((at, index) => at - (times[index] as number));
    const mean = intervals.length === 0 ? null : meanOf(intervals);
    return {
      type,
      count: own.length,
      meanMs: mean,
      medianMs: intervals.length === 0 ? null : medianOf(intervals),
      regularity: intervals.length < 2 || mean === null ? null : regularityOf(intervals, mean),
    };
  });
}

/** Which type follows which within the window, of the same entity: the most frequent first. A type's own repetitions are {@link frequencies}. */
export function sequences(events: readonly PatternEvent[], windowMs: number): Sequence[] {
  const most = new Map(mostTypes(events, MAX_SEQUENCE_TYPES).map(([type, own]) => [type, own.length]));
  const delays = new Map<string, Map<string, number[]>>();
  const about = events.filter(({ type, entityId }) => entityId !== null && most.has(type));
  for (const own of Map.groupBy(about, ({ entityId }) => entityId).values()) {
    // Backwards, so that the next one of each type is known; of two at one time the order stands that they came in.
    const next = new Map<string, number>();
    for (const { type, at } of inOrder(own).toReversed()) {
      for (const [after, afterAt] of next) if (after !== type && afterAt - at <= windowMs) gather(delays, [type, after], afterAt - at);
      next.set(type, at);
    }
  }
  const found = [...delays].flatMap(([before, byAfter]) =>
    [...byAfter].map(([after, ms]) => ({
      before,
      after,
      count: ms.length,
      support: ms.length / events.length,
      confidence: ms.length / (most.get(before) as number),
      medianDelayMs: medianOf(ms),
    })),
  );
  return found
    .filter(({ count }) => count >= LEAST_COUNT)
    .toSorted((a, b) => b.count - a.count || b.confidence - a.confidence || byText(a.before, b.before) || byText(a.after, b.after))
    .slice(0, MAX_SEQUENCES);
}

/**
 * Windows, counted from 1970, that hold more events than their mean and `sigmas` standard deviations; those next to each other
 * are one burst. All windows from the first event's to the last one's count, empty ones too. The largest ones, by time.
 */
export function bursts(events: readonly PatternEvent[], windowMs: number, sigmas: number): Burst[] {
  const counts = new Map<number, number>();
  for (const { at } of events) counts.set(Math.floor(at / windowMs), (counts.get(Math.floor(at / windowMs)) ?? 0) + 1);
  const windows = [...counts].toSorted(([a], [b]) => a - b);
  const [first, last] = [windows[0], windows.at(-1)];
  if (!first || !last) return [];
  const total = last[0] - first[0] + 1;
  const mean = events.length / total;
  const squares = windows.reduce((sum, [, count]) => sum + (count - mean) ** 2, 0) + (total - windows.length) * mean ** 2;
  const limit = mean + sigmas * Math.sqrt(squares / total);
  const found: Burst[] = [];
  for (const [index, count] of windows) {
    if (count <= limit || count < LEAST_BURST) continue;
    const before = found.at(-1);
    const [start, end] = [index * windowMs, (index + 1) * windowMs];
    if (before?.end === start) found.splice(-1, 1, { start: before.start, end, count: before.count + count });
    else found.push({ start, end, count });
  }
  return found
    .toSorted((a, b) => b.count - a.count || a.start - b.start)
    .slice(0, MAX_BURSTS)
    .toSorted((a, b) => a.start - b.start);
}

function mostTypes(events: readonly PatternEvent[], limit: number): [string, PatternEvent[]][] {
  return [...Map.groupBy(events, ({ type }) => type)]
    .toSorted(([a, one], [b, other]) => other.length - one.length || byText(a, b))
    .slice(0, limit);
}

function gather(delays: Map<string, Map<string, number[]>>, [before, after]: readonly [string, string], ms: number): void {
  const byAfter = delays.get(before) ?? new Map<string, number[]>();
  delays.set(before, byAfter);
  const known = byAfter.get(after);
  if (known) known.push(ms);
  else byAfter.set(after, [ms]);
}

const inOrder = (events: readonly PatternEvent[]): PatternEvent[] => events.toSorted((a, b) => a.at - b.at);
const byText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
const meanOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

function medianOf(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] as number;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] as number) + upper) / 2;
}

function regularityOf(intervals: readonly number[], mean: number): number {
  const deviation = Math.sqrt(meanOf(intervals.map((value) => (value - mean) ** 2)));
  return deviation === 0 ? 1 : mean / (mean + deviation);
}
