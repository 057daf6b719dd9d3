import type { MqttClient } from "mqtt";
import { HubError } from "../../core/errors.ts";
import { publishRemote, type RemoteWrite } from "./remote-client.ts";
import { endsAtSize, type RemoteFault, sizeRefused, writeRefused } from "./remote-faults.ts";

export interface WritesContext {
  /** Asked for only while there is a connection. */
  readonly client: () => MqttClient;
  /** What became of a message; `retried`: its connection ended before. */
  readonly onWritten: (result: "sent" | "refused" | "retried") => void;
  /** What the other broker does not take at present; undefined when it takes everything. Said some time after it has changed, and all at once. */
  readonly onJudged: (fault: RemoteFault | undefined) => void;
  /** What was refused is to be tried again: somebody may have changed what the hub may do there. */
  readonly onRetry: () => void;
}

/** Fixed header, packet id, and the lengths of topic and properties, at most. */
const PACKET_BYTES = 12;
/** A connection that ends so often while the same message is the largest that is under way ends because of it. */
const MANY_ENDS = 3;
const JUDGE_MS = 200;
const FIRST_RETRY_MS = 2_000;
const LONGEST_RETRY_MS = 300_000;
/** A broker whose connection ends after so long may be another by now. */
const SETTLED_MS = 60_000;

/** What the other broker is told and keeps, and what of that it does not take: one message that it refuses holds up no other. */
export class RemoteWrites {
  readonly #context: WritesContext;
  /** Of the connection that there is. */
  #connection = new AbortController();
  /** By topic, or another name for what it is. */
  readonly #refused = new Map<string, RemoteFault>();
  /** Bytes, by topic. */
  readonly #underWay = new Map<string, number>();
  readonly #ends = new Map<string, number>();
  /** Messages from so many bytes on end the connection. */
  #fatalBytes = Infinity;
  #openedAt = 0;
  #judging: NodeJS.Timeout | undefined;
  #retrying: NodeJS.Timeout | undefined;
  #retryMs = FIRST_RETRY_MS;

  constructor(context: WritesContext) {
    this.#context = context;
    this.#connection.abort();
  }

  /** Of the connection that there is; aborted when there is none. */
  get signal(): AbortSignal {
    return this.#connection.signal;
  }

  opened(): void {
    this.#connection = new AbortController();
    this.#openedAt = performance.now();
    this.#retryMs = FIRST_RETRY_MS;
    this.#refused.clear();
  }

  /** `isOwnDoing`: the other broker did not end it. */
  closed(isOwnDoing: boolean): void {
    if (this.signal.aborted) return;
    if (performance.now() - this.#openedAt > SETTLED_MS) this.#fatalBytes = Infinity;
    if (!isOwnDoing) this.#suspect();
    this.#underWay.clear();
    this.#connection.abort();
    clearTimeout(this.#judging);
    this.#judging = undefined;
    clearTimeout(this.#retrying);
    this.#retrying = undefined;
  }

  /** All that was refused may be tried once more. */
  forgive(): void {
    this.#refused.clear();
    this.#ends.clear();
    this.#fatalBytes = Infinity;
    this.#retryMs = FIRST_RETRY_MS;
  }

  /** Retained; resolves when the other broker has it, or to false when it does not take it. Rejects when the connection ends before. */
  keep(topic: string, payload: string): Promise<boolean> {
    return this.#write({ topic, payload, retain: true });
  }

  /** As {@link keep}, for whoever listens there now. */
  say(topic: string, payload: string): Promise<boolean> {
    return this.#write({ topic, payload, retain: false });
  }

  /** Notes that the other broker does not take it. `isWorthTrying`: it may by and by. */
  refuse(what: string, fault: RemoteFault, isWorthTrying = false): void {
    this.#refused.set(what, fault);
    this.judgeSoon();
    if (!isWorthTrying || this.#retrying !== undefined) return;
    this.#retrying = setTimeout(() => {
      this.#retrying = undefined;
      this.#refused.clear();
      this.#context.onRetry();
    }, this.#retryMs).unref();
    this.#retryMs = Math.min(LONGEST_RETRY_MS, this.#retryMs * 2);
  }

  judgeSoon(): void {
    if (this.signal.aborted) return;
    this.#judging ??= setTimeout(() => {
      this.#judging = undefined;
      this.#judge();
    }, JUDGE_MS).unref();
  }

  async #write(message: RemoteWrite): Promise<boolean> {
    const { topic, payload } = message;
    const { signal } = this.#connection;
    const bytes = Buffer.byteLength(topic) + Buffer.byteLength(payload) + PACKET_BYTES;
    const fault = signal.aborted ? undefined : this.#sizeFaultOf(topic, bytes);
    if (fault) return this.#refuseWrite(topic, fault);
    this.#underWay.set(topic, bytes);
    try {
      await publishRemote(this.#context.client(), message, signal);
    } catch (error) {
      if (signal.aborted || error instanceof HubError) {
        this.#context.onWritten("retried");
        throw error;
      }
      this.#underWay.delete(topic);
      return this.#refuseWrite(topic, writeRefused(topic, error), true);
    }
    this.#context.onWritten("sent");
    this.#underWay.delete(topic);
    this.#ends.delete(topic);
    if (this.#refused.delete(topic)) this.judgeSoon();
    return true;
  }

  #refuseWrite(topic: string, fault: RemoteFault, isWorthTrying = false): false {
    this.#context.onWritten("refused");
    this.refuse(topic, fault, isWorthTrying);
    return false;
  }

  /** The largest of the messages without an answer may be what the connection ended of. */
  #suspect(): void {
    const [topic, bytes] = [...this.#underWay].reduce((largest, one) => (one[1] > largest[1] ? one : largest), ["", 0]);
    if (bytes === 0) return;
    const ends = (this.#ends.get(topic) ?? 0) + 1;
    this.#ends.set(topic, ends);
    if (ends >= MANY_ENDS) this.#fatalBytes = bytes;
  }

  #judge(): void {
    const [first] = this.#refused.values();
    const more = this.#refused.size - 1;
    this.#context.onJudged(first && more > 0 ? { ...first, message: `${first.message}; and ${more} more` } : first);
  }

  #sizeFaultOf(topic: string, bytes: number): RemoteFault | undefined {
    const most = this.#context.client().serverProperties?.maximumPacketSize;
    if (most !== undefined && bytes > most) return sizeRefused(topic, { bytes, most });
    return bytes >= this.#fatalBytes ? endsAtSize(topic, { bytes, ends: MANY_ENDS }) : undefined;
  }
}
