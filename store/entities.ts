import type { Knex } from "knex";
import type { Entity } from "../core/entity.ts";
import { HubError } from "../core/errors.ts";
import type { Scope } from "../core/principal.ts";
import type { Db } from "./open.ts";
import { scopedPlaces } from "./sites.ts";
import { containing, engineOf, fromJson, isoOf, type Page, pageOf, placesFor, scoped, toJson } from "./sql.ts";

/** Two rights on one list: whoever may see the devices of an organisation need not see its people. */
export interface Sight {
  readonly things: Scope;
  readonly people: Scope;
}

export interface EntityFilter {
  readonly limit: number;
  readonly after?: string | undefined;
  /** `device` is every `device.…` */
  readonly type?: string | undefined;
  /** Part of the name. */
  readonly search?: string | undefined;
  readonly property?: { readonly name: string; readonly value: string } | undefined;
}

/** Oldest first. */
export async function listEntities(db: Db, sight: Sight, filter: EntityFilter): Promise<Page<Entity>> {
  const { limit, after, type, search, property } = filter;
  const query = seen(db, sight)
    .orderBy("e.id")
    .limit(limit + 1);
  if (after !== undefined) query.where("e.id", ">", after);
  if (type !== undefined) query.whereRaw("(e.entity_type = ? or substr(e.entity_type, 1, ?) = ?)", [type, type.length + 1, `${type}.`]);
  if (search !== undefined) query.whereRaw("hub_lower(e.name) like ? escape '\\'", [containing(search)]);
  if (property) whereProperty(query, property);
  const rows = (await query) as Row[];
  return pageOf(
    rows.map((row) => entityOf(row, sight)),
    limit,
    ({ id }) => id,
  );
}

/** Throws `not_found`. */
export async function getEntity(db: Db, sight: Sight, id: string): Promise<Entity> {
  const row = (await seen(db, sight).where("e.id", id).first()) as Row | undefined;
  if (!row) throw new HubError("not_found", "there is no such entity");
  return entityOf(row, sight);
}

/** Of an entity whose organisation is locked. */
export async function setProperties(trx: Db, id: string, properties: Readonly<Record<string, unknown>>): Promise<void> {
  await trx("entities")
    .where({ id })
    .update({ properties: toJson(properties), last_updated: isoOf(Date.now()) });
}

function seen(db: Db, { things, people }: Sight): Knex.QueryBuilder {
  const query = db("entities as e").select("e.*");
  if (things.kind === "platform") return query;
  const { organizationId } = things;
  return query.andWhere((either) => {
    if (things.kind === "organization")
      either
        .orWhere((one) => void one.where("e.organization_id", organizationId).whereNot("e.entity_type", "user"))
        .orWhere("e.id", organizationId);
    else {
      either.orWhere((one) => void scoped(one, things, { organization: "e.organization_id", device: "e.id" }));
      for (const kind of ["site", "room"] as const)
        either.orWhereIn("e.id", scopedPlaces(db(`${kind}s as t`), things, kind).select("t.id"));
    }
    if (people.kind === "organization")
      either.orWhere((one) => void one.where("e.entity_type", "user").whereIn("e.id", members(db, organizationId)));
  });
}

const members = (db: Db, organizationId: string): Knex.QueryBuilder =>
  db("memberships").where({ organization_id: organizationId }).select("user_id");

/** A text of the query is the text, the number or the truth value that it spells: both engines compare JSON with JSON. */
function whereProperty(query: Knex.QueryBuilder, { name, value }: { name: string; value: string }): void {
  const meanings = new Set([JSON.stringify(value)]);
  if (/^(true|false|-?(0|[1-9]\d*)(\.\d+)?(e[+-]?\d+)?)$/i.test(value)) meanings.add(JSON.stringify(JSON.parse(value.toLowerCase())));
  const all = [...meanings];
  if (engineOf(query) === "postgres") {
    query.whereRaw(`e.properties -> ?::text in (${all.map(() => "?::jsonb").join(", ")})`, [name, ...all]);
  } else {
    query.whereRaw(`e.properties -> ? in (${placesFor(all)})`, [`$."${name}"`, ...all]);
  }
}

interface Row {
  id: string;
  entity_type: string;
  name: string;
  description: string | null;
  organization_id: string | null;
  properties: unknown;
  created_at: string;
  last_updated: string;
}

/** Of the other organisations of a person nothing is told. */
function entityOf(row: Row, { things }: Sight): Entity {
  const isPerson = row.entity_type === "user";
  return {
    id: row.id,
    type: row.entity_type,
    name: row.name,
    description: row.description,
    organizationId: isPerson && things.kind !== "platform" ? things.organizationId : row.organization_id,
    properties: fromJson(row.properties) as Record<string, unknown>,
    createdAt: row.created_at,
    lastUpdated: row.last_updated,
  };
}
