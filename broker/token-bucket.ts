/** How often something may happen: `burst` times at once, `perSecond` on average. */
export interface Rate {
  readonly perSecond: number;
  readonly burst: number;
}

/** What is left of a rate; `at` is when that was so, in ms of any clock. */
export interface Bucket {
  tokens: number;
  at: number;
}

export const fullBucket = ({ burst }: Rate, now: number): Bucket => ({ tokens: burst, at: now });

/** Brings the bucket up to `now`, and answers whether it holds a token. A clock that steps back adds nothing. */
export function hasToken(bucket: Bucket, { perSecond, burst }: Rate, now: number): boolean {
  bucket.tokens = Math.min(burst, bucket.tokens + (Math.max(0, now - bucket.at) / 1_000) * perSecond);
  bucket.at = now;
  // What a sum of fractions is short of one by is no waiting time.
  return bucket.tokens > 1 - 1e-9;
}

/** Takes a token if there is one. */
export function takeToken(bucket: Bucket, rate: Rate, now: number): boolean {
  if (!hasToken(bucket, rate, now)) return false;
  bucket.tokens = Math.max(0, bucket.tokens - 1);
  return true;
}
