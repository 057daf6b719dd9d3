import Type from "typebox";
import { type Notification, type NotificationOwner, notificationJson } from "../../core/notification.ts";
import { countUnread, latestSeq, notificationsAfter } from "../../store/notifications.ts";
import type { Db } from "../../store/open.ts";
import { defineRoute } from "../route.ts";
import { MAX_SEQ, ownerOf } from "./notifications.ts";
import type { LiveReader } from "./readers.ts";

/** Rows that are in memory at a time. */
const PAGE = 50;
const RETRY_MS = 3_000;

export const stream = defineRoute({
  method: "GET",
  path: "/api/v1/notifications/stream",
  tag: "Notifications",
  summary: "What you are told from now on, as server-sent events",
  description:
    "The event `ready` comes first and says how many are unread, then a `notification` for each that you are told; `id` is its `seq`. A stream that is opened with the header `Last-Event-ID` goes on behind that one. A comment comes every 15 s without another event. It ends when the login, the token or the membership does, and for readers who take nothing for 30 s. One person has 10 of them at a node.",
  access: "self",
  query: Type.Object(
    {
      after_seq: Type.Optional(
        Type.Integer({
          minimum: 0,
          maximum: MAX_SEQ,
          description: "The `seq` of the last one seen, for clients that cannot set the header, which counts more",
        }),
      ),
    },
    { additionalProperties: false },
  ),
  replies: { 200: { description: "Events until somebody ends it", types: ["text/event-stream"] } },
  errors: ["forbidden", "unavailable"],
  async handler({ context, principal, query, lastEventId }) {
    const owner = ownerOf(principal);
    const { db } = context.store;
    const readers = context.streamReaders;
    // Before the list is read: what is told in between comes twice rather than not at all.
    const live = await readers.open({ ...owner, credentialId: principal.credentialId });
    try {
      const seen = lastEventId === undefined ? query.after_seq : Number(/^\d{1,16}$/.exec(lastEventId)?.[0] ?? 0);
      const from = await beginningOf(db, owner, seen);
      const { heartbeatMs, stalledMs } = readers.pace;
      return {
        status: 200,
        stream: {
          type: "text/event-stream; charset=utf-8",
          isLive: true,
          stalledMs,
          end: () => live.end(),
          read: () => eventsOf({ db, owner, live, from, heartbeatMs }),
        },
      };
    } catch (error) {
      live.end();
      throw error;
    }
  },
});

/** Behind what the caller has seen. What this hub has never said was before it was restored, or they became a member again: from the first on. */
async function beginningOf(db: Db, owner: NotificationOwner, seen: number | undefined): Promise<number> {
  const latest = await latestSeq(db, owner);
  if (seen === undefined) return latest;
  return seen > latest ? 0 : seen;
}

interface Reading {
  readonly db: Db;
  readonly owner: NotificationOwner;
  readonly live: LiveReader;
  readonly from: number;
  readonly heartbeatMs: number;
}

async function* eventsOf({ db, owner, live, from, heartbeatMs }: Reading): AsyncGenerator<string> {
  using _ = live;
  let after = from;
  yield `retry: ${RETRY_MS}\nid: ${after}\nevent: ready\ndata: ${JSON.stringify({ unread: await countUnread(db, owner) })}\n\n`;
  let saidAt = performance.now();
  while (!live.isEnded) {
    const page = await notificationsAfter(db, owner, after, PAGE);
    for (const one of page) after = one.seq;
    if (page.length > 0) {
      yield page.map(eventOf).join("");
      saidAt = performance.now();
    }
    if (page.length === PAGE || (await live.next(saidAt + heartbeatMs - performance.now()))) continue;
    yield ": still here\n\n";
    saidAt = performance.now();
  }
}

const eventOf = (one: Notification): string => `id: ${one.seq}\nevent: notification\ndata: ${JSON.stringify(notificationJson(one))}\n\n`;
