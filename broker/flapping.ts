import { boundedCache } from "../core/bounded-cache.ts";
import type { Log, Metrics } from "../core/bus.ts";
import type { Principal } from "../core/principal.ts";
import type { MqttLimits } from "../core/settings.ts";
import { keyOf } from "../core/authorize.ts";
import { type Bucket, fullBucket, type Rate, takeToken } from "./token-bucket.ts";

export interface FlappingContext {
  readonly limits: Pick<MqttLimits, "mqttFlappingCount" | "mqttFlappingBanS">;
  /** ms; best a monotonic clock. */
  readonly clock: () => number;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Called once for a link that flaps, however often it is banned for that. */
  readonly onFlapping: (clientId: string, principal: Principal) => void;
}

export interface Flapping {
  /** Counts a login that is otherwise fine. False: this client id of this principal connects too often, and is refused for a while. */
  mayConnect(clientId: string, principal: Principal): boolean;
}

interface Connects {
  readonly bucket: Bucket;
  bannedUntil: number;
  /** When the alarm was last true; -Infinity before the first one. */
  flappedAt: number;
}

/** The client id that was quiet for longest is forgotten first. */
const MAX_CLIENTS = 10_000;
/** A link that was not banned for this many times the ban is mended: the next ban is a new alarm. */
const MENDED_BANS = 10;

/**
 * Bans what connects again and again: a failing link, or two machines that take the same session from each other. It is
 * counted by client id and principal, so that nobody can have somebody else banned.
 */
export function createFlapping({ limits, clock, log, metrics, onFlapping }: FlappingContext): Flapping {
  const { mqttFlappingCount: perMinute, mqttFlappingBanS } = limits;
  const rate: Rate = { perSecond: perMinute / 60, burst: perMinute };
  const banMs = mqttFlappingBanS * 1_000;
  const clients = boundedCache<Connects>(MAX_CLIENTS);

  function ban(connects: Connects, clientId: string, principal: Principal): void {
    const now = clock();
    const isNew = now - connects.flappedAt > banMs * MENDED_BANS;
    connects.bannedUntil = now + banMs;
    connects.flappedAt = connects.bannedUntil;
    metrics.count("hexahub_mqtt_flapping_total");
    if (!isNew) return;
    log.warn({ clientId, bannedS: mqttFlappingBanS }, "a client connects again and again");
    onFlapping(clientId, principal);
  }

  return {
    mayConnect(clientId, principal) {
      if (perMinute === 0) return true;
      const key = `${keyOf(principal)} ${clientId}`;
      let connects = clients.get(key);
      if (!connects) {
        connects = { bucket: fullBucket(rate, clock()), bannedUntil: 0, flappedAt: Number.NEGATIVE_INFINITY };
        clients.set(key, connects);
      }
      if (clock() < connects.bannedUntil) return false;
      if (takeToken(connects.bucket, rate, clock())) return true;
      ban(connects, clientId, principal);
      return false;
    },
  };
}
