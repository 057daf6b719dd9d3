import type { Bus, Log } from "../../core/bus.ts";
import { HubError } from "../../core/errors.ts";
import { HUB_TOPICS } from "../../core/hub-topics.ts";
import { endedReaders, type StreamReader } from "../../store/notification-recipients.ts";
import type { Db } from "../../store/open.ts";

export interface StreamReadersContext {
  readonly db: Db;
  readonly bus: Bus;
  readonly log: Log;
  /** ms since 1970 */
  readonly clock: () => number;
  readonly pace?: Partial<StreamPace>;
}

export interface StreamPace {
  /** Without anything to tell, a sign of life comes so often. */
  readonly heartbeatMs: number;
  /** A reader that takes nothing for so long is gone. */
  readonly stalledMs: number;
  /** How often it is asked whose login or membership has ended. */
  readonly checkMs: number;
}

const PACE: StreamPace = { heartbeatMs: 15_000, stalledMs: 30_000, checkMs: 500 };
/** Of one person at a node, and of all: each holds a connection, and a page of rows while it is read. */
export const MOST_OF_ONE = 10;
const MOST = 1_000;

/** Who reads a stream of notifications at this node: woken when there is something new, ended when they are not let in any more. */
export class StreamReaders implements Disposable {
  readonly #context: StreamReadersContext;
  readonly pace: StreamPace;
  readonly #byOwner = new Map<string, Set<LiveReader>>();
  readonly #subscription: Disposable;
  #count = 0;
  #timer: NodeJS.Timeout | undefined;
  #isChecking = false;
  #isClosed = false;

  constructor(context: StreamReadersContext) {
    this.#context = context;
    this.pace = { ...PACE, ...context.pace };
    this.#subscription = context.bus.subscribe(HUB_TOPICS.notifications, (_topic, payload) => this.#wake(payload));
  }

  get count(): number {
    return this.#count;
  }

  /** Throws `rate_limited` when there are as many as there may be, `unavailable` when the hub stops, and `forbidden` when it may not go on. */
  async open(reader: StreamReader): Promise<LiveReader> {
    if (this.#isClosed) throw new HubError("unavailable", "the hub stops");
    if ((await this.#endedAmong([reader])).length > 0)
      throw new HubError("forbidden", "you are no member of the organisation that you act in");
    const key = keyOf(reader);
    const ofOwner = this.#byOwner.get(key) ?? new Set();
    const ofUser = [...this.#byOwner.values()].flatMap((all) => [...all]).filter(({ who }) => who.userId === reader.userId);
    if (this.#count >= MOST || ofUser.length >= MOST_OF_ONE)
      throw new HubError("rate_limited", "too many streams are open: end one, or ask again later", { details: { retry_after_s: 30 } });
    const live = new LiveReader(reader, () => this.#remove(key, live));
    this.#byOwner.set(key, ofOwner.add(live));
    this.#count++;
    this.#timer ??= setInterval(() => void this.#check(), this.pace.checkMs).unref();
    return live;
  }

  /** Ends all of them, before the API waits for its answers to end. */
  [Symbol.dispose](): void {
    this.#isClosed = true;
    this.#subscription[Symbol.dispose]();
    this.#endAll();
  }

  #wake(payload: Buffer): void {
    const told = JSON.parse(payload.toString()) as { readonly organization_id: string; readonly user_ids: readonly string[] };
    for (const userId of told.user_ids)
      for (const live of this.#byOwner.get(keyOf({ organizationId: told.organization_id, userId })) ?? []) live.wake();
  }

  #endAll(): void {
    for (const live of [...this.#byOwner.values()].flatMap((all) => [...all])) live.end();
  }

  #remove(key: string, live: LiveReader): void {
    const ofOwner = this.#byOwner.get(key);
    if (ofOwner?.delete(live) !== true) return;
    if (ofOwner.size === 0) this.#byOwner.delete(key);
    if (--this.#count > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** One look after the other, however slow the database is. */
  async #check(): Promise<void> {
    if (this.#isChecking) return;
    this.#isChecking = true;
    await this.#endThose();
    this.#isChecking = false;
  }

  async #endThose(): Promise<void> {
    const all = [...this.#byOwner.values()].flatMap((ofOwner) => [...ofOwner]);
    try {
      const ended = new Set((await this.#endedAmong(all.map(({ who }) => who))).map(credentialKeyOf));
      for (const live of all) if (ended.has(credentialKeyOf(live.who))) live.end();
    } catch (error) {
      // Whoever comes back goes on where they were; nobody reads on who may have lost the right to.
      this.#context.log.warn({ err: error }, "whose streams have to end could not be read: all of them end");
      this.#endAll();
    }
  }

  #endedAmong(readers: readonly StreamReader[]): Promise<StreamReader[]> {
    return endedReaders(this.#context.db, readers, this.#context.clock());
  }
}

/** One stream that is open. */
export class LiveReader<Who = StreamReader> implements Disposable {
  readonly who: Who;
  readonly #onEnd: () => void;
  #isWoken = false;
  #isEnded = false;
  #stir: (() => void) | undefined;

  constructor(who: Who, onEnd: () => void) {
    this.who = who;
    this.#onEnd = onEnd;
  }

  get isEnded(): boolean {
    return this.#isEnded;
  }

  wake(): void {
    this.#isWoken = true;
    this.#stir?.();
  }

  end(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#onEnd();
    this.#stir?.();
  }

  [Symbol.dispose](): void {
    this.end();
  }

  /** Whether it was woken since it was asked last, or has ended. Resolves then, and at the latest after `ms`. */
  async next(ms: number): Promise<boolean> {
    if (!this.#isWoken && !this.#isEnded) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#stir = resolve;
      const late = setTimeout(resolve, ms).unref();
      await promise;
      clearTimeout(late);
      this.#stir = undefined;
    }
    // Not by the time that has passed: a timer may come a little before it.
    const isStirred = this.#isWoken || this.#isEnded;
    this.#isWoken = false;
    return isStirred;
  }
}

const keyOf = ({ userId, organizationId }: Pick<StreamReader, "userId" | "organizationId">): string => `${organizationId} ${userId}`;
const credentialKeyOf = (reader: StreamReader): string => `${keyOf(reader)} ${reader.credentialId}`;
