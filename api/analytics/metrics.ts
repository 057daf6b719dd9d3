import Type from "typebox";
import { DAY_MS } from "../../core/durations.ts";
import { HubError } from "../../core/errors.ts";
import { type Aggregate, averageOf, mergeAggregates, METRIC_TYPES, METRICS, type MetricType } from "../../core/metric.ts";
import { trendOf } from "../../core/statistics.ts";
import { HOURS_KEPT_DAYS, measuresBetween } from "../../store/metrics.ts";
import { deviceFor } from "../devices/device-for.ts";
import { DeviceReference, nullable } from "../fields.ts";
import { defineRoute } from "../route.ts";
import { type Range, RangeFields, rangeJson, rangeOf } from "./range.ts";
import { quantileJson, rounded } from "./representation.ts";

const MOST_POINTS = 1_000;
/** Of more the latest: the work grows with the square of their number. */
const MOST_OF_A_TREND = 100;
const STEPS = { hour: 3_600_000, day: DAY_MS } as const;

const MetricName = Type.Enum(METRIC_TYPES, { title: "MetricType" });

export const types = defineRoute({
  method: "GET",
  path: "/api/v1/analytics/metrics",
  tag: "Analytics",
  summary: "What is measured of devices",
  access: "device.read",
  replies: {
    200: {
      description: "All of it",
      schema: Type.Object(
        {
          data: Type.Array(
            Type.Object({ type: MetricName, unit: Type.String(), description: Type.String() }, { title: "MetricDescription" }),
          ),
        },
        { title: "MetricTypes" },
      ),
    },
  },
  handler: async () => ({ status: 200, body: { data: METRIC_TYPES.map((type) => ({ type, ...METRICS[type] })) } }),
});

const MetricPoint = Type.Object(
  {
    ts: Type.String({ description: "When the hour or day begins" }),
    n: Type.Integer(),
    avg: nullable("number"),
    sum: Type.Number(),
    min: Type.Number(),
    max: Type.Number(),
    last: nullable("number", { description: "Of a state: 1 where it was on at the end" }),
    p50: nullable("number", { description: "To 5 %, of durations" }),
    p95: nullable("number"),
    p99: nullable("number"),
  },
  { title: "MetricPoint" },
);

const TrendView = Type.Object(
  {
    of: Type.Enum(["p50", "avg", "sum"], { description: "Which of the values" }),
    per_day: Type.Number(),
    per_day_low: Type.Number({ description: "With a confidence of 95 % it is not below this" }),
    per_day_high: Type.Number(),
    p: Type.Number({ description: "How likely chance alone makes as much of a trend (Mann and Kendall)" }),
  },
  { title: "MetricTrend" },
);

export const series = defineRoute({
  method: "GET",
  path: "/api/v1/analytics/metrics/series",
  tag: "Analytics",
  summary: "One metric of a device by hours or days of UTC, with its trend",
  description: `Points with anything in them, in their order; ${MOST_POINTS} periods at most. Hours are kept for ${HOURS_KEPT_DAYS} days.`,
  access: "device.read",
  query: Type.Object(
    {
      device: DeviceReference,
      type: MetricName,
      channel: Type.Optional(Type.String({ maxLength: 32, description: "relay 0, light 1, …; all together without it" })),
      bucket: Type.Optional(Type.Enum(["hour", "day"], { default: "day" })),
      ...RangeFields,
    },
    { additionalProperties: false },
  ),
  replies: {
    200: {
      description: "The points",
      schema: Type.Object(
        {
          from: Type.String(),
          to: Type.String(),
          unit: Type.String(),
          data: Type.Array(MetricPoint, { maxItems: MOST_POINTS }),
          trend: Type.Union([Type.Null(), TrendView], { description: "Of the latest 100 points; null for fewer than five" }),
        },
        { title: "MetricSeries" },
      ),
    },
  },
  errors: ["not_found"],
  async handler({ context, rights, query }) {
    const { db } = context.store;
    const { type, channel, bucket = "day" } = query;
    const device = await deviceFor(rights, "device.read", db, query.device);
    const range = periodsOf(rangeOf(query, context.clock()), bucket);
    const of = device.organizationId === null ? [] : [{ deviceId: device.id, organizationId: device.organizationId }];
    const table = bucket === "hour" ? "metric_hours" : "metric_days";
    const measures = await measuresBetween(db, table, of, { ...range, types: [type] });
    const wanted = channel === undefined ? measures : measures.filter((one) => one.channel === channel);
    const points = [...Map.groupBy(wanted, ({ ts }) => ts)].flatMap(([ts, parts]) => {
      const merged = mergeAggregates(parts);
      return merged ? [{ ts, ...merged }] : [];
    });
    const body = { ...rangeJson(range), unit: METRICS[type].unit, data: points.map(pointJson), trend: trendJson(type, points) };
    return { status: 200, body };
  },
});

/** Whole ones. Throws `validation_error` for too many. */
function periodsOf({ from, to }: Range, bucket: keyof typeof STEPS): Range {
  const step = STEPS[bucket];
  const range = { from: Math.floor(from / step) * step, to: Math.ceil(to / step) * step };
  const count = (range.to - range.from) / step;
  if (count <= MOST_POINTS) return range;
  const message = `there would be ${count} points, ${MOST_POINTS} are allowed`;
  throw new HubError("validation_error", message, { details: [{ path: "/bucket", message }] });
}

type Point = Aggregate & { readonly ts: number };

const pointJson = (point: Point) => ({
  ts: new Date(point.ts).toISOString(),
  n: point.n,
  avg: rounded(averageOf(point)),
  sum: point.sum,
  min: point.min,
  max: point.max,
  last: point.last,
  p50: quantileJson(point, 0.5),
  p95: quantileJson(point, 0.95),
  p99: quantileJson(point, 0.99),
});

function trendJson(type: MetricType, points: readonly Point[]) {
  const { unit } = METRICS[type];
  const of = unit === "ms" ? "p50" : unit === "share" ? "avg" : "sum";
  const valueOf = (point: Point): number =>
    of === "sum" ? point.sum : ((of === "avg" ? averageOf(point) : quantileJson(point, 0.5)) ?? 0);
  const trend = trendOf(points.slice(-MOST_OF_A_TREND).map((point) => ({ x: point.ts / DAY_MS, y: valueOf(point) })));
  return trend ? { of, per_day: trend.slope, per_day_low: trend.slopeLow, per_day_high: trend.slopeHigh, p: trend.p } : null;
}
