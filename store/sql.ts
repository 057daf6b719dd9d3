import type { Knex } from "knex";
import type { Scope } from "../core/principal.ts";

/** The few places where the two engines differ, for every file of this folder. */
export type Engine = "sqlite" | "postgres";

export function engineOf(db: { readonly client: unknown }): Engine {
  const { dialect } = db.client as { dialect: string };
  return dialect === "postgresql" ? "postgres" : "sqlite";
}

/** Runs one statement and gives its rows, whichever shape the driver has. */
export async function rowsOf<Row>(db: Knex, sql: string, bindings: readonly unknown[] = []): Promise<Row[]> {
  const result: unknown = await db.raw(sql, bindings as Knex.RawBinding[]);
  if (Array.isArray(result)) return result as Row[];
  return (result as { rows?: Row[] }).rows ?? [];
}

interface ScanClient {
  acquireConnection(): Promise<unknown>;
  releaseConnection(connection: unknown): Promise<void>;
  query(connection: unknown, query: { sql: string; bindings: readonly unknown[]; isScan: true }): Promise<{ response: unknown }>;
}

/** As {@link rowsOf}, for what is read once and in bulk: it pushes nothing out of SQLite's cache. What a transaction has not committed is not seen. */
export async function scannedRows<Row>(db: Knex, sql: string, bindings: readonly unknown[]): Promise<Row[]> {
  if (engineOf(db) === "postgres") return await rowsOf(db, sql, bindings);
  const client = db.client as ScanClient;
  const connection = await client.acquireConnection();
  try {
    return (await client.query(connection, { sql, bindings, isScan: true })).response as Row[];
  } finally {
    await client.releaseConnection(connection);
  }
}

export type ColumnType = "text" | "int" | "float" | "bool" | "time" | "json";
const POSTGRES_TYPES: Record<ColumnType, string> = {
  text: "text",
  int: "bigint",
  float: "float8",
  bool: "boolean",
  time: "timestamptz",
  json: "jsonb",
};

/**
 * A table in FROM made of one JSON parameter, however many rows: `rowSource(db, { id: "text" })` reads an array of objects.
 * Bind {@link toJson} of the rows in its place. A `json` column must not be null.
 */
export function rowSource(db: Knex, columns: Readonly<Record<string, ColumnType>>): string {
  if (engineOf(db) === "postgres") {
    return `jsonb_to_recordset(?::jsonb) as r(${Object.entries(columns)
      .map(([name, type]) => `${name} ${POSTGRES_TYPES[type]}`)
      .join(", ")})`;
  }
  return `(select ${Object.entries(columns)
    .map(([name, type]) => `value ${type === "json" ? "->" : "->>"} '${name}' as ${name}`)
    .join(", ")} from json_each(?)) as r`;
}

/** The columns that say whose a row is; without `device` it is no device's, and nobody sees it for a grant on one. */
export interface ScopeColumns {
  readonly organization: string;
  readonly device?: string;
}

/** Narrows a query to the rows that `scope` may see. */
export function scoped<Q extends Knex.QueryBuilder>(query: Q, scope: Scope, { organization, device }: ScopeColumns): Q {
  if (scope.kind === "platform") return query;
  query.where(organization, scope.organizationId);
  // One parameter, however many devices: what is granted with a site may be thousands.
  if (scope.kind === "devices")
    query.whereRaw(`?? in ${idsParameter(query)}`, [device ?? organization, toJson(device === undefined ? [] : scope.deviceIds)]);
  return query;
}

/** A place for each value, to stand between the brackets of IN or VALUES. */
export const placesFor = (values: readonly unknown[]): string => values.map(() => "?").join(", ");

/** Stands behind IN: all texts of one JSON parameter, however many. Bind {@link toJson} of them. */
export const idsParameter = (db: { readonly client: unknown }): string =>
  engineOf(db) === "postgres" ? "(select jsonb_array_elements_text(?::jsonb))" : "(select value from json_each(?))";

/** As {@link idsParameter}, of whole numbers. */
export const numbersParameter = (db: { readonly client: unknown }): string =>
  engineOf(db) === "postgres" ? "(select jsonb_array_elements_text(?::jsonb)::int)" : "(select cast(value as integer) from json_each(?))";

/** A pattern for LIKE with `escape '\\'`: whatever holds this text, in small letters as `hub_lower` gives them. */
export function containing(text: string): string {
  return `%${storableText(text)
    .toLowerCase()
    .replaceAll(/[\\%_]/g, "\\$&")}%`;
}

/** ISO 8601 in UTC with milliseconds: text on SQLite, timestamptz on PostgreSQL; both sort by time. */
export const isoOf = (ms: number): string => new Date(ms).toISOString();

/** PostgreSQL's jsonb refuses NUL and lone surrogates, and one such character must not spoil a whole batch. */
export function toJson(value: unknown): string {
  const text = JSON.stringify(value);
  return /\\u(0000|d[89a-f])/i.test(text) ? JSON.stringify(storable(value)) : text;
}

/** SQLite gives JSON as text, PostgreSQL parsed. For objects and arrays only. What is read here, this folder wrote. */
export function fromJson(value: unknown): unknown {
  return typeof value === "string" ? JSON.parse(value) : value;
}

/** Text without the characters that PostgreSQL cannot store. */
export function storableText(text: string): string {
  return text.toWellFormed().replaceAll("\0", "\uFFFD");
}

function storable(value: unknown): unknown {
  if (typeof value === "string") return storableText(value);
  if (Array.isArray(value)) return value.map(storable);
  if (typeof value === "object" && value !== null)
    return Object.fromEntries(Object.entries(value).map(([key, one]) => [storableText(key), storable(one)]));
  return value;
}

/** One page of a keyset query that asked for `limit + 1` rows. */
export function pageOf<T>(items: T[], limit: number, cursorOf: (item: T) => string): Page<T> {
  if (items.length <= limit) return { items, next: null };
  const page = items.slice(0, limit);
  const last = page.at(-1);
  return { items: page, next: last === undefined ? null : cursorOf(last) };
}

export interface Page<T> {
  readonly items: T[];
  /** Goes into `after` for the next page; null at the end. */
  readonly next: string | null;
}
