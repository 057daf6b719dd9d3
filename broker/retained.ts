import qlobber from "qlobber";
import { HubError } from "../core/errors.ts";
import type { Principal } from "../core/principal.ts";
import type { MqttLimits } from "../core/settings.ts";
import { keyOf } from "../core/authorize.ts";
import type { Message } from "./message.ts";
import { messageOf, messageRow } from "./message-row.ts";
import { WILDCARDS } from "./router.ts";
import type { WriteBehind } from "./write-behind.ts";

interface Kept {
  readonly message: Message;
  /** When the topic got its first message, counted in such topics. */
  readonly since: number;
  /** When it got this one, in ms of the monotonic clock. */
  readonly changedAt: number;
  /** Whose limit it counts for; undefined for the hub's own. */
  readonly owner: string | undefined;
}
interface Usage {
  topics: number;
  bytes: number;
}

/** Topics that one step of a search looks at: about a millisecond, since many may search at once. */
const STEP = 100;

/** Longer than the row of a message takes that came from another node. */
const UNWRITTEN_MS = 2_000;

/** The last retained message of each topic. */
export class Retained {
  readonly #rows: WriteBehind;
  readonly #isStored: (topic: string) => boolean;
  readonly #limits: Pick<MqttLimits, "mqttRetainedTopics" | "mqttRetainedBytes">;
  readonly #kept = new Map<string, Kept>();
  readonly #usage = new Map<string, Usage>();
  /** Topics that changed since each reload began. */
  readonly #changes = new Set<Set<string>>();
  #since = 0;

  constructor({ rows, isStored, limits }: { rows: WriteBehind; isStored: (topic: string) => boolean; limits: MqttLimits }) {
    this.#rows = rows;
    this.#isStored = isStored;
    this.#limits = limits;
  }

  get size(): number {
    return this.#kept.size;
  }

