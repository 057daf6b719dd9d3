import { newId } from "../core/id.ts";
import type { Lane } from "./clickhouse-outbox.ts";
import type { Db } from "./open.ts";
import { placesFor, rowsOf, toJson } from "./sql.ts";
import { inTransaction } from "./transaction.ts";

/** What makes one of these up; where it ends is for its kind to say. */
export type Bounds = readonly unknown[];

/** What is sent as one, and sent again as the same until it is known to be there. */
export interface Segment {
  /** Also its deduplication token. */
  readonly id: string;
  readonly kind: string;
  readonly bounds: Bounds;
  /** There is more behind it. */
  readonly isFull: boolean;
}

/** What the next segment of a kind holds. */
export interface Found {
  readonly bounds: Bounds;
  readonly isFull: boolean;
}

/** Where segments of a kind come from and go to. */
export interface SegmentKind {
  readonly name: string;
  readonly look: (db: Db) => Promise<Found | undefined>;
  /** They are a segment's now: nobody finds them again. Not needed where {@link SegmentKind.look} finds them until they are dropped. */
  readonly claim?: (trx: Db, bounds: Bounds) => Promise<void>;
  /** They are there. Gives the bytes of the outbox that this made free. */
  readonly drop?: (trx: Db, bounds: Bounds) => Promise<number>;
  /** They stay, and are not found again. */
  readonly setAside?: (trx: Db, bounds: Bounds) => Promise<void>;
  /** Of bounds that hold one thing a segment cannot be made smaller. */
  readonly halve?: (bounds: Bounds) => readonly Bounds[];
}

/** The segment that is open, or a new one, whose bounds are durable; undefined when nothing waits. */
export async function nextSegment(db: Db, lane: Lane, kinds: readonly SegmentKind[]): Promise<Segment | undefined> {
  const open = await findOpen(db, kinds);
  if (open) return open;
  // Most of the time nothing waits: without a transaction.
  for (const kind of kinds) if (await kind.look(db)) return await inTransaction(db, (trx) => fixSegment(trx, lane, kinds));
  return undefined;
}

async function fixSegment(trx: Db, lane: Lane, kinds: readonly SegmentKind[]): Promise<Segment | undefined> {
  // Another node waits here, and then finds the segment of this one.
  await rowsOf(trx, "update clickhouse_lanes set segments = segments + 1 where lane = ?", [lane]);
  const open = await findOpen(trx, kinds);
  if (open) return open;
  for (const kind of kinds) {
    const found = await kind.look(trx);
    if (!found) continue;
    await kind.claim?.(trx, found.bounds);
    const segment = { id: newId(), kind: kind.name, ...found };
    await insertSegment(trx, segment);
    return segment;
  }
  return undefined;
}

async function findOpen(db: Db, kinds: readonly SegmentKind[]): Promise<Segment | undefined> {
  const [row] = await rowsOf<{ id: string; kind: string; bounds: string }>(
    db,
    `select id, kind, bounds from clickhouse_segments where refused_at is null and kind in (${placesFor(kinds)}) order by id limit 1`,
    kinds.map(({ name }) => name),
  );
  return row && { ...row, bounds: JSON.parse(row.bounds) as Bounds, isFull: true };
}

async function insertSegment(trx: Db, { id, kind, bounds }: Pick<Segment, "id" | "kind" | "bounds">): Promise<void> {
  await rowsOf(trx, "insert into clickhouse_segments (id, kind, bounds) values (?, ?, ?)", [id, kind, toJson(bounds)]);
}

const removeSegment = (trx: Db, { id }: Segment): Promise<unknown[]> =>
  rowsOf(trx, "delete from clickhouse_segments where id = ? returning id", [id]);

/** The segment is in ClickHouse. Gives the bytes of the outbox that this made free; 0 when another node has done it. */
export async function settleSegment(db: Db, segment: Segment, kind: SegmentKind): Promise<number> {
  return await inTransaction(db, async (trx) => {
    const removed = await removeSegment(trx, segment);
    return removed.length === 0 ? 0 : ((await kind.drop?.(trx, segment.bounds)) ?? 0);
  });
}

/**
 * The segment was refused: two halves of it are tried instead, and one that cannot be halved is set aside. Says whether it was.
 * Nothing of a refused INSERT is there.
 */
export async function splitSegment(
  db: Db,
  { segment, kind, error, now }: { readonly segment: Segment; readonly kind: SegmentKind; readonly error: string; readonly now: number },
): Promise<boolean> {
  const halves = (kind.halve ?? halve)(segment.bounds);
  return await inTransaction(db, async (trx) => {
    if (halves.length > 1) {
      const removed = await removeSegment(trx, segment);
      if (removed.length > 0) for (const bounds of halves) await insertSegment(trx, { id: newId(), kind: segment.kind, bounds });
      return false;
    }
    await rowsOf(trx, "update clickhouse_segments set refused_at = ?, error = ? where id = ?", [now, error, segment.id]);
    await kind.setAside?.(trx, segment.bounds);
    return true;
  });
}

export function halve(bounds: Bounds): readonly Bounds[] {
  const middle = Math.ceil(bounds.length / 2);
  return bounds.length < 2 ? [bounds] : [bounds.slice(0, middle), bounds.slice(middle)];
}

/** What was refused is tried once more: by another release, or after the table was mended, it may be taken. */
export async function reopenRefused(db: Db): Promise<void> {
  await rowsOf(db, "update clickhouse_segments set refused_at = null, error = null where refused_at is not null");
}

export async function countRefused(db: Db): Promise<number> {
  const [row] = await rowsOf<{ n: number }>(db, "select count(*) as n from clickhouse_segments where refused_at is not null");
  return row?.n ?? 0;
}
