import type { TopicKind } from "../core/topics.ts";

/** What the broker counts for every message: plain numbers, read when somebody looks. */
export interface Counters {
  /** PUBLISH packets from clients, by QoS. */
  readonly received: [number, number, number];
  /** PUBLISH packets to clients, by QoS. */
  readonly sent: [number, number, number];
  /** Messages that were taken, by the kind of their topic. */
  readonly accepted: Partial<Record<TopicKind, number>>;
  bytesReceived: number;
  bytesSent: number;
  /** How often a client was held because it sent faster than it may. */
  throttled: number;
  /** Clients that were disconnected because they did not read. */
  overflowed: number;
  /** Messages that did not reach a session that they were for. */
  readonly dropped: Record<DropReason, number>;
  /** Messages that wait in sessions now. */
  queued: number;
}

/**
 * `slow`: QoS 0 for a client that does not read. `queue`: a session's queue is full. `expired`: the message's life ended
 * first. `too_large`: the client takes no packet of that size. `forbidden`: the right ended while the message waited.
 */
export type DropReason = "slow" | "queue" | "expired" | "too_large" | "forbidden";

export function createCounters(): Counters {
  return {
    received: [0, 0, 0],
    sent: [0, 0, 0],
    accepted: {},
    bytesReceived: 0,
    bytesSent: 0,
    throttled: 0,
    overflowed: 0,
    dropped: { slow: 0, queue: 0, expired: 0, too_large: 0, forbidden: 0 },
    queued: 0,
  };
}
