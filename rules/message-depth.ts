/** What one message from outside has brought about, as it is seen from one of the messages that follow. */
export interface MessageChain {
  /** How many automations stand before it. */
  readonly depth: number;
  /** How many messages may still follow from the first one, over all automations. */
  readonly left: { count: number };
}

const MOST_FOLLOWING = 1_000;

/**
 * Where the message that is handed out at this moment stands. Messages reach the hub's own subscribers on this node within the call that
 * publishes them, so that nothing has to be remembered of any.
 */
export class MessageDepth {
  #now: MessageChain | undefined;
  #first: { readonly payload: Buffer; readonly chain: MessageChain } | undefined;

  get now(): number {
    return this.#now?.depth ?? 0;
  }

  /** Of the message with this payload: all of the hub's subscribers are handed the same one. */
  chainOf(payload: Buffer): MessageChain {
    if (this.#now) return this.#now;
    if (this.#first?.payload !== payload) {
      this.#first = { payload, chain: newChain(0) };
      // By then everybody has been handed it, and no other message is taken for it.
      queueMicrotask(() => (this.#first = undefined));
    }
    return this.#first.chain;
  }

  /** Publishes at that depth; what is awaited inside is outside of it. */
  at<T>(depth: number, publish: () => T): T {
    return this.within(newChain(depth), publish);
  }

  /** As {@link MessageDepth.at}, with what the first message has left. */
  within<T>(chain: MessageChain, publish: () => T): T {
    const before = this.#now;
    this.#now = chain;
    try {
      return publish();
    } finally {
      this.#now = before;
    }
  }
}

const newChain = (depth: number): MessageChain => ({ depth, left: { count: MOST_FOLLOWING } });
