import Type from "typebox";
import { checkZone } from "../../core/condition.ts";
import { parseTimes, ScheduleDefinition } from "../../core/schedule.ts";
import { contextOf, nextTimes } from "../../core/schedule-plan.ts";
import { inTransaction } from "../../store/transaction.ts";
import { Instant, parseInstant } from "../fields.ts";
import { defineRoute } from "../route.ts";
import { placeFor } from "./check.ts";
import { NEXT_RUNS, NextRuns } from "./representation.ts";

const { recurrence, time_zone, site_id, starts_at, ends_at, max_runs } = ScheduleDefinition.properties;
const NO_MISFIRE = { policy: "skip", limit: 1, graceMs: 0 } as const;

export const preview = defineRoute({
  method: "POST",
  path: "/api/v1/schedules/preview",
  tag: "Schedules",
  summary: "When a recurrence comes next",
  description: "Nothing is kept. An interval without `starting_at` counts from `from`.",
  access: "automation.read",
  idempotent: false,
  body: Type.Object(
    {
      recurrence,
      time_zone,
      site_id,
      starts_at,
      ends_at,
      max_runs,
      from: Type.Optional(Instant),
      count: Type.Optional(Type.Integer({ minimum: 1, maximum: 100, description: "5 without it" })),
    },
    { additionalProperties: false, title: "SchedulePreviewRequest" },
  ),
  bodyExample: { recurrence: { kind: "cron", expression: "0 8 * * MON#1" }, time_zone: "Europe/Berlin", count: 3 },
  replies: {
    200: {
      description: "Fewer than asked for if there are no more",
      schema: Type.Object({ time_zone: Type.String(), next_runs: NextRuns }, { title: "SchedulePreview" }),
    },
  },
  async handler({ context, principal, body }) {
    checkZone(body.time_zone, "");
    const times = parseTimes(body);
    const now = body.from === undefined ? context.clock() : parseInstant(body.from, "from");
    const place = await inTransaction(context.store.db, (trx) => placeFor(trx, principal.organizationId, times.recurrence, body.site_id));
    const about = contextOf({ ...times, timeZone: body.time_zone }, place, now);
    const timetable = { ...times, id: "", runCount: 0, maxRuns: body.max_runs, misfire: NO_MISFIRE, context: about };
    const next = nextTimes(timetable, now, body.count ?? NEXT_RUNS);
    return { status: 200, body: { time_zone: about.timeZone, next_runs: next.map((at) => new Date(at).toISOString()) } };
  },
});
