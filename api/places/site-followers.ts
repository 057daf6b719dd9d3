import { alertRulesOfSite } from "../../store/alert-rules.ts";
import { automationsOfSite } from "../../store/automations.ts";
import type { Db } from "../../store/open.ts";
import { schedulesOfSite } from "../../store/schedules.ts";
import type { ApiContext } from "../context.ts";

/** What goes by the clocks and the sun of a site, by their ids. */
export interface SiteFollowers {
  readonly schedules: readonly string[];
  readonly automations: readonly string[];
  readonly alertRules: readonly string[];
}

/** Of a site that is locked and not removed yet. */
export async function followersOf(db: Db, siteId: string): Promise<SiteFollowers> {
  return {
    schedules: await schedulesOfSite(db, siteId),
    automations: await automationsOfSite(db, siteId),
    alertRules: await alertRulesOfSite(db, siteId),
  };
}

/** In the transaction after which the site is elsewhere, or gone. An alert rule has no times of its own: its alerts go on. */
export async function planAnew(
  context: Pick<ApiContext, "schedules" | "automations">,
  db: Db,
  { schedules, automations }: SiteFollowers,
): Promise<void> {
  for (const id of schedules) await context.schedules.plan(db, id);
  for (const id of automations) await context.automations.plan(db, id);
}

/** After its commit: every node holds them in memory, with the clocks of the site as they were. */
export async function tellOfMove(
  { automations, alerts }: Pick<ApiContext, "automations" | "alerts">,
  followers: SiteFollowers,
): Promise<void> {
  await Promise.all([
    ...followers.automations.map((id) => automations.changed(id)),
    ...followers.alertRules.map((id) => alerts.changed(id)),
  ]);
}
