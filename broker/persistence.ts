import { Readable } from "node:stream";
import { deserialize, serialize } from "node:v8";
import type { AedesPublishPacket, Subscription } from "aedes";
import aedesPacket from "aedes-packet";
import qlobber from "qlobber";
import QlobberSub from "qlobber/aedes/qlobber-sub.js";
import type { BrokerStateChange, BrokerStateKind } from "../store/broker-state.ts";

/** A queued message, or the PUBREL that took its place. */
export type QueuedPacket = AedesPublishPacket & { brokerId?: string; brokerCounter?: number; messageId?: number | undefined };
type ClientRef = { readonly id: string };
type StoredSubscription = Pick<Subscription, "topic" | "qos"> & {
  rh?: number;
  rap?: boolean;
  nl?: boolean;
  subscriptionIdentifier?: number;
};
type SubscriptionMatch = StoredSubscription & { clientId: string };
type Will = AedesPublishPacket & { brokerId?: string; clientId?: string };

interface Entry {
  readonly key: string;
  readonly identity: string;
  packet: QueuedPacket;
}
interface Queue {
  readonly entries: Map<string, Entry>;
  readonly byMessageId: Map<number, Entry>;
}

export interface PersistenceOptions {
  /** The rows of an earlier run, ordered by kind, client and key. */
  readonly load: () => AsyncIterable<{ kind: string; clientId: string; key: string; value: Buffer }>;
  readonly save: (changes: BrokerStateChange[]) => Promise<void>;
  /** False for retained topics that are a view of the hub's tables: those are rebuilt at start and never stored. */
  readonly storesRetained: (topic: string) => boolean;
  /** False for wills that say nothing after a crash of the hub itself. */
  readonly storesWill: (topic: string) => boolean;
  /** Whether this session may have such a filter; asked before it is stored. */
  readonly allowsFilter: (client: ClientRef, filter: string) => boolean;
  /** Whether the stored session may be sent the topic; asked before it is queued. */
  readonly allowsDelivery: (clientId: string, topic: string) => boolean;
  readonly onError: (error: unknown) => void;
  readonly onDrop: () => void;
}

/** What one offline session may hold; the newest messages are dropped beyond it. */
const MAX_QUEUED = 1_000;
/** How long after a failed write the rows are tried again. */
const RETRY_MS = 1_000;
/** Its declarations describe a function; it is a constructor. */
const Packet = aedesPacket as unknown as new (original: QueuedPacket) => QueuedPacket;
const QLOBBER = { wildcard_one: "+", wildcard_some: "#", separator: "/", match_empty_levels: true };

/**
 * Sessions, retained messages and wills for Aedes: read from memory, written behind to the hub's database in groups.
 * A row that comes and goes between two commits is never written. What a client has been promised (a subscription, a
 * QoS 2 packet id, the owner of a session) is awaited; what follows from committed rows is not.
 */
export class StoredPersistence {
  readonly #options: PersistenceOptions;
  readonly #retained = new Map<string, AedesPublishPacket>();
  readonly #subscriptions = new Map<string, Map<string, StoredSubscription>>();
  readonly #trie = new QlobberSub(QLOBBER);
  readonly #outgoing = new Map<string, Queue>();
  readonly #incoming = new Map<string, Map<number, QueuedPacket>>();
  readonly #wills = new Map<string, Will>();
  readonly #owners = new Map<string, unknown>();
  /** Subscription lists that are stored already: Aedes hands over the whole list once for each of its filters. */
  readonly #stored = new WeakMap<object, { clientId: string; done: Promise<void> }>();
  #broker: { id: string } | undefined;
  #dirty = new Map<string, BrokerStateChange>();
  /** Rows that exist in the database, or are on their way: only those need a delete. */
  readonly #written = new Set<string>();
  #flushing: Promise<void> | undefined;
  #sequence = Date.now() * 1_000;
  #destroyed = false;

  constructor(options: PersistenceOptions) {
    this.#options = options;
  }

  get broker(): { id: string } | undefined {
    return this.#broker;
  }

