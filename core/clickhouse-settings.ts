import Type from "typebox";

/** Part of the settings: where the copy for the long term goes, and how long it stays there. */
export const CLICKHOUSE_SETTINGS = {
  clickhouseUrl: Type.Optional(
    Type.String({
      pattern: "^https?://",
      writeOnly: true,
      description:
        "ClickHouse that readings, events and the audit are copied to, and that answers for readings that have had their days here: http://user:password@host:8123/database. All nodes get the same.",
    }),
  ),
  clickhouseOutboxMaxBytes: Type.Integer({
    default: 1_073_741_824,
    minimum: 1_048_576,
    maximum: 1_099_511_627_776,
    description:
      "Bytes that wait in the database for a ClickHouse that is away; beyond them only the hour is noted, and sent from the tables later.",
  }),
  clickhouseReadingRetentionDays: Type.Integer({
    default: 0,
    minimum: 0,
    maximum: 36_500,
    description: "Days that ClickHouse keeps readings, by their time. 0: for ever.",
  }),
  clickhouseEventRetentionDays: Type.Integer({
    default: 0,
    minimum: 0,
    maximum: 36_500,
    description: "Days that ClickHouse keeps events. 0: for ever.",
  }),
} as const;

/** Server and database of CLICKHOUSE_URL, without credentials. */
export function clickhouseTarget(url: string): string {
  const { origin, pathname } = new URL(url);
  return `${origin}/${pathname.slice(1) || "default"}`;
}
