import type { Principal } from "../core/principal.ts";
import type { Counters, DropReason } from "./counters.ts";
import { type Delivery, DeliveryQueue } from "./delivery-queue.ts";
import type { Message } from "./message.ts";
import type { Output } from "./output.ts";

/** One filter of a session, as it was granted. */
export interface Subscription {
  readonly filter: string;
  readonly qos: 0 | 1 | 2;
  readonly noLocal: boolean;
  readonly retainAsPublished: boolean;
  readonly retainHandling: 0 | 1 | 2;
  readonly id: number | undefined;
}

/** The live connection of a session. */
export interface Link {
  readonly version: 3 | 4 | 5;
  readonly output: Output;
  /** What the client takes at most, in bytes. */
  readonly maxPacketBytes: number;
  /** QoS 1 and 2 messages that the client takes without an acknowledgement. */
  readonly window: number;
  /** How long the session outlives the connection. */
  readonly expiryMs: number;
  /** The client ended the connection itself, and its will with it. */
  readonly saidGoodbye: boolean;
  /** Ends the connection of a client that takes nothing any more. */
  overflow(): void;
  /** Ends the connection, since the session goes on elsewhere. */
  takenOver(): void;
}

/** How a message reaches one session: what all matching subscriptions of it come to. */
export interface Reach {
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
  readonly subscriptionIds: readonly number[] | undefined;
}

export interface SessionLimits {
  readonly mqttQueueMessages: number;
  readonly mqttQueueBytes: number;
  readonly mqttSlowDropBytes: number;
  readonly mqttSlowCloseBytes: number;
}

/** What a session needs of its surroundings. */
export interface SessionContext {
  readonly limits: SessionLimits;
  readonly counters: Counters;
  readonly clock: () => number;
  /** Whether the session may be sent the topic now. */
  allows(session: Session, topic: string): boolean;
  /** Rows of a durable session. */
  readonly rows: DeliveryRows;
}

export interface DeliveryRows {
  /** Sorts behind every one before, over restarts too. */
  nextKey(): string;
  put(clientId: string, delivery: Delivery): void;
  delete(clientId: string, delivery: Delivery): void;
}

/**
 * Messages that are to be sent one after the other as there is room, such as the retained ones of a new subscription;
 * undefined after a stretch of searching, when the others have their turn.
 */
export type Feed = Iterator<{ readonly message: Message; readonly reach: Reach } | undefined>;

/** Brings a message to where the session is now. `group`: it is for the session as a member of that. */
export type PassOn = (message: Message, group: string | undefined) => void;

/** Feeds of one filter that may wait: each SUBSCRIBE has its own [MQTT-3.8.4-4], up to where asking is a way to pile them up. */
const MAX_FEEDS = 10;
/** Longer than the node that a session came from passes on what still reaches it. */
export const REPEATS_MS = 10_000;
const MAX_REPEATS = 10_000;
/** With its reserved flags [MQTT-3.6.1-1]. */
const PUBREL = 0x62;

/**
 * One client's session: its subscriptions, what is on its way to it and what waits. It lives as long as its connection,
 * or longer (`isDurable`), and then every change is a row.
 */
export class Session {
  readonly id: string;
  /** Who it belongs to; a new connection may bring another credential of the same account. */
  principal: Principal;
  readonly isDurable: boolean;
  readonly subscriptions = new Map<string, Subscription>();
  /** Packet ids of QoS 2 messages from the client that it has not released. */
  readonly unreleased = new Set<number>();
  link: Link | undefined;
  readonly #context: SessionContext;
  #queue: DeliveryQueue | undefined;
  /** Seeds, and those of a group's messages with its name. */
  #arrived: Set<number | string> | undefined;
  #passOn: PassOn | undefined;
  /** By filter, in the order in which they were asked for. */
  #feeds: Map<string, Feed[]> | undefined;
  #isPumpPlanned = false;

  constructor(context: SessionContext, { id, principal, isDurable }: Pick<Session, "id" | "principal" | "isDurable">) {
    this.#context = context;
    this.id = id;
    this.principal = principal;
    this.isDurable = isDurable;
  }

  /** Another node has it; what still comes here is passed on. */
  get hasMoved(): boolean {
    return this.#passOn !== undefined;
  }

  get queued(): number {
    return this.#queue?.size ?? 0;
  }

