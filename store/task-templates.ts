import type { Knex } from "knex";
import { canonicalJson } from "../core/canonical-json.ts";
import { HubError } from "../core/errors.ts";
import { newId } from "../core/id.ts";
import type { Scope } from "../core/principal.ts";
import { MOST_TEMPLATES, type TemplateDefinition } from "../core/template.ts";
import { type Edit, versionsIn } from "./definition-versions.ts";
import { checkQuota, storableOrNull } from "./entity-rows.ts";
import type { Db } from "./open.ts";
import { lockOrganization } from "./organizations.ts";
import { fromJson, isoOf, scoped, storableText, toJson } from "./sql.ts";
import { USES } from "./template-uses.ts";

/** What a list says of a template. */
export interface TemplateSummary {
  readonly id: string;
  readonly organizationId: string;
  readonly name: string;
  readonly description: string | null;
  readonly category: string | null;
  readonly tags: readonly string[];
  /** The version from which on everybody may read it; null for one of the organisation alone. */
  readonly publicFrom: number | null;
  readonly version: number;
  readonly usageCount: number;
  /** Within the last 30 days. */
  readonly recentUses: number;
  readonly createdBy: string;
  readonly createdAt: string;
  readonly updatedAt: string;
}

/** As it was written; `core/template.ts` parses the definition. */
export interface TaskTemplate extends TemplateSummary {
  readonly definition: TemplateDefinition;
}

export interface TemplateFields {
  readonly name: string;
  readonly description: string | null;
  readonly isPublic: boolean;
  readonly definition: TemplateDefinition;
}

export const templateVersions = versionsIn("task_template_versions", "template_id");

const MAX_NAME = 120;

/** Throws `quota_exceeded`. With `isRenamed` a name that the organisation has gets a number. */
export async function createTemplate(
  trx: Db,
  organizationId: string,
  { isRenamed = false, ...fields }: TemplateFields & { readonly isRenamed?: boolean },
  edit: Edit,
): Promise<TaskTemplate> {
  await lockOrganization(trx, organizationId);
  await checkQuota(trx("task_templates").where({ organization_id: organizationId }), MOST_TEMPLATES);
  const name = isRenamed ? await freeName(trx, organizationId, fields.name) : fields.name;
  const id = newId();
  const at = isoOf(edit.now);
  await trx("task_templates").insert({
    id,
    organization_id: organizationId,
    ...columnsOf({ ...fields, name }),
    public_from: fields.isPublic ? 1 : null,
    version: 1,
    created_by: edit.actor.id,
    created_at: at,
    updated_at: at,
  });
  await templateVersions.insert(trx, { id, version: 1 }, { ...fields, name }, edit);
  return await readTemplate(trx, id, edit.now);
}

/** The organisation's, or anybody's that is public. Throws `not_found`. */
export async function getTemplate(db: Db, scope: Scope, id: string, now: number): Promise<TaskTemplate> {
  const row = (await visible(templates(db, now).select("t.definition").where("t.id", id), scope).first()) as Row | undefined;
  if (!row) throw notFound();
  return templateOf(row);
}

/** The organisation's alone. Throws `not_found`, or `forbidden` for what another has made public. */
export async function getOwnTemplate(db: Db, scope: Scope, id: string, now: number): Promise<TaskTemplate> {
  const found = await getTemplate(db, scope, id, now);
  if (!isOwn(found, scope)) throw new HubError("forbidden", "the template is another organisation's: copy it, and the copy is yours");
  return found;
}

/** As {@link getOwnTemplate}; nobody else changes it until the transaction ends. */
export async function lockTemplate(trx: Db, scope: Scope, id: string, now: number): Promise<TaskTemplate> {
  await scoped(trx("task_templates as t").where("t.id", id), scope, OWN).forUpdate().first("t.id");
  return await getOwnTemplate(trx, scope, id, now);
}

/** Of one that is locked: another name, description or definition is another version. */
export async function updateTemplate(trx: Db, before: TaskTemplate, fields: TemplateFields, edit: Edit): Promise<TaskTemplate> {
  const isEdited =
    canonicalJson(before.definition) !== canonicalJson(fields.definition) ||
    before.name !== fields.name ||
    before.description !== fields.description;
  const version = before.version + (isEdited ? 1 : 0);
  await trx("task_templates")
    .where({ id: before.id })
    .update({
      ...columnsOf(fields),
      // What it was while nobody else saw it stays unseen.
      public_from: fields.isPublic ? (before.publicFrom ?? version) : null,
      version,
      updated_at: isoOf(edit.now),
    });
  if (isEdited) await templateVersions.insert(trx, { id: before.id, version }, fields, edit);
  return await readTemplate(trx, before.id, edit.now);
}

