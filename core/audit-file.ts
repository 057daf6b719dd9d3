import { createHash, type KeyObject } from "node:crypto";
import Type, { type Static } from "typebox";
import { firstSeqOf, rowHash, type SignedCheckpoint, signatureFault, statementHash } from "./audit-statement.ts";

const Text = Type.String();
const OrNull = Type.Union([Type.String(), Type.Null()]);

/** A line of an export, as far as it is verified. */
export const AuditLine = Type.Object(
  {
    id: Text,
    organization_id: OrNull,
    actor: Type.Object({ kind: Text, id: Text }),
    action: Text,
    resource_type: Text,
    resource_id: OrNull,
    details: Type.Record(Text, Type.Unknown()),
    request_id: OrNull,
    correlation_id: OrNull,
    before_hash: OrNull,
    after_hash: OrNull,
    created_at: Text,
    chain_seq: Type.Union([Type.Integer(), Type.Null()]),
    chain_hash: OrNull,
  },
  { title: "AuditLine" },
);
export type AuditLine = Static<typeof AuditLine>;

/** Rows, or a checkpoint, that are not what was signed. */
export interface FileFault {
  readonly organizationId: string | null;
  /** The rows among which it is. */
  readonly from: number;
  readonly to: number;
  readonly reason: string;
}

export interface FileChain {
  readonly organizationId: string | null;
  /** Rows that are right, and those behind the last checkpoint, of which nothing is signed. */
  readonly proven: number;
  readonly unproven: number;
  /** The last row that is proven; 0 when none is. */
  readonly lastSeq: number;
}

export interface FileReport {
  readonly chains: readonly FileChain[];
  /** The first hundred. */
  readonly faults: readonly FileFault[];
  readonly faultCount: number;
}

export interface AuditFileCheck {
  readonly add: (line: AuditLine) => void;
  readonly end: () => FileReport;
}

export interface FileEvidence {
  /** In any order; the same ones more than once do no harm. */
  readonly checkpoints: readonly SignedCheckpoint[];
  /** Those that whoever verifies trusts, by their ids. */
  readonly keys: ReadonlyMap<string, KeyObject>;
  /** The file is a time frame of the audit: rows before its first and behind its last one are not missed. */
  readonly isPart: boolean;
}

const HASH_BYTES = 32;
const MOST_FAULTS = 100;

/** The rows of one checkpoint. */
interface Segment {
  readonly from: number;
  readonly to: number;
  readonly digest: string;
  readonly hash: string;
  /** Hashes of its rows and which of them are there, until all are; undefined before the first one. */
  rows: { readonly hashes: Buffer; readonly seen: Uint8Array; count: number } | undefined;
  isDone: boolean;
}

interface Chain {
  readonly organizationId: string | null;
  readonly segments: readonly Segment[];
  first: number;
  last: number;
  proven: number;
  unproven: number;
  lastProven: number;
}

/**
 * Holds the lines of an export against signed checkpoints, in whatever order the lines come. What is kept is a hash for each row of
 * checkpoints that are not whole yet.
 */
export function createAuditFileCheck({ checkpoints, keys, isPart }: FileEvidence): AuditFileCheck {
  const faults: FileFault[] = [];
  let faultCount = 0;
  const note = (fault: FileFault): void => {
    faultCount++;
    if (faults.length < MOST_FAULTS) faults.push(fault);
  };
  const chains = new Map<string, Chain>();
  const chainOf = (organizationId: string | null): Chain => {
    let chain = chains.get(organizationId ?? "");
    if (!chain) chains.set(organizationId ?? "", (chain = emptyChain(organizationId, [])));
    return chain;
  };
  for (const [name, signed] of Map.groupBy(checkpoints, ({ statement }) => statement.organization_id ?? "")) {
    const organizationId = name === "" ? null : name;
    chains.set(name, emptyChain(organizationId, segmentsOf(signed, { keys, isPart, note })));
  }
  return {
    add(line) {
      if (line.chain_seq === null || line.chain_hash === null) {
        chainOf(line.organization_id).unproven++;
        return;
      }
      addRow(chainOf(line.organization_id), { line, seq: line.chain_seq, isPart, note });
    },
    end() {
      for (const chain of chains.values()) for (const segment of chain.segments) endSegment(chain, segment, { isPart, note });
      return {
        chains: [...chains.values()].map(({ organizationId, proven, unproven, lastProven }) => ({
          organizationId,
          proven,
          unproven,
          lastSeq: lastProven,
        })),
        faults,
        faultCount,
      };
    },
  };
}

interface Terms {
  readonly isPart: boolean;
  readonly note: (fault: FileFault) => void;
}

const emptyChain = (organizationId: string | null, segments: readonly Segment[]): Chain => ({
  organizationId,
  segments,
  first: Number.POSITIVE_INFINITY,
  last: 0,
  proven: 0,
  unproven: 0,
  lastProven: 0,
});

