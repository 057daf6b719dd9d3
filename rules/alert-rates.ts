import { boundedCache } from "../core/bounded-cache.ts";
import type { ConditionOf } from "../core/alert-rule.ts";
import { type Point, rateOf, withPoint } from "../core/alert-signals.ts";
import type { DeviceReading } from "../core/bus.ts";
import { PLATFORM } from "../core/principal.ts";
import { MAX_AHEAD_MS } from "../core/telemetry.ts";
import type { Db } from "../store/open.ts";
import { queryReadings } from "../store/readings.ts";

const MOST_SERIES = 20_000;
const MOST_READ = 4_096;

interface RateWanted {
  readonly ruleId: string;
  readonly condition: ConditionOf<"rate">;
  readonly reading: DeviceReading;
  /** ms since 1970 */
  readonly now: number;
}

/**
 * The last window of each series that a rate is taken of. What came before this process had the device is read back from the
 * table, once.
 */
export class AlertRates {
  readonly #windows = boundedCache<{ points: readonly Point[] }>(MOST_SERIES);

  clear(): void {
    this.#windows.clear();
  }

  /** undefined while there is too little of the window. */
  async rate(trx: Db, { ruleId, condition, reading, now }: RateWanted): Promise<number | undefined> {
    const { device, key, ts, value } = reading;
    if (typeof value !== "number") return undefined;
    const name = `${ruleId} ${device.id}`;
    const windowMs = condition.window_s * 1_000;
    let window = this.#windows.get(name);
    if (!window) {
      const range = { from: Math.max(0, ts - windowMs), to: ts, limit: MOST_READ };
      const { items } = await queryReadings(trx, PLATFORM, { deviceId: device.id, key, ...range });
      const read = items.flatMap((one): Point[] => (typeof one.value === "number" ? [{ ts: one.ts, value: one.value }] : []));
      this.#windows.set(name, (window = { points: read.reduce<readonly Point[]>((all, one) => withPoint(all, one, windowMs), []) }));
    }
    // The same reading again, as when a transaction is tried a second time, changes nothing.
    const past = window.points.filter((point) => point.ts <= now + MAX_AHEAD_MS);
    window.points = withPoint(past, { ts, value }, windowMs);
    return rateOf(condition, window.points);
  }
}
