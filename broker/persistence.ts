import { Readable } from "node:stream";
import type { AedesPublishPacket } from "aedes";
import type { Principal } from "../core/principal.ts";
import type { BrokerStateChange } from "../store/broker-state.ts";
import { copyOf, type QueuedPacket, Queues } from "./queues.ts";
import { Retained } from "./retained.ts";
import { type StoredSubscription, type SubscriptionMatch, Subscriptions } from "./subscriptions.ts";
import { WriteBehind } from "./write-behind.ts";

type ClientRef = { readonly id: string };
type Will = AedesPublishPacket & { brokerId?: string; clientId?: string };
type Row = { kind: string; clientId: string; key: string; value: Buffer };

export interface PersistenceOptions {
  /** The rows of an earlier run, ordered by kind, client and key. */
  readonly load: () => AsyncIterable<Row>;
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

/** QoS 2 messages that a client may leave half-way: each is kept, in memory and in a row. */
const MAX_UNRELEASED = 100;

/**
 * Sessions, retained messages and wills for Aedes: read from memory, written behind to the hub's database in groups.
 * What a client has been promised (a subscription, a QoS 2 packet id, the owner of a session) is awaited; what follows
 * from committed rows is not.
 */
export class StoredPersistence {
  readonly #options: PersistenceOptions;
  readonly #rows: WriteBehind;
  readonly #retained: Retained;
  readonly #subscriptions: Subscriptions;
  readonly #queues: Queues;
  readonly #incoming = new Map<string, Map<number, QueuedPacket>>();
  readonly #wills = new Map<string, Will>();
  readonly #owners = new Map<string, Principal>();
  /** Subscription lists that are stored already: Aedes hands over the whole list once for each of its filters. */
  readonly #stored = new WeakMap<object, { clientId: string; done: Promise<void> }>();
  #broker: { id: string } | undefined;
  #destroyed = false;

  constructor(options: PersistenceOptions) {
    this.#options = options;
    this.#rows = new WriteBehind(options);
    this.#retained = new Retained(this.#rows, options.storesRetained);
    this.#subscriptions = new Subscriptions(this.#rows);
    this.#queues = new Queues(this.#rows, options.onDrop);
  }

  get broker(): { id: string } | undefined {
    return this.#broker;
  }

