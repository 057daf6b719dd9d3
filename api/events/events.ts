import Type from "typebox";
import { EVENT_TYPES, type EventType, type HubEvent } from "../../core/event.ts";
import { listEvents } from "../../store/events.ts";
import { Cursor, Instant, Limit, nullable, pageOf, parseInstant, Uuid } from "../fields.ts";
import { defineRoute } from "../route.ts";

const TypeOfEvent = Type.Enum(Object.keys(EVENT_TYPES) as EventType[], { title: "EventType" });

const EventView = Type.Object(
  {
    id: Type.String(),
    type: TypeOfEvent,
    source: Type.String(),
    organization_id: nullable("string"),
    entity_id: nullable("string"),
    actor: Type.Object({ kind: Type.String(), id: Type.String() }),
    data: Type.Record(Type.String(), Type.Unknown()),
    timestamp: Type.String(),
    correlation_id: Type.String(),
    causation_id: nullable("string"),
  },
  { title: "Event" },
);

export const events = defineRoute({
  method: "GET",
  path: "/api/v1/events",
  tag: "Events",
  summary: "What happened, newest first",
  access: "device.read",
  query: Type.Object(
    {
      limit: Limit(200, 50),
      cursor: Cursor,
      type: Type.Optional(TypeOfEvent),
      entity_id: Type.Optional(Uuid),
      correlation_id: Type.Optional(Type.String({ minLength: 1, maxLength: 128 })),
      from: Type.Optional(Instant),
      to: Type.Optional(Instant),
    },
    { additionalProperties: false },
  ),
  replies: { 200: { description: "A page", schema: pageOf(EventView, "EventPage") } },
  async handler({ context, scope, query }) {
    const page = await listEvents(context.store.db, scope, {
      limit: query.limit ?? 50,
      after: query.cursor,
      type: query.type,
      entityId: query.entity_id,
      correlationId: query.correlation_id,
      from: query.from === undefined ? undefined : parseInstant(query.from, "from"),
      to: query.to === undefined ? undefined : parseInstant(query.to, "to"),
    });
    return { status: 200, body: { data: page.items.map(eventJson), next_cursor: page.next } };
  },
});

function eventJson(event: HubEvent): Record<string, unknown> {
  return {
    id: event.id,
    type: event.type,
    source: event.source,
    organization_id: event.organizationId,
    entity_id: event.entityId,
    actor: event.actor,
    data: event.data,
    timestamp: event.timestamp,
    correlation_id: event.correlationId,
    causation_id: event.causationId,
  };
}
