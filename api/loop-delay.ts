import { monitorEventLoopDelay } from "node:perf_hooks";
import type { LabelledValue } from "./metrics.ts";

/** How finely it is looked at: what is measured is this too long when nothing is late. */
const RESOLUTION_MS = 10;
const WINDOW_MS = 10_000;
/** Prometheus' label, and the percentile. */
const QUANTILES = { "0.5": 50, "0.99": 99, "1": 100 } as const;
type DelayHistogram = ReturnType<typeof monitorEventLoopDelay>;
type Delays = Record<keyof typeof QUANTILES, number>;

export interface LoopDelay extends Disposable {
  /** Seconds by quantile: the worse of the running 10 s and the 10 s before, so that whoever looks takes nothing from others. */
  quantiles(): LabelledValue[];
}

/** Measures how late the event loop comes to what is due. */
export function startLoopDelay(): LoopDelay {
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  histogram.enable();
  let before: Delays = { "0.5": 0, "0.99": 0, "1": 0 };
  const timer = setInterval(() => {
    before = delaysOf(histogram);
    histogram.reset();
  }, WINDOW_MS).unref();
  return {
    quantiles() {
      const now = delaysOf(histogram);
      return Object.entries(now).map(([quantile, seconds]) => ({
        labels: { quantile },
        value: Math.max(seconds, before[quantile as keyof Delays]),
      }));
    },
    [Symbol.dispose]() {
      clearInterval(timer);
      histogram.disable();
    },
  };
}

function delaysOf(histogram: DelayHistogram): Delays {
  const late = (percentile: number): number =>
    histogram.count === 0 ? 0 : Math.max(0, histogram.percentile(percentile) / 1e9 - RESOLUTION_MS / 1_000);
  return { "0.5": late(50), "0.99": late(99), "1": late(100) };
}
