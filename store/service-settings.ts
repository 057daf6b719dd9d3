import Type from "typebox";
import { HubError } from "../core/errors.ts";
import { newId } from "../core/id.ts";
import type { Actor } from "../core/principal.ts";
import { MAX_SETTINGS, MAX_SETTINGS_BYTES, ServiceSetting } from "../core/service-settings.ts";
import { parserFor } from "../core/validate.ts";
import type { Db } from "./open.ts";
import { nextRevision } from "./revisions.ts";
import { isoOf } from "./sql.ts";
import { type CachedDocument, documentKey } from "./two-level-cache.ts";

/** An organisation's id, or null for the platform. */
export type SettingsOwner = string | null;

/** All settings of one owner, by {@link ownerId}. */
export const SETTINGS: CachedDocument<readonly ServiceSetting[]> = {
  name: "settings",
  read: async (db, id) => ((await settings(db, id === PLATFORM ? null : id).orderBy("setting_key")) as SettingRow[]).map(settingOf),
  parse: parserFor(Type.Array(ServiceSetting)),
};

const PLATFORM = "platform";
/** Under which an owner's settings are cached. */
export const ownerId = (owner: SettingsOwner): string => owner ?? PLATFORM;
const documentOf = (owner: SettingsOwner): string => documentKey(SETTINGS, ownerId(owner));

/** What a change leaves: for the cache, when it is committed. */
export interface SettingChange {
  readonly before: ServiceSetting | undefined;
  /** undefined when it was removed. */
  readonly after: ServiceSetting | undefined;
  readonly document: string;
  readonly revision: number;
}

export interface NewSettingValue {
  readonly key: string;
  readonly value: unknown;
  readonly actor: Actor;
  readonly now: number;
}

/** `match` is given what is there, and throws when the value must not take its place. Throws `quota_exceeded`. */
export async function putSetting(
  trx: Db,
  owner: SettingsOwner,
  { key, value, actor, now }: NewSettingValue,
  match: (before: ServiceSetting | undefined) => void,
): Promise<SettingChange> {
  // Changes of one owner's settings come one after the other from here.
  const revision = await nextRevision(trx, documentOf(owner));
  const before = await findSetting(trx, owner, key);
  match(before);
  const id = before?.id ?? newId();
  const row = {
    content: JSON.stringify(value),
    version: (before?.version ?? 0) + 1,
    actor_kind: actor.kind,
    actor_id: actor.id,
    updated_at: isoOf(now),
  };
  if (before) await trx("service_settings").where({ id }).update(row);
  else await trx("service_settings").insert({ id, organization_id: owner, setting_key: key, ...row });
  await requireRoom(trx, owner);
  return { before, after: settingOf({ id, setting_key: key, ...row }), document: documentOf(owner), revision };
}

/** Throws `not_found`, and what `match` throws. */
export async function removeSetting(
  trx: Db,
  owner: SettingsOwner,
  key: string,
  match: (before: ServiceSetting) => void,
): Promise<SettingChange> {
  const revision = await nextRevision(trx, documentOf(owner));
  const before = await findSetting(trx, owner, key);
  if (!before) throw new HubError("not_found", "there is no such setting");
  match(before);
  await trx("service_settings").where({ id: before.id }).del();
  return { before, after: undefined, document: documentOf(owner), revision };
}

interface SettingRow {
  id: string;
  setting_key: string;
  content: string;
  version: number;
  actor_kind: string;
  actor_id: string;
  updated_at: string;
}

function settings(db: Db, owner: SettingsOwner) {
  return db("service_settings").where({ organization_id: owner });
}

async function findSetting(trx: Db, owner: SettingsOwner, key: string): Promise<ServiceSetting | undefined> {
  const row = (await settings(trx, owner).where({ setting_key: key }).first()) as SettingRow | undefined;
  return row && settingOf(row);
}

async function requireRoom(trx: Db, owner: SettingsOwner): Promise<void> {
  const sizes = (await settings(trx, owner).select(trx.raw("length(setting_key) + length(content) as size"))) as { size: number }[];
  const characters = sizes.reduce((sum, { size }) => sum + size, 0);
  if (sizes.length > MAX_SETTINGS)
    throw new HubError("quota_exceeded", `there are ${MAX_SETTINGS} settings already`, { details: { settings: MAX_SETTINGS } });
  if (characters > MAX_SETTINGS_BYTES)
    throw new HubError("quota_exceeded", `all settings together take at most ${MAX_SETTINGS_BYTES} characters`, {
      details: { characters: MAX_SETTINGS_BYTES },
    });
}

function settingOf(row: SettingRow): ServiceSetting {
  return {
    id: row.id,
    key: row.setting_key,
    value: JSON.parse(row.content) as unknown,
    version: row.version,
    updated_at: row.updated_at,
    updated_by: { kind: row.actor_kind, id: row.actor_id },
  };
}