  /**
   * Hands the message over or puts it aside. `group`: it is for the session as a member of that. Returns whether it became a
   * row or a letter, which whoever acknowledges it waits for.
   */
  deliver(message: Message, reach: Reach, group?: string): boolean {
    const name = nameOf(message, group);
    if (this.#isRepeated(name)) return false;
    if (this.#passOn) {
      if (message.qos === 0 || reach.qos === 0) return false;
      this.#passOn(message, group);
      return true;
    }
    return this.#hand(message, reach, name);
  }

  /** It is the session's own, and not wanted: nor when it is passed on from where the session was. */
  skip(message: Message): void {
    this.#isRepeated(nameOf(message));
  }

  #hand(message: Message, reach: Reach, name?: number | string): boolean {
    const qos = message.qos < reach.qos ? message.qos : reach.qos;
    if (qos !== 0) return this.#enqueue(message, qos, reach, name);
    const { link } = this;
    if (link) this.#sendAtOnce(link, message, reach);
    return false;
  }

  /** For a while messages may come twice: from whoever published them, and from the node that had the session. */
  watchRepeats(): void {
    if (this.#arrived) return;
    this.#arrived = new Set();
    setTimeout(() => {
      this.#arrived = undefined;
    }, REPEATS_MS).unref();
  }

  #isRepeated(name: number | string | undefined): boolean {
    if (name === undefined || !this.#arrived) return false;
    if (this.#arrived.has(name)) return true;
    if (this.#arrived.size < MAX_REPEATS) this.#arrived.add(name);
    return false;
  }

  #sendAtOnce(link: Link, message: Message, { retain, subscriptionIds }: Reach): void {
    const { limits, counters } = this.#context;
    const { output, version } = link;
    if (output.buffered > limits.mqttSlowDropBytes) {
      counters.dropped.slow++;
      if (output.buffered > limits.mqttSlowCloseBytes) link.overflow();
      return;
    }
    const frame =
      retain || (subscriptionIds && version === 5) ? message.encode({ version, qos: 0, retain, subscriptionIds }) : message.frame(version);
    if (frame.length > link.maxPacketBytes) {
      counters.dropped.too_large++;
      return;
    }
    counters.sent[0]++;
    output.append(frame);
  }

  #enqueue(message: Message, qos: 1 | 2, reach: Reach, name: number | string | undefined): boolean {
    const { limits, counters, rows } = this.#context;
    const queue = (this.#queue ??= new DeliveryQueue());
    const { link } = this;
    const canSend = link !== undefined && !queue.isWaiting && queue.hasWindow(link.window, limits) && this.#hasRoom(link);
    if (!canSend && !queue.hasRoom(message, limits)) {
      counters.dropped.queue++;
      return false;
    }
    const { retain, subscriptionIds } = reach;
    const key = this.isDurable ? rows.nextKey() : "";
    const delivery: Delivery = { key, message, qos, retain, subscriptionIds, name, packetId: 0, isReleased: false };
    counters.queued++;
    if (canSend) {
      this.#send(link, queue, delivery);
    } else {
      queue.add(delivery);
      if (this.isDurable) rows.put(this.id, delivery);
    }
    return this.isDurable;
  }

  #hasRoom(link: Link): boolean {
    return link.output.buffered <= this.#context.limits.mqttSlowDropBytes;
  }

  #send(link: Link, queue: DeliveryQueue, delivery: Delivery): void {
    const { counters, clock } = this.#context;
    const { message, qos, retain, subscriptionIds } = delivery;
    const isRepeated = delivery.packetId !== 0;
    if (!isRepeated) queue.number(delivery);
    const frame = message.encode({
      version: link.version,
      qos,
      retain,
      dup: isRepeated,
      packetId: delivery.packetId,
      subscriptionIds,
      now: message.expiresAt === undefined ? 0 : clock(),
    });
    if (frame.length > link.maxPacketBytes) return this.#drop(delivery, "too_large");
    queue.sent(delivery);
    counters.sent[qos]++;
    link.output.append(frame);
    if (this.isDurable && !isRepeated) this.#context.rows.put(this.id, delivery);
  }

