import { setImmediate as turn, setTimeout as pause } from "node:timers/promises";
import type { Log } from "../core/bus.ts";
import type { RedisReply } from "./cluster-connection.ts";
import { type Frame, type Letter, parseFrame } from "./cluster-frame.ts";
import { inboxKey } from "./cluster-keys.ts";
import type { RedisLink } from "./cluster-redis.ts";
import { arrive, FIRST_SEQ } from "./cluster-sequence.ts";

export interface InboxOptions {
  readonly nodeId: string;
  /** Of its own: a read blocks the connection for a second. */
  readonly reading: RedisLink;
  /** For everything else. */
  readonly link: RedisLink;
  readonly log: Log;
  /** False while this node may have been declared dead: its inbox then may belong to somebody else. */
  readonly mayRead: () => boolean;
  /** New messages only, in the order in which the sender sent them. What it promises never rejects, and is awaited before they are trimmed. */
  readonly onLetters: (sender: string, letters: readonly Letter[]) => Promise<unknown> | undefined;
  readonly onGap: (sender: string, missing: number) => void;
  /** To be confirmed to the sender. */
  readonly onReceived: (sender: string, seq: number) => void;
}

const BLOCK_MS = 1_000;
/** What was read and is not dealt with: beyond that nothing more is read, so that the rest waits at the senders. */
const MAX_OPEN_BYTES = 512 * 1024;
const READ_ENTRIES = 16;
const RETRY_MS = 50;
/** How long the end waits for what was read. */
const LAST_MS = 2_000;
/** After so long the event loop belongs to others for a turn. */
const SLICE_MS = 5;
/** How much of one sender is read between two confirmations. */
const CONFIRM_BYTES = 1024 * 1024;
/** Senders that are remembered; the live ones are far fewer. */
const MAX_SENDERS = 1_024;

/** Reads this node's inbox until it is disposed of: each message at least once, in the sender's order, repeats left out. */
export function startInbox(options: InboxOptions): AsyncDisposable {
  const closing = new AbortController();
  const running = readOn(options, closing.signal);
  return {
    async [Symbol.asyncDispose]() {
      closing.abort();
      await running;
    },
  };
}

async function readOn(options: InboxOptions, signal: AbortSignal): Promise<void> {
  const { reading, log, mayRead } = options;
  const key = inboxKey(options.nodeId);
  const received = receiver(options);
  let last = "0-0";
  /** Everything that was read: what comes next does not wait for it, since it may be what it waits for. */
  let handled: Promise<unknown> = Promise.resolve();
  let openBytes = 0;
  while (!signal.aborted) {
    if (!reading.isUp || !mayRead()) {
      // From the start again: after an outage the numbers of the entries may be smaller than before.
      last = "0-0";
      await pause(RETRY_MS, undefined, { signal, ref: false }).catch(() => {});
      continue;
    }
    try {
      const args = ["COUNT", `${READ_ENTRIES}`, "BLOCK", `${BLOCK_MS}`, "STREAMS", key, last];
      const entries = parseEntries(await unlessAborted(reading.command(key, "XREAD", ...args), signal));
      // The process may have stood still since it asked.
      if (entries.length === 0 || !mayRead() || signal.aborted) continue;
      const read = await take(entries, received);
      last = read.last;
      const bytes = entries.reduce((sum, entry) => sum + entry.bytes, 0);
      openBytes += bytes;
      handled = Promise.all([handled, ...read.work]).then(() => {
        openBytes -= bytes;
        trim(options, key, read.last);
      });
      if (openBytes >= MAX_OPEN_BYTES) await handled;
    } catch (error) {
      if (signal.aborted) break;
      if (reading.isUp) log.warn({ err: error }, "the inbox cannot be read");
      await pause(RETRY_MS, undefined, { signal, ref: false }).catch(() => {});
      last = "0-0";
    }
  }
  // What takes longer stays in the inbox, for whoever reads it then.
  await Promise.race([handled, pause(LAST_MS, undefined, { ref: false })]);
}

