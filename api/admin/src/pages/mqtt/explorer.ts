import { type LinkState, mqtt, type MqttMessage } from "../../hub/mqtt.ts";
import type { MqttReason } from "../../hub/mqtt-connection.ts";

export interface Message {
  readonly topic: string;
  /** At most {@link MOST_TEXT} characters; undefined for bytes that are no text. */
  readonly text: string | undefined;
  readonly bytes: number;
  readonly isRetained: boolean;
  /** ms since 1970, by this browser's clock */
  readonly at: number;
}

/** A topic's newest message. */
export interface Entry extends Message {
  readonly count: number;
}

export interface Snapshot {
  readonly link: LinkState;
  /** Why nothing comes for the filter. */
  readonly refusal: MqttReason | undefined;
  readonly topics: ReadonlyMap<string, Entry>;
  /** Newest first. */
  readonly recent: readonly Message[];
  readonly received: number;
  /** Messages of topics beyond the most that are kept. */
  readonly leftOut: number;
}

const MOST_TOPICS = 5_000;
const MOST_RECENT = 200;
const MOST_TEXT = 4_096;
/** A flood is drawn so often and no more. */
const GATHER_MS = 250;

/** What the hub's broker tells of a filter, gathered. */
export class Explorer {
  #isClosed = false;
  #leave: (() => void)[] = [];
  #timer: ReturnType<typeof setInterval> | undefined;
  #isChanged = false;
  #topics = new Map<string, Entry>();
  #recent: Message[] = [];
  #received = 0;
  #leftOut = 0;
  #snapshot: Snapshot = { link: mqtt.state(), refusal: undefined, topics: new Map(), recent: [], received: 0, leftOut: 0 };
  readonly #filter: string;
  readonly #watchers = new Set<() => void>();

  constructor(filter: string) {
    this.#filter = filter;
  }

  readonly watch = (watcher: () => void): (() => void) => {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  };

  readonly snapshot = (): Snapshot => this.#snapshot;

  open(): void {
    this.#leave = [
      mqtt.watch(() => this.#tell({ link: mqtt.state() })),
      mqtt.subscribe(this.#filter, {
        onMessage: (message) => this.#take(message),
        onAnswer: (refusal) => this.#tell({ refusal: refusal?.reason }),
      }),
    ];
    this.#timer = setInterval(() => this.#flush(), GATHER_MS);
  }

  close(): void {
    this.#isClosed = true;
    clearInterval(this.#timer);
    for (const leave of this.#leave) leave();
  }

  #take({ topic, payload, isRetained }: MqttMessage): void {
    this.#received++;
    this.#isChanged = true;
    const before = this.#topics.get(topic);
    // An empty retained message ends the retained one before it.
    const message: Message = {
      topic,
      text: textOf(payload),
      bytes: payload.length,
      isRetained: isRetained && payload.length > 0,
      at: Date.now(),
    };
    this.#recent.push(message);
    if (this.#recent.length > MOST_RECENT * 2) this.#recent = this.#recent.slice(-MOST_RECENT);
    if (!before && this.#topics.size >= MOST_TOPICS) this.#leftOut++;
    else this.#topics.set(topic, { ...message, count: (before?.count ?? 0) + 1 });
  }

  #flush(): void {
    if (!this.#isChanged) return;
    this.#isChanged = false;
    this.#tell({
      topics: new Map(this.#topics),
      recent: this.#recent.slice(-MOST_RECENT).toReversed(),
      received: this.#received,
      leftOut: this.#leftOut,
    });
  }

  #tell(news: Partial<Snapshot>): void {
    if (this.#isClosed) return;
    this.#snapshot = { ...this.#snapshot, ...news };
    for (const watcher of this.#watchers) watcher();
  }
}

const CONTROL = /[\p{Cc}\uFFFD]/u;
const decoder = new TextDecoder();

function textOf(payload: Uint8Array): string | undefined {
  const text = decoder.decode(payload.subarray(0, MOST_TEXT));
  const plain = payload.length > MOST_TEXT ? text.replace(/\uFFFD$/, "…") : text;
  return CONTROL.test(plain.replaceAll(/[\t\n\r]/g, "")) ? undefined : plain;
}
