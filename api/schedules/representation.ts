import Type, { type Static } from "typebox";
import { ScheduleDefinition, type Schedule } from "../../core/schedule.ts";
import { contextOf, nextTimes } from "../../core/schedule-plan.ts";
import { versionOf } from "../../core/version.ts";
import type { ScheduleFields, StoredSchedule } from "../../store/schedules.ts";
import { nullable } from "../fields.ts";
import { Description, Name } from "../places/fields.ts";

export const NEXT_RUNS = 5;

export const ScheduleRequest = Type.Object(
  {
    name: Name,
    description: Type.Optional(Description),
    is_active: Type.Optional(Type.Boolean({ description: "true without it" })),
    ...ScheduleDefinition.properties,
  },
  { additionalProperties: false, title: "ScheduleRequest" },
);
export type ScheduleRequest = Static<typeof ScheduleRequest>;

export const NextRuns = Type.Array(Type.String(), {
  description: "The next times, of those that are known now; a jitter is not in them. None of a schedule that is not active",
});

export const ScheduleView = Type.Object(
  {
    id: Type.String(),
    organization_id: Type.String(),
    name: Type.String(),
    description: nullable("string"),
    is_active: Type.Boolean(),
    version: Type.Integer(),
    ...ScheduleDefinition.properties,
    run_count: Type.Integer({ description: "Those by hand are not counted" }),
    last_run_at: nullable("string", { description: "When a run of it began, also by hand" }),
    next_runs: NextRuns,
    created_at: Type.String(),
    updated_at: Type.String(),
  },
  { title: "Schedule" },
);

export const fieldsOf = ({ name, description, is_active: isActive = true, ...definition }: ScheduleRequest): ScheduleFields => ({
  name,
  description: description ?? null,
  isActive,
  definition,
});

export function scheduleJson(one: StoredSchedule, schedule: Schedule, now: number): Record<string, unknown> {
  const context = contextOf(schedule, one, Date.parse(one.createdAt));
  // A time that is due this moment is still to come.
  const from = Math.min(now, one.nextRunAt === null ? now : Date.parse(one.nextRunAt) - 1);
  const next = one.isActive ? nextTimes({ ...schedule, id: one.id, runCount: one.runCount, context }, from, NEXT_RUNS) : [];
  return {
    id: one.id,
    organization_id: one.organizationId,
    name: one.name,
    description: one.description,
    is_active: one.isActive,
    version: one.version,
    ...one.definition,
    run_count: one.runCount,
    last_run_at: one.lastRunAt,
    next_runs: next.map((at) => new Date(at).toISOString()),
    created_at: one.createdAt,
    updated_at: one.updatedAt,
  };
}

/** What people change: a run makes no other one of it. */
export const scheduleVersion = ({ id, version, isActive }: StoredSchedule): string => versionOf([id, version, isActive]);
