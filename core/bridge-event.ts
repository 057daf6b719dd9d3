import { type HubEvent, newEvent } from "./event.ts";
import type { Actor } from "./principal.ts";
import type { BridgeName, BridgeState } from "./smart-home.ts";

/** What is told of the link between an organisation and a smart home. */
export interface BridgeLink {
  readonly bridge: BridgeName;
  readonly organizationId: string;
  /** Where each person has a link of their own. */
  readonly userId?: string;
  /** Of Home Assistant: on the hub's own broker, or on one elsewhere. */
  readonly broker?: "own" | "remote";
}

/** Of a link that there is. */
export type LinkStatus = Exclude<BridgeState["status"], "off">;

export type BridgeHappening = "linked" | "unlinked" | "connected" | "disconnected" | "failed";

export function bridgeEvent(
  happening: BridgeHappening,
  { bridge, organizationId, userId, broker, actor, now }: BridgeLink & { readonly actor: Actor; readonly now: number },
  more: Readonly<Record<string, unknown>> = {},
): HubEvent {
  const who = { ...(broker === undefined ? {} : { broker }), ...(userId === undefined ? {} : { user_id: userId }) };
  return newEvent(`bridge.${happening}`, { organizationId, entityId: organizationId, actor, now }, { bridge, ...who, ...more });
}