  async setup(broker: { id: string }): Promise<void> {
    this.#broker = broker;
    for await (const row of this.#options.load()) this.#restore(row);
  }

  /** Who a stored session belongs to. */
  ownerOf(clientId: string): Principal | undefined {
    return this.#owners.get(clientId);
  }

  /** Binds the client id to an owner before anything is stored under it. */
  async claimSession(clientId: string, owner: Principal): Promise<void> {
    this.#owners.set(clientId, owner);
    this.#rows.put("owner", clientId, "", owner);
    await this.flushed();
  }

  /** Forgets everything of one client id. In one turn: whoever claims it next must not lose his session to this. */
  async forgetSession(clientId: string): Promise<void> {
    this.#endSession(clientId);
    this.#queues.drop(clientId);
    this.#owners.delete(clientId);
    this.#rows.delete("owner", clientId, "");
    await this.flushed();
  }

  /** The topics with a retained message that begin with `prefix`. */
  retainedBelow(prefix: string): string[] {
    return this.#retained.topicsBelow(prefix);
  }

  async storeRetained(packet: AedesPublishPacket): Promise<void> {
    if (this.#retained.set(packet)) await this.flushed();
  }

  createRetainedStreamCombi(patterns: readonly string[]): Readable {
    return Readable.from(this.#retained.matching(patterns));
  }

  createRetainedStream(pattern: string): Readable {
    return this.createRetainedStreamCombi([pattern]);
  }

  async addSubscriptions(client: ClientRef, subscriptions: readonly StoredSubscription[]): Promise<void> {
    let stored = this.#stored.get(subscriptions);
    if (stored?.clientId !== client.id) {
      const allowed = subscriptions.filter(({ topic }) => this.#options.allowsFilter(client, topic));
      this.#subscriptions.add(client.id, allowed);
      stored = { clientId: client.id, done: this.flushed() };
      this.#stored.set(subscriptions, stored);
    }
    await stored.done;
  }

  async removeSubscriptions(client: ClientRef, topics: readonly string[]): Promise<void> {
    this.#subscriptions.remove(client.id, topics);
    await this.flushed();
  }

  async subscriptionsByClient(client: ClientRef): Promise<StoredSubscription[]> {
    return this.#subscriptions.of(client.id);
  }

  async countOffline(): Promise<{ subsCount: number; clientsCount: number }> {
    return this.#subscriptions.counts;
  }

  async subscriptionsByTopic(topic: string): Promise<SubscriptionMatch[]> {
    const matches = this.#subscriptions.matching(topic);
    return matches.length === 0 ? matches : matches.filter(({ clientId }) => this.#options.allowsDelivery(clientId, topic));
  }

  /** A session ends, or a new one starts clean: half-finished QoS 2 messages end with it, or their packet ids would swallow new ones. */
  async cleanSubscriptions(client: ClientRef): Promise<void> {
    if (this.#endSession(client.id)) await this.flushed();
  }

  async outgoingEnqueue(subscription: { clientId: string }, packet: QueuedPacket): Promise<void> {
    this.#queues.enqueue(subscription.clientId, packet);
  }

  async outgoingEnqueueCombi(subscriptions: readonly { clientId: string }[], packet: QueuedPacket): Promise<void> {
    for (const { clientId } of subscriptions) this.#queues.enqueue(clientId, packet);
  }

  async outgoingUpdate(client: ClientRef, packet: QueuedPacket): Promise<void> {
    this.#queues.update(client.id, packet);
  }

  async outgoingClearMessageId(client: ClientRef, packet: QueuedPacket): Promise<QueuedPacket | undefined> {
    return this.#queues.take(client.id, packet);
  }

  outgoingStream(client: ClientRef): Readable {
    return Readable.from(this.#queues.list(client.id));
  }

  async incomingStorePacket(client: ClientRef, packet: QueuedPacket): Promise<void> {
    const messageId = packet.messageId as number;
    const unreleased = this.#incomingOf(client.id);
    // Aedes ends the connection of whoever goes beyond; clients keep to some twenty by themselves.
    if (unreleased.size >= MAX_UNRELEASED && !unreleased.has(messageId)) throw new Error("too many QoS 2 messages without a PUBREL");
    const copy = Object.assign(copyOf(packet), { messageId });
    unreleased.set(messageId, copy);
    this.#rows.put("incoming", client.id, String(messageId), copy);
    await this.flushed();
  }

  async incomingGetPacket(client: ClientRef, packet: QueuedPacket): Promise<QueuedPacket> {
    const found = this.#incoming.get(client.id)?.get(packet.messageId as number);
    if (!found) throw new Error("no such packet");
    return found;
  }

  async incomingDelPacket(client: ClientRef, packet: QueuedPacket): Promise<void> {
    const messageId = packet.messageId as number;
    const mine = this.#incoming.get(client.id);
    if (!mine?.delete(messageId)) throw new Error("no such packet");
    if (mine.size === 0) this.#incoming.delete(client.id);
    this.#rows.delete("incoming", client.id, String(messageId));
  }

  async putWill(client: ClientRef, will: Will): Promise<void> {
    will.brokerId = this.#broker?.id as string;
    will.clientId = client.id;
    this.#wills.set(client.id, will);
    if (!this.#options.storesWill(will.topic)) return;
    this.#rows.put("will", client.id, "", will);
    await this.flushed();
  }

  async getWill(client: ClientRef): Promise<Will | undefined> {
    return this.#wills.get(client.id);
  }

  async delWill(client: ClientRef): Promise<Will | undefined> {
    const will = this.#wills.get(client.id);
    this.#wills.delete(client.id);
    this.#rows.delete("will", client.id, "");
    return will;
  }

  streamWill(brokers: Readonly<Record<string, unknown>> = {}): Readable {
    return Readable.from([...this.#wills.values()].filter(({ brokerId }) => brokerId !== undefined && brokers[brokerId] === undefined));
  }

  getClientList(topic: string): Readable {
    return Readable.from(this.#subscriptions.clientsOf(topic));
  }

  /** Resolves when everything that was changed up to now is committed. */
  async flushed(): Promise<void> {
    await this.#rows.flushed();
  }

  async destroy(): Promise<void> {
    if (this.#destroyed) throw new Error("destroyed called twice");
    this.#destroyed = true;
    await this.flushed();
  }

  /** Returns whether there was anything. */
  #endSession(clientId: string): boolean {
    const incoming = this.#incoming.get(clientId);
    const hasAny = incoming !== undefined || this.#subscriptions.of(clientId).length > 0;
    this.#subscriptions.clean(clientId);
    for (const messageId of incoming?.keys() ?? []) this.#rows.delete("incoming", clientId, String(messageId));
    this.#incoming.delete(clientId);
    return hasAny;
  }

  #incomingOf(clientId: string): Map<number, QueuedPacket> {
    let mine = this.#incoming.get(clientId);
    if (!mine) this.#incoming.set(clientId, (mine = new Map()));
    return mine;
  }

  /** What was serialised is what comes back: the rows are the hub's own. */
  #restore(row: Row): void {
    const { kind, clientId, key } = row;
    const value: unknown = this.#rows.restore(row);
    if (kind === "retained") this.#retained.restore(key, value as AedesPublishPacket);
    else if (kind === "subscription") this.#subscriptions.restore(clientId, value as StoredSubscription);
    else if (kind === "outgoing") this.#queues.restore(clientId, key, value as QueuedPacket & { identity: string });
    else if (kind === "incoming") this.#incomingOf(clientId).set(Number(key), value as QueuedPacket);
    else if (kind === "will") this.#wills.set(clientId, value as Will);
    else if (kind === "owner") this.#owners.set(clientId, value as Principal);
  }
}
