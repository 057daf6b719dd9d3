import type { EventSink, Log } from "../core/bus.ts";
import type { CommandRecord } from "../core/command.ts";
import { PLATFORM } from "../core/principal.ts";
import { insertAudit } from "../store/audit.ts";
import { finishCommand } from "../store/commands.ts";
import { getDevice } from "../store/devices.ts";
import { insertEvents } from "../store/events.ts";
import type { Store } from "../store/open.ts";
import { inTransaction } from "../store/transaction.ts";
import { commandAudit, failedEvent } from "./command-trail.ts";
import type { Outcome } from "./outcome.ts";

/** Ends a command without an acknowledgement: a sent one by `timeout`, a queued one by `expired`. undefined when it had ended or is gone. */
export async function failCommand(
  { store, events, log }: { store: Store; events: EventSink; log: Log },
  record: CommandRecord,
  now: number,
): Promise<Outcome | undefined> {
  const status = record.status === "queued" ? "expired" : "timeout";
  const done = await inTransaction(store.db, async (trx) => {
    const finished = await finishCommand(trx, record.id, { status, error: null, latencyMs: null, now });
    if (!finished) return undefined;
    const device = await getDevice(trx, PLATFORM, record.deviceId);
    const event = failedEvent(finished, device, now);
    await insertAudit(trx, [commandAudit(record, status, device, now)]);
    await insertEvents(trx, [event]);
    return { finished, event };
  });
  if (!done) return undefined;
  events.emit([done.event]).catch((error: unknown) => log.error({ err: error, commandId: record.id }, "events could not be published"));
  return { record: done.finished, state: null };
}
