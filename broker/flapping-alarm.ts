import type { DeviceDirectory, EventSink, Log } from "../core/bus.ts";
import { newEvent } from "../core/event.ts";
import { PLATFORM, type Principal, SYSTEM } from "../core/principal.ts";
import { insertEvents, listEvents } from "../store/events.ts";
import type { Store } from "../store/open.ts";
import { inTransaction } from "../store/transaction.ts";
import { lockConnectionStatus } from "../store/presence.ts";

export interface FlappingAlarmContext {
  readonly store: Store;
  readonly directory: DeviceDirectory;
  readonly events: EventSink;
  readonly log: Log;
  /** ms since 1970 */
  readonly clock: () => number;
}

/** A link that flaps between two nodes is noticed by both, and is one alarm. */
const ONE_ALARM_MS = 10 * 60_000;

/** Tells a device's organisation that its link flaps. Other clients stand in the log alone. */
export function createFlappingAlarm({ store, directory, events, log, clock }: FlappingAlarmContext) {
  async function tell({ id, uid, organizationId }: { id: string; uid: string; organizationId: string | null }): Promise<void> {
    const now = clock();
    const event = newEvent("device.flapping", { organizationId, entityId: id, actor: SYSTEM, now }, { uid });
    const isNew = await inTransaction(store.db, async (trx) => {
      // The row is held, so that the other node waits and then sees this event.
      if (!(await lockConnectionStatus(trx, [id])).has(id)) return false;
      const { items } = await listEvents(trx, PLATFORM, { limit: 1, entityId: id, types: [event.type], from: now - ONE_ALARM_MS });
      if (items.length === 0) await insertEvents(trx, [event]);
      return items.length === 0;
    });
    if (isNew) await events.emit([event]);
  }

  return (_clientId: string, principal: Principal): void => {
    const device = principal.kind === "device" ? directory.find(principal.uid) : undefined;
    if (!device) return;
    tell(device).catch((error: unknown) => log.error({ err: error, deviceUid: device.uid }, "a flapping link could not be reported"));
  };
}
