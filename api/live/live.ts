import Type from "typebox";
import { type HubEvent, toCloudEvent } from "../../core/event.ts";
import { newId, timeOfId } from "../../core/id.ts";
import { LIVE_EVENTS, LIVE_TOPICS, liveRight, type LiveTopic, liveTopicOf, USUAL_LIVE_TOPICS } from "../../core/live.ts";
import { scopeOf } from "../../core/permissions.ts";
import { listEvents } from "../../store/events.ts";
import { type Call, defineRoute } from "../route.ts";
import { eventText, type LiveStream, LIVE_PLACES } from "./live-streams.ts";

const RETRY_MS = 3_000;
/** Of each topic, for whoever comes back. */
const MOST_MISSED = 1_000;
/** An event's id is made before it is committed: so long before the last one that was seen there may be others that were not. */
const OVERLAP_MS = 5_000;

export const live = defineRoute({
  method: "GET",
  path: "/api/v1/live",
  tag: "Events",
  summary: "What happens from now on, as server-sent events",
  description: `\`live_data\`: the newest values of sensors. \`device_status\`: what becomes of devices and their outputs, \`alerts\`: what becomes of alerts; for whoever names them, \`automations\`: what automations, schedules and scenes begin, and \`tasks\`: what becomes of tasks; all of these as CloudEvents with an \`id\`. The event \`ready\` comes first. A stream that is opened with the header \`Last-Event-ID\` tells the events since then, at most ${MOST_MISSED} of each topic (\`gap\`: there were more); those of the last ${OVERLAP_MS / 1_000} s before it come again. A reader who is slow gets the newest value of each sensor, and is ended when more than 1,000 events wait. Without anything else a \`heartbeat\` comes every 15 s. It ends when the login, the token or all rights do. One person has ${LIVE_PLACES.ofOne} of them at a node. See docs/readings.md.`,
  access: "device.read",
  query: Type.Object(
    {
      topics: Type.Optional(
        Type.String({
          maxLength: 64,
          pattern: `^(${LIVE_TOPICS.join("|")})(,(${LIVE_TOPICS.join("|")})){0,4}$`,
          description: `With commas between them; ${USUAL_LIVE_TOPICS.join(",")} without it`,
        }),
      ),
    },
    { additionalProperties: false },
  ),
  replies: { 200: { description: "Events until somebody ends it", types: ["text/event-stream"] } },
  errors: ["rate_limited", "unavailable"],
  async handler({ context, principal, rights, query, lastEventId }) {
    const topics = query.topics === undefined ? USUAL_LIVE_TOPICS : (query.topics.split(",") as LiveTopic[]);
    const { liveStreams } = context;
    // Before the list is read: what happens in between comes once, from either.
    const stream = liveStreams.open(principal, topics);
    try {
      const position = newId();
      const missed = await missedSince({ context, rights }, topics, lastEventId);
      const { heartbeatMs, stalledMs } = liveStreams.pace;
      return {
        status: 200,
        stream: {
          type: "text/event-stream; charset=utf-8",
          isLive: true,
          stalledMs,
          end: () => stream.end(),
          read: () => told(stream, { position, topics, missed, heartbeatMs }),
        },
      };
    } catch (error) {
      stream.end();
      throw error;
    }
  },
});

interface Missed {
  readonly events: readonly HubEvent[];
  readonly isWhole: boolean;
}

async function missedSince(
  { context, rights }: Pick<Call, "context" | "rights">,
  topics: readonly LiveTopic[],
  lastEventId: string | undefined,
): Promise<Missed> {
  const seen = lastEventId === undefined ? undefined : timeOfId(lastEventId);
  if (seen === undefined) return { events: [], isWhole: true };
  const pages = [];
  for (const topic of topics) {
    if (topic === "live_data") continue;
    const scope = scopeOf(rights, liveRight(topic));
    pages.push(await listEvents(context.store.db, scope, { types: LIVE_EVENTS[topic], from: seen - OVERLAP_MS, limit: MOST_MISSED }));
  }
  const events = pages.flatMap(({ items }) => items).toSorted((a, b) => (a.id < b.id ? -1 : 1));
  return { events: events.filter(({ id }) => id !== lastEventId), isWhole: pages.every(({ next }) => next === null) };
}

interface Reading {
  /** Where somebody goes on who has seen no event yet. */
  readonly position: string;
  readonly topics: readonly LiveTopic[];
  readonly missed: Missed;
  readonly heartbeatMs: number;
}

async function* told(stream: LiveStream, { position, topics, missed, heartbeatMs }: Reading): AsyncGenerator<string> {
  using _ = stream;
  // Whoever is cut off before the last of what they have missed goes on behind the last that they got.
  const place = missed.events.length > 0 ? "" : `id: ${position}\n`;
  yield `retry: ${RETRY_MS}\n${place}event: ready\ndata: ${JSON.stringify({ topics })}\n\n`;
  if (!missed.isWhole) yield "event: gap\ndata: {}\n\n";
  for (const event of missed.events) yield eventText(liveTopicOf(event.type) as LiveTopic, event.id, JSON.stringify(toCloudEvent(event)));
  const before = new Set(missed.events.map(({ id }) => id));
  let saidAt = performance.now();
  while (!stream.isEnded) {
    const next = stream.take(before);
    if (next === "" && (await stream.next(saidAt + heartbeatMs - performance.now()))) continue;
    yield next === "" ? "event: heartbeat\ndata: {}\n\n" : next;
    saidAt = performance.now();
  }
}
