import { NO_PREFERENCES, type Preferences } from "../core/preferences.ts";
import type { Db } from "./open.ts";
import { isoOf } from "./sql.ts";

export interface PreferencesOwner {
  readonly userId: string;
  readonly organizationId: string;
}

/** Empty ones of whoever has set none. */
export async function readPreferences(db: Db, owner: PreferencesOwner): Promise<Preferences> {
  return preferencesOf(await rows(db, owner).first("content"));
}

/** `change` is given what is there and says what it shall be; of two changes at once the second is given what the first has made. */
export async function changePreferences(
  trx: Db,
  owner: PreferencesOwner,
  change: (before: Preferences) => Preferences,
  now: number,
): Promise<Preferences> {
  // A row that is not there cannot be locked.
  await trx("user_preferences")
    .insert({ user_id: owner.userId, organization_id: owner.organizationId, content: "{}", updated_at: isoOf(now) })
    .onConflict(["user_id", "organization_id"])
    .ignore();
  const after = change(preferencesOf(await rows(trx, owner).forUpdate().first("content")));
  await rows(trx, owner).update({ content: JSON.stringify(after), updated_at: isoOf(now) });
  return after;
}

function rows(db: Db, { userId, organizationId }: PreferencesOwner) {
  return db("user_preferences").where({ user_id: userId, organization_id: organizationId });
}

function preferencesOf(row: { content: string } | undefined): Preferences {
  return { ...NO_PREFERENCES, ...(row === undefined ? {} : (JSON.parse(row.content) as Partial<Preferences>)) };
}
