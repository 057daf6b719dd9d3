/** What to do with messages that came: how many of them were seen before, and how many are missing in front of them. */
export interface Arrival {
  readonly repeated: number;
  readonly missing: number;
  /** The number that the next message should have. */
  readonly next: number;
}

/** The first message from one node to another has number 1. */
export const FIRST_SEQ = 1;

/** `expected` is the number that should come next, `firstSeq` and `count` say what came. */
export function arrive(expected: number, firstSeq: number, count: number): Arrival {
  const end = firstSeq + count;
  return {
    repeated: Math.min(count, Math.max(0, expected - firstSeq)),
    missing: Math.max(0, firstSeq - expected),
    next: Math.max(expected, end),
  };
}
