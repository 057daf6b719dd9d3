import { HubError } from "../core/errors.ts";
import type { Scope } from "../core/principal.ts";
import type { Db } from "./open.ts";
import { containing, engineOf, type Page, pageOf } from "./sql.ts";
import { type SummaryRow, summaryOf, templates, type TemplateSummary, visible } from "./task-templates.ts";
import { USES } from "./template-uses.ts";

export const TEMPLATE_ORDERS = ["popularity", "name", "new"] as const;
export type TemplateOrder = (typeof TEMPLATE_ORDERS)[number];

export interface TemplateFilter {
  readonly limit: number;
  readonly order: TemplateOrder;
  readonly now: number;
  /** `next` of the page before, in the same order. */
  readonly after?: string | undefined;
  readonly category?: string | undefined;
  readonly tag?: string | undefined;
  /** Part of the name or the description. */
  readonly search?: string | undefined;
  /** The organisation's own, or all that are public; without it both. */
  readonly of?: { readonly kind: "public" } | { readonly kind: "mine"; readonly organizationId: string } | undefined;
}

type Query = ReturnType<typeof templates>;

/** Throws `validation_error` for a cursor of another order. */
export async function listTemplates(db: Db, scope: Scope, filter: TemplateFilter): Promise<Page<TemplateSummary>> {
  const { limit, order, now, category, tag, search, of } = filter;
  const query = visible(templates(db, now), scope).limit(limit + 1);
  if (category !== undefined) query.where("t.category", category);
  if (tag !== undefined) query.whereRaw(hasTag(db), [tag]);
  if (search !== undefined) {
    const pattern = containing(search);
    query.whereRaw("(t.sort_name like ? escape '\\' or hub_lower(t.description) like ? escape '\\')", [pattern, pattern]);
  }
  if (of?.kind === "public") query.whereNotNull("t.public_from");
  if (of?.kind === "mine") query.where("t.organization_id", of.organizationId);
  sortBy(query, order, filter);
  const rows = (await query) as SummaryRow[];
  const { items, next } = pageOf(rows, limit, (row) => `${keyOf(row, order)}.${row.id}`);
  return { items: items.map(summaryOf), next };
}

/** What a page is sorted by before the id. Of the newest that is the id alone. */
const keyOf = (row: SummaryRow, order: TemplateOrder): string =>
  order === "new" ? "" : order === "name" ? row.sort_name : String(row.recent_uses);

const CURSOR = /^(.{0,120})\.([0-9a-f-]{36})$/su;

function sortBy(query: Query, order: TemplateOrder, { after, now }: TemplateFilter): void {
  const [key, id] = after === undefined ? [] : (CURSOR.exec(after)?.slice(1) ?? refuseCursor());
  const isRight = key === undefined || (order === "new" ? key === "" : order === "name" || /^\d{1,9}$/.test(key));
  if (!isRight) refuseCursor();
  if (order === "name") {
    query.orderBy(["t.sort_name", "t.id"]);
    if (key !== undefined && id !== undefined) query.whereRaw("(t.sort_name > ? or (t.sort_name = ? and t.id > ?))", [key, key, id]);
    return;
  }
  if (order === "popularity") query.orderBy("recent_uses", "desc");
  query.orderBy("t.id", "desc");
  if (key === undefined || id === undefined) return;
  if (order === "new") return void query.where("t.id", "<", id);
  const uses = USES.bindings(now);
  query.whereRaw(`(${USES.sql} < ? or (${USES.sql} = ? and t.id < ?))`, [...uses, Number(key), ...uses, Number(key), id]);
}

function refuseCursor(): never {
  const message = "is none of this list in this order";
  throw new HubError("validation_error", `/cursor ${message}`, { details: [{ path: "/cursor", message }] });
}

const hasTag = (db: Db): string =>
  engineOf(db) === "postgres"
    ? "exists (select 1 from jsonb_array_elements_text(t.tags) as tag (name) where tag.name = ?)"
    : "exists (select 1 from json_each(t.tags) where json_each.value = ?)";

export interface Category {
  readonly category: string;
  readonly count: number;
}

/** Of the templates that the scope may read, those with most of them first. */
export async function listCategories(db: Db, scope: Scope, most: number): Promise<Category[]> {
  const query = visible(db("task_templates as t"), scope)
    .whereNotNull("t.category")
    .groupBy("t.category")
    .orderByRaw("count(*) desc, t.category")
    .limit(most)
    .select("t.category")
    .count({ count: "*" });
  return ((await query) as Category[]).map(({ category, count }) => ({ category, count }));
}
