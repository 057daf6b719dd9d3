import { fault } from "../../core/definition.ts";
import { needsCoordinates } from "../../core/recurrence.ts";
import type { Recurrence } from "../../core/recurrence.ts";
import { parseSchedule } from "../../core/schedule.ts";
import type { Place } from "../../core/schedule-plan.ts";
import type { Db } from "../../store/open.ts";
import { findPlace } from "../../store/sites.ts";
import { checkActions, checkCommands } from "../automations/check.ts";
import { fieldsOf, type ScheduleRequest } from "./representation.ts";

/**
 * Throws `validation_error` with the path of the fault when it cannot be done here: what it names has to be in the organisation, and
 * to have what is asked of it.
 */
export async function checkSchedule(db: Db, organizationId: string, input: ScheduleRequest): Promise<void> {
  const definition = fieldsOf(input).definition as Omit<ScheduleRequest, "name">;
  const { recurrence, actions } = parseSchedule(definition);
  const { device, command } = definition;
  if (device !== undefined && command !== undefined) await checkCommands(db, organizationId, [{ path: "", device, command }]);
  else await checkActions(db, organizationId, actions, "/actions");
  await placeFor(db, organizationId, recurrence, definition.site_id);
}

const NOWHERE: Place = { timeZone: null, latitude: null, longitude: null };

/** Where the recurrence is. Throws `validation_error` for a site that is not there, or does not say where the sun rises. */
export async function placeFor(db: Db, organizationId: string, recurrence: Recurrence, siteId: string | undefined): Promise<Place> {
  const place = siteId === undefined ? NOWHERE : await findPlace(db, organizationId, siteId.toLowerCase());
  if (!place) throw fault("/site_id", "is no site of the organisation");
  if (needsCoordinates(recurrence) && place.latitude === null)
    throw fault("/recurrence/latitude", "is needed, with longitude, unless site_id names a site that has them");
  return place;
}
