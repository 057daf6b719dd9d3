import { v7 } from "uuid";
import { type HubEvent, newEvent } from "../../core/event.ts";
import { SYSTEM } from "../../core/principal.ts";

/** As if it had been made then, with an id of that time. */
export function eventAt(at: number, wanted: Partial<HubEvent> = {}): HubEvent {
  const id = wanted.id ?? v7({ msecs: at });
  const made = newEvent("device.online", { organizationId: null, entityId: null, actor: SYSTEM, now: at }, {});
  return { ...made, correlationId: id, ...wanted, id };
}
