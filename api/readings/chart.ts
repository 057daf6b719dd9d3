import Type from "typebox";
import { FILLS, fillGaps } from "../../core/gap-fill.ts";
import { chartReadings } from "../../store/chart-readings.ts";
import { Instant } from "../fields.ts";
import { defineRoute } from "../route.ts";
import { Aggregation, Bucket, invalid, parseBucket, periodOf, Until, Value } from "./terms.ts";

const MOST_SERIES = 100;
const POINTS = 500;
const ONE = "[A-Za-z0-9-]{6,36}:[a-z][a-z0-9_]{0,63}";

const LineView = Type.Object(
  {
    device_id: Type.String(),
    uid: Type.String(),
    key: Type.String(),
    bucket_ms: Type.Unsafe<number | null>({ type: ["integer", "null"], description: "null where the points are the readings themselves" }),
    points: Type.Array(Type.Array(Value, { minItems: 2, maxItems: 2 }), {
      description: "[milliseconds since 1970, value], oldest first; with a bucket its beginning",
    }),
  },
  { title: "ChartLine" },
);

export const chart = defineRoute({
  method: "GET",
  path: "/api/v1/readings/chart",
  tag: "Telemetry",
  summary: "Several series over one range, as a chart shows them",
  description:
    "With a bucket one value per bucket. Without, at most `points` of each series, chosen such that the line keeps its shape (Largest Triangle Three Buckets): of the readings, or, where they are very many, of the extremes of periods; of texts and booleans the changes. At most 50,000 points together. The last 24 hours when nothing else is asked.",
  access: "device.read",
  query: Type.Object(
    {
      series: Type.String({
        maxLength: MOST_SERIES * 102,
        pattern: `^${ONE}(,${ONE}){0,${MOST_SERIES - 1}}$`,
        description: `Up to ${MOST_SERIES}: a device's uid or UUID, a colon and a key each, with commas between`,
      }),
      from: Type.Optional(Instant),
      to: Until,
      bucket: Bucket,
      agg: Aggregation,
      fill: Type.Optional(
        Type.Enum([...FILLS], {
          description:
            "What buckets without a reading get, up to now; they are left out without it. previous and linear take it from their neighbours within the range",
        }),
      ),
      points: Type.Optional(
        Type.Integer({ minimum: 3, maximum: 5_000, description: `Of each series, without a bucket; ${POINTS} when nothing is said` }),
      ),
    },
    { additionalProperties: false },
  ),
  replies: {
    200: {
      description: "The lines, in the order asked for",
      schema: Type.Object({ data: Type.Array(LineView) }, { title: "Chart" }),
      example: {
        data: [
          {
            device_id: "01890a5d-ac96-774b-bcce-b302099a8057",
            uid: "thermometer-1",
            key: "temperature",
            bucket_ms: 300_000,
            points: [[1_795_327_200_000, 21.5]],
          },
        ],
      },
    },
  },
  errors: ["not_found"],
  async handler({ context, scope, query }) {
    const { fill, bucket, points, agg } = query;
    const now = context.clock();
    const { from, to } = periodOf(query, now);
    for (const [name, value] of Object.entries({ agg, fill }))
      if (value !== undefined && bucket === undefined) throw invalid(name, "needs a bucket");
    if (points !== undefined && bucket !== undefined) throw invalid("points", "is for charts without a bucket");
    const bucketMs = bucket === undefined ? undefined : parseBucket(bucket);
    const series = query.series.split(",").map((one) => {
      const [device = "", key = ""] = one.split(":");
      return { device, key };
    });
    const lines = await chartReadings(context.store.db, scope, { series, from, to, bucketMs, agg: agg ?? "avg", points: points ?? POINTS });
    const filled = (given: (typeof lines)[number]["points"]) =>
      fill === undefined || bucketMs === undefined ? given : fillGaps(given, { from, to: Math.min(to, now), bucketMs, fill });
    const data = lines.map((line) => ({
      device_id: line.deviceId,
      uid: line.uid,
      key: line.key,
      bucket_ms: line.bucketMs,
      points: filled(line.points).map(([ts, value]) => [ts, value]),
    }));
    return { status: 200, body: { data } };
  },
});
