import type { LRUCache } from "lru-cache";
import { boundedCache } from "../core/bounded-cache.ts";
import type { CommandStatus } from "../core/command.ts";
import { HOUR_MS, MINUTE_MS } from "../core/durations.ts";
import type { Actor } from "../core/principal.ts";
import type { RecentCommandMemory } from "../core/risk.ts";

const FAILURES: readonly CommandStatus[] = ["error", "timeout"];

export interface RecentCommandLimits {
  readonly actors: number;
  readonly devices: number;
  /** Of one actor and one device. */
  readonly pairs: number;
}
const LIMITS: RecentCommandLimits = { actors: 5_000, devices: 20_000, pairs: 50_000 };

/**
 * In this node's memory: each node counts what came to it, none knows of the time before its start, and where there is no more room the one that
 * was not heard of for longest is forgotten.
 */
export function createRecentCommands(limits: RecentCommandLimits = LIMITS): RecentCommandMemory {
  const byActor = boundedCache<SlidingCount>(limits.actors);
  const byDevice = boundedCache<SlidingCount>(limits.devices);
  const failures = boundedCache<SlidingCount>(limits.devices);
  const pairs = boundedCache<true>(limits.pairs);
  return {
    of(actor, deviceId, now) {
      const key = keyOf(actor);
      return {
        byActorInMinute: byActor.get(key)?.at(now) ?? 0,
        byDeviceInMinute: byDevice.get(deviceId)?.at(now) ?? 0,
        failedInHour: failures.get(deviceId)?.at(now) ?? 0,
        isFirstFromActor: !pairs.has(`${key} ${deviceId}`),
      };
    },
    note(actor, deviceId, now) {
      const key = keyOf(actor);
      countIn(byActor, key, MINUTE_MS).add(now);
      countIn(byDevice, deviceId, MINUTE_MS).add(now);
      pairs.set(`${key} ${deviceId}`, true);
    },
    ended(deviceId, status, now) {
      if (FAILURES.includes(status)) countIn(failures, deviceId, HOUR_MS).add(now);
    },
  };
}

const keyOf = ({ kind, id }: Actor): string => `${kind} ${id}`;

function countIn(counts: LRUCache<string, SlidingCount>, key: string, windowMs: number): SlidingCount {
  let count = counts.get(key);
  if (!count) counts.set(key, (count = new SlidingCount(windowMs)));
  return count;
}

const SLOTS = 12;

/** How many there were within the window before now, to a twelfth of it: never fewer, and for that little time too many. */
class SlidingCount {
  readonly #slotMs: number;
  readonly #counts = Array.from({ length: SLOTS + 1 }, () => 0);
  /** Slots since 1970. */
  #latest = 0;

  constructor(windowMs: number) {
    this.#slotMs = windowMs / SLOTS;
  }

  add(now: number): void {
    this.#goTo(now);
    const index = this.#latest % this.#counts.length;
    this.#counts[index] = (this.#counts[index] ?? 0) + 1;
  }

  at(now: number): number {
    this.#goTo(now);
    return this.#counts.reduce((sum, count) => sum + count, 0);
  }

  /** Empties the slots that time has passed. A clock that is set back a little counts on in the latest one, and else anew. */
  #goTo(now: number): void {
    const wanted = Math.floor(now / this.#slotMs);
    const isFarBack = wanted < this.#latest - SLOTS;
    const slot = isFarBack ? wanted : Math.max(this.#latest, wanted);
    if (isFarBack) this.#counts.fill(0);
    const passed = Math.min(slot - this.#latest, this.#counts.length);
    for (let step = 0; step < passed; step++) this.#counts[(slot - step) % this.#counts.length] = 0;
    this.#latest = slot;
  }
}