  #drop(delivery: Delivery, reason: DropReason): void {
    this.#context.counters.dropped[reason]++;
    this.#finish(delivery);
  }

  #finish(delivery: Delivery): void {
    this.#context.counters.queued--;
    this.#queue?.remove(delivery);
    if (this.isDurable) this.#context.rows.delete(this.id, delivery);
  }

  /** Sends what waits, as far as the client takes it. Called when a window opens, when the socket drains, and on connect. */
  pump(): void {
    const { link } = this;
    if (!link) return;
    const { limits, clock } = this.#context;
    const queue = this.#queue;
    if (queue) {
      const now = clock();
      while (queue.isWaiting && queue.hasWindow(link.window, limits) && this.#hasRoom(link)) this.#sendNext(link, queue, now);
    }
    if (this.#feeds) this.#pumpFeeds(link, this.#feeds);
    // The socket tells when it drains, unless it takes at once what is still gathered for this turn.
    if ((queue?.isWaiting || this.#feeds) && !this.#hasRoom(link) && !link.output.needsDrain) this.#planPump();
  }

  #planPump(): void {
    if (this.#isPumpPlanned) return;
    this.#isPumpPlanned = true;
    setImmediate(() => {
      this.#isPumpPlanned = false;
      this.pump();
    });
  }

  #sendNext(link: Link, queue: DeliveryQueue, now: number): void {
    const delivery = queue.next() as Delivery;
    if (delivery.isReleased) {
      queue.sent(delivery);
      return this.#release(link, delivery.packetId);
    }
    // What was sent once already must be completed [MQTT-4.4.0-1]; what waited may have lost its reason.
    if (delivery.packetId === 0) {
      if (delivery.message.isExpired(now)) return this.#drop(delivery, "expired");
      if (!this.#context.allows(this, delivery.message.topic)) return this.#drop(delivery, "forbidden");
    }
    this.#send(link, queue, delivery);
  }

  #release(link: Link, packetId: number, reasonCode = 0): void {
    if (link.version !== 5 || reasonCode === 0) link.output.appendShort(PUBREL, packetId);
    else link.output.append(Buffer.from([PUBREL, 3, packetId >> 8, packetId & 255, reasonCode]));
  }

  /**
   * Adds messages of a subscription that follow as there is room; each is pulled when it can go out, so that a long list
   * costs no memory. Too many of one filter that are not done begin again as one.
   */
  feed(filter: string, feed: Feed): void {
    const feeds = (this.#feeds ??= new Map<string, Feed[]>());
    const before = feeds.get(filter) ?? [];
    // To the end, or the others would never have their turn.
    feeds.delete(filter);
    feeds.set(filter, before.length < MAX_FEEDS ? [...before, feed] : [feed]);
    this.pump();
  }

  /** The subscription is over: what is left of its feed does not follow [MQTT-3.10.4-2]. */
  stopFeed(filter: string): void {
    this.#feeds?.delete(filter);
  }

  #pumpFeeds(link: Link, feeds: Map<string, Feed[]>): void {
    const { limits } = this.#context;
    const hasRoom = (): boolean =>
      this.#hasRoom(link) && (!this.#queue || (!this.#queue.isWaiting && this.#queue.hasWindow(link.window, limits)));
    for (const [filter, line] of feeds) {
      while (hasRoom() && line.length > 0) {
        const { done, value } = (line[0] as Feed).next();
        if (done) line.shift();
        else if (value === undefined) return this.#planPump();
        else this.#hand(value.message, value.reach);
      }
      if (line.length > 0) break;
      feeds.delete(filter);
    }
    if (feeds.size === 0) this.#feeds = undefined;
  }

  /** PUBACK, PUBCOMP, or a PUBREC that refuses. */
  acknowledge(packetId: number): void {
    const delivery = this.#queue?.byPacketId(packetId);
    if (!delivery) return;
    this.#finish(delivery);
    this.pump();
  }

  /** PUBREC: the client has the message, and only its release is left. */
  receive(packetId: number): void {
    const { link } = this;
    const delivery = this.#queue?.byPacketId(packetId);
    if (delivery && !delivery.isReleased) {
      delivery.isReleased = true;
      if (this.isDurable) this.#context.rows.put(this.id, delivery);
    }
    // 0x92: packet identifier not found.
    if (link) this.#release(link, packetId, delivery ? 0 : 0x92);
  }

  attach(link: Link): void {
    this.link = link;
    this.#queue?.rewind();
    this.pump();
  }

  detach(): void {
    this.link = undefined;
    this.#feeds = undefined;
  }

  restore(delivery: Delivery): void {
    (this.#queue ??= new DeliveryQueue()).restore(delivery);
    this.#isRepeated(delivery.name);
    this.#context.counters.queued++;
  }

  /** Forgets what waits, and leaves its rows to whoever has the session now. `passOn` gets what still comes. */
  unload(passOn?: PassOn): void {
    this.#passOn = passOn;
    this.#context.counters.queued -= this.queued;
    this.#queue = undefined;
    this.detach();
  }

  /** Everything that waits, for whoever ends the session. */
  clear(): void {
    for (const delivery of this.#queue?.all() ?? []) this.#finish(delivery);
    this.#queue = undefined;
    this.#feeds = undefined;
  }
}

/** The name of a message among all nodes, in a group the group's; none on a node that has always been alone. */
function nameOf({ seed }: Message, group?: string): number | string | undefined {
  if (seed === 0) return undefined;
  return group === undefined ? seed : `${seed} ${group}`;
}
