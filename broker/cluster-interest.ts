import { NodeFilters } from "./cluster-filters.ts";
import { encodeSeq, OWN_KINDS, parseSeq } from "./cluster-frame.ts";

/** Which topics somebody on another node wants. */
export interface Interest {
  /** One more subscriber of this node for the filter; with `$share/<group>/<filter>` one more member of the group. */
  add(filter: string): void;
  remove(filter: string): void;
  /** Resolves when all live peers know the filter, or after 1 s; at once for a filter that they have known. */
  announced(filter: string): Promise<void>;
  /** Resolves when all live peers know every filter there is now, however long that takes. */
  allAnnounced(): Promise<void>;
  /** The peers that a message on this topic is for; also those of which it is not known yet. */
  peersFor(topic: string): readonly string[];
  /** Of a topic with such peers: one of them wants it by what it said last, or has never said anything. */
  isWanted(topic: string): boolean;
  /** A peer has never said what it wants. */
  readonly hasStranger: boolean;
  /** The peers with members of each group that a message on this topic is for, as far as that is known. */
  groupsFor(topic: string): ReadonlyMap<string, readonly string[]>;
  /** Peers that have not said what they want. */
  readonly unknown: ReadonlySet<string>;
}

export type SendLetter = (peerId: string, kind: number, bytes: Buffer) => void;

interface Announcement {
  readonly version: number;
  /** Everything before it is void. */
  readonly reset?: boolean;
  /** More of the same follows. */
  readonly more?: boolean;
  readonly add: readonly string[];
  readonly remove: readonly string[];
}
interface Waiting {
  readonly missing: Set<string>;
  readonly promise: Promise<void>;
  readonly resolve: () => void;
}

const ANNOUNCED_MS = 1_000;
const CHUNK_FILTERS = 500;

/** What this node wants, as it is told to the peers; and what they want, as they tell it. */
export class SharedInterest implements Interest {
  readonly #send: SendLetter;
  readonly #onKnown: (peerId: string) => void;
  /** Subscribers of each filter here, and the version of the announcement that it is part of. */
  readonly #own = new Map<string, { count: number; version: number }>();
  /** Filters that came or went in this turn. */
  readonly #changed = new Set<string>();
  #version = 0;
  /** The live peers, and the version that each has confirmed. */
  readonly #confirmed = new Map<string, number>();
  readonly #waiting = new Map<number, Waiting>();
  /** Those without a limit. */
  readonly #waitingLong = new Map<number, Waiting>();
  readonly #filters = new NodeFilters();
  /** Peers that have not said everything, or not again since something of it may have been lost. */
  readonly unknown = new Set<string>();
  /** Peers whose filters are whole, be they the latest or not. */
  readonly #introduced = new Set<string>();
  /** Of those: the ones in the middle of it. */
  readonly #loading = new Set<string>();

  /** `onKnown` is called when a peer has said everything: by now it knows this node, and sends here what this one wants. */
  constructor(send: SendLetter, onKnown: (peerId: string) => void = () => {}) {
    this.#send = send;
    this.#onKnown = onKnown;
  }

  add(filter: string): void {
    const mine = this.#own.get(filter);
    if (mine) mine.count += 1;
    else this.#own.set(filter, { count: 1, version: this.#note(filter) });
  }

  remove(filter: string): void {
    const mine = this.#own.get(filter);
    if (!mine) return;
    mine.count -= 1;
    if (mine.count > 0) return;
    this.#own.delete(filter);
    this.#note(filter);
  }

  announced(filter: string): Promise<void> {
    return this.#known(this.#own.get(filter)?.version ?? 0, this.#waiting, ANNOUNCED_MS);
  }

  allAnnounced(): Promise<void> {
    return this.#known(this.#version, this.#waitingLong);
  }

  async #known(version: number, all: Map<number, Waiting>, limitMs?: number): Promise<void> {
    const missing = [...this.#confirmed].filter(([, upTo]) => upTo < version).map(([peerId]) => peerId);
    if (missing.length === 0) return;
    let waiting = all.get(version);
    if (!waiting) all.set(version, (waiting = newWaiting(missing, { limitMs, onLate: () => all.delete(version) })));
    await waiting.promise;
  }

  peersFor(topic: string): readonly string[] {
    const { nodes } = this.#filters.matching(topic);
    return this.unknown.size === 0 ? nodes : [...new Set([...nodes, ...this.unknown])];
  }

  groupsFor(topic: string): ReadonlyMap<string, readonly string[]> {
    return this.#filters.matching(topic).groups;
  }

  isWanted(topic: string): boolean {
    return this.unknown.size === 0 || this.hasStranger || this.#filters.matching(topic).nodes.length > 0;
  }

