import Type from "typebox";
import { getDevice } from "../../store/devices.ts";
import { queryReadings } from "../../store/telemetry.ts";
import { DeviceReference, Instant, Limit, pageOf } from "../fields.ts";
import { defineRoute } from "../route.ts";
import { Aggregation, Bucket, invalid, parseBucket, periodOf, SensorKey, Until, Value } from "./terms.ts";
import { converterFor } from "./unit.ts";

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
      unit: Type.Optional(
        Type.String({
          minLength: 1,
          maxLength: 16,
          description: "That numbers are converted to: one for the same quantity as the sensor's own",
        }),
      ),
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
  errors: ["not_found", "device_not_claimed"],
  async handler({ context, scope, query }) {
    const { db } = context.store;
    const { from, to } = periodOf(query, context.clock());
    if (query.agg !== undefined && query.bucket === undefined) throw invalid("agg", "needs a bucket");
    const bucketMs = query.bucket === undefined ? undefined : parseBucket(query.bucket);
    const device = await getDevice(db, scope, query.device);
    const converted = await converterFor(db, device, query);
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
        data: page.items.map(({ ts, value }) => ({ ts: new Date(ts).toISOString(), value: converted(value) })),
        next_cursor: page.next === null ? null : String(page.next),
      },
    };
  },
});