/** A read that blocks is not waited for at the end: what it brings is left to whoever reads the inbox then. */
function unlessAborted(reading: Promise<RedisReply>, signal: AbortSignal): Promise<RedisReply> {
  return new Promise((resolve, reject) => {
    const end = () => resolve(null);
    signal.addEventListener("abort", end, { once: true });
    reading.then(resolve, reject).finally(() => signal.removeEventListener("abort", end));
  });
}

export interface Entry {
  readonly id: string;
  /** undefined for an entry that is no frame. */
  readonly frame: Frame | undefined;
  readonly bytes: number;
}

/** The answer to XREAD of one stream. */
function parseEntries(reply: RedisReply): Entry[] {
  const [stream] = Array.isArray(reply) ? reply : [];
  return Array.isArray(stream) ? parseRange(stream[1] ?? null) : [];
}

/** The answer to XRANGE: pairs of an id and its fields. */
export function parseRange(reply: RedisReply): Entry[] {
  if (!Array.isArray(reply)) return [];
  return reply.filter(Array.isArray).map(([id, fields]) => {
    const value = Array.isArray(fields) ? fields[1] : undefined;
    const bytes = Buffer.isBuffer(value) ? value : Buffer.alloc(0);
    return { id: String(id), frame: parseFrame(bytes), bytes: bytes.length };
  });
}

/** Gives out all messages; resolves to the id of the last entry, and what is to be waited for before they are gone from the inbox. */
async function take(
  entries: readonly Entry[],
  received: (entry: Entry) => Promise<unknown> | undefined,
): Promise<{ readonly last: string; readonly work: readonly Promise<unknown>[] }> {
  const work: Promise<unknown>[] = [];
  let sliceAt = performance.now();
  let last = "0-0";
  for (const entry of entries) {
    const promised = received(entry);
    if (promised) work.push(promised);
    last = entry.id;
    if (performance.now() - sliceAt < SLICE_MS) continue;
    await turn();
    sliceAt = performance.now();
  }
  return { last, work };
}

/** Keeps count of every sender's numbers. */
function receiver({ log, onLetters, onGap, onReceived }: InboxOptions): (entry: Entry) => Promise<unknown> | undefined {
  const senders = new Map<string, { next: number; unconfirmedBytes: number }>();
  return ({ id, frame, bytes }) => {
    if (!frame) {
      // The empty entry with which an inbox is made has no frame either.
      if (bytes > 0) log.warn({ entryId: id, bytes }, "an entry of the inbox is no frame");
      return undefined;
    }
    const { sender, firstSeq, letters } = frame;
    const known = senders.get(sender) ?? { next: FIRST_SEQ, unconfirmedBytes: 0 };
    senders.delete(sender);
    senders.set(sender, known);
    if (senders.size > MAX_SENDERS) senders.delete(senders.keys().next().value as string);
    const arrival = arrive(known.next, firstSeq, letters.length);
    known.next = arrival.next;
    known.unconfirmedBytes += bytes;
    // After a gap at once: the sender may wait for the confirmation of what is lost.
    if (known.unconfirmedBytes >= CONFIRM_BYTES || arrival.missing > 0) {
      known.unconfirmedBytes = 0;
      onReceived(sender, arrival.next - 1);
    }
    if (arrival.missing > 0) onGap(sender, arrival.missing);
    const fresh = arrival.repeated > 0 ? letters.slice(arrival.repeated) : letters;
    return fresh.length > 0 ? onLetters(sender, fresh) : undefined;
  };
}

/** Without waiting: what is not trimmed is read again after a restart of the reading, and left out as a repeat. */
function trim({ link, log }: InboxOptions, key: string, last: string): void {
  link.command(key, "XTRIM", key, "MINID", after(last)).catch((error: unknown) => {
    if (link.isUp) log.debug({ err: error }, "the inbox could not be trimmed");
  });
}

/** The smallest id above this one. */
export function after(entryId: string): string {
  const [ms = "0", number = "0"] = entryId.split("-");
  return `${ms}-${BigInt(number) + 1n}`;
}
