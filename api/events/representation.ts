import Type from "typebox";
import { EVENT_TYPES, type HubEvent } from "../../core/event.ts";
import { CUSTOM_EVENT_TYPE, MAX_TYPE_LENGTH } from "../../core/event-type.ts";
import { nullable } from "../fields.ts";

export const CustomType = Type.String({
  pattern: CUSTOM_EVENT_TYPE,
  maxLength: MAX_TYPE_LENGTH,
  description: "custom.<name>, for example custom.doorbell or custom.acme.order_paid",
});

const EventType = Type.Unsafe<string>({
  anyOf: [Type.Enum(Object.keys(EVENT_TYPES), { description: "What the hub says" }), CustomType],
  title: "EventType",
});

export const EventView = Type.Object(
  {
    id: Type.String(),
    type: EventType,
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

export function eventJson(event: HubEvent) {
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
