import { ScheduleDefinition } from "../../core/schedule.ts";
import { getSchedule, lockSchedule, scheduleVersions } from "../../store/schedules.ts";
import { versionRoutes } from "../versions.ts";
import { checkSchedule } from "./check.ts";
import { type ScheduleRequest, scheduleVersion } from "./representation.ts";
import { changeTo, OneSchedule } from "./schedules.ts";

export const routes = versionRoutes({
  path: "/api/v1/schedules",
  tag: "Schedules",
  thing: "a schedule",
  title: "Schedule",
  resource: "schedule",
  definition: ScheduleDefinition,
  versions: scheduleVersions,
  find: getSchedule,
  lock: lockSchedule,
  etag: scheduleVersion,
  restored: { description: "As it is now", schema: OneSchedule },
  restore: async (changing, before, { name, description, definition }, why) => {
    const former = { ...definition, name, ...(description === null ? {} : { description }), is_active: before.isActive };
    const wanted = former as ScheduleRequest;
    await checkSchedule(changing.db, before.organizationId, wanted);
    return await changeTo(changing, before, wanted, why);
  },
});
