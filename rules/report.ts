import type { UpMessage } from "../core/bus.ts";
import { newAudit, newEvent } from "../core/event.ts";
import { type Actor, SYSTEM } from "../core/principal.ts";
import { changesBetween, isEmptyState, mergeState, type StateReport } from "../core/state.ts";
import type { Db } from "../store/open.ts";
import { writeState } from "../store/state.ts";
import type { Effect } from "./acknowledgement.ts";
import type { DeviceStates } from "./device-states.ts";

/** Takes over what the device says of itself; undefined when that was known. */
export async function commitReport(
  { states }: { states: DeviceStates },
  trx: Db,
  { device, payload, receivedAt }: UpMessage<StateReport>,
): Promise<Effect | undefined> {
  const known = await states.read(trx, device.id);
  const changes = changesBetween(known, payload);
  if (isEmptyState(changes)) return undefined;
  states.stage(trx, device.id, mergeState(known, changes));
  const { organizationId } = device;
  const actor: Actor = { kind: "device", id: device.id };
  const event = newEvent(
    "device.state_changed",
    { organizationId, entityId: device.id, actor, now: receivedAt },
    { uid: device.uid, ...changes },
  );
  const { correlationId } = event;
  await writeState(trx, device.id, changes, { now: receivedAt, actor, source: "device", commandId: null, correlationId });
  const reconciled = newAudit({
    organizationId,
    // Reconciling is the hub's act, whatever moved the relay.
    actor: SYSTEM,
    action: "state.reconciled",
    resourceType: "device",
    resourceId: device.id,
    details: { uid: device.uid, relays: changes.relays },
    correlationId,
    now: receivedAt,
  });
  return { device, shown: changes, events: [event], audit: changes.relays.length > 0 ? [reconciled] : [] };
}
