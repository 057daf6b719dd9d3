/**
 * What of a group of publishers and subscribers is under way, when every subscriber gets every message. Counted in batches,
 * since they are what is sent at once; the slowest subscriber counts, so that none has more than the window to get.
 */
export interface Flow {
  readonly sentMessages: number;
  readonly deliveredMessages: number;
  /** Written off and not come since. */
  readonly lostMessages: number;
  hasRoom(): boolean;
  addBatch(): void;
  arrive(subscriber: number, messages: number): void;
  /** Whatever is under way counts as lost until it comes. */
  writeOff(): void;
}

export interface FlowOptions {
  readonly subscribers: number;
  readonly batchMessages: number;
  /** Most messages that a subscriber has still to get; at least two batches. */
  readonly windowMessages: number;
}

export function createFlow({ subscribers, batchMessages, windowMessages }: FlowOptions): Flow {
  const window = Math.max(2, Math.floor(windowMessages / batchMessages));
  const received = Array.from({ length: subscribers }, () => 0);
  const writtenOff = Array.from({ length: subscribers }, () => 0);
  /** Whole batches of each subscriber, and of the last `window` batches how many subscribers have them. */
  const passed = Array.from({ length: subscribers }, () => 0);
  const havers = Array.from({ length: window }, () => 0);
  let sent = 0;
  let complete = 0;
  let delivered = 0;
  let lost = 0;
  const advance = (subscriber: number): void => {
    const whole = Math.min(Math.floor(((received[subscriber] ?? 0) + (writtenOff[subscriber] ?? 0)) / batchMessages), sent);
    for (let batch = passed[subscriber] ?? 0; batch < whole; batch++) {
      const slot = batch % window;
      const count = (havers[slot] ?? 0) + 1;
      havers[slot] = count === subscribers ? 0 : count;
      if (count === subscribers) complete++;
    }
    passed[subscriber] = whole;
  };
  return {
    get sentMessages() {
      return sent * batchMessages;
    },
    get deliveredMessages() {
      return delivered;
    },
    get lostMessages() {
      return lost;
    },
    hasRoom: () => sent - complete < window,
    addBatch: () => void sent++,
    arrive(subscriber, messages) {
      delivered += messages;
      const total = (received[subscriber] = (received[subscriber] ?? 0) + messages);
      const late = Math.min(total + (writtenOff[subscriber] ?? 0) - sent * batchMessages, writtenOff[subscriber] ?? 0);
      if (late > 0) {
        writtenOff[subscriber] = (writtenOff[subscriber] ?? 0) - late;
        lost -= late;
      }
      advance(subscriber);
    },
    writeOff() {
      for (let subscriber = 0; subscriber < subscribers; subscriber++) {
        const missing = sent * batchMessages - (received[subscriber] ?? 0) - (writtenOff[subscriber] ?? 0);
        writtenOff[subscriber] = (writtenOff[subscriber] ?? 0) + missing;
        lost += missing;
        advance(subscriber);
      }
    },
  };
}
