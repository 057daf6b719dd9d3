import Type from "typebox";
import { chainTrees, type ChainNode } from "../../core/event-chain.ts";
import { MAX_CHAIN_EVENTS, readChain } from "../../store/event-chain.ts";
import { getEvent, listEvents } from "../../store/events.ts";
import { Cursor, IdParams, Limit, pageOf } from "../fields.ts";
import { defineRoute } from "../route.ts";
import { EventFilters, filterOf } from "./filters.ts";
import { eventJson, EventView } from "./representation.ts";

/** Readers of JSON that go down into it have no more levels than they have stack. */
const MAX_CHAIN_DEPTH = 50;

const Id = Type.Optional(Type.String({ minLength: 1, maxLength: 128 }));

export const list = defineRoute({
  method: "GET",
  path: "/api/v1/events",
  tag: "Events",
  summary: "What happened, newest first",
  access: "device.read",
  query: Type.Object(
    { limit: Limit(200, 50), cursor: Cursor, ...EventFilters, correlation_id: Id, causation_id: Id },
    { additionalProperties: false },
  ),
  replies: { 200: { description: "A page", schema: pageOf(EventView, "EventPage") } },
  async handler({ context, scope, query }) {
    const page = await listEvents(context.store.db, scope, {
      ...filterOf(query),
      correlationId: query.correlation_id,
      causationId: query.causation_id,
      limit: query.limit ?? 50,
      after: query.cursor,
    });
    return { status: 200, body: { data: page.items.map(eventJson), next_cursor: page.next } };
  },
});

export const show = defineRoute({
  method: "GET",
  path: "/api/v1/events/:id",
  tag: "Events",
  summary: "One event",
  access: "device.read",
  params: IdParams,
  replies: { 200: { description: "The event", schema: Type.Object({ event: EventView }, { title: "OneEvent" }) } },
  errors: ["not_found"],
  async handler({ context, scope, params }) {
    return { status: 200, body: { event: eventJson(await getEvent(context.store.db, scope, params.id.toLowerCase())) } };
  },
});

const ChainNodeView = Type.Object(
  { event: EventView, children: Type.Array(Type.Unsafe<unknown>({ $ref: "#/components/schemas/EventNode" })) },
  { title: "EventNode" },
);

export const chain = defineRoute({
  method: "GET",
  path: "/api/v1/events/:id/chain",
  tag: "Events",
  summary: "What an event followed from, and what followed from it",
  description: `All events of its correlation, each below its cause, or below that one's cause where you may not see it. A chain with more than ${MAX_CHAIN_EVENTS} is truncated to its oldest ones and the event itself. What would lie deeper than ${MAX_CHAIN_DEPTH} levels stands on the last one, with its \`causation_id\`.`,
  access: "device.read",
  params: IdParams,
  replies: {
    200: {
      description: "Trees; one, where every cause is there",
      schema: Type.Object(
        { correlation_id: Type.String(), count: Type.Integer(), truncated: Type.Boolean(), roots: Type.Array(ChainNodeView) },
        { title: "EventChain" },
      ),
    },
  },
  errors: ["not_found"],
  async handler({ context, scope, params }) {
    const { correlationId, events, hidden, isTruncated } = await readChain(context.store.db, scope, params.id.toLowerCase());
    return {
      status: 200,
      body: {
        correlation_id: correlationId,
        count: events.length,
        truncated: isTruncated,
        roots: chainTrees(events, hidden, MAX_CHAIN_DEPTH).map(nodeJson),
      },
    };
  },
});

function nodeJson({ event, children }: ChainNode): Record<string, unknown> {
  return { event: eventJson(event), children: children.map(nodeJson) };
}
