import { boundedCache } from "../core/bounded-cache.ts";
import { sourceOf } from "./addresses.ts";
import { type Bucket, fullBucket, hasToken, type Rate, takeToken } from "./token-bucket.ts";

/** Refused logins by address (by /64 network of IPv6). */
export interface LoginFailures {
  failed(remoteAddress: string | undefined): void;
  /** Asked before anything of a login is looked at, so that the answer is the same for a user that exists and one that does not. */
  isBlocked(remoteAddress: string | undefined): boolean;
}

/** The one that was quiet for longest is forgotten first. */
const MAX_ADDRESSES = 10_000;

/** An address that failed `perMinute` times may try again as often as a minute brings it another `perMinute` tries; 0 never blocks. */
export function createLoginFailures(perMinute: number, clock: () => number): LoginFailures {
  const rate: Rate = { perSecond: perMinute / 60, burst: perMinute };
  const buckets = boundedCache<Bucket>(MAX_ADDRESSES);
  return {
    failed(remoteAddress) {
      if (perMinute === 0) return;
      const source = sourceOf(remoteAddress);
      const bucket = buckets.get(source) ?? fullBucket(rate, clock());
      takeToken(bucket, rate, clock());
      buckets.set(source, bucket);
    },
    isBlocked(remoteAddress) {
      const bucket = buckets.get(sourceOf(remoteAddress));
      return bucket !== undefined && !hasToken(bucket, rate, clock());
    },
  };
}
