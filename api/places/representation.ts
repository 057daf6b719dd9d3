import Type from "typebox";
import type { Entity, Relationship } from "../../core/entity.ts";
import type { Room, Site } from "../../core/place.ts";
import { type Project, PROJECT_STATUSES } from "../../core/project.ts";
import { versionOf } from "../../core/version.ts";
import { nullable } from "../fields.ts";

const Text = Type.String();
const Properties = Type.Record(Type.String(), Type.Unknown());

export const SiteView = Type.Object(
  {
    id: Text,
    organization_id: Text,
    name: Text,
    description: nullable("string"),
    time_zone: Text,
    latitude: nullable("number"),
    longitude: nullable("number"),
    address: nullable("string"),
    created_at: Text,
    last_updated: Text,
  },
  { title: "Site" },
);

export const siteJson = (site: Site) => ({
  id: site.id,
  organization_id: site.organizationId,
  name: site.name,
  description: site.description,
  time_zone: site.timeZone,
  latitude: site.latitude,
  longitude: site.longitude,
  address: site.address,
  created_at: site.createdAt,
  last_updated: site.lastUpdated,
});

export const RoomView = Type.Object(
  {
    id: Text,
    organization_id: Text,
    site_id: Text,
    name: Text,
    description: nullable("string"),
    floor: nullable("string"),
    created_at: Text,
    last_updated: Text,
  },
  { title: "Room" },
);

export const roomJson = (room: Room) => ({
  id: room.id,
  organization_id: room.organizationId,
  site_id: room.siteId,
  name: room.name,
  description: room.description,
  floor: room.floor,
  created_at: room.createdAt,
  last_updated: room.lastUpdated,
});

export const ProjectView = Type.Object(
  {
    id: Text,
    organization_id: Text,
    name: Text,
    description: nullable("string"),
    project_lead_id: nullable("string", { description: "A member of the organisation" }),
    status: Type.Enum([...PROJECT_STATUSES]),
    created_at: Text,
    last_updated: Text,
  },
  { title: "Project" },
);

export const projectJson = (project: Project) => ({
  id: project.id,
  organization_id: project.organizationId,
  name: project.name,
  description: project.description,
  project_lead_id: project.leadId,
  status: project.status,
  created_at: project.createdAt,
  last_updated: project.lastUpdated,
});

/** Of what people change: properties are the entity's, and it is touched by them too. */
export const placeVersion = (json: { readonly last_updated: string }): string => versionOf({ ...json, last_updated: null });

export const EntityView = Type.Object(
  {
    id: Text,
    entity_type: Type.String({ description: "`site`, `room`, `project`, `user`, `organization`, or `device.` and its class" }),
    name: Text,
    description: nullable("string"),
    organization_id: nullable("string"),
    properties: Properties,
    created_at: Text,
    last_updated: Text,
  },
  { title: "Entity" },
);

export const entityJson = (entity: Entity) => ({
  id: entity.id,
  entity_type: entity.type,
  name: entity.name,
  description: entity.description,
  organization_id: entity.organizationId,
  properties: entity.properties,
  created_at: entity.createdAt,
  last_updated: entity.lastUpdated,
});

export const RelationshipView = Type.Object(
  {
    id: Text,
    organization_id: nullable("string"),
    from_entity: Text,
    to_entity: Text,
    relationship_type: Text,
    properties: Properties,
    created_at: Text,
  },
  { title: "Relationship" },
);

export const relationshipJson = (edge: Relationship) => ({
  id: edge.id,
  organization_id: edge.organizationId,
  from_entity: edge.from,
  to_entity: edge.to,
  relationship_type: edge.type,
  properties: edge.properties,
  created_at: edge.createdAt,
});
