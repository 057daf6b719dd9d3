import { startMeasuring } from "../store/metric-hours.ts";
import { startRollUps } from "../store/rollups.ts";
import { type InsightContext, startInsights } from "./insights.ts";

/** What readings and devices amount to by hour and day, and what stands out in it: on one node of a cluster each. */
export function startSummingUp(context: InsightContext): AsyncDisposable {
  const stack = new AsyncDisposableStack();
  stack.use(startRollUps(context));
  stack.use(startMeasuring(context));
  stack.use(startInsights(context));
  return stack;
}
