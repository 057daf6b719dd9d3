/**
 * Which devices are online, on which node and connection, for the whole cluster; and which credentials are revoked.
 * Other programs read and write the same keys when it is kept in Redis (presence:device:*, presence:online,
 * route:device:*, revoked_device_jti).
 */
export interface PresenceBoard extends AsyncDisposable {
  /** The device is connected here; whatever was noted of it before is void. `connectionId` is the id of its token (jti). */
  online(deviceId: string, connectionId: string, capabilities: unknown): void;
  /** The device spoke. Free of charge: it is noted for the next batch. */
  seen(deviceId: string): void;
  /** The connection has ended. Does nothing when the device is on another node or connection by now. */
  offline(deviceId: string, connectionId: string): void;
  /** Node id; undefined when the device is offline, or while Redis is away. */
  routeOf(deviceId: string): Promise<string | undefined>;
  /** Rejects while Redis is away: nobody would have heard of it. */
  revoke(jti: string): Promise<void>;
  /** Asked when a device connects. Rejects while Redis is away. */
  isRevoked(jti: string): Promise<boolean>;
  /** Called once for each connection of this node whose credential is revoked, at most a second later. */
  onRevoked(listener: (deviceId: string, connectionId: string) => void): void;
  /**
   * Called on one node of the cluster when a device that was online was not heard of for the lifetime of its presence.
   * When the promise rejects, it is called again later, maybe elsewhere.
   */
  onExpired(listener: (deviceId: string) => Promise<void>): void;
  /** Resolves when everything up to now is noted. */
  flushed(): Promise<void>;
}

export interface PresenceBoardOptions {
  /** This node's id as it is now. */
  readonly self: () => string;
  /** ms since 1970 */
  readonly clock: () => number;
  /** How long a device counts as online without a word of it: 120 s. */
  readonly ttlMs?: number;
  /** How often expired presences are looked for: 10 s. */
  readonly sweepMs?: number;
}

export const BOARD_TTL_MS = 120_000;
export const BOARD_SWEEP_MS = 10_000;

interface Present {
  readonly connectionId: string;
  seenAt: number;
  wasRevoked: boolean;
}

/** For a node that is alone. */
export function createMemoryBoard(options: PresenceBoardOptions): PresenceBoard {
  const { self, clock, ttlMs = BOARD_TTL_MS, sweepMs = BOARD_SWEEP_MS } = options;
  const present = new Map<string, Present>();
  const revoked = new Set<string>();
  const revokedListeners: ((deviceId: string, connectionId: string) => void)[] = [];
  const expiredListeners: ((deviceId: string) => Promise<void>)[] = [];
  const isFresh = (one: Present | undefined): one is Present => one !== undefined && clock() - one.seenAt < ttlMs;

  function tellRevoked(deviceId: string, one: Present): void {
    if (one.wasRevoked || !revoked.has(one.connectionId) || present.get(deviceId) !== one) return;
    one.wasRevoked = true;
    for (const listener of revokedListeners) listener(deviceId, one.connectionId);
  }

  async function sweep(): Promise<void> {
    for (const [deviceId, one] of present) {
      if (isFresh(one)) continue;
      present.delete(deviceId);
      try {
        for (const listener of expiredListeners) await listener(deviceId);
      } catch {
        // Still to be told, unless it is online again.
        if (!present.has(deviceId)) present.set(deviceId, one);
      }
    }
  }

  const sweeping = setInterval(() => void sweep(), sweepMs).unref();
  return {
    online(deviceId, connectionId) {
      const one = { connectionId, seenAt: clock(), wasRevoked: false };
      present.set(deviceId, one);
      setImmediate(() => tellRevoked(deviceId, one));
    },
    seen(deviceId) {
      const one = present.get(deviceId);
      if (one) one.seenAt = clock();
    },
    offline(deviceId, connectionId) {
      if (present.get(deviceId)?.connectionId === connectionId) present.delete(deviceId);
    },
    async routeOf(deviceId) {
      return isFresh(present.get(deviceId)) ? self() : undefined;
    },
    async revoke(jti) {
      revoked.add(jti);
      for (const [deviceId, one] of present) tellRevoked(deviceId, one);
    },
    isRevoked: async (jti) => revoked.has(jti),
    onRevoked: (listener) => void revokedListeners.push(listener),
    onExpired: (listener) => void expiredListeners.push(listener),
    async flushed() {},
    async [Symbol.asyncDispose]() {
      clearInterval(sweeping);
    },
  };
}
