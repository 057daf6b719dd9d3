import type { Knex } from "knex";
import { HubError } from "../core/errors.ts";
import { newId } from "../core/id.ts";
import type { Db } from "./open.ts";
import { isoOf, storableText } from "./sql.ts";

/** What every entity has, for the functions of this folder that keep a table beside it. */
export interface EntityText {
  readonly name: string;
  readonly description: string | null;
}

/** Gives the id, which the row of the table beside it shares. */
export async function insertEntity(trx: Db, type: string, organizationId: string, { name, description }: EntityText): Promise<string> {
  const id = newId();
  const now = isoOf(Date.now());
  await trx("entities").insert({
    id,
    entity_type: type,
    name: storableText(name),
    description: storableOrNull(description),
    organization_id: organizationId,
    properties: "{}",
    created_at: now,
    last_updated: now,
  });
  return id;
}

export async function writeEntity(trx: Db, id: string, { name, description }: EntityText): Promise<void> {
  await trx("entities")
    .where({ id })
    .update({ name: storableText(name), description: storableOrNull(description), last_updated: isoOf(Date.now()) });
}

/** A table whose rows share the id of their entity, with what the entity has, under names of core's types. */
export function besideEntities(
  db: Db,
  table: "sites" | "rooms" | "projects",
  columns: Readonly<Record<string, string>>,
): Knex.QueryBuilder {
  return db(`${table} as t`)
    .join("entities as e", "e.id", "t.id")
    .select({
      id: "t.id",
      organizationId: "t.organization_id",
      name: "e.name",
      description: "e.description",
      createdAt: "e.created_at",
      lastUpdated: "e.last_updated",
      ...columns,
    });
}

/** Throws `quota_exceeded`. What is counted must not grow meanwhile: the organisation is locked. */
export async function checkQuota(query: Knex.QueryBuilder, most: number): Promise<void> {
  const row = (await query.count({ count: "*" }).first()) as { count: number } | undefined;
  if ((row?.count ?? 0) >= most) throw new HubError("quota_exceeded", `an organisation has at most ${most} of these`);
}

export const storableOrNull = (text: string | null): string | null => (text === null ? null : storableText(text));
