import Type from "typebox";
import { HubError } from "../core/errors.ts";
import { FeatureFlag, type FlagDefinition, MAX_FLAGS, MAX_FLAGS_BYTES } from "../core/feature-flags.ts";
import { newId } from "../core/id.ts";
import { parserFor } from "../core/validate.ts";
import type { Db } from "./open.ts";
import { nextRevision } from "./revisions.ts";
import { isoOf } from "./sql.ts";
import { type CachedDocument, documentKey } from "./two-level-cache.ts";

/** All of them, which are the hub's: their id is {@link EVERYBODY}. */
export const FLAGS: CachedDocument<readonly FeatureFlag[]> = {
  name: "feature_flags",
  read: (db) => listFlags(db),
  parse: parserFor(Type.Array(FeatureFlag)),
};
export const EVERYBODY = "all";
/** Under which a change is told to the cache. */
export const FLAGS_DOCUMENT = documentKey(FLAGS, EVERYBODY);

export interface FlagChange {
  readonly flag: FeatureFlag;
  readonly revision: number;
}

/** By name. */
export async function listFlags(db: Db): Promise<FeatureFlag[]> {
  return ((await db("feature_flags").orderBy("name")) as FlagRow[]).map(flagOf);
}

/** Throws `not_found`. */
export async function getFlag(db: Db, id: string): Promise<FeatureFlag> {
  const row = (await db("feature_flags").where({ id }).first()) as FlagRow | undefined;
  if (!row) throw new HubError("not_found", "there is no such feature flag");
  return flagOf(row);
}

/** Throws `conflict` for a name that is taken, and `quota_exceeded`. */
export async function createFlag(trx: Db, definition: FlagDefinition, now: number): Promise<FlagChange> {
  const revision = await nextRevision(trx, FLAGS_DOCUMENT);
  await requireFreeName(trx, definition.name, "");
  const at = isoOf(now);
  const row = { id: newId(), version: 1, created_at: at, updated_at: at, ...columnsOf(definition) };
  await trx("feature_flags").insert(row);
  await requireRoom(trx);
  return { flag: flagOf(row), revision };
}

/** `change` is given what is there and says what it shall be. Throws what it throws, and as {@link createFlag} and {@link getFlag} do. */
export async function updateFlag(
  trx: Db,
  id: string,
  change: (before: FeatureFlag) => FlagDefinition,
  now: number,
): Promise<FlagChange & { readonly before: FeatureFlag }> {
  const revision = await nextRevision(trx, FLAGS_DOCUMENT);
  const before = await getFlag(trx, id);
  const definition = change(before);
  await requireFreeName(trx, definition.name, id);
  const changed = { version: before.version + 1, updated_at: isoOf(now), ...columnsOf(definition) };
  await trx("feature_flags").where({ id }).update(changed);
  await requireRoom(trx);
  return { before, flag: flagOf({ id, created_at: before.created_at, ...changed }), revision };
}

/** `match` is given what is there, and throws when it shall stay. Throws `not_found`. */
export async function removeFlag(trx: Db, id: string, match: (before: FeatureFlag) => void): Promise<FlagChange> {
  const revision = await nextRevision(trx, FLAGS_DOCUMENT);
  const flag = await getFlag(trx, id);
  match(flag);
  await trx("feature_flags").where({ id }).del();
  return { flag, revision };
}

interface FlagRow {
  id: string;
  name: string;
  definition: string;
  version: number;
  created_at: string;
  updated_at: string;
}

function columnsOf({ name, ...rest }: FlagDefinition): Pick<FlagRow, "name" | "definition"> {
  return { name, definition: JSON.stringify(rest) };
}

function flagOf({ id, name, definition, version, created_at, updated_at }: FlagRow): FeatureFlag {
  const rest = JSON.parse(definition) as Omit<FlagDefinition, "name">;
  return { id, name, ...rest, version, created_at, updated_at };
}

async function requireFreeName(trx: Db, name: string, ownId: string): Promise<void> {
  const taken: unknown = await trx("feature_flags").where({ name }).whereNot({ id: ownId }).first("id");
  if (taken !== undefined) throw new HubError("conflict", "a feature flag of this name exists already");
}

async function requireRoom(trx: Db): Promise<void> {
  const sizes = (await trx("feature_flags").select(trx.raw("length(definition) as size"))) as { size: number }[];
  const characters = sizes.reduce((sum, { size }) => sum + size, 0);
  if (sizes.length > MAX_FLAGS)
    throw new HubError("quota_exceeded", `there are ${MAX_FLAGS} feature flags already`, { details: { flags: MAX_FLAGS } });
  if (characters > MAX_FLAGS_BYTES)
    throw new HubError("quota_exceeded", `all feature flags together take at most ${MAX_FLAGS_BYTES} characters`, {
      details: { characters: MAX_FLAGS_BYTES },
    });
}
