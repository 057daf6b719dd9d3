import type { AedesPublishPacket } from "aedes";
import aedesPacket from "aedes-packet";
import type { WriteBehind } from "./write-behind.ts";

/** A queued message, or the PUBREL that took its place. */
export type QueuedPacket = AedesPublishPacket & { brokerId?: string; brokerCounter?: number; messageId?: number | undefined };

interface Entry {
  readonly key: string;
  readonly identity: string;
  packet: QueuedPacket;
}
interface Queue {
  readonly entries: Map<string, Entry>;
  readonly byMessageId: Map<number, Entry>;
}

/** What one offline session may hold; the newest messages are dropped beyond it. */
const MAX_QUEUED = 1_000;
/** Its declarations describe a function; it is a constructor. */
const Packet = aedesPacket as unknown as new (original: QueuedPacket) => QueuedPacket;

/** A packet of its own, which later changes of the original leave alone. */
export const copyOf = (packet: QueuedPacket): QueuedPacket => new Packet(packet);

/** What each session has not acknowledged, in the order of its arrival. */
export class Queues {
  readonly #rows: WriteBehind;
  readonly #onDrop: () => void;
  readonly #queues = new Map<string, Queue>();
  #sequence = Date.now() * 1_000;

  constructor(rows: WriteBehind, onDrop: () => void) {
    this.#rows = rows;
    this.#onDrop = onDrop;
  }

  enqueue(clientId: string, packet: QueuedPacket): void {
    const queue = this.#queueOf(clientId);
    if (queue.entries.size >= MAX_QUEUED) return this.#onDrop();
    const copy = copyOf(packet);
    const entry = { key: String(++this.#sequence), identity: identityOf(copy), packet: copy };
    queue.entries.set(entry.identity, entry);
    this.#put(clientId, entry);
  }

  /** Gives a message its packet id, or puts the PUBREL in its place. Throws when there is none. */
  update(clientId: string, packet: QueuedPacket): void {
    const queue = this.#queues.get(clientId);
    const known = packet.brokerId ? queue?.entries.get(identityOf(packet)) : undefined;
    const entry = known ?? (packet.messageId === undefined ? undefined : queue?.byMessageId.get(packet.messageId));
    if (!queue || !entry) throw new Error("no such packet");
    if (known) known.packet.messageId = packet.messageId;
    else entry.packet = packet;
    if (packet.messageId !== undefined) queue.byMessageId.set(packet.messageId, entry);
    this.#put(clientId, entry);
  }

  /** Takes out the acknowledged message and returns it. */
  take(clientId: string, packet: QueuedPacket): QueuedPacket | undefined {
    const queue = this.#queues.get(clientId);
    if (!queue) return undefined;
    // Without a message id it was never sent: its identity names it, and nothing else may be taken in its place.
    const entry = packet.messageId === undefined ? queue.entries.get(identityOf(packet)) : queue.byMessageId.get(packet.messageId);
    if (!entry) return undefined;
    queue.entries.delete(entry.identity);
    const { messageId } = entry.packet;
    if (messageId !== undefined && queue.byMessageId.get(messageId) === entry) queue.byMessageId.delete(messageId);
    if (queue.entries.size === 0) this.#queues.delete(clientId);
    this.#rows.delete("outgoing", clientId, entry.key);
    return entry.packet;
  }

  list(clientId: string): QueuedPacket[] {
    return [...(this.#queues.get(clientId)?.entries.values() ?? [])].map(({ packet }) => packet);
  }

  drop(clientId: string): void {
    for (const { key } of this.#queues.get(clientId)?.entries.values() ?? []) this.#rows.delete("outgoing", clientId, key);
    this.#queues.delete(clientId);
  }

  restore(clientId: string, key: string, { identity, ...packet }: QueuedPacket & { identity: string }): void {
    const queue = this.#queueOf(clientId);
    const entry: Entry = { key, identity, packet };
    queue.entries.set(identity, entry);
    if (packet.messageId !== undefined) queue.byMessageId.set(packet.messageId, entry);
    this.#sequence = Math.max(this.#sequence, Number(key));
  }

  #put(clientId: string, { key, identity, packet }: Entry): void {
    this.#rows.put("outgoing", clientId, key, { ...packet, identity });
  }

  #queueOf(clientId: string): Queue {
    let queue = this.#queues.get(clientId);
    if (!queue) this.#queues.set(clientId, (queue = { entries: new Map(), byMessageId: new Map() }));
    return queue;
  }
}

const identityOf = (packet: QueuedPacket): string => `${packet.brokerId}:${packet.brokerCounter}`;
