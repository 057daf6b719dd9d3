import type { Telemetry } from "./payloads.ts";
import { MAX_AGE_MS } from "./telemetry.ts";
import { msOf } from "./timestamp.ts";

/** A clock that is further off is wrong, and right again when it is less off than half of that. */
export const WRONG_MS = 120_000;
export const RIGHT_MS = WRONG_MS / 2;
/** For how long everything that the device sends has to say the same, before the hub believes it. */
export interface ClockPace {
  readonly confirmMs: number;
  /** Old readings may have waited in the device: only where they are equally old for so long it is the clock. */
  readonly confirmLateMs: number;
}
export const CLOCK_PACE: ClockPace = { confirmMs: 60_000, confirmLateMs: 600_000 };
const STEADY_MS = 30_000;

/** What the hub thinks of a device's clock. */
export interface ClockBelief {
  /** undefined: it has not seen enough of it. */
  readonly isWrong: boolean | undefined;
  /** What speaks for the contrary, if anything does. */
  readonly doubt: { readonly isWrong: boolean; readonly since: number; readonly offsetMs: number } | undefined;
}

export const NO_BELIEF: ClockBelief = { isWrong: undefined, doubt: undefined };

/** How samples were stamped. */
export interface Stamps {
  /** By how much the newest one is ahead of the hub's clock, in ms; undefined where the hub stamps all of them. */
  readonly offsetMs: number | undefined;
  readonly byDevice: number;
  readonly byHub: number;
}

export function stampsOf(payload: Telemetry, receivedAt: number): Stamps {
  if (!Array.isArray(payload)) {
    const offsetMs = payload.ts === undefined ? undefined : msOf(payload.ts) - receivedAt;
    return { offsetMs, byDevice: offsetMs === undefined ? 0 : 1, byHub: offsetMs === undefined ? 1 : 0 };
  }
  let byDevice = 0;
  let newest = Number.NEGATIVE_INFINITY;
  for (const { ts } of payload) {
    if (ts === undefined) continue;
    byDevice++;
    newest = Math.max(newest, msOf(ts));
  }
  return { offsetMs: byDevice === 0 ? undefined : newest - receivedAt, byDevice, byHub: payload.length - byDevice };
}

/** The belief after a message whose newest stamp is so far ahead, received at `at`; `change` when it is another one now. */
export function observeClock(
  belief: ClockBelief,
  { offsetMs, at }: { readonly offsetMs: number; readonly at: number },
  { confirmMs, confirmLateMs }: ClockPace = CLOCK_PACE,
): { readonly belief: ClockBelief; readonly change: "wrong" | "right" | undefined } {
  const off = Math.abs(offsetMs);
  if (off > RIGHT_MS && off < WRONG_MS) return { belief, change: undefined };
  const isWrong = off >= WRONG_MS;
  const { doubt } = belief;
  if (belief.isWrong === isWrong) return { belief: doubt === undefined ? belief : { isWrong, doubt: undefined }, change: undefined };
  // No buffer is as old as what is older still.
  const isLate = offsetMs <= -WRONG_MS && off <= MAX_AGE_MS;
  const goesOn = doubt?.isWrong === isWrong && (!isLate || Math.abs(offsetMs - doubt.offsetMs) <= STEADY_MS);
  const begun = goesOn ? doubt : { isWrong, since: at, offsetMs };
  if (at - begun.since < (isLate ? confirmLateMs : confirmMs))
    return { belief: { isWrong: belief.isWrong, doubt: begun }, change: undefined };
  return { belief: { isWrong, doubt: undefined }, change: isWrong ? "wrong" : "right" };
}
