import { LRUCache } from "lru-cache";

/**
 * Keeps the `most` entries that were used last, each for `ttlMs` if that is given. `max` of the library would take the room for all
 * of them at once: 30 bytes each and a millisecond a thousand, at every start, for what a small hub never has.
 */
export function boundedCache<Value extends {}, Key extends {} = string>(
  most: number,
  { ttlMs = 0, ttlResolutionMs = 1 }: { readonly ttlMs?: number; readonly ttlResolutionMs?: number } = {},
): LRUCache<Key, Value> {
  return new LRUCache({ maxSize: most, sizeCalculation: () => 1, ttl: ttlMs, ttlResolution: ttlResolutionMs });
}