/** With its versions and uses. */
export async function deleteTemplate(trx: Db, id: string): Promise<void> {
  await trx("task_templates").where({ id }).del();
}

/** Whether it is the scope's own, not only to be seen there. */
export const isOwn = ({ organizationId }: Pick<TemplateSummary, "organizationId">, scope: Scope): boolean =>
  scope.kind === "platform" || (scope.kind === "organization" && scope.organizationId === organizationId);

/**
 * What the template said as that version. Of another organisation's those are there that it has made public. Throws
 * `not_found`.
 */
export async function definitionAt(db: Db, scope: Scope, template: TaskTemplate, version: number): Promise<TemplateDefinition> {
  if (version === template.version) return template.definition;
  const oldest = isOwn(template, scope) ? 1 : (template.publicFrom ?? Infinity);
  if (version < oldest) throw new HubError("not_found", "there is no such version");
  return (await templateVersions.get(db, template.id, version)).definition as TemplateDefinition;
}

const OWN = { organization: "t.organization_id" };

/** Narrows a query to what `scope` may read. */
export function visible<Q extends Knex.QueryBuilder>(query: Q, scope: Scope): Q {
  if (scope.kind === "platform") return query;
  query.where((either) => void scoped(either, scope, OWN).orWhereNotNull("t.public_from"));
  return query;
}

const COLUMNS = ["id", "organization_id", "name", "sort_name", "description", "category", "tags", "public_from", "version", "usage_count"];
const FURTHER = ["created_by", "created_at", "updated_at"];

/** Without what the templates say, which is long. */
export const templates = (db: Db, now: number) =>
  db("task_templates as t")
    .select([...COLUMNS, ...FURTHER].map((column) => `t.${column}`))
    .select(db.raw(`${USES.sql} as recent_uses`, USES.bindings(now)));

/** By characters as JSON Schema counts them. */
const cut = (text: string, most: number): string => Array.from(text).slice(0, most).join("");

/** As names are told apart and sorted. */
export const sortName = (name: string): string => cut(storableText(name).toLowerCase(), MAX_NAME);

/** Of an organisation that is locked: the name, or with the first number that is free. */
async function freeName(trx: Db, organizationId: string, name: string): Promise<string> {
  const taken = new Set((await trx("task_templates").where({ organization_id: organizationId }).pluck("sort_name")) as string[]);
  const stem = name.replace(/ \(\d{1,6}\)$/, "");
  let free = name;
  for (let number = 2; taken.has(sortName(free)); number++) {
    const suffix = ` (${number})`;
    free = `${cut(stem, MAX_NAME - suffix.length)}${suffix}`;
  }
  return free;
}

export interface SummaryRow {
  id: string;
  organization_id: string;
  name: string;
  sort_name: string;
  description: string | null;
  category: string | null;
  tags: unknown;
  public_from: number | null;
  version: number;
  usage_count: number;
  recent_uses: number;
  created_by: string;
  created_at: string;
  updated_at: string;
}
type Row = SummaryRow & { definition: unknown };

const notFound = (): HubError => new HubError("not_found", "there is no such template");

async function readTemplate(trx: Db, id: string, now: number): Promise<TaskTemplate> {
  return templateOf((await templates(trx, now).select("t.definition").where("t.id", id).first()) as Row);
}

const columnsOf = ({ name, description, definition }: TemplateFields) => ({
  name: storableText(name),
  sort_name: sortName(name),
  description: storableOrNull(description),
  category: definition.category ?? null,
  tags: toJson(definition.tags ?? []),
  definition: toJson(definition),
});

export const summaryOf = (row: SummaryRow): TemplateSummary => ({
  id: row.id,
  organizationId: row.organization_id,
  name: row.name,
  description: row.description,
  category: row.category,
  tags: fromJson(row.tags) as string[],
  publicFrom: row.public_from,
  version: row.version,
  usageCount: row.usage_count,
  recentUses: row.recent_uses,
  createdBy: row.created_by,
  createdAt: row.created_at,
  updatedAt: row.updated_at,
});

const templateOf = (row: Row): TaskTemplate => ({ ...summaryOf(row), definition: fromJson(row.definition) as TemplateDefinition });
