import Type, { type Static } from "typebox";
import type { Entity } from "../../core/entity.ts";
import { HubError } from "../../core/errors.ts";
import { type EventType, HUB_SOURCE, type HubEvent, newEvent } from "../../core/event.ts";
import { scopeOf } from "../../core/permissions.ts";
import { actorOf, type Member } from "../../core/principal.ts";
import { requireSmall } from "../../core/validate.ts";
import { getEntity } from "../../store/entities.ts";
import { getEvent } from "../../store/events.ts";
import { Uuid } from "../fields.ts";
import { sightOf } from "../places/entities.ts";
import { defineRoute } from "../route.ts";
import { CustomType, eventJson, EventView } from "./representation.ts";

const MAX_DATA = { maxBytes: 16_384, maxDepth: 32 };

const EventRequest = Type.Object(
  {
    type: CustomType,
    data: Type.Record(Type.String(), Type.Unknown(), { description: `${MAX_DATA.maxBytes} bytes of JSON at most` }),
    entity_id: Type.Optional(Uuid),
    correlation_id: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 128,
        pattern: "^[A-Za-z0-9._:-]+$",
        description: "The chain that it belongs to; its cause's, or a new one, without it",
      }),
    ),
    causation_id: Type.Optional(Uuid),
  },
  { additionalProperties: false, title: "EventRequest" },
);

export const publish = defineRoute({
  method: "POST",
  path: "/api/v1/events",
  tag: "Events",
  summary: "Say that something happened",
  description:
    "An event of your own, which is kept and goes out on `hexa-app/<organisation>/events/<type>` like every other. It belongs to the organisation of its entity, or to yours; a cause has to be an event of the same.",
  access: "bus.publish",
  body: EventRequest,
  bodyExample: { type: "custom.doorbell", data: { door: "front", rings: 2 } },
  replies: { 201: { description: "It is kept and goes out", schema: Type.Object({ event: EventView }, { title: "EventPublished" }) } },
  errors: ["not_found", "conflict"],
  handler: ({ context, principal, rights, body, commit }) =>
    commit(async (db) => {
      requireSmall(body.data, "/data", MAX_DATA);
      const seen = scopeOf(rights, "device.read");
      const entityId = body.entity_id?.toLowerCase();
      const entity = entityId === undefined ? undefined : await getEntity(db, sightOf(rights, seen), entityId);
      const organizationId = organizationOf(entity, principal);
      const cause = body.causation_id === undefined ? undefined : await getEvent(db, seen, body.causation_id.toLowerCase());
      const event = ownEvent(body, { organizationId, entity, cause, principal, now: context.clock() });
      return {
        answer: { status: 201, body: { event: eventJson(event) } },
        audit: [
          {
            organizationId,
            action: "event.publish",
            resourceType: "event",
            resourceId: event.id,
            details: { type: event.type, entity_id: event.entityId },
          },
        ],
        events: [event],
      };
    }),
});

/** People are in several organisations, and one acts in one. Throws `conflict` for what is in none. */
function organizationOf(entity: Entity | undefined, { organizationId }: Member): string {
  if (!entity || entity.type === "user") return organizationId;
  const own = entity.type === "organization" ? entity.id : entity.organizationId;
  if (own === null) throw new HubError("conflict", "the entity is in no organisation");
  return own;
}

interface About {
  readonly organizationId: string;
  readonly entity: Entity | undefined;
  readonly cause: HubEvent | undefined;
  readonly principal: Member;
  readonly now: number;
}

/** Throws `not_found` for a cause in another organisation, and `validation_error` for one in another chain. */
function ownEvent(body: Static<typeof EventRequest>, { organizationId, entity, cause, principal, now }: About): HubEvent {
  if (cause && cause.organizationId !== organizationId) throw new HubError("not_found", "there is no such event");
  if (cause && body.correlation_id !== undefined && body.correlation_id !== cause.correlationId) {
    const message = "is not the chain of the cause";
    throw new HubError("validation_error", `/correlation_id ${message}`, { details: [{ path: "/correlation_id", message }] });
  }
  const actor = actorOf(principal);
  return newEvent(
    body.type as EventType,
    {
      organizationId,
      entityId: entity?.id ?? null,
      actor,
      now,
      source: `${HUB_SOURCE}/${actor.kind}s/${actor.id}`,
      correlationId: cause?.correlationId ?? body.correlation_id,
      causationId: cause?.id,
    },
    body.data,
  );
}
