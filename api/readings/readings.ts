import Type from "typebox";
import { HubError } from "../../core/errors.ts";
import { MAX_AHEAD_MS } from "../../core/telemetry.ts";
import { getDevice } from "../../store/devices.ts";
import { queryReadings } from "../../store/telemetry.ts";
import { DeviceReference, Instant, Limit, pageOf, parseInstant } from "../fields.ts";
import { defineRoute } from "../route.ts";

const DAY_MS = 86_400_000;
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

const ReadingView = Type.Object(
  {
    ts: Type.String({ description: "The event's time, or the beginning of its bucket" }),
    value: Value,
  },
  { title: "Reading" },
);

export const readings = defineRoute({
  method: "GET",
  path: "/api/v1/readings",
  tag: "Telemetry",
  summary: "The readings of one series, oldest first",
  description: "Without a bucket the readings themselves, with one a value per bucket. The last 24 hours when nothing else is asked.",
  access: "device.read",
  query: Type.Object(
    {
      device: DeviceReference,
      key: SensorKey,
      from: Type.Optional(Instant),
      to: Until,
      bucket: Bucket,
      agg: Aggregation,
      limit: Limit(10_000, 1000),
      cursor: Type.Optional(Type.String({ pattern: "^-?[0-9]{1,16}$", description: "next_cursor of the page before" })),
    },
    { additionalProperties: false },
  ),
  replies: {
    200: {
      description: "A page",
      schema: pageOf(ReadingView, "ReadingPage"),
      example: { data: [{ ts: "2026-11-21T05:00:00.000Z", value: 21.5 }], next_cursor: null },
    },
  },
  errors: ["not_found"],
  async handler({ context, scope, query }) {
    const { db } = context.store;
    const { from, to } = periodOf(query, context.clock());
    if (query.agg !== undefined && query.bucket === undefined) throw invalid("agg", "needs a bucket");
    const bucketMs = query.bucket === undefined ? undefined : parseBucket(query.bucket);
    const device = await getDevice(db, scope, query.device);
    const page = await queryReadings(db, scope, {
      deviceId: device.id,
      key: query.key,
      from,
      to,
      limit: query.limit ?? 1000,
      bucketMs,
      agg: query.agg,
      after: query.cursor === undefined ? undefined : Number(query.cursor),
    });
    return {
      status: 200,
      body: {
        data: page.items.map(({ ts, value }) => ({ ts: new Date(ts).toISOString(), value })),
        next_cursor: page.next === null ? null : String(page.next),
      },
    };
  },
});

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
