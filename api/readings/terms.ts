import Type from "typebox";
import { DAY_MS } from "../../core/durations.ts";
import { HubError } from "../../core/errors.ts";
import { MAX_AHEAD_MS } from "../../core/telemetry.ts";
import { parseInstant } from "../fields.ts";

const UNIT_MS = { s: 1000, m: 60_000, h: 3_600_000, d: DAY_MS } as const;

export const SensorKey = Type.String({ pattern: "^[a-z][a-z0-9_]{0,63}$" });
export const Value = Type.Union([Type.Number(), Type.Boolean(), Type.String(), Type.Null()]);
export const Until = Type.Optional(Type.String({ minLength: 1, maxLength: 40, description: "Exclusive; written as from" }));

export const Bucket = Type.Optional(
  Type.String({ pattern: "^[1-9][0-9]{0,6}[smhd]?$", description: "Seconds, or 30s, 5m, 1h, 1d; up to 366 days" }),
);
export const Aggregation = Type.Optional(
  Type.Enum(["avg", "min", "max", "sum", "count", "first", "last"], { description: "avg when only a bucket is given" }),
);

/** Of `from` and `to`, in ms since 1970: the last day without them. Throws `validation_error`. */
export function periodOf(given: { readonly from?: string | undefined; readonly to?: string | undefined }, now: number) {
  // A device's clock may run ahead a little; its latest reading belongs into the answer.
  const to = given.to === undefined ? now + MAX_AHEAD_MS : parseInstant(given.to, "to");
  const from = given.from === undefined ? Math.min(to, now) - DAY_MS : parseInstant(given.from, "from");
  if (from > to) throw invalid("from", "lies after to");
  return { from, to };
}

/** In ms. Throws `validation_error`. */
export function parseBucket(text: string): number {
  const unit = text.at(-1) as keyof typeof UNIT_MS;
  const ms = Object.hasOwn(UNIT_MS, unit) ? Number(text.slice(0, -1)) * UNIT_MS[unit] : Number(text) * 1000;
  if (ms > 366 * DAY_MS) throw invalid("bucket", "is longer than 366 days");
  return ms;
}

export const invalid = (name: string, message: string): HubError =>
  new HubError("validation_error", `/${name} ${message}`, { details: [{ path: `/${name}`, message }] });
