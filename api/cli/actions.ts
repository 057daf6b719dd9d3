import type { ClickhouseServer } from "../../core/clickhouse-server.ts";
import type { Config } from "../../core/config.ts";
import type { RedisServer } from "../../core/redis-server.ts";
import type { Terminal } from "./terminal.ts";

/** What the command line cannot do itself, since other rooms own it. */
export interface CliActions {
  readonly version: string;
  readonly terminal: Terminal;
  /** Throws a ConfigError with everything that is wrong. */
  readonly readConfig: () => Config;
  /** Resolves when the hub has stopped. With `json` it prints one JSON object a line on stdout. */
  readonly serve: (config: Config, options: { json: boolean }) => Promise<void>;
  /** Resolves to the migrations that ran now. */
  readonly dbMigrate: (config: Config) => Promise<{ done: readonly string[] }>;
  readonly dbStatus: (config: Config) => Promise<{ done: readonly string[]; pending: readonly string[] }>;
  /** Asks every server that REDIS_URL names. Never rejects. */
  readonly redisServers: (redisUrl: string) => Promise<readonly RedisServer[]>;
  /** Asks what CLICKHOUSE_URL names. Never rejects. */
  readonly clickhouseServer: (clickhouseUrl: string) => Promise<ClickhouseServer>;
  /** Writes the generated documents; with `check` only compares. Resolves to the paths that differ(ed). */
  readonly docs: (options: { check: boolean }) => Promise<{ changed: readonly string[] }>;
}
