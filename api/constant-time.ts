import { createHash, timingSafeEqual } from "node:crypto";

/** Compares secrets in a time that tells nothing of where, or whether, their lengths differ. */
export function isSameSecret(given: string, expected: string): boolean {
  return timingSafeEqual(digest(given), digest(expected));
}

const digest = (text: string): Buffer => createHash("sha256").update(text).digest();
