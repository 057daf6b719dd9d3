import Type from "typebox";
import { HubError } from "../../core/errors.ts";
import { BUCKETS, type Bucket, countEvents, MAX_ENTITIES, MAX_TYPES } from "../../store/event-metrics.ts";
import { defineRoute } from "../route.ts";
import { EventFilters, filterOf } from "./filters.ts";

const MAX_BUCKETS = 1_000;
/** Without `from`: an hour, a day, a month. */
const PRESET: Readonly<Record<Bucket, number>> = { minute: 60, hour: 24, day: 30 };

export const metrics = defineRoute({
  method: "GET",
  path: "/api/v1/events/metrics",
  tag: "Events",
  summary: "How many events there were, when, and of what",
  description: `Of the last 60 minutes, 24 hours or 30 days without \`from\` and \`to\`; ${MAX_BUCKETS} buckets at most, which begin with the minutes, hours and days of UTC.`,
  access: "device.read",
  query: Type.Object(
    { ...EventFilters, bucket: Type.Optional(Type.Enum(Object.keys(BUCKETS) as Bucket[], { default: "hour" })) },
    { additionalProperties: false },
  ),
  replies: {
    200: {
      description: "Counts",
      schema: Type.Object(
        {
          from: Type.String(),
          to: Type.String(),
          bucket: Type.Enum(Object.keys(BUCKETS)),
          total: Type.Integer(),
          types: Type.Array(Type.Object({ type: Type.String(), count: Type.Integer() }, { title: "EventTypeCount" }), {
            maxItems: MAX_TYPES,
            description: "Most first",
          }),
          entities: Type.Array(Type.Object({ entity_id: Type.String(), count: Type.Integer() }, { title: "EventEntityCount" }), {
            maxItems: MAX_ENTITIES,
            description: "Most first; of each day the 1,000 with most count",
          }),
          buckets: Type.Array(
            Type.Object(
              { start: Type.String(), count: Type.Integer(), types: Type.Record(Type.String(), Type.Integer()) },
              { title: "EventBucket" },
            ),
            { maxItems: MAX_BUCKETS, description: "Those with any, in their order; `types` has those of the answer's `types`" },
          ),
        },
        { title: "EventMetrics" },
      ),
    },
  },
  async handler({ context, scope, query }) {
    const { bucket = "hour" } = query;
    const filter = filterOf(query);
    const period = periodOf(filter, bucket, context.clock());
    const counted = await countEvents(context.store.db, scope, { ...filter, ...period }, bucket);
    return {
      status: 200,
      body: {
        from: new Date(period.from).toISOString(),
        to: new Date(period.to).toISOString(),
        bucket,
        total: counted.total,
        types: counted.types,
        entities: counted.entities.map(({ entityId, count }) => ({ entity_id: entityId, count })),
        buckets: counted.buckets.map(({ start, ...rest }) => ({ start: new Date(start).toISOString(), ...rest })),
      },
    };
  },
});

/** Throws `validation_error`. */
function periodOf(
  given: { from?: number | undefined; to?: number | undefined },
  bucket: Bucket,
  now: number,
): { from: number; to: number } {
  const to = given.to ?? now + 1;
  const from = given.from ?? Math.max(0, to - PRESET[bucket] * BUCKETS[bucket]);
  if (from > to)
    throw new HubError("validation_error", "from is later than to", { details: [{ path: "/from", message: "is later than to" }] });
  const count = Math.ceil(to / BUCKETS[bucket]) - Math.floor(from / BUCKETS[bucket]);
  if (count > MAX_BUCKETS)
    throw new HubError("validation_error", `there would be ${count} buckets, ${MAX_BUCKETS} are allowed`, {
      details: [{ path: "/bucket", message: `${count} buckets, ${MAX_BUCKETS} are allowed` }],
    });
  return { from, to };
}
