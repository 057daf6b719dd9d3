export interface Latency {
  readonly count: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
  readonly maxMs: number;
}

const STEP_MS = 0.01;
const STEPS = 500_000;

/** Counts in steps of 10 µs up to 5 s; what is longer counts in the last step, and exactly in the maximum. */
export interface Histogram {
  add(ms: number): void;
  summary(): Latency;
}

export function createHistogram(): Histogram {
  const steps = new Uint32Array(STEPS);
  let count = 0;
  let maxMs = 0;
  const quantile = (share: number): number => {
    let left = Math.ceil(count * share);
    for (let step = 0; step < STEPS; step++) {
      left -= steps[step] ?? 0;
      if (left <= 0) return Math.min(round((step + 1) * STEP_MS), round(maxMs));
    }
    return round(maxMs);
  };
  return {
    add(ms) {
      const step = Math.min(Math.floor(ms / STEP_MS), STEPS - 1);
      steps[step] = (steps[step] ?? 0) + 1;
      count++;
      if (ms > maxMs) maxMs = ms;
    },
    summary: () =>
      count === 0
        ? { count: 0, p50Ms: 0, p99Ms: 0, p999Ms: 0, maxMs: 0 }
        : { count, p50Ms: quantile(0.5), p99Ms: quantile(0.99), p999Ms: quantile(0.999), maxMs: round(maxMs) },
  };
}

function round(ms: number): number {
  return Math.round(ms * 100) / 100;
}