  get hasStranger(): boolean {
    return [...this.unknown].some((peerId) => !this.#introduced.has(peerId));
  }

  /** Called again when something may have been lost: what the peer said before counts until it has said it anew. */
  joined(peerId: string): void {
    this.#confirmed.set(peerId, 0);
    this.unknown.add(peerId);
    this.#loading.delete(peerId);
    this.#introduce(peerId);
    // It may have introduced itself before it was seen here.
    this.#send(peerId, OWN_KINDS.interestWanted, Buffer.alloc(0));
  }

  /** The peer is dead. Nobody waits for it; what it wanted is still wanted, by whoever gets its sessions. */
  left(peerId: string): void {
    this.#confirmed.delete(peerId);
    this.#settle(peerId, Number.POSITIVE_INFINITY);
  }

  /** Others have what the dead peer had, and have said so. */
  buried(peerId: string): void {
    this.unknown.delete(peerId);
    this.#forget(peerId);
  }

  /** Messages of the peer are missing: what it wants is unknown until it has said it all again. */
  doubt(peerId: string): void {
    if (!this.#confirmed.has(peerId)) return;
    this.unknown.add(peerId);
    this.#loading.delete(peerId);
    this.#send(peerId, OWN_KINDS.interestWanted, Buffer.alloc(0));
  }

  /** True when the message was one of these. */
  receive(peerId: string, kind: number, bytes: Buffer): boolean {
    if (kind === OWN_KINDS.interestKnown) this.#confirm(peerId, parseSeq(bytes));
    else if (kind === OWN_KINDS.interestWanted) this.#introduce(peerId);
    else if (kind === OWN_KINDS.interest) this.#learn(peerId, JSON.parse(bytes.toString()) as Announcement);
    else return false;
    return true;
  }

  /** What changes in one turn is one announcement. */
  #note(filter: string): number {
    if (this.#changed.size === 0) {
      this.#version += 1;
      setImmediate(() => this.#announce());
    }
    this.#changed.add(filter);
    return this.#version;
  }

  #announce(): void {
    const all = [...this.#changed];
    this.#changed.clear();
    const add = all.filter((filter) => this.#own.has(filter));
    const remove = all.filter((filter) => !this.#own.has(filter));
    for (const peerId of this.#confirmed.keys()) this.#tell(peerId, { add, remove });
  }

  /** Everything at once, for a peer that knows nothing. */
  #introduce(peerId: string): void {
    if (this.#confirmed.has(peerId)) this.#tell(peerId, { add: [...this.#own.keys()], remove: [], reset: true });
  }

  #tell(peerId: string, { add, remove, reset = false }: Pick<Announcement, "add" | "remove" | "reset">): void {
    const total = Math.max(add.length, remove.length, 1);
    for (let at = 0; at < total; at += CHUNK_FILTERS) {
      const end = at + CHUNK_FILTERS;
      const chunk: Announcement = {
        version: this.#version,
        reset: reset && at === 0,
        more: end < total,
        add: add.slice(at, end),
        remove: remove.slice(at, end),
      };
      this.#send(peerId, OWN_KINDS.interest, Buffer.from(JSON.stringify(chunk)));
    }
  }

  #learn(peerId: string, { version, reset, more, add, remove }: Announcement): void {
    // Changes to something unknown are of no use: everything comes again. So it does when the peer is seen to have joined.
    if (!this.#confirmed.has(peerId)) return;
    if (!reset && this.unknown.has(peerId) && !this.#loading.has(peerId)) return;
    if (reset) {
      this.#forget(peerId);
      this.#loading.add(peerId);
    }
    for (const filter of add) this.#filters.add(peerId, filter);
    for (const filter of remove) this.#filters.remove(peerId, filter);
    if (more) return;
    if (this.#loading.delete(peerId)) {
      this.#introduced.add(peerId);
      if (this.unknown.delete(peerId)) this.#onKnown(peerId);
    }
    this.#send(peerId, OWN_KINDS.interestKnown, encodeSeq(version));
  }

  #confirm(peerId: string, upTo: number): void {
    if (!this.#confirmed.has(peerId)) return;
    this.#confirmed.set(peerId, Math.max(upTo, this.#confirmed.get(peerId) ?? 0));
    this.#settle(peerId, upTo);
  }

  #settle(peerId: string, upTo: number): void {
    for (const all of [this.#waiting, this.#waitingLong])
      for (const [version, { missing, resolve }] of all) {
        if (version > upTo) continue;
        missing.delete(peerId);
        if (missing.size > 0) continue;
        all.delete(version);
        resolve();
      }
  }

  #forget(peerId: string): void {
    this.#filters.clear(peerId);
    this.#introduced.delete(peerId);
    this.#loading.delete(peerId);
  }
}

function newWaiting(missing: readonly string[], { limitMs, onLate }: { limitMs: number | undefined; onLate: () => void }): Waiting {
  const { promise, resolve } = Promise.withResolvers<void>();
  const late = (): void => {
    onLate();
    resolve();
  };
  const timer = limitMs === undefined ? undefined : setTimeout(late, limitMs).unref();
  return {
    missing: new Set(missing),
    promise,
    resolve: () => {
      clearTimeout(timer);
      resolve();
    },
  };
}
