import { setTimeout as pause } from "node:timers/promises";

/** How work that others must not wait for is cut up. */
export interface StepPace {
  /** A step takes about so long: SQLite has one writer, and devices wait for it. */
  readonly aimMs: number;
  /** Between two steps, and as long as the last one took at least: whatever else is written goes first. */
  readonly breathMs: number;
  /** What one step does at most. */
  readonly most: number;
}

/**
 * Until a step, which is told how much it may do, says that it was the last one, or the signal aborts. Begins with as little as there is, and then does
 * as much at a time as takes `aimMs`. Each call learns anew: what was quick because there was little says nothing about what comes next.
 */
export async function inSteps(pace: StepPace, signal: AbortSignal | undefined, step: (most: number) => Promise<boolean>): Promise<void> {
  for (let size = 1; ; ) {
    if (signal?.aborted) return;
    const began = performance.now();
    if (await step(size)) return;
    const tookMs = performance.now() - began;
    size = nextSize(size, tookMs, pace);
    await pause(Math.max(pace.breathMs, tookMs), undefined, { signal }).catch(() => undefined);
  }
}

/** After a step of that size: twice as much at most. */
export function nextSize(size: number, tookMs: number, { aimMs, most }: Pick<StepPace, "aimMs" | "most">): number {
  const fitting = Math.round((size * aimMs) / Math.max(0.1, tookMs));
  return Math.max(1, Math.min(most, size * 2, fitting));
}
