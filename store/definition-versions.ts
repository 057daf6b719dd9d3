import { comparableJson } from "../core/canonical-json.ts";
import { HubError } from "../core/errors.ts";
import type { Actor } from "../core/principal.ts";
import type { Db } from "./open.ts";
import { fromJson, isoOf, type Page, pageOf, storableText, toJson } from "./sql.ts";

/** Who makes a version, and what for. */
export interface Edit {
  readonly actor: Actor;
  readonly now: number;
  readonly note?: string | undefined;
}

/** What a definition was from one edit to the next. */
export interface DefinitionVersion {
  readonly version: number;
  readonly name: string;
  readonly description: string | null;
  readonly definition: Readonly<Record<string, unknown>>;
  readonly changedAt: string;
  readonly actor: Actor;
  readonly note: string | null;
}

type Defined = Pick<DefinitionVersion, "definition">;

/** Whether the definition is another one, and not the same in another order. */
export const isRedefined = (before: Defined, fields: Defined): boolean =>
  comparableJson(before.definition) !== comparableJson(fields.definition);

/** The site of a definition, as a column: it stays while the definition does, since the site may be gone. */
export function siteColumn({ definition }: Defined, before?: Defined): { site_id?: string | null } {
  if (before && !isRedefined(before, { definition })) return {};
  const siteId = definition["site_id"];
  return { site_id: typeof siteId === "string" ? siteId.toLowerCase() : null };
}

/** The versions of one kind of definition: `table`, whose column `owner` says of which. */
export function versionsIn(table: string, owner: string) {
  return {
    async insert(
      trx: Db,
      { id, version }: { readonly id: string; readonly version: number },
      { name, description, definition }: Pick<DefinitionVersion, "name" | "description" | "definition">,
      { actor, now, note }: Edit,
    ): Promise<void> {
      await trx(table).insert({
        [owner]: id,
        version,
        name: storableText(name),
        description: description === null ? null : storableText(description),
        definition: toJson(definition),
        changed_at: isoOf(now),
        actor_kind: actor.kind,
        actor_id: actor.id,
        note: note === undefined ? null : storableText(note),
      });
    },
    /** Newest first; `after` is a version. */
    async list(
      db: Db,
      id: string,
      { limit, after }: { readonly limit: number; readonly after?: number | undefined },
    ): Promise<Page<DefinitionVersion>> {
      const query = db(table)
        .where({ [owner]: id })
        .orderBy("version", "desc")
        .limit(limit + 1);
      if (after !== undefined) query.where("version", "<", after);
      return pageOf(((await query) as Row[]).map(versionOf), limit, ({ version }) => String(version));
    },
    /** Throws `not_found`. */
    async get(db: Db, id: string, version: number): Promise<DefinitionVersion> {
      const row = (await db(table)
        .where({ [owner]: id, version })
        .first()) as Row | undefined;
      if (!row) throw new HubError("not_found", "there is no such version");
      return versionOf(row);
    },
  };
}

interface Row {
  version: number;
  name: string;
  description: string | null;
  definition: unknown;
  changed_at: string;
  actor_kind: Actor["kind"];
  actor_id: string;
  note: string | null;
}

const versionOf = (row: Row): DefinitionVersion => ({
  version: row.version,
  name: row.name,
  description: row.description,
  definition: fromJson(row.definition) as Record<string, unknown>,
  changedAt: row.changed_at,
  actor: { kind: row.actor_kind, id: row.actor_id },
  note: row.note,
});
