import type { Db } from "./open.ts";
import { inTransaction } from "./transaction.ts";
import { rowsOf } from "./sql.ts";

/** What the broker keeps over a restart; `owner` is who a session belongs to, `replay` until when everything is queued. */
export type BrokerStateKind = "retained" | "subscription" | "outgoing" | "incoming" | "will" | "owner" | "replay";

export interface BrokerStateChange {
  readonly kind: BrokerStateKind;
  readonly clientId: string;
  readonly key: string;
  /** null deletes. */
  readonly value: Buffer | null;
}

const PAGE = 500;
/** Rows a statement: a fixed size, so that the statement is prepared once. */
const CHUNK = 50;

export interface BrokerStateRow {
  readonly kind: BrokerStateKind;
  readonly clientId: string;
  readonly key: string;
  readonly value: Buffer;
}

/** All rows, or those of a kind or a client; ordered by kind, client id and key, in bytes. */
export async function* loadBrokerState(
  db: Db,
  { kind: onlyKind, clientId: onlyClient }: { kind?: BrokerStateKind; clientId?: string } = {},
): AsyncGenerator<BrokerStateRow> {
  const conditions = [
    ...(onlyKind === undefined ? [] : [{ sql: " and kind = ?", value: onlyKind }]),
    ...(onlyClient === undefined ? [] : [{ sql: " and client_id = ?", value: onlyClient }]),
  ];
  let after: readonly [string, string, string] = ["", "", ""];
  for (;;) {
    const rows = await rowsOf<{ kind: BrokerStateKind; client_id: string; state_key: string; value: Buffer }>(
      db,
      `select kind, client_id, state_key, value from broker_state where (kind, client_id, state_key) > (?, ?, ?)${conditions.map(({ sql }) => sql).join("")}
       order by kind, client_id, state_key limit ?`,
      [...after, ...conditions.map(({ value }) => value), PAGE],
    );
    for (const { kind, client_id, state_key, value } of rows) yield { kind, clientId: client_id, key: state_key, value };
    const last = rows.at(-1);
    if (!last || rows.length < PAGE) return;
    after = [last.kind, last.client_id, last.state_key];
  }
}

/** All changes or none; of two changes of one row the later one counts. */
export async function saveBrokerState(db: Db, changes: readonly BrokerStateChange[]): Promise<void> {
  if (changes.length === 0) return;
  const last = new Map(changes.map((change) => [`${change.kind}\0${change.clientId}\0${change.key}`, change]));
  // In one order everywhere, or two writers could lock each other out.
  const rows = [...last.entries()].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, change]) => change);
  const deleted = rows.filter((row) => row.value === null);
  const written = rows.filter((row) => row.value !== null);
  await inTransaction(db, async (trx) => {
    for (const chunk of chunksOf(deleted)) {
      await rowsOf(
        trx,
        `delete from broker_state where (kind, client_id, state_key) in (values ${chunk.map(() => "(?, ?, ?)").join(", ")})`,
        chunk.flatMap(({ kind, clientId, key }) => [kind, clientId, key]),
      );
    }
    for (const chunk of chunksOf(written)) {
      await rowsOf(
        trx,
        `insert into broker_state (kind, client_id, state_key, value) values ${chunk.map(() => "(?, ?, ?, ?)").join(", ")}
         on conflict (kind, client_id, state_key) do update set value = excluded.value`,
        chunk.flatMap(({ kind, clientId, key, value }) => [kind, clientId, key, value]),
      );
    }
  });
}

/** Chunks of the full size and then single rows in tens and ones: few different statements for any number of rows. */
function chunksOf<T>(rows: readonly T[]): T[][] {
  const chunks: T[][] = [];
  for (let at = 0; at < rows.length; ) {
    const left = rows.length - at;
    const size = left >= CHUNK ? CHUNK : left >= 10 ? 10 : 1;
    chunks.push(rows.slice(at, at + size));
    at += size;
  }
  return chunks;
}
