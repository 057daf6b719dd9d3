import Type from "typebox";
import { type Entity, KEPT_PROPERTIES } from "../../core/entity.ts";
import { HubError } from "../../core/errors.ts";
import { mergePatch } from "../../core/merge-patch.ts";
import { type Access, scopeOf } from "../../core/permissions.ts";
import type { Scope } from "../../core/principal.ts";
import { versionOf } from "../../core/version.ts";
import { getEntity, listEntities, setProperties, type Sight } from "../../store/entities.ts";
import { lockOrganization } from "../../store/organizations.ts";
import { Cursor, IdParams, Limit, pageOf } from "../fields.ts";
import { defineRoute } from "../route.ts";
import { checkSize, Properties, Search } from "./fields.ts";
import { entityJson, EntityView } from "./representation.ts";

const OneEntity = Type.Object({ entity: EntityView }, { title: "OneEntity" });

/** Devices and places by the one right, people by the other. */
export const sightOf = (rights: Access, things: Scope): Sight => ({ things, people: scopeOf(rights, "member.read") });

export const list = defineRoute({
  method: "GET",
  path: "/api/v1/entities",
  tag: "Places",
  summary: "Everything that has a name",
  access: "device.read",
  query: Type.Object(
    {
      limit: Limit(200, 50),
      cursor: Cursor,
      type: Type.Optional(Type.String({ pattern: "^[a-z][a-z_.]{0,99}$", description: "`device` is every class of device" })),
      search: Search,
      property: Type.Optional(
        Type.String({ pattern: "^[A-Za-z0-9_]{1,64}:.{0,255}$", description: "A property and its value: `serial_number:ABC`" }),
      ),
    },
    { additionalProperties: false },
  ),
  replies: { 200: { description: "Oldest first", schema: pageOf(EntityView, "EntityPage") } },
  async handler({ context, rights, scope, query: { limit = 50, cursor: after, type, search, property } }) {
    const page = await listEntities(context.store.db, sightOf(rights, scope), {
      limit,
      after,
      type,
      search,
      property: propertyOf(property),
    });
    return { status: 200, body: { data: page.items.map(entityJson), next_cursor: page.next } };
  },
});

export const show = defineRoute({
  method: "GET",
  path: "/api/v1/entities/:id",
  tag: "Places",
  summary: "One entity",
  access: "device.read",
  params: IdParams,
  replies: { 200: { description: "The entity", schema: OneEntity } },
  errors: ["not_found"],
  async handler({ context, rights, scope, params }) {
    return answerOf(await getEntity(context.store.db, sightOf(rights, scope), params.id.toLowerCase()));
  },
});

export const update = defineRoute({
  method: "PATCH",
  path: "/api/v1/entities/:id",
  tag: "Places",
  summary: "Change the properties of a device, site, room or project",
  description: "A merge patch: null takes a property away. What a device is stands in its properties too and is not changed here.",
  access: "place.manage",
  match: "optional",
  params: IdParams,
  body: Type.Object({ properties: Properties }, { additionalProperties: false, title: "EntityPatch" }),
  bodyExample: { properties: { inventory: "A-17", warranty_until: null } },
  replies: { 200: { description: "As it is now", schema: OneEntity } },
  errors: ["not_found", "conflict"],
  handler: ({ rights, scope, params, body, match, commit }) =>
    commit(async (db) => {
      const id = params.id.toLowerCase();
      const sight = sightOf(rights, scope);
      const { organizationId } = changeable(await getEntity(db, sight, id));
      await lockOrganization(db, organizationId);
      const before = changeable(await getEntity(db, { ...sight, things: { kind: "organization", organizationId } }, id));
      match(versionOfEntity(before));
      const kept = Object.keys(body.properties).find((name) => before.type.startsWith("device.") && KEPT_PROPERTIES.has(name));
      if (kept !== undefined) throw new HubError("conflict", `${kept} is what the device is`, { details: { property: kept } });
      const properties = mergePatch(before.properties, body.properties) as Record<string, unknown>;
      checkSize(properties);
      await setProperties(db, id, properties);
      const entity = await getEntity(db, sight, id);
      return {
        answer: answerOf(entity),
        audit: [
          {
            organizationId,
            action: "entity.update",
            resourceType: "entity",
            resourceId: id,
            details: { changed: Object.keys(body.properties) },
          },
        ],
      };
    }),
});

/** A person is in several organisations, which must not read each other's notes; the organisation and unclaimed devices have none. */
function changeable(entity: Entity): Entity & { readonly organizationId: string } {
  const { type, organizationId } = entity;
  if (type === "user" || organizationId === null) throw new HubError("conflict", "it has no properties that could be changed");
  return { ...entity, organizationId };
}

function propertyOf(text: string | undefined): { name: string; value: string } | undefined {
  if (text === undefined) return undefined;
  const colon = text.indexOf(":");
  return { name: text.slice(0, colon), value: text.slice(colon + 1) };
}

const versionOfEntity = ({ id, properties }: Entity): string => versionOf({ id, properties });

const answerOf = (entity: Entity) => ({ status: 200, version: versionOfEntity(entity), body: { entity: entityJson(entity) } });
