import type { Sessions } from "../core/bus.ts";
import { BOARD_SWEEP_MS, BOARD_TTL_MS, createMemoryBoard } from "./cluster-presence.ts";
import type { Neighbours } from "./neighbours.ts";
import { createPresence, type PresenceContext, type PresenceTracker } from "./presence.ts";
import { createRevocations, type Revocations } from "./revocations.ts";
import { createWhereabouts, type Whereabouts } from "./whereabouts.ts";

export interface DevicePresenceContext extends Omit<PresenceContext, "whereabouts"> {
  readonly neighbours: Pick<Neighbours, "cluster">;
  readonly redisUrl?: string | undefined;
  readonly onResync?: (() => void) | undefined;
}

export interface DevicePresence extends AsyncDisposable {
  readonly presence: PresenceTracker;
  readonly whereabouts: Whereabouts;
  readonly revocations: Revocations;
  /** The cluster is joined, if there is one: takes up what the last run and the other nodes know, and ends what is revoked elsewhere. */
  begin(sessions: Pick<Sessions, "disconnect" | "endRevoked">): Promise<void>;
  /** What the other nodes know may be lost, or not have come here. */
  resync(): void;
}

/** Who of the devices is there, and whose credentials were taken back: kept here by a node that is alone, in Redis by the others. */
export function openDevicePresence(context: DevicePresenceContext): DevicePresence {
  const { redisUrl, neighbours, clock, log } = context;
  const stack = new AsyncDisposableStack();
  const isAlone = redisUrl === undefined;
  const { presenceTtlMs: ttlMs = BOARD_TTL_MS } = context;
  const sweepMs = Math.min(BOARD_SWEEP_MS, ttlMs / 4);
  const own = isAlone ? stack.use(createMemoryBoard({ self: () => "", clock, ttlMs, sweepMs })) : undefined;
  const board = () => own ?? neighbours.cluster?.presence;
  const whereabouts = createWhereabouts({ ...context, board, others: () => neighbours.cluster, isAlone });
  const presence = stack.use(createPresence({ ...context, whereabouts }));
  let ending: (() => Promise<void>) | undefined;
  return {
    presence,
    whereabouts,
    revocations: createRevocations({ board, log }),
    async begin(sessions) {
      presence.follow();
      board()?.onRevoked((deviceId, credentialId) => {
        sessions
          .disconnect({ deviceId, credentialIds: [credentialId] }, "revoked")
          .catch((error: unknown) => log.error({ err: error, deviceId }, "a revoked session could not be ended"));
      });
      ending = () => sessions.endRevoked();
      await presence.expectBack();
    },
    resync() {
      context.onResync?.();
      if (!ending) return;
      const report = (error: unknown): void => log.error({ err: error }, "presence could not be looked through again");
      presence.expectBack().catch(report);
      ending().catch(report);
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}
