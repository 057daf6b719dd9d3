import type { Config } from "../core/config.ts";
import type { ClickhouseContext, ClickhouseSink } from "./clickhouse.ts";
import { forgetOutbox } from "./clickhouse-outbox.ts";

/** The sink that the settings ask for. Nothing of it is loaded where they ask for none. */
export async function openConfiguredClickhouse(
  config: Config,
  context: Omit<ClickhouseContext, "url" | "maxBytes" | "retention" | "pace">,
): Promise<ClickhouseSink | undefined> {
  const { clickhouseUrl: url, clickhouseOutboxMaxBytes: maxBytes, redisUrl } = config;
  if (url === undefined) {
    // Other nodes may have one.
    if (redisUrl === undefined) await forgetOutbox(context.db);
    return undefined;
  }
  const { openClickhouse } = await import("./clickhouse.ts");
  const retention = { readingDays: config.clickhouseReadingRetentionDays, eventDays: config.clickhouseEventRetentionDays };
  return await openClickhouse({ ...context, url, maxBytes, retention });
}
