/** What a key signs. */
export const KEY_PURPOSES = ["user_jwt", "device_jwt", "token_hmac"] as const;
export type KeyPurpose = (typeof KEY_PURPOSES)[number];

/**
 * A key is made before it signs, so that every node knows it by then; it signs until its successor does, and verifies
 * until it is removed. The times say it all: nothing has to be done for one state to follow the other.
 */
export interface KeyRecord {
  readonly kid: string;
  readonly purpose: KeyPurpose;
  /** ms since 1970, like the others. */
  readonly createdAt: number;
  readonly activatesAt: number;
  /** When its successor takes over; null for the newest of its purpose. */
  readonly retiredAt: number | null;
}

export type KeyState = "next" | "active" | "retired";

export function keyStateAt({ activatesAt, retiredAt }: Pick<KeyRecord, "activatesAt" | "retiredAt">, now: number): KeyState {
  if (retiredAt !== null && retiredAt <= now) return "retired";
  return activatesAt <= now ? "active" : "next";
}

/** Of the keys of one purpose the one that signs. */
export function signingKeyAt<K extends Pick<KeyRecord, "activatesAt">>(keys: Iterable<K>, now: number): K | undefined {
  let signs: K | undefined;
  let first: K | undefined;
  for (const key of keys) {
    if (key.activatesAt <= now && (!signs || key.activatesAt >= signs.activatesAt)) signs = key;
    if (!first || key.activatesAt < first.activatesAt) first = key;
  }
  // A clock may be behind that of the node which made the first one a moment ago.
  return signs ?? first;
}

export interface KeyRules {
  /** How old the key of people's tokens becomes before another one follows it by itself; 0: never. */
  readonly rotateAfterMs: number;
  /** How long a key verifies that does not sign any more; undefined: for ever. */
  readonly keptMs: Readonly<Record<KeyPurpose, number | undefined>>;
  /** Keys that a credential depends on which has not ended: they stay. */
  readonly inUse: ReadonlySet<string>;
}

export interface KeyPlan {
  readonly rotate: readonly KeyPurpose[];
  readonly remove: readonly KeyRecord[];
}

/** What is to be done about the keys by now. */
export function planKeys(keys: readonly KeyRecord[], now: number, { rotateAfterMs, keptMs, inUse }: KeyRules): KeyPlan {
  const ofPeople = keys.filter(({ purpose }) => purpose === "user_jwt");
  const newest = Math.max(...ofPeople.map(({ activatesAt }) => activatesAt));
  const isDue = rotateAfterMs > 0 && ofPeople.length > 0 && newest + rotateAfterMs <= now;
  return {
    rotate: isDue ? ["user_jwt"] : [],
    remove: keys.filter(({ kid, purpose, retiredAt }) => {
      const kept = keptMs[purpose];
      return kept !== undefined && retiredAt !== null && retiredAt + kept <= now && !inUse.has(kid);
    }),
  };
}
