import { setImmediate as breath } from "node:timers/promises";
import type { HubEvent } from "../core/event.ts";
import type { Insert } from "./clickhouse-client.ts";
import type { Db } from "./open.ts";
import { isoOf, numbersParameter, rowsOf, toJson } from "./sql.ts";

/** A line for each row, and what they go into. */
export type Lines = Pick<Insert, "table" | "columns" | "lines">;

/** A reading of the outbox: series, ms since 1970, number or null, JSON text. */
export type OutboxReading = readonly [series: number, ts: number, v: number | null, json?: string | null];

/** Of the readings of one batch; `id` is that of its row in the outbox, 0 for what is sent from the tables. */
export interface Batch {
  readonly id: number;
  readonly readings: readonly OutboxReading[];
}

/** The main loop turns in between. */
const LINES_AT_ONCE = 1_000;

/** Of two readings of a series with the same time the one in the batch with the lower id counts, and of one batch the first. */
export const versionOf = (id: number): number => Number.MAX_SAFE_INTEGER - id;

/** Readings whose device is gone are left out. */
export async function readingLines(db: Db, batches: readonly Batch[]): Promise<Lines> {
  const series = await findSeries(db, new Set(batches.flatMap(({ readings }) => readings.map(([id]) => id))));
  const lines: string[] = [];
  for (const { id, readings } of batches) {
    let last: OutboxReading | undefined;
    for (const reading of readings) {
      const [seriesId, ts, v, json = null] = reading;
      const owner = series.get(seriesId);
      const isRepeated = last?.[0] === seriesId && last[1] === ts;
      last = reading;
      if (!owner || isRepeated) continue;
      lines.push(
        JSON.stringify([owner.organization_id ?? "", owner.device_id, owner.sensor_key, seriesId, isoOf(ts), v, json, versionOf(id)]),
      );
      if (lines.length % LINES_AT_ONCE === 0) await breath();
    }
  }
  return {
    table: "telemetry",
    columns: ["organization_id", "device_id", "sensor_key", "series_id", "ts", "v", "json", "version"],
    lines: lines.join("\n"),
  };
}

interface SeriesOwner {
  readonly id: number;
  readonly organization_id: string | null;
  readonly device_id: string;
  readonly sensor_key: string;
}

async function findSeries(db: Db, ids: ReadonlySet<number>): Promise<Map<number, SeriesOwner>> {
  const rows = await rowsOf<SeriesOwner>(
    db,
    `select id, organization_id, device_id, sensor_key from series where id in ${numbersParameter(db)}`,
    [toJson([...ids])],
  );
  return new Map(rows.map((row) => [row.id, row]));
}

export function eventLines(events: readonly HubEvent[]): Lines {
  return {
    table: "events",
    columns: [
      "id",
      "type",
      "source",
      "organization_id",
      "entity_id",
      "actor_kind",
      "actor_id",
      "data",
      "timestamp",
      "correlation_id",
      "causation_id",
    ],
    lines: events
      .map((event) =>
        JSON.stringify([
          event.id,
          event.type,
          event.source,
          event.organizationId ?? "",
          event.entityId ?? "",
          event.actor.kind,
          event.actor.id,
          JSON.stringify(event.data),
          event.timestamp,
          event.correlationId,
          event.causationId ?? "",
        ]),
      )
      .join("\n"),
  };
}

const AUDIT_COLUMNS = [
  "id",
  "organization_id",
  "actor_kind",
  "actor_id",
  "action",
  "resource_type",
  "resource_id",
  "details",
  "request_id",
  "correlation_id",
  "before_hash",
  "after_hash",
  "created_at",
  "chain_seq",
  "chain_hash",
] as const;

/** Rows of a chain, whose place is above `after` and up to `to`. */
export interface ChainPart {
  readonly chain: string;
  readonly after: number;
  readonly to: number;
}

export async function auditLines(db: Db, parts: readonly ChainPart[]): Promise<Lines> {
  const lines: string[] = [];
  for (const { chain, after, to } of parts) {
    const rows = await rowsOf<Record<(typeof AUDIT_COLUMNS)[number], unknown>>(
      db,
      `select ${AUDIT_COLUMNS.join(", ")} from audit_outbox
       where coalesce(organization_id, '') = ? and chain_seq is not null and chain_seq > ? and chain_seq <= ? order by chain_seq`,
      [chain, after, to],
    );
    for (const row of rows) lines.push(JSON.stringify(AUDIT_COLUMNS.map((column) => textOf(row[column]))));
    await breath();
  }
  return { table: "audit", columns: AUDIT_COLUMNS, lines: lines.join("\n") };
}

/** PostgreSQL gives JSON parsed; what is null stands there as nothing. */
const textOf = (value: unknown): unknown => (value === null ? "" : typeof value === "object" ? JSON.stringify(value) : value);
