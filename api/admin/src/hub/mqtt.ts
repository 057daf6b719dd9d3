import { MqttConnection, MqttError, type MqttReason } from "./mqtt-connection.ts";
import { queries } from "./queries.ts";
import { me } from "./session.ts";

export interface MqttMessage {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly isRetained: boolean;
}

export interface Subscriber {
  readonly onMessage: (message: MqttMessage) => void;
  /** After each connection: it holds, or is refused. */
  readonly onAnswer?: (refusal: MqttError | undefined) => void;
  /** What is retained does not come. */
  readonly skipsRetained?: boolean;
}

export interface Publication {
  readonly topic: string;
  readonly payload: string;
  readonly qos: 0 | 1;
  readonly retain: boolean;
}

export interface LinkState {
  readonly state: "connecting" | "open" | "lost";
  /** Why it was lost. */
  readonly reason: MqttReason | undefined;
}

interface Subscription {
  readonly filter: string;
  /** Comes with each message for it. */
  readonly id: number;
  readonly subscribers: Set<Subscriber>;
}

const FIRST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 30_000;
/** One that held so long was no try that fails. */
const STEADY_MS = 5_000;
/** From one page to the next it stays open. */
const LINGER_MS = 5_000;

/** MQTT for all that a tab shows: open while somebody subscribes to something, and it comes back by itself. */
class MqttLink {
  #connection: MqttConnection | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #waitMs = FIRST_WAIT_MS;
  #openedAt = 0;
  #lastId = 0;
  #state: LinkState = { state: "connecting", reason: undefined };
  readonly #subscriptions = new Map<string, Subscription>();
  readonly #watchers = new Set<() => void>();

  readonly watch = (watcher: () => void): (() => void) => {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  };

  readonly state = (): LinkState => this.#state;

  /** Until the function that it gives is called. */
  subscribe(filter: string, subscriber: Subscriber): () => void {
    const known = this.#subscriptions.get(filter);
    const subscription = known ?? { filter, id: ++this.#lastId, subscribers: new Set() };
    subscription.subscribers.add(subscriber);
    this.#subscriptions.set(filter, subscription);
    if (!this.#connection) this.#open();
    else if (this.#connection.isOpen) void this.#ask(subscription);
    return () => this.#leave(subscription, subscriber);
  }

  /** Until the hub has it, where its quality of service says that. Throws {@link MqttError}. */
  async publish({ topic, payload, qos, retain }: Publication): Promise<void> {
    if (!this.#connection?.isOpen) throw new MqttError("lost");
    const packet = { cmd: "publish", topic, payload, qos, retain, dup: false } as const;
    if (qos === 0) this.#connection.tell(packet);
    else await this.#connection.ask(packet);
  }

  #open(): void {
    clearTimeout(this.#timer);
    if (this.#state.state !== "lost") this.#tell({ state: "connecting", reason: undefined });
    this.#connection = new MqttConnection({
      onOpen: () => this.#opened(),
      onMessage: ({ topic, payload, retain, properties }) => {
        const message = { topic, payload: payload as Uint8Array, isRetained: retain };
        const ids = [properties?.subscriptionIdentifier ?? []].flat();
        for (const { id, subscribers } of this.#subscriptions.values())
          if (ids.includes(id)) for (const { onMessage } of subscribers) onMessage(message);
      },
      onEnd: (reason) => this.#lost(reason),
    });
    this.#connection.open();
  }

  #opened(): void {
    this.#openedAt = Date.now();
    this.#tell({ state: "open", reason: undefined });
    for (const subscription of this.#subscriptions.values()) void this.#ask(subscription);
  }

  #lost(reason: MqttReason): void {
    // Refused: it may be that nobody is logged in any more, which the session's own question tells.
    if (typeof reason === "number") void queries.invalidateQueries(me);
    this.#tell({ state: "lost", reason });
    const lasted = this.#openedAt === 0 ? 0 : Date.now() - this.#openedAt;
    this.#openedAt = 0;
    if (lasted > STEADY_MS) this.#waitMs = FIRST_WAIT_MS;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#open(), this.#waitMs * (0.5 + Math.random() / 2));
    this.#waitMs = Math.min(LONGEST_WAIT_MS, this.#waitMs * 2);
  }

  async #ask({ filter, id, subscribers }: Subscription): Promise<void> {
    const skips = [...subscribers].every(({ skipsRetained }) => skipsRetained);
    // Retained messages stay so, whenever they come; what is too much is dropped by the hub and not by the page.
    const subscription = { topic: filter, qos: 0, rap: true, rh: skips ? 2 : 0 } as const;
    const packet = { cmd: "subscribe", subscriptions: [subscription], properties: { subscriptionIdentifier: id } } as const;
    const refusal = await this.#connection?.ask(packet as never).then(
      () => undefined,
      (error: unknown) => (error instanceof MqttError ? error : new MqttError("lost", String(error))),
    );
    // What was lost is asked for again.
    if (refusal?.reason !== "lost") for (const { onAnswer } of subscribers) onAnswer?.(refusal);
  }

  #leave(subscription: Subscription, subscriber: Subscriber): void {
    subscription.subscribers.delete(subscriber);
    if (subscription.subscribers.size > 0 || this.#subscriptions.get(subscription.filter) !== subscription) return;
    this.#subscriptions.delete(subscription.filter);
    const packet = { cmd: "unsubscribe", unsubscriptions: [subscription.filter] } as const;
    if (this.#connection?.isOpen) this.#connection.ask(packet as never).catch(() => undefined);
    if (this.#subscriptions.size > 0) return;
    setTimeout(() => this.#rest(), LINGER_MS);
  }

  #rest(): void {
    if (this.#subscriptions.size > 0) return;
    clearTimeout(this.#timer);
    this.#connection?.close();
    this.#connection = undefined;
    this.#state = { state: "connecting", reason: undefined };
    this.#waitMs = FIRST_WAIT_MS;
  }

  #tell(state: LinkState): void {
    this.#state = state;
    for (const watcher of this.#watchers) watcher();
  }
}

export const mqtt = new MqttLink();
