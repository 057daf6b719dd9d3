import type { MessageIdentity } from "../core/message-identity.ts";
import type { Db } from "./open.ts";
import { isoOf, rowSource, rowsOf, toJson } from "./sql.ts";
import { inOrder } from "./transaction.ts";

/** A message with an effect, and the id of what it made, if that is to be found again. */
export interface Received {
  readonly identity: MessageIdentity;
  readonly effectId?: string | undefined;
}

/** So many of the last messages of a client are remembered: more than it may have unacknowledged by default. */
const SLOTS = 256;
const LIVES_MS = 24 * 3_600_000;
/** Nothing lies in it. */
const NO_TIME = { from: 1, until: 0 };
const COLUMNS = { client_id: "text", slot: "int", packet_id: "int", digest: "text", effect_id: "text", received_at: "time" } as const;
const NAMES = Object.keys(COLUMNS).join(", ");
const REPLACE = ["packet_id", "digest", "effect_id", "received_at"].map((name) => `${name} = excluded.${name}`).join(", ");

/**
 * Notes the messages, given in the order of their arrival, inside the transaction that has their effects. Gives back those
 * that had their effect before, in the database or among those given: they must have none now.
 */
export async function noteReceived(trx: Db, received: readonly Received[], now: number): Promise<Set<Received>> {
  const latest = new Map<string, Received>();
  const unsure = new Map<string, Received>();
  const known = new Set<Received>();
  for (const one of received) {
    const key = keyOf(one.identity);
    const before = latest.get(key);
    if (before && one.identity.isRepeated && isSame(before.identity, one.identity)) {
      known.add(one);
      continue;
    }
    if (!before && one.identity.isRepeated) unsure.set(key, one);
    latest.set(key, one);
  }
  for (const { identity } of unsure.values()) await forgetAnswered(trx, identity);
  for (const one of await knownOf(trx, unsure, now)) known.add(one);
  const rest = [...latest].filter(([key, one]) => unsure.get(key) !== one);
  const note = { sql: `${insertInto(trx)} do update set ${REPLACE}`, bindings: [toJson(rowsIn(rest, now))] };
  if (rest.length > 0) await inOrder(trx, [note]);
  return known;
}

/** An answered message says nothing about one that has its packet id now. */
async function forgetAnswered(trx: Db, { clientId, packetId, answered }: MessageIdentity): Promise<void> {
  if (!answered) return;
  await trx("received_messages")
    .where({ client_id: clientId, slot: packetId % SLOTS })
    .whereBetween("received_at", [isoOf(answered.from), isoOf(answered.until)])
    .del();
}

/** Notes those that the database does not have, in one step with asking for them; gives the others. */
async function knownOf(trx: Db, unsure: ReadonlyMap<string, Received>, now: number): Promise<Received[]> {
  if (unsure.size === 0) return [];
  const noted = await rowsOf<{ client_id: string; slot: number }>(
    trx,
    `${insertInto(trx)} do update set ${REPLACE}
     where received_messages.packet_id <> excluded.packet_id or received_messages.digest <> excluded.digest or received_messages.received_at <= ?
     returning client_id, slot`,
    [toJson(rowsIn([...unsure], now)), isoOf(now - LIVES_MS)],
  );
  const isNew = new Set(noted.map(({ client_id, slot }) => `${client_id}\0${slot}`));
  return [...unsure].filter(([key]) => !isNew.has(key)).map(([, one]) => one);
}

/** What the message made when it came first; undefined when it is not known to have come, or made nothing to be found. */
export async function findEffect(db: Db, identity: MessageIdentity, now: number): Promise<string | undefined> {
  const { clientId, packetId, digest, answered = NO_TIME } = identity;
  const [row] = await rowsOf<{ effect_id: string | null }>(
    db,
    `select effect_id from received_messages where client_id = ? and slot = ? and packet_id = ? and digest = ? and received_at > ?
     and not received_at between ? and ?`,
    [clientId, packetId % SLOTS, packetId, digest, isoOf(now - LIVES_MS), isoOf(answered.from), isoOf(answered.until)],
  );
  return row?.effect_id ?? undefined;
}

/** The client is gone for good. */
export async function forgetReceived(db: Db, clientId: string): Promise<void> {
  await db("received_messages").where({ client_id: clientId }).del();
}

/** Removes what is older than 24 h: no client sends it again. Answers how many. */
export async function purgeReceived(db: Db, now: number): Promise<number> {
  return await db("received_messages")
    .where("received_at", "<=", isoOf(now - LIVES_MS))
    .del();
}

const insertInto = (trx: Db): string =>
  `insert into received_messages (${NAMES}) select ${NAMES} from ${rowSource(trx, COLUMNS)} where true on conflict (client_id, slot)`;

/** In one order everywhere, or two writers could lock each other out. */
function rowsIn(entries: readonly (readonly [string, Received])[], now: number): object[] {
  return entries
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([, { identity, effectId }]) => ({
      client_id: identity.clientId,
      slot: identity.packetId % SLOTS,
      packet_id: identity.packetId,
      digest: identity.digest,
      effect_id: effectId ?? null,
      received_at: isoOf(now),
    }));
}

const keyOf = ({ clientId, packetId }: MessageIdentity): string => `${clientId}\0${packetId % SLOTS}`;

const isSame = (a: MessageIdentity, b: MessageIdentity): boolean => a.packetId === b.packetId && a.digest === b.digest;
