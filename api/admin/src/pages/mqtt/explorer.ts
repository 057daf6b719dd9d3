import type { MqttClient } from "mqtt";
import { queries } from "../../hub/queries.ts";
import { me } from "../../hub/session.ts";

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
  readonly state: "connecting" | "open" | "lost";
  /** Why nothing comes for the filter. */
  readonly refusal: string | undefined;
  readonly topics: ReadonlyMap<string, Entry>;
  /** Newest first. */
  readonly recent: readonly Message[];
  readonly received: number;
  /** Messages of topics beyond the most that are kept. */
  readonly leftOut: number;
}

export interface Publication {
  readonly topic: string;
  readonly payload: string;
  readonly qos: 0 | 1;
  readonly retain: boolean;
}

const MOST_TOPICS = 5_000;
const MOST_RECENT = 200;
const MOST_TEXT = 4_096;
/** A flood is drawn so often and no more. */
const GATHER_MS = 250;
const AGAIN_MS = 2_000;
const ANSWER_MS = 10_000;
/** [MQTT-3.9.3] */
const FIRST_REFUSAL = 0x80;

/** A client of the hub's broker, which logs in with the session's cookie; what it hears is gathered. */
export class Explorer {
  #client: MqttClient | undefined;
  #isClosed = false;
  #filter: string;
  #timer: ReturnType<typeof setInterval> | undefined;
  #isChanged = false;
  #topics = new Map<string, Entry>();
  #recent: Message[] = [];
  #received = 0;
  #leftOut = 0;
  #snapshot: Snapshot = { state: "connecting", refusal: undefined, topics: new Map(), recent: [], received: 0, leftOut: 0 };
  readonly #watchers = new Set<() => void>();

  constructor(filter: string) {
    this.#filter = filter;
  }

  readonly watch = (watcher: () => void): (() => void) => {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  };

  readonly snapshot = (): Snapshot => this.#snapshot;

  async open(): Promise<void> {
    // The build for browsers has this one export.
    const { default: mqtt } = await import("mqtt");
    if (this.#isClosed) return;
    const client = mqtt.connect(`${location.origin.replace(/^http/, "ws")}/mqtt`, {
      protocolVersion: 5,
      clientId: `console-${Math.random().toString(36).slice(2, 12)}`,
      reconnectPeriod: AGAIN_MS,
      reconnectOnConnackError: true,
      resubscribe: false,
      queueQoSZero: false,
      // A worker of its own is not what the page's policy allows.
      timerVariant: "native",
    });
    this.#client = client;
    client.on("connect", () => {
      this.#tell({ state: "open" });
      void this.#subscribe();
    });
    client.on("close", () => this.#tell({ state: "lost" }));
    // Refused: it may be that nobody is logged in any more, which the session's own question tells.
    client.on("error", () => void queries.invalidateQueries(me));
    client.on("message", (topic, payload, { retain }) => this.#take(topic, payload, retain));
    this.#timer = setInterval(() => this.#flush(), GATHER_MS);
  }

  close(): void {
    this.#isClosed = true;
    clearInterval(this.#timer);
    this.#client?.end(true);
  }

  /** Until the hub has it. Throws where it refuses, or is not there. */
  async publish({ topic, payload, qos, retain }: Publication): Promise<void> {
    if (!this.#client?.connected) throw new Error("the hub is not connected");
    await within(this.#client.publishAsync(topic, payload, { qos, retain }));
  }

  async #subscribe(): Promise<void> {
    this.#tell({ refusal: undefined });
    try {
      // Retained messages stay so, whenever they come; what is too much is dropped by the hub and not by the page.
      const granted = (await this.#client?.subscribeAsync(this.#filter, { qos: 0, rap: true })) ?? [];
      if (granted.some(({ qos }) => qos >= FIRST_REFUSAL)) this.#tell({ refusal: this.#filter });
    } catch (error) {
      this.#tell({ refusal: error instanceof Error ? error.message : String(error) });
    }
  }

  #take(topic: string, payload: Uint8Array, isRetained: boolean): void {
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

/** MQTT.js waits for an acknowledgement for as long as the connection may come back. */
async function within<T>(asked: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error("the hub did not answer in time")), ANSWER_MS);
  });
  try {
    return await Promise.race([asked, late]);
  } finally {
    clearTimeout(timer);
  }
}
