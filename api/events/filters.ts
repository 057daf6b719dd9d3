import Type, { type Static } from "typebox";
import { HubError } from "../../core/errors.ts";
import { MAX_TYPE_LENGTH, selectTypes } from "../../core/event-type.ts";
import type { EventFilter } from "../../store/event-query.ts";
import { Instant, parseInstant, Uuid } from "../fields.ts";

const MAX_SELECTORS = 20;
const Selectors = Type.String({
  minLength: 1,
  maxLength: MAX_SELECTORS * (MAX_TYPE_LENGTH + 1),
  pattern: "^[a-z0-9_.*,-]+$",
});

export const EventFilters = {
  type: Type.Optional(
    Type.Union([Selectors, Type.Array(Selectors, { maxItems: MAX_SELECTORS })], {
      description: `Types with commas between them, or repeated; \`device.*\` is all that begin so. ${MAX_SELECTORS} at most.`,
    }),
  ),
  source: Type.Optional(Type.String({ minLength: 1, maxLength: 255 })),
  entity_id: Type.Optional(Uuid),
  actor_id: Type.Optional(Type.String({ minLength: 1, maxLength: 128 })),
  from: Type.Optional(Instant),
  to: Type.Optional(Instant),
};
const Filters = Type.Object(EventFilters);

/** Throws `validation_error`. */
export function filterOf(query: Static<typeof Filters>): EventFilter {
  return {
    types: typesOf(query.type),
    source: query.source,
    entityId: query.entity_id?.toLowerCase(),
    actorId: query.actor_id,
    from: query.from === undefined ? undefined : parseInstant(query.from, "from"),
    to: query.to === undefined ? undefined : parseInstant(query.to, "to"),
  };
}

function typesOf(given: string | string[] | undefined): string[] | undefined {
  if (given === undefined) return undefined;
  const selectors = [given].flat().flatMap((text) => text.split(","));
  if (selectors.length > MAX_SELECTORS) {
    const message = `there are more than ${MAX_SELECTORS} types`;
    throw new HubError("validation_error", message, { details: [{ path: "/type", message }] });
  }
  selectTypes(selectors);
  return selectors;
}