/** Of the checkpoints of one chain, up to the first that is not right. */
function segmentsOf(signed: readonly SignedCheckpoint[], { keys, isPart, note }: Terms & Pick<FileEvidence, "keys">): Segment[] {
  const segments: Segment[] = [];
  let before: SignedCheckpoint["statement"] | undefined;
  for (const one of signed.toSorted((a, b) => a.statement.number - b.statement.number)) {
    const { statement } = one;
    if (before && statementHash(before) === statementHash(statement)) continue;
    const reason = checkpointFault(one, before, { keys, isPart });
    if (reason !== undefined) {
      note({ organizationId: statement.organization_id, from: firstSeqOf(statement), to: statement.seq, reason });
      break;
    }
    segments.push({
      from: firstSeqOf(statement),
      to: statement.seq,
      digest: statement.digest,
      hash: statement.hash,
      rows: undefined,
      isDone: false,
    });
    before = statement;
  }
  return segments;
}

const CHECKPOINT_FAULTS = {
  unknown_key: "a checkpoint is signed with a key that is not among those given",
  bad_signature: "the signature of a checkpoint is wrong",
} as const;

function checkpointFault(
  one: SignedCheckpoint,
  before: SignedCheckpoint["statement"] | undefined,
  { keys, isPart }: Pick<FileEvidence, "keys" | "isPart">,
): string | undefined {
  const { statement } = one;
  const fault = signatureFault(one, keys);
  if (fault) return CHECKPOINT_FAULTS[fault];
  if (!before) return isPart || statement.number === 1 ? undefined : "the first checkpoints are not among those given";
  if (statement.number === before.number) return "two checkpoints of the same number tell different things: one of them was made later";
  if (statement.number !== before.number + 1) return "a checkpoint is not among those given";
  const isNext = statement.previous === statementHash(before) && firstSeqOf(statement) === before.seq + 1;
  return isNext ? undefined : "a checkpoint does not go on where the one before it ends";
}

function addRow(chain: Chain, { line, seq, isPart, note }: Terms & { readonly line: AuditLine; readonly seq: number }): void {
  chain.first = Math.min(chain.first, seq);
  chain.last = Math.max(chain.last, seq);
  const segment = segmentAt(chain.segments, seq);
  const about = { organizationId: chain.organizationId, from: seq, to: seq };
  if (!segment) {
    const isBehind = seq > (chain.segments.at(-1)?.to ?? 0);
    if (isBehind || isPart) chain.unproven++;
    else note({ ...about, reason: "the row was never sealed here" });
    return;
  }
  const rows = (segment.rows ??= emptyRows(segment));
  const place = seq - segment.from;
  if (segment.isDone || rows.seen[place] === 1) return note({ ...about, reason: "the row is there twice" });
  rows.seen[place] = 1;
  rows.count++;
  const { actor, ...rest } = line;
  rowHash(seq, { ...rest, actor_kind: actor.kind, actor_id: actor.id }).copy(rows.hashes, place * HASH_BYTES);
  if (seq === segment.to && line.chain_hash !== segment.hash) note({ ...about, reason: "its hash is not the one that was signed" });
  if (rows.count === rows.seen.length) closeSegment(chain, segment, { hashes: rows.hashes, note });
}

const emptyRows = ({ from, to }: Segment): NonNullable<Segment["rows"]> => ({
  hashes: Buffer.alloc((to - from + 1) * HASH_BYTES),
  seen: new Uint8Array(to - from + 1),
  count: 0,
});

function segmentAt(segments: readonly Segment[], seq: number): Segment | undefined {
  let [low, high] = [0, segments.length - 1];
  while (low <= high) {
    const middle = (low + high) >> 1;
    const segment = segments[middle] as Segment;
    if (seq < segment.from) high = middle - 1;
    else if (seq > segment.to) low = middle + 1;
    else return segment;
  }
  return undefined;
}

function closeSegment(chain: Chain, segment: Segment, { hashes, note }: Pick<Terms, "note"> & { readonly hashes: Buffer }): void {
  segment.isDone = true;
  segment.rows = { hashes: Buffer.alloc(0), seen: new Uint8Array(0), count: 0 };
  const { from, to } = segment;
  if (createHash("sha256").update(hashes).digest("base64url") === segment.digest) {
    chain.proven += to - from + 1;
    chain.lastProven = Math.max(chain.lastProven, to);
  } else note({ organizationId: chain.organizationId, from, to, reason: "one of these rows is not what was signed" });
}

/** What of the rows of a checkpoint has not come. */
function endSegment(chain: Chain, segment: Segment, { isPart, note }: Terms): void {
  if (segment.isDone) return;
  const { from, to, rows } = segment;
  // Of a part only those between its first and its last row have to be there.
  const [first, last] = isPart ? [Math.max(from, chain.first), Math.min(to, chain.last)] : [from, to];
  for (let seq = first; seq <= last; seq++) {
    if (rows?.seen[seq - from] === 1) continue;
    note({ organizationId: chain.organizationId, from: seq, to: last, reason: "rows are missing, from this one on" });
    return;
  }
  chain.unproven += rows?.count ?? 0;
}
