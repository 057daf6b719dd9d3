import type { Log } from "../core/bus.ts";
import type { Topics } from "../core/topics.ts";
import { eventsSince } from "../store/events.ts";
import type { Store } from "../store/open.ts";
import { eachAvailability, eachOutputState } from "../store/retained-state.ts";
import { eventMessage, messageOf } from "./bus.ts";
import type { Message } from "./message.ts";
import type { Router } from "./router.ts";
import type { Session } from "./session.ts";

/** Until when everything that sessions are to hear is in their rows: it is stored with them, and taken away by a stop in good order. */
export interface ReplayMark {
  /** What the mark's row says now; undefined while the row that is there is good enough. */
  due(): Mark | undefined;
  /** What it may say now. Throws before {@link ReplayMark.follow}. */
  current(): Mark;
  /** From now on the mark moves. `source` knows what is on its way into the database. */
  follow(source: { announcedUntil(): number }): void;
}

export interface Mark {
  /** ms since 1970. */
  readonly until: number;
  /** Whose it is, among several nodes. */
  readonly nodeId: string | undefined;
}

export interface ReplayContext {
  readonly store: Store;
  readonly topics: Topics;
  readonly router: Router;
  readonly log: Log;
}

/** The mark costs a row in a commit that is made anyway, so often at most. */
const MARK_EVERY_MS = 250;
/** Between the time in an event and its announcement, for those that do not come from a device. */
const MARGIN_MS = 5_000;
const MAX_EVENTS = 10_000;

export function createReplayMark(clock: () => number, nodeId: () => string | undefined): ReplayMark {
  let source: { announcedUntil(): number } | undefined;
  let writtenAt = Number.NEGATIVE_INFINITY;
  const current = (): Mark => {
    if (!source) throw new Error("the mark follows nothing yet");
    return { until: source.announcedUntil(), nodeId: nodeId() };
  };
  return {
    due() {
      const now = clock();
      // A clock that was set back must not stop it.
      if (!source || (now >= writtenAt && now - writtenAt < MARK_EVERY_MS)) return undefined;
      writtenAt = now;
      return current();
    },
    current,
    follow(followed) {
      source = followed;
    },
  };
}

/**
 * Queues once more what was committed since the mark of a run that ended without a stop, and what may not have reached the
 * queues before its end: events, availability and states of outputs. To be called while there are only the sessions of that
 * run, or for those alone (`only`). A session may get something twice, as QoS 1 allows; each event has its id.
 */
export async function replay(
  { store: { db }, topics, router, log }: ReplayContext,
  until: number,
  only?: ReadonlySet<Session>,
): Promise<void> {
  const queue = (message: Message): unknown => (only ? router.routeTo(only, message, { asMembers: true }) : router.route(message));
  const from = until - MARGIN_MS;
  const events = await eventsSince(db, from, MAX_EVENTS);
  for (const event of events) if (event.organizationId !== null) queue(messageOf(eventMessage(topics, event, event.organizationId)));
  let states = 0;
  const cameOrWent = new Set(
    events.filter(({ type }) => type === "device.online" || type === "device.offline").map(({ data }) => String(data["uid"])),
  );
  for (const source of [eachAvailability(db, topics, cameOrWent), eachOutputState(db, topics, from)])
    for await (const { topic, payload } of source) {
      queue(messageOf({ topic, payload, qos: 1, retain: true }));
      states++;
    }
  log.info({ events: events.length, states }, "the last run ended without a stop: what followed from its end is queued again");
}