  /** An empty payload takes the message back. Returns whether a row follows from it. Throws quota_exceeded. */
  set(message: Message, owner?: Principal): boolean {
    const { topic } = message;
    const ownerKey = owner && keyOf(owner);
    const isStored = this.#isStored(topic);
    if (message.payload.length === 0) {
      if (this.#forget(topic) && isStored) this.#rows.delete("retained", "", topic);
      return isStored;
    }
    if (ownerKey !== undefined) this.#checkQuota(ownerKey, message);
    this.#remember(message, ownerKey);
    if (isStored) this.#rows.put("retained", "", topic, { ...messageRow(message), owner: ownerKey });
    return isStored;
  }

  /** What another node retained and stored. */
  copy(message: Message, owner: string | undefined): void {
    const { topic, payload } = message;
    if (payload.length === 0) return void this.#forget(topic);
    this.#remember(message, owner);
    // Whoever takes it back here deletes the other node's row.
    if (this.#isStored(topic)) this.#rows.note("retained", "", topic);
  }

  /** Replaces everything by what `load` finds, except what is newer than that may be. */
  async reload(load: () => Promise<readonly { readonly topic: string; readonly row: Record<string, unknown> }[]>): Promise<void> {
    const changes = new Set<string>();
    const before = performance.now() - UNWRITTEN_MS;
    this.#changes.add(changes);
    try {
      const found = await load();
      // In one turn: nobody may look while it is not whole.
      const changedAt = (topic: string): number => this.#kept.get(topic)?.changedAt ?? Number.NEGATIVE_INFINITY;
      const isNewer = (topic: string): boolean => changes.has(topic) || changedAt(topic) > before;
      const present = new Set(found.map(({ topic }) => topic));
      for (const topic of this.#kept.keys()) if (!present.has(topic) && !isNewer(topic)) this.#drop(topic);
      for (const { topic, row } of found) if (!isNewer(topic)) this.restore(topic, row);
    } finally {
      this.#changes.delete(changes);
    }
  }

  /**
   * What matches, and undefined after each step of the search: whoever asks can let others have their turn in between.
   * Each topic comes once at most, with the message it has then; what is new meanwhile went to all who subscribed.
   */
  *matching(filter: string, now: number): Generator<Message | undefined> {
    if (!filter.includes("+") && !filter.includes("#")) {
      const message = this.#living(filter, now);
      if (message) yield message;
      return;
    }
    const matcher = new qlobber.QlobberTrue(WILDCARDS);
    matcher.add(filter);
    let looked = 0;
    const until = this.#since;
    for (const [topic, { since }] of this.#kept) {
      if (since > until) return;
      if (++looked % STEP === 0) yield undefined;
      // A wildcard in the first level does not reach into $SYS [MQTT-4.7.2-1].
      if ((topic.startsWith("$") && !filter.startsWith("$")) || !matcher.test(topic)) continue;
      const message = this.#living(topic, now);
      if (message) yield message;
    }
  }

  topicsBelow(prefix: string): string[] {
    return [...this.#kept.keys()].filter((topic) => topic.startsWith(prefix));
  }

  /** A message of an earlier run; `row` is what {@link set} stored, or nothing for a message that the tables brought back. */
  restore(topic: string, row: Record<string, unknown>): void {
    // What was stored is not new.
    this.#keep(messageOf({ ...row, topic, retain: true }), row["owner"] as string | undefined, Number.NEGATIVE_INFINITY);
  }

  #living(topic: string, now: number): Message | undefined {
    const kept = this.#kept.get(topic);
    if (!kept?.message.isExpired(now)) return kept?.message;
    this.#forget(topic);
    this.#rows.delete("retained", "", topic);
    return undefined;
  }

  #checkQuota(owner: string, message: Message): void {
    const { mqttRetainedTopics, mqttRetainedBytes } = this.#limits;
    const { topics, bytes } = this.#usage.get(owner) ?? { topics: 0, bytes: 0 };
    const old = this.#kept.get(message.topic);
    const mine = old?.owner === owner ? old : undefined;
    if (!mine && topics >= mqttRetainedTopics)
      throw new HubError("quota_exceeded", `you have ${topics} retained messages, the most there may be`);
    if (bytes - (mine?.message.bytes ?? 0) + message.bytes > mqttRetainedBytes)
      throw new HubError("quota_exceeded", `your retained messages may have ${mqttRetainedBytes} bytes in all`);
  }

  #remember(message: Message, owner: string | undefined): void {
    for (const changes of this.#changes) changes.add(message.topic);
    this.#keep(message, owner, performance.now());
  }

  #keep(message: Message, owner: string | undefined, changedAt: number): void {
    const old = this.#kept.get(message.topic);
    if (old) this.#release(old);
    // A topic that is there keeps its place: a search that is under way has seen it, or will.
    this.#kept.set(message.topic, { message, owner, since: old?.since ?? ++this.#since, changedAt });
    if (owner === undefined) return;
    const usage = this.#usage.get(owner) ?? { topics: 0, bytes: 0 };
    usage.topics++;
    usage.bytes += message.bytes;
    this.#usage.set(owner, usage);
  }

  /** Whether there was one. What is forgotten has no time: its row is gone when whoever forgot it is answered. */
  #forget(topic: string): boolean {
    for (const changes of this.#changes) changes.add(topic);
    return this.#drop(topic);
  }

  #drop(topic: string): boolean {
    const kept = this.#kept.get(topic);
    if (!kept) return false;
    this.#kept.delete(topic);
    this.#release(kept);
    return true;
  }

  /** It counts for nobody's limit any more. */
  #release({ owner, message }: Kept): void {
    const usage = owner === undefined ? undefined : this.#usage.get(owner);
    if (!usage || owner === undefined) return;
    usage.topics--;
    usage.bytes -= message.bytes;
    if (usage.topics === 0) this.#usage.delete(owner);
  }
}
