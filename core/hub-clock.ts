/** No clock that is earlier than this is right: 1 November 2026, before which this release was not there. */
export const EARLIEST_MS = Date.UTC(2026, 10, 1);

/** Slower and quicker clocks, and readings that wait for the processor, differ by less than this. */
const TOLERANCE_MS = 1_000;

/** A reading that took longer may be off by too much: the database was busy, or this process did not run. */
const MOST_SPAN_MS = 500;

/** What time it is, worked out of a clock that people set and of one that only goes on. */
export interface HubTime {
  /** The time less the monotonic clock's reading. */
  readonly offsetMs: number;
  /** False while the clock says a time that cannot be: it goes on by the monotonic one then. */
  readonly isBelieved: boolean;
}

export interface ClockReading {
  /** ms since 1970, of the clock that people set. */
  readonly wallMs: number;
  /** ms since any moment. */
  readonly monotonicMs: number;
  /** How long it took: the two were read within so many ms of each other. */
  readonly spanMs?: number;
}

/** Whether the reading was quick enough to tell the time. */
export const isExact = ({ spanMs = 0 }: ClockReading): boolean => spanMs <= MOST_SPAN_MS;

/** What the clock that people set says where that can be, else the hub's own time. */
export const believedClock =
  (wall: () => number, own: () => number): (() => number) =>
  () => {
    const wallMs = wall();
    return wallMs >= EARLIEST_MS ? wallMs : own();
  };

/** What is written this much later than now was written before the clock was set back; clocks of several machines differ by less. */
export const FUTURE_MS = 60_000;

/** At the start. `seenAt`: the latest time that was written down; a board without a battery begins in 1970. */
export function startTime({ wallMs, monotonicMs }: ClockReading, seenAt: number | undefined): HubTime {
  const isBelieved = wallMs >= EARLIEST_MS;
  return { offsetMs: (isBelieved ? wallMs : Math.max(seenAt ?? 0, EARLIEST_MS)) - monotonicMs, isBelieved };
}

/** `stepMs`: by how much the clock was set since the last reading; 0 when it only went on, and when the reading does not tell. */
export function observe(time: HubTime, reading: ClockReading): { readonly time: HubTime; readonly stepMs: number } {
  const { wallMs, monotonicMs } = reading;
  if (!isExact(reading)) return { time, stepMs: 0 };
  if (wallMs < EARLIEST_MS) return { time: { ...time, isBelieved: false }, stepMs: 0 };
  const offsetMs = wallMs - monotonicMs;
  const differenceMs = Math.round(offsetMs - time.offsetMs);
  return { time: { offsetMs, isBelieved: true }, stepMs: Math.abs(differenceMs) > TOLERANCE_MS ? differenceMs : 0 };
}