  async setup(broker: { id: string }): Promise<void> {
    this.#broker = broker;
    for await (const row of this.#options.load()) this.#restore(row);
  }

  /** Who a stored session belongs to, as it was given to {@link claimSession}. */
  ownerOf(clientId: string): unknown {
    return this.#owners.get(clientId);
  }

  /** Binds the client id to an owner before anything is stored under it. */
  claimSession(clientId: string, owner: unknown): Promise<void> {
    this.#owners.set(clientId, owner);
    return this.#put("owner", clientId, "", owner);
  }

  /** Forgets everything of one client id. */
  async forgetSession(clientId: string): Promise<void> {
    await this.cleanSubscriptions({ id: clientId });
    this.#dropQueue(clientId);
    for (const messageId of this.#incoming.get(clientId)?.keys() ?? []) this.#delete("incoming", clientId, String(messageId));
    this.#incoming.delete(clientId);
    this.#owners.delete(clientId);
    this.#delete("owner", clientId, "");
    await this.flushed();
  }

  /** The topics with a retained message that begin with `prefix`. */
  retainedBelow(prefix: string): string[] {
    return [...this.#retained.keys()].filter((topic) => topic.startsWith(prefix));
  }

  async storeRetained(packet: AedesPublishPacket): Promise<void> {
    const { topic } = packet;
    if (packet.payload.length === 0) {
      this.#retained.delete(topic);
      this.#delete("retained", "", topic);
      return;
    }
    const copy = { ...packet };
    this.#retained.set(topic, copy);
    if (this.#options.storesRetained(topic)) await this.#put("retained", "", topic, plain(copy));
  }

  createRetainedStreamCombi(patterns: readonly string[]): Readable {
    return Readable.from(this.#retainedMatching(patterns));
  }

  createRetainedStream(pattern: string): Readable {
    return Readable.from(this.#retainedMatching([pattern]));
  }

  async addSubscriptions(client: ClientRef, subscriptions: readonly StoredSubscription[]): Promise<void> {
    let stored = this.#stored.get(subscriptions);
    if (stored?.clientId !== client.id) {
      stored = {
        clientId: client.id,
        done: this.#addSubscriptions(
          client.id,
          subscriptions.filter(({ topic }) => this.#options.allowsFilter(client, topic)),
        ),
      };
      this.#stored.set(subscriptions, stored);
    }
    await stored.done;
  }

  async removeSubscriptions(client: ClientRef, topics: readonly string[]): Promise<void> {
    const mine = this.#subscriptions.get(client.id);
    for (const topic of topics) {
      const old = mine?.get(topic);
      if (!old) continue;
      if (old.qos > 0) this.#trie.remove(topic, { clientId: client.id, topic });
      mine?.delete(topic);
      this.#delete("subscription", client.id, topic);
    }
    if (mine?.size === 0) this.#subscriptions.delete(client.id);
    await this.flushed();
  }

  async subscriptionsByClient(client: ClientRef): Promise<StoredSubscription[]> {
    return [...(this.#subscriptions.get(client.id)?.values() ?? [])].map((subscription) => ({ ...subscription }));
  }

  async countOffline(): Promise<{ subsCount: number; clientsCount: number }> {
    return { subsCount: this.#trie.subscriptionsCount, clientsCount: this.#subscriptions.size };
  }

  async subscriptionsByTopic(topic: string): Promise<SubscriptionMatch[]> {
    const matches: SubscriptionMatch[] = this.#trie.match(topic);
    return matches.length === 0 ? matches : matches.filter(({ clientId }) => this.#options.allowsDelivery(clientId, topic));
  }

  async cleanSubscriptions(client: ClientRef): Promise<void> {
    const mine = this.#subscriptions.get(client.id);
    if (mine) await this.removeSubscriptions(client, [...mine.keys()]);
  }

  async outgoingEnqueue(subscription: { clientId: string }, packet: QueuedPacket): Promise<void> {
    this.#enqueue(subscription.clientId, packet);
  }

  async outgoingEnqueueCombi(subscriptions: readonly { clientId: string }[], packet: QueuedPacket): Promise<void> {
    for (const { clientId } of subscriptions) this.#enqueue(clientId, packet);
  }

  async outgoingUpdate(client: ClientRef, packet: QueuedPacket): Promise<void> {
    const queue = this.#outgoing.get(client.id);
    const known = packet.brokerId ? queue?.entries.get(identityOf(packet)) : undefined;
    const entry = known ?? (packet.messageId === undefined ? undefined : queue?.byMessageId.get(packet.messageId));
    if (!queue || !entry) throw new Error("no such packet");
    if (known) known.packet.messageId = packet.messageId;
    else entry.packet = packet;
    if (packet.messageId !== undefined) queue.byMessageId.set(packet.messageId, entry);
    this.#putQueued(client.id, entry);
  }

  async outgoingClearMessageId(client: ClientRef, packet: QueuedPacket): Promise<QueuedPacket | undefined> {
    const queue = this.#outgoing.get(client.id);
    if (!queue) return undefined;
    // Without a message id it was never sent: its identity names it, and nothing else may be taken in its place.
    const entry = packet.messageId === undefined ? queue.entries.get(identityOf(packet)) : queue.byMessageId.get(packet.messageId);
    if (!entry) return undefined;
    this.#dropEntry(client.id, queue, entry);
    return entry.packet;
  }

  outgoingStream(client: ClientRef): Readable {
    return Readable.from([...(this.#outgoing.get(client.id)?.entries.values() ?? [])].map(({ packet }) => packet));
  }

  async incomingStorePacket(client: ClientRef, packet: QueuedPacket): Promise<void> {
    const messageId = packet.messageId as number;
    const copy: QueuedPacket = Object.assign(new Packet(packet), { messageId });
    mapOf(this.#incoming, client.id).set(messageId, copy);
    await this.#put("incoming", client.id, String(messageId), plain(copy));
  }

  async incomingGetPacket(client: ClientRef, packet: QueuedPacket): Promise<QueuedPacket> {
    const found = this.#incoming.get(client.id)?.get(packet.messageId as number);
    if (!found) throw new Error("no such packet");
    return found;
  }

  async incomingDelPacket(client: ClientRef, packet: QueuedPacket): Promise<void> {
    const messageId = packet.messageId as number;
    if (!this.#incoming.get(client.id)?.delete(messageId)) throw new Error("no such packet");
    this.#delete("incoming", client.id, String(messageId));
  }

  async putWill(client: ClientRef, will: Will): Promise<void> {
    will.brokerId = this.#broker?.id as string;
    will.clientId = client.id;
    this.#wills.set(client.id, will);
    if (this.#options.storesWill(will.topic)) await this.#put("will", client.id, "", plain(will));
  }

  async getWill(client: ClientRef): Promise<Will | undefined> {
    return this.#wills.get(client.id);
  }

  async delWill(client: ClientRef): Promise<Will | undefined> {
    const will = this.#wills.get(client.id);
    this.#wills.delete(client.id);
    this.#delete("will", client.id, "");
    return will;
  }

  streamWill(brokers: Readonly<Record<string, unknown>> = {}): Readable {
    return Readable.from([...this.#wills.values()].filter(({ brokerId }) => brokerId !== undefined && brokers[brokerId] === undefined));
  }

  getClientList(topic: string): Readable {
    return Readable.from([...this.#subscriptions].filter(([, mine]) => mine.has(topic)).map(([clientId]) => clientId));
  }

  /** Resolves when everything that was changed up to now is committed. */
  async flushed(): Promise<void> {
    if (this.#dirty.size > 0 || this.#flushing) await this.#flush();
  }

  async destroy(): Promise<void> {
    if (this.#destroyed) throw new Error("destroyed called twice");
    this.#destroyed = true;
    await this.flushed();
  }

  async #addSubscriptions(clientId: string, subscriptions: readonly StoredSubscription[]): Promise<void> {
    const mine = mapOf(this.#subscriptions, clientId);
    for (const { topic, qos, rh, rap, nl, subscriptionIdentifier } of subscriptions) {
      const old = mine.get(topic);
      if (qos > 0) this.#trie.add(topic, { clientId, topic, qos, rh, rap, nl });
      else if (old && old.qos > 0) this.#trie.remove(topic, { clientId, topic });
      const record = {
        topic,
        qos,
        rh,
        rap,
        nl,
        ...(subscriptionIdentifier === undefined ? {} : { subscriptionIdentifier }),
      } as StoredSubscription;
      mine.set(topic, record);
      this.#mark("subscription", clientId, topic, serialize(record));
    }
    if (mine.size === 0) this.#subscriptions.delete(clientId);
    await this.flushed();
  }

  *#retainedMatching(patterns: readonly string[]): Iterable<AedesPublishPacket> {
    for (const pattern of patterns) {
      if (!pattern.includes("+") && !pattern.includes("#")) {
        const packet = this.#retained.get(pattern);
        if (packet) yield packet;
        continue;
      }
      const matcher = new qlobber.QlobberTrue(QLOBBER);
      matcher.add(pattern);
      for (const [topic, packet] of this.#retained) if (matcher.test(topic)) yield packet;
    }
  }

  #enqueue(clientId: string, packet: QueuedPacket): void {
    let queue = this.#outgoing.get(clientId);
    if (!queue) this.#outgoing.set(clientId, (queue = { entries: new Map(), byMessageId: new Map() }));
    if (queue.entries.size >= MAX_QUEUED) return this.#options.onDrop();
    const copy: QueuedPacket = new Packet(packet);
    const entry = { key: String(++this.#sequence), identity: identityOf(copy), packet: copy };
    queue.entries.set(entry.identity, entry);
    this.#putQueued(clientId, entry);
  }

  #putQueued(clientId: string, entry: Entry): void {
    this.#mark("outgoing", clientId, entry.key, serialize({ ...plain(entry.packet), identity: entry.identity }));
    this.#soon();
  }

  #dropEntry(clientId: string, queue: Queue, entry: Entry): void {
    queue.entries.delete(entry.identity);
    const { messageId } = entry.packet;
    if (messageId !== undefined && queue.byMessageId.get(messageId) === entry) queue.byMessageId.delete(messageId);
    if (queue.entries.size === 0) this.#outgoing.delete(clientId);
    this.#delete("outgoing", clientId, entry.key);
  }

  #dropQueue(clientId: string): void {
    for (const { key } of this.#outgoing.get(clientId)?.entries.values() ?? []) this.#delete("outgoing", clientId, key);
    this.#outgoing.delete(clientId);
  }

  async #put(kind: BrokerStateKind, clientId: string, key: string, value: unknown): Promise<void> {
    this.#mark(kind, clientId, key, serialize(value));
    await this.flushed();
  }

  #delete(kind: BrokerStateKind, clientId: string, key: string): void {
    const row = rowKey(kind, clientId, key);
    if (this.#written.has(row)) this.#mark(kind, clientId, key, null);
    else this.#dirty.delete(row);
    this.#soon();
  }

  #mark(kind: BrokerStateKind, clientId: string, key: string, value: Buffer | null): void {
    this.#dirty.set(rowKey(kind, clientId, key), { kind, clientId, key, value });
  }

  #soon(): void {
    if (this.#dirty.size === 0 || this.#flushing) return;
    // Whoever awaits a row sees the error; for the others it was reported, and the rows are tried again.
    this.#flush().catch(() => setTimeout(() => this.#soon(), RETRY_MS).unref());
  }

  /** One commit after the other; whoever calls while one runs waits for the next, which has his rows. */
  async #flush(): Promise<void> {
    const running = this.#flushing;
    if (running) {
      await running;
      return this.#dirty.size > 0 ? this.#flush() : undefined;
    }
    this.#flushing = this.#write().finally(() => {
      this.#flushing = undefined;
    });
    await this.#flushing;
    this.#soon();
  }

  async #write(): Promise<void> {
    // The rest of this turn still belongs to the group.
    await new Promise<void>((resolve) => setImmediate(resolve));
    const group = this.#dirty;
    this.#dirty = new Map();
    if (group.size === 0) return;
    try {
      await this.#options.save([...group.values()]);
      for (const [row, { value }] of group) value === null ? this.#written.delete(row) : this.#written.add(row);
    } catch (error) {
      // Nothing is lost: what was not overwritten meanwhile is tried again.
      for (const [row, change] of group) if (!this.#dirty.has(row)) this.#dirty.set(row, change);
      this.#options.onError(error);
      throw error;
    }
  }

  #restore({ kind, clientId, key, value }: { kind: string; clientId: string; key: string; value: Buffer }): void {
    this.#written.add(rowKey(kind as BrokerStateKind, clientId, key));
    const data = revive(deserialize(value));
    switch (kind) {
      case "retained":
        this.#retained.set(key, data as unknown as AedesPublishPacket);
        break;
      case "subscription": {
        const record = data as unknown as StoredSubscription;
        mapOf(this.#subscriptions, clientId).set(key, record);
        if (record.qos > 0) this.#trie.add(key, { ...record, clientId });
        break;
      }
      case "outgoing": {
        const { identity, ...packet } = data as unknown as QueuedPacket & { identity: string };
        let queue = this.#outgoing.get(clientId);
        if (!queue) this.#outgoing.set(clientId, (queue = { entries: new Map(), byMessageId: new Map() }));
        const entry: Entry = { key, identity, packet: packet as QueuedPacket };
        queue.entries.set(identity, entry);
        if (packet.messageId !== undefined) queue.byMessageId.set(packet.messageId, entry);
        this.#sequence = Math.max(this.#sequence, Number(key));
        break;
      }
      case "incoming":
        mapOf(this.#incoming, clientId).set(Number(key), data as unknown as QueuedPacket);
        break;
      case "will":
        this.#wills.set(clientId, data as unknown as Will);
        break;
      case "owner":
        this.#owners.set(clientId, data);
        break;
    }
  }
}

const rowKey = (kind: BrokerStateKind, clientId: string, key: string): string => `${kind}\0${clientId}\0${key}`;
const identityOf = (packet: QueuedPacket): string => `${packet.brokerId}:${packet.brokerCounter}`;

function mapOf<K, V>(maps: Map<string, Map<K, V>>, id: string): Map<K, V> {
  let map = maps.get(id);
  if (!map) maps.set(id, (map = new Map()));
  return map;
}

/** Own properties only: the packet's class is Aedes' business, and a stored packet must outlive it. */
function plain(packet: object): Record<string, unknown> {
  return { ...packet };
}

/** v8 gives typed arrays back where Buffers went in. */
function revive(data: unknown): Record<string, unknown> {
  const out = { ...(data as Record<string, unknown>) };
  if (out["payload"] instanceof Uint8Array) out["payload"] = asBuffer(out["payload"]);
  const properties = out["properties"];
  if (typeof properties === "object" && properties !== null) {
    out["properties"] = Object.fromEntries(
      Object.entries(properties).map(([name, value]) => [name, value instanceof Uint8Array ? asBuffer(value) : value]),
    );
  }
  return out;
}

const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
