import { HOUR_MS, MINUTE_MS } from "../../core/durations.ts";
import type { Delivery } from "../../store/webhook-deliveries.ts";

const SECOND_MS = 1_000;

/** Between one attempt and the next; with the time of the attempts themselves less than a day in all. */
export const RETRIES_MS: readonly number[] = [
  5 * SECOND_MS,
  30 * SECOND_MS,
  2 * MINUTE_MS,
  10 * MINUTE_MS,
  30 * MINUTE_MS,
  HOUR_MS,
  2 * HOUR_MS,
  4 * HOUR_MS,
  8 * HOUR_MS,
];
/** Receivers that failed together shall not be asked together. */
const JITTER = 0.2;
/** A receiver may not ask for more. */
const MAX_RETRY_AFTER_MS = HOUR_MS;
const MIN_RETRY_AFTER_MS = SECOND_MS;

/** What came back from a receiver, or why nothing did. */
export interface Outcome {
  readonly status: number | null;
  /** Of the answer. */
  readonly retryAfter: string | undefined;
  readonly error: string | null;
}

export type Verdict =
  | { readonly kind: "delivered" }
  /** Again at `at`; `isAskedFor`: the receiver wants nothing until then. In ms since 1970. */
  | { readonly kind: "retry"; readonly at: number; readonly isAskedFor: boolean }
  | { readonly kind: "dead" }
  /** The receiver wants no more, ever. */
  | { readonly kind: "gone" };

/** What follows from an attempt. `random` is from 0 to 1. */
export function verdictOf(
  { status, retryAfter }: Outcome,
  { attempts, expiresAt }: Pick<Delivery, "attempts" | "expiresAt">,
  { now, random }: { readonly now: number; readonly random: number },
): Verdict {
  if (status !== null && status >= 200 && status < 300) return { kind: "delivered" };
  if (status === 410) return { kind: "gone" };
  const backOffMs = RETRIES_MS[attempts - 1];
  const askedMs = status === 429 || status === 503 ? retryAfterMs(retryAfter, now) : undefined;
  if (backOffMs === undefined) return { kind: "dead" };
  const at = now + (askedMs ?? backOffMs * (1 - JITTER + 2 * JITTER * random));
  return at >= Date.parse(expiresAt) ? { kind: "dead" } : { kind: "retry", at, isAskedFor: askedMs !== undefined };
}

/** Seconds, or a date (RFC 9110 10.2.3); undefined for what is neither. */
function retryAfterMs(header: string | undefined, now: number): number | undefined {
  const text = header?.trim() ?? "";
  const ms = /^\d{1,9}$/.test(text) ? Number(text) * SECOND_MS : text === "" ? Number.NaN : Date.parse(text) - now;
  return Number.isNaN(ms) ? undefined : Math.min(MAX_RETRY_AFTER_MS, Math.max(MIN_RETRY_AFTER_MS, ms));
}
