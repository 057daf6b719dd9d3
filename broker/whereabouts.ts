import type { Log } from "../core/bus.ts";
import type { Store } from "../store/open.ts";
import { capabilitiesOf } from "../store/presence.ts";
import type { PresenceBoard } from "./cluster-presence.ts";
import { orElse } from "./time-limit.ts";

export interface WhereaboutsContext {
  readonly store: Store;
  readonly log: Log;
  /** undefined until the cluster is joined; nothing is connected before that. */
  readonly board: () => PresenceBoard | undefined;
  /** The other nodes; undefined on a node that is alone. */
  readonly others: () => { readonly peers: ReadonlySet<string>; readonly isConnected: boolean } | undefined;
  readonly isAlone: boolean;
}

/** Where devices are connected, as all nodes see it. */
export interface Whereabouts {
  readonly isAlone: boolean;
  /** The other nodes can be asked, or there are none. */
  readonly isKnown: boolean;
  /** The device is connected here by that credential; `isStill` is asked before that is noted. */
  arrived(deviceId: string, credentialId: string, isStill: () => boolean): void;
  seen(deviceId: string): void;
  left(deviceId: string, credentialId: string): void;
  /** The device is connected to another node that lives. Rejects while that cannot be known. */
  isElsewhere(deviceId: string): Promise<boolean>;
  /** See {@link PresenceBoard.onExpired}. */
  onExpired(listener: (deviceId: string) => Promise<void>): void;
}

interface Waiting {
  readonly deviceId: string;
  readonly credentialId: string;
  readonly isStill: () => boolean;
}

/** A Redis that stands still keeps nobody waiting longer. */
const ASK_MS = 500;
const UNKNOWN = Symbol("unknown");

export function createWhereabouts({ store, log, board, others, isAlone }: WhereaboutsContext): Whereabouts {
  let waiting: Waiting[] = [];

  /** One query for all who came within a turn: a thousand may come at once. */
  async function noteWaiting(): Promise<void> {
    const group = waiting;
    waiting = [];
    const ids = group.map(({ deviceId }) => deviceId);
    const capabilities = await capabilitiesOf(store.db, ids).catch((error: unknown) => {
      log.error({ err: error }, "capabilities could not be read");
      return new Map<string, object>();
    });
    for (const { deviceId, credentialId, isStill } of group)
      if (isStill()) board()?.online(deviceId, credentialId, capabilities.get(deviceId) ?? {});
  }

  return {
    isAlone,
    get isKnown() {
      return isAlone || others()?.isConnected === true;
    },
    arrived(deviceId, credentialId, isStill) {
      // Nobody else reads what a node keeps for itself.
      if (isAlone) return board()?.online(deviceId, credentialId, {});
      if (waiting.push({ deviceId, credentialId, isStill }) === 1) setImmediate(() => void noteWaiting());
    },
    seen: (deviceId) => board()?.seen(deviceId),
    left: (deviceId, credentialId) => board()?.offline(deviceId, credentialId),
    async isElsewhere(deviceId) {
      if (isAlone) return false;
      const nodeId = await orElse(board()?.routeOf(deviceId) ?? Promise.resolve(undefined), ASK_MS, UNKNOWN);
      if (nodeId === UNKNOWN || (nodeId === undefined && others()?.isConnected !== true))
        throw new Error("the other nodes cannot be asked");
      return nodeId !== undefined && others()?.peers.has(nodeId) === true;
    },
    onExpired: (listener) => board()?.onExpired(listener),
  };
}
