import { setTimeout as pause } from "node:timers/promises";
import type { Duties, Log } from "../core/bus.ts";
import { purgeAlertStates } from "./alert-states.ts";
import { purgeAlerts } from "./alerts.ts";
import { purgeAccessTokens } from "./access-tokens.ts";
import { purgeEmailTokens } from "./email-tokens.ts";
import { purgeEvents } from "./event-retention.ts";
import { purgeIdempotencyKeys } from "./idempotency.ts";
import { purgeInsights } from "./insights.ts";
import { purgeInvitations } from "./invitations.ts";
import type { KeyRotation } from "./key-rotation.ts";
import { purgeLogins } from "./logins.ts";
import { purgeMails } from "./mails.ts";
import { purgeMetrics } from "./metrics.ts";
import { purgeNotifications } from "./notifications.ts";
import { purgeOauthRecords } from "./oauth-records.ts";
import type { Db } from "./open.ts";
import { purgeReadings } from "./reading-retention.ts";
import { purgeReceived } from "./received-messages.ts";
import { purgeRuns } from "./runs.ts";
import { purgeHookMessages } from "./inbound-hooks.ts";
import { purgeTasks } from "./tasks.ts";
import type { TelemetryStore } from "./telemetry.ts";
import { purgeTemplateUses } from "./template-uses.ts";
import { purgeDeliveries } from "./webhook-deliveries.ts";

export interface MaintenanceContext {
  readonly db: Db;
  readonly telemetry: Pick<TelemetryStore, "maintain">;
  readonly keyRotation: Pick<KeyRotation, "maintain">;
  /** For how long events are kept; 0 is for ever. */
  readonly eventRetentionDays: number;
  /** The same of readings. */
  readonly readingRetentionDays: number;
  readonly duties: Duties;
  readonly log: Log;
  /** ms since 1970 */
  readonly clock: () => number;
  /** An hour. */
  readonly everyMs?: number;
}

const EVERY_MS = 3_600_000;

/** Removes what has had its day and makes room for what comes: every hour, on one node of a cluster. */
export function startMaintenance({
  db,
  telemetry,
  keyRotation,
  eventRetentionDays,
  readingRetentionDays,
  duties,
  log,
  clock,
  everyMs = EVERY_MS,
}: MaintenanceContext): AsyncDisposable {
  async function maintain(signal: AbortSignal): Promise<void> {
    await telemetry.maintain(clock());
    await purgeIdempotencyKeys(db, clock());
    await purgeReceived(db, clock());
    await purgeLogins(db, clock());
    await purgeInvitations(db, clock());
    await purgeAccessTokens(db, clock());
    await purgeOauthRecords(db, clock());
    await purgeEmailTokens(db, clock());
    await purgeMails(db, clock());
    await purgeNotifications(db, clock());
    await purgeRuns(db, clock());
    await purgeTasks(db, clock());
    await purgeDeliveries(db, clock());
    await purgeHookMessages(db, clock());
    await purgeAlerts(db, clock());
    await purgeAlertStates(db);
    await purgeInsights(db, clock());
    await purgeTemplateUses(db, clock());
    await keyRotation.maintain();
    await purgeMetrics(db, { now: clock(), signal });
    await purgeReadings(db, { days: readingRetentionDays, now: clock(), signal });
    await purgeEvents(db, { days: eventRetentionDays, now: clock(), signal });
  }
  return duties.hold("maintenance", async (signal) => {
    while (!signal.aborted) {
      await pause(everyMs, undefined, { signal, ref: false }).catch(() => undefined);
      if (!signal.aborted) await maintain(signal).catch((error: unknown) => log.error({ err: error }, "the hourly maintenance failed"));
    }
  });
}
