import { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { ClickHouseError, ClickHouseLogLevel, createClient } from "@clickhouse/client";
import { clickhouseTarget } from "../core/clickhouse-settings.ts";

/** One INSERT: sent again with the same token it changes nothing. */
export interface Insert {
  readonly table: string;
  readonly columns: readonly string[];
  /** Lines of JSON arrays, in the order of the columns. */
  readonly lines: string;
  /** undefined for what may be sent twice. */
  readonly token: string | undefined;
}

export interface RunOptions {
  readonly params?: Readonly<Record<string, unknown>> | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What the hub asks of ClickHouse. Each call rejects when there is no answer in time. */
export interface Clickhouse extends AsyncDisposable {
  /** Of the URL; in backquotes. */
  readonly database: string;
  /** Server and database, without credentials. */
  readonly target: string;
  insert(insert: Insert, signal: AbortSignal): Promise<void>;
  run(sql: string, options: RunOptions): Promise<void>;
  rows<Row>(sql: string, options: RunOptions): Promise<Row[]>;
  /** The answer to a statement that takes no format. */
  text(sql: string): Promise<string>;
}

const REQUEST_LIMIT_MS = 30_000;

/** `url` has user, password and database. Connects with the first call. */
export function openClickhouseClient(url: string, { limitMs = REQUEST_LIMIT_MS }: { readonly limitMs?: number } = {}): Clickhouse {
  const { origin, username, password, pathname } = new URL(url);
  const database = pathname.slice(1) || "default";
  const client = createClient({
    url: origin,
    username: decodeURIComponent(username) || "default",
    password: decodeURIComponent(password),
    request_timeout: limitMs,
    application: "hexahub",
    // Whoever asks says it in the hub's own log.
    log: { level: ClickHouseLogLevel.OFF },
    clickhouse_settings: { date_time_input_format: "best_effort", wait_end_of_query: 1 },
  });
  // The client's own limit begins anew with each byte.
  const limited = (signal?: AbortSignal): AbortSignal => AbortSignal.any([...(signal ? [signal] : []), AbortSignal.timeout(limitMs)]);
  return {
    database: `\`${database}\``,
    target: clickhouseTarget(url),
    async insert({ table, columns, lines, token }, signal) {
      // The client's own insert would parse the lines.
      const { stream } = await client.exec({
        query: `insert into \`${database}\`.${table} (${columns.join(", ")}) format JSONCompactEachRow`,
        values: Readable.from([Buffer.from(lines)], { objectMode: false }),
        clickhouse_settings: {
          async_insert: 0,
          ...(token === undefined ? { insert_deduplicate: 0 } : { insert_deduplicate: 1, insert_deduplication_token: token }),
          // The fast way is wrong in the last bit.
          precise_float_parsing: 1,
        },
        abort_signal: limited(signal),
      });
      // Or its connection is never free again.
      await stream.resume().toArray();
    },
    async run(sql, { params, signal }) {
      await client.command({ query: sql, ...(params && { query_params: { ...params } }), abort_signal: limited(signal) });
    },
    async rows<Row>(sql: string, { params, signal }: RunOptions) {
      const answer = await client.query({
        query: sql,
        format: "JSONEachRow",
        ...(params && { query_params: { ...params } }),
        clickhouse_settings: { output_format_json_quote_64bit_integers: 0 },
        abort_signal: limited(signal),
      });
      return await answer.json<Row>();
    },
    async text(sql) {
      const { stream } = await client.exec({ query: sql, abort_signal: limited() });
      return await text(stream);
    },
    [Symbol.asyncDispose]: () => client.close(),
  };
}

/**
 * Codes of ClickHouse for data that it will never take: that it cannot parse (6, 26, 27, 38, 41, 72, 117), or that does not fit (69, 131, 321,
 * 349). A table that somebody has changed is not among them: it refuses everything, until it is mended.
 */
const REFUSED = new Set(["6", "26", "27", "38", "41", "69", "72", "117", "131", "321", "349"]);

/** ClickHouse's own, where it was ClickHouse that answered. */
export const codeOf = (error: unknown): string | undefined => (error instanceof ClickHouseError ? error.code : undefined);

/** UNKNOWN_TABLE, UNKNOWN_DATABASE */
const MISSING = new Set(["60", "81"]);

/** Whether there is no such table. */
export const isMissing = (error: unknown): boolean => MISSING.has(codeOf(error) ?? "");

/** Whether sending the same again is in vain. */
export const isRefusal = (error: unknown): boolean => REFUSED.has(codeOf(error) ?? "");
