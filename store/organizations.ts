import { newId } from "../core/id.ts";
import { lockFirstStart } from "./first-start.ts";
import type { Db } from "./open.ts";
import { inTransaction } from "./transaction.ts";
import { engineOf, idsParameter, isoOf, rowsOf, storableText, toJson } from "./sql.ts";

export interface Organization {
  readonly id: string;
  readonly name: string;
  readonly createdAt: string;
}

export const HOME = "Home";

export async function createOrganization(db: Db, { name }: { name: string }): Promise<Organization> {
  const organization = { id: newId(), name: storableText(name), createdAt: isoOf(Date.now()) };
  const { id, createdAt } = organization;
  return await inTransaction(db, async (trx) => {
    await trx("entities").insert({
      id,
      entity_type: "organization",
      name: organization.name,
      created_at: createdAt,
      last_updated: createdAt,
      properties: "{}",
    });
    await trx("organizations").insert({ id, created_at: createdAt });
    return organization;
  });
}

export async function findOrganization(db: Db, id: string): Promise<Organization | undefined> {
  return (await organizations(db).where("o.id", id).first()) as Organization | undefined;
}

/** The oldest one: the hub's own when nobody made another. */
export async function firstOrganization(db: Db): Promise<Organization | undefined> {
  return (await organizations(db).orderBy("o.id").first()) as Organization | undefined;
}

/** The organisation that every hub has from its first start, and which its first administrator may name. */
export async function homeOrganization(db: Db): Promise<Organization> {
  const present = await firstOrganization(db);
  if (present) return present;
  return await inTransaction(db, async (trx) => {
    await lockFirstStart(trx);
    return (await firstOrganization(trx)) ?? (await createOrganization(trx, { name: HOME }));
  });
}

/** Those with these ids, or all; oldest first. */
export async function listOrganizations(db: Db, ids?: readonly string[]): Promise<Organization[]> {
  const query = organizations(db).orderBy("o.id");
  if (ids) query.whereIn("o.id", [...ids]);
  return (await query) as Organization[];
}

export async function renameOrganization(db: Db, id: string, name: string): Promise<void> {
  await db("entities")
    .where({ id, entity_type: "organization" })
    .update({ name: storableText(name), last_updated: isoOf(Date.now()) });
}

/**
 * Until the transaction ends nobody else changes what is where in the organisation, who is linked with what or who is in it. It comes
 * before every other lock.
 */
export async function lockOrganization(trx: Db, id: string): Promise<void> {
  await lockOrganizations(trx, [id]);
}

/** As {@link lockOrganization}, several in one order. */
export async function lockOrganizations(trx: Db, ids: readonly string[]): Promise<void> {
  // Rows that refer to them come and go meanwhile. SQLite's transactions come one after the other anyway.
  if (engineOf(trx) === "postgres")
    await rowsOf(trx, `select id from organizations where id in ${idsParameter(trx)} order by id for no key update`, [toJson(ids)]);
}

function organizations(db: Db) {
  return db("organizations as o").join("entities as e", "e.id", "o.id").select({ id: "o.id", name: "e.name", createdAt: "o.created_at" });
}
