import { setTimeout as pause } from "node:timers/promises";
import type { Log } from "../core/bus.ts";
import type { ChainPart } from "./clickhouse-lines.ts";
import type { ClickhouseOutbox, Lane, Waiting } from "./clickhouse-outbox.ts";
import { countRefused } from "./clickhouse-segments.ts";
import type { Db } from "./open.ts";
import { rowSource, rowsOf, toJson } from "./sql.ts";

/** How far ClickHouse is behind. */
export interface Lag {
  readonly lanes: Readonly<Record<Lane, Pick<Waiting, "n" | "oldestAt">>>;
  readonly refusedSegments: number;
  /** Hours of series, and of events, that are to be sent from the tables. */
  readonly missingHours: number;
}

/** A value that is read whenever somebody looks. */
export interface LagReading {
  readonly name: string;
  readonly help: string;
  readonly read: () => number | readonly { readonly labels: Readonly<Record<string, string>>; readonly value: number }[];
}

export interface LagWatch extends AsyncDisposable {
  readonly readings: readonly LagReading[];
}

interface LagContext {
  readonly db: Db;
  readonly outbox: ClickhouseOutbox;
  readonly log: Log;
  /** ms since 1970 */
  readonly clock: () => number;
}

const NOTHING = { n: 0, oldestAt: undefined };
const MOST_PARTS = 1_000;

/** Looks every now and then, on every node: each has to know how much room there is. */
export function watchLag({ db, outbox, log, clock }: LagContext, everyMs: number): LagWatch {
  const closing = new AbortController();
  const { signal } = closing;
  let lag: Lag = { lanes: { telemetry: NOTHING, events: NOTHING, audit: NOTHING }, refusedSegments: 0, missingHours: 0 };
  const watching = (async () => {
    while (!signal.aborted) {
      lag = await measureLag(db, outbox).catch((error: unknown) => {
        log.warn({ err: error }, "it could not be found out how much waits for ClickHouse");
        return lag;
      });
      await pause(everyMs, undefined, { signal, ref: false }).catch(() => undefined);
    }
  })();
  const byLane = (read: (waiting: Pick<Waiting, "n" | "oldestAt">) => number) => () =>
    Object.entries(lag.lanes).map(([lane, waiting]) => ({ labels: { lane }, value: read(waiting) }));
  const ageOf = ({ oldestAt }: Pick<Waiting, "oldestAt">): number => (oldestAt === undefined ? 0 : Math.max(0, clock() - oldestAt) / 1_000);
  return {
    readings: [
      { name: "hexahub_clickhouse_lag_seconds", help: "Age of the oldest row that is not in ClickHouse yet", read: byLane(ageOf) },
      { name: "hexahub_clickhouse_waiting_rows", help: "Rows that are not in ClickHouse yet", read: byLane(({ n }) => n) },
      { name: "hexahub_clickhouse_outbox_bytes", help: "Bytes that wait in the outbox for ClickHouse", read: () => outbox.bytes },
      {
        name: "hexahub_clickhouse_missing_hours",
        help: "Hours of series, and of events, that are to be sent to ClickHouse from the tables",
        read: () => lag.missingHours,
      },
      {
        name: "hexahub_clickhouse_refused_segments",
        help: "Segments that ClickHouse has refused, and that are set aside",
        read: () => lag.refusedSegments,
      },
    ],
    async [Symbol.asyncDispose]() {
      closing.abort();
      await watching;
    },
  };
}

export async function measureLag(db: Db, outbox: ClickhouseOutbox): Promise<Lag> {
  const waiting = await outbox.measure();
  const [missing] = await rowsOf<{ n: number }>(db, "select count(*) as n from clickhouse_missing");
  return {
    lanes: { telemetry: waiting.get("telemetry") ?? NOTHING, events: waiting.get("events") ?? NOTHING, audit: await auditLag(db) },
    refusedSegments: await countRefused(db),
    missingHours: missing?.n ?? 0,
  };
}

/** What is behind the segments, and what is in one that is open. */
async function auditLag(db: Db): Promise<Pick<Waiting, "n" | "oldestAt">> {
  const segments = await rowsOf<{ bounds: string }>(
    db,
    "select bounds from clickhouse_segments where kind = 'audit' and refused_at is null",
  );
  const behind = await rowsOf<ChainPart>(
    db,
    `select c.chain, coalesce(k.seq, 0) as after, c.last_seq as "to" from audit_chains c left join clickhouse_chains k on k.chain = c.chain
     where c.last_seq > coalesce(k.seq, 0)`,
  );
  const parts = [...segments.flatMap(({ bounds }) => JSON.parse(bounds) as ChainPart[]), ...behind];
  if (parts.length === 0) return NOTHING;
  const [oldest] = await rowsOf<{ at: string | null }>(
    db,
    `select min(a.created_at) as at from ${rowSource(db, { chain: "text", seq: "int" })}
     join audit_outbox a on coalesce(a.organization_id, '') = r.chain and a.chain_seq = r.seq`,
    [toJson(parts.slice(0, MOST_PARTS).map(({ chain, after }) => ({ chain, seq: after + 1 })))],
  );
  return {
    n: parts.reduce((sum, { after, to }) => sum + to - after, 0),
    oldestAt: oldest?.at == null ? undefined : Date.parse(oldest.at),
  };
}
