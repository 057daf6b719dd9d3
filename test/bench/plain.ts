import knex, { type Knex } from "knex";
import { SqliteClient } from "../../store/sqlite.ts";

/** What somebody would write without a hub: one table with an id, an index for reading, and knex. */
export const PLAIN = "readings";

export interface PlainReading {
  readonly device: string;
  readonly key: string;
  /** ms since 1970 */
  readonly ts: number;
  readonly value: number;
}

export const openPlainPostgres = (connection: string): Knex => knex({ client: "pg", connection });

/** Over the hub's own driver: its thread and its settings of SQLite, among them the log that is written ahead. */
export const openPlainSqlite = (filename: string): Knex =>
  knex({ client: SqliteClient as unknown as typeof Knex.Client, connection: { filename }, useNullAsDefault: true });

/** SQLite has no time: somebody's rows hold ms. */
export const plainRow = (db: Knex, { ts, ...rest }: PlainReading): object => ({
  ...rest,
  ts: db.client instanceof SqliteClient ? ts : new Date(ts),
});

export async function createPlainReadings(db: Knex): Promise<void> {
  await db.schema.createTable(PLAIN, (table) => {
    table.bigIncrements("id");
    table.uuid("device").notNullable();
    table.string("key", 64).notNullable();
    table.timestamp("ts", { useTz: true }).notNullable();
    table.double("value");
    table.index(["device", "key", "ts"]);
  });
}
