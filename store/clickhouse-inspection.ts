import type { ClickhouseFault, ClickhouseServer, ClickhouseTable } from "../core/clickhouse-server.ts";
import { type Clickhouse, codeOf, openClickhouseClient } from "./clickhouse-client.ts";
import { columnsOf, TABLES, type Table } from "./clickhouse-tables.ts";

const LIMIT_MS = 5_000;
/** Of a version that has no CHECK GRANT. */
const SYNTAX_ERROR = "62";
const RIGHTS = ["CREATE TABLE", "SELECT", "INSERT", "ALTER DELETE", "ALTER TTL"];

/** Asks what the hub would ship to, and changes nothing there. Never rejects. */
export async function inspectClickhouse(url: string, limitMs = LIMIT_MS): Promise<ClickhouseServer> {
  await using clickhouse = openClickhouseClient(url, { limitMs });
  const address = clickhouse.target;
  try {
    return { address, ...(await describe(clickhouse)) };
  } catch (error) {
    return { address, fault: faultOf(error) };
  }
}

async function describe(clickhouse: Clickhouse) {
  const { version, skewMs } = await askVersion(clickhouse);
  const params = { name: clickhouse.database.slice(1, -1) };
  const databases = await clickhouse.rows("select 1 from system.databases where name = {name: String}", { params });
  const hasDatabase = databases.length > 0;
  const tables = hasDatabase
    ? await compareTables(clickhouse, params)
    : TABLES.map(({ name }) => ({ name, isThere: false, differences: [] }));
  return { version, skewMs, hasDatabase, tables, missingRights: await findMissingRights(clickhouse, tables, hasDatabase) };
}

async function askVersion(clickhouse: Clickhouse): Promise<{ version: string; skewMs: number }> {
  const began = Date.now();
  const [row] = await clickhouse.rows<{ version: string; now: number }>(
    "select version() as version, toUnixTimestamp64Milli(now64(3)) as now",
    {},
  );
  if (typeof row?.version !== "string" || typeof row.now !== "number") throw new Error("what answers there is no ClickHouse");
  return { version: row.version, skewMs: row.now - (began + Date.now()) / 2 };
}

async function compareTables(clickhouse: Clickhouse, params: { readonly name: string }): Promise<ClickhouseTable[]> {
  const found = await clickhouse.rows<{ name: string; engine: string; sorting_key: string }>(
    "select name, engine, sorting_key from system.tables where database = {name: String}",
    { params },
  );
  const columns = await clickhouse.rows<{ table: string; name: string; type: string }>(
    "select table, name, type from system.columns where database = {name: String}",
    { params },
  );
  return TABLES.map((wanted) => {
    const { name } = wanted;
    const table = found.find((one) => one.name === name);
    if (!table) return { name, isThere: false, differences: [] };
    const types = new Map(columns.filter((one) => one.table === name).map((one) => [one.name, one.type]));
    return { name, isThere: true, differences: differencesOf(wanted, table, types) };
  });
}

function differencesOf(
  wanted: Table,
  found: { readonly engine: string; readonly sorting_key: string },
  types: ReadonlyMap<string, string>,
): string[] {
  const { name } = wanted;
  const differences: string[] = [];
  // Also ReplicatedReplacingMergeTree, of whoever has made the tables for several servers.
  if (!found.engine.endsWith("ReplacingMergeTree")) differences.push(`${name} is a ${found.engine}`);
  if (`(${found.sorting_key})` !== wanted.orderBy) differences.push(`${name} is in the order of (${found.sorting_key})`);
  for (const [column, type] of columnsOf(wanted)) {
    const present = types.get(column);
    if (present === undefined) differences.push(`${name}.${column} is missing`);
    else if (present !== type) differences.push(`${name}.${column} is ${present}`);
  }
  return differences;
}

/** Of a table that is not there yet those of the database count. */
async function findMissingRights(
  clickhouse: Clickhouse,
  tables: readonly ClickhouseTable[],
  hasDatabase: boolean,
): Promise<string[] | undefined> {
  const places = [...new Set(tables.map(({ name, isThere }) => (isThere ? name : "*")))];
  const wanted = places.flatMap((place) => RIGHTS.map((right) => ({ right, place })));
  if (!hasDatabase) wanted.unshift({ right: "CREATE DATABASE", place: "*" });
  const missing: string[] = [];
  try {
    for (const { right, place } of wanted) {
      const answer = await clickhouse.text(`check grant ${right} on ${clickhouse.database}.${place}`);
      if (answer.trim() !== "1") missing.push(`${right} ON ${place}`);
    }
  } catch (error) {
    if (codeOf(error) === SYNTAX_ERROR) return undefined;
    throw error;
  }
  return missing;
}

function faultOf(error: unknown): ClickhouseFault {
  const { message = "", code: reason = "" } = error as { message?: string; code?: string };
  const code = codeOf(error);
  return code === undefined ? { message: message || reason || String(error) } : { message, code };
}
