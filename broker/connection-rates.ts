import { boundedCache } from "../core/bounded-cache.ts";
import type { MqttLimits } from "../core/settings.ts";
import { sourceOf } from "./addresses.ts";
import { type Bucket, fullBucket, type Rate, takeToken } from "./token-bucket.ts";

export type ConnectionRefusal = "connections" | "address_rate" | "node_rate" | "stopping";

/** A connection before it is anything but a socket. One of the two is called, once, at once or within 10 s. */
export interface Arrival {
  admit(): void;
  refuse(reason: ConnectionRefusal): void;
}

type Limits = Pick<MqttLimits, "mqttConnections" | "mqttConnectRate" | "mqttConnectBurst" | "mqttAddressRate">;

/** Longest wait; a client that has heard nothing for so long tries again. */
const MAX_WAIT_MS = 10_000;
/** Sockets that may wait for the node's rate, and as many again for their addresses': the one crowd cannot keep the other out. */
const MAX_WAITING = 2_000;
const MAX_WAITING_ADDRESS = 100;
const TICK_MS = 20;
/** Addresses whose rate is remembered; the one that was quiet for longest is forgotten first. */
const MAX_ADDRESSES = 10_000;

interface Waiter {
  readonly arrival: Arrival;
  readonly until: number;
  /** The line it stands in; undefined before and after. */
  line: Line | undefined;
}
interface Line {
  readonly bucket: Bucket;
  /** First come, first served; whoever gives up leaves from the middle. */
  readonly queue: Set<Waiter>;
}

/** How many new connections this node takes: in all, a second, and a second from one address. `clock` in ms, best a monotonic one. */
export class ConnectionRates implements Disposable {
  readonly #clock: () => number;
  readonly #maxOpen: number;
  readonly #nodeRate: Rate;
  readonly #addressRate: Rate;
  readonly #node: Line;
  /** Lines in which nobody stands, by address. */
  readonly #quiet = boundedCache<Line>(MAX_ADDRESSES);
  /** The others, which are never forgotten. */
  readonly #busy = new Map<string, Line>();
  #open = 0;
  /** In all lines of addresses together. */
  #waiting = 0;
  #isStopped = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(limits: Limits, clock: () => number) {
    this.#clock = clock;
    this.#maxOpen = limits.mqttConnections;
    this.#nodeRate = rateOf(limits.mqttConnectRate, limits.mqttConnectBurst);
    this.#addressRate = rateOf(limits.mqttAddressRate, limits.mqttAddressRate);
    this.#node = { bucket: fullBucket(this.#nodeRate, clock()), queue: new Set() };
  }

  /** Connections there are, those that wait included. */
  get open(): number {
    return this.#open;
  }

  get waiting(): number {
    return this.#node.queue.size + this.#waiting;
  }

  /** Decides over a connection. The caller calls what this returns when the connection has ended, whatever became of it. */
  arrive(address: string | undefined, arrival: Arrival): () => void {
    const reason = this.#isStopped ? "stopping" : this.#open >= this.#maxOpen ? "connections" : undefined;
    if (reason) {
      arrival.refuse(reason);
      return () => {};
    }
    this.#open++;
    const waiter: Waiter = { arrival, until: this.#clock() + MAX_WAIT_MS, line: undefined };
    this.#askAddress(waiter, sourceOf(address));
    let hasEnded = false;
    return () => {
      if (hasEnded) return;
      hasEnded = true;
      this.#open--;
      this.#leave(waiter);
    };
  }

  /** Lets in whose turn it is; called by a timer while somebody waits, and by tests with their own time. */
  admitDue(): void {
    const now = this.#clock();
    // Those whose address has let them through were there before those whom it lets through now.
    for (const waiter of this.#due(this.#node, this.#nodeRate, "node_rate", now)) waiter.arrival.admit();
    for (const [source, line] of this.#busy) {
      for (const waiter of this.#due(line, this.#addressRate, "address_rate", now)) this.#askNode(waiter);
      if (line.queue.size > 0) continue;
      this.#busy.delete(source);
      this.#quiet.set(source, line);
    }
    if (this.#busy.size === 0 && this.#node.queue.size === 0) this.#rest();
  }

  /** Refuses everybody who waits, and everybody who comes from now on. */
  stop(): void {
    this.#isStopped = true;
    this.#rest();
    for (const line of [this.#node, ...this.#busy.values()]) {
      for (const waiter of line.queue) {
        this.#leave(waiter);
        waiter.arrival.refuse("stopping");
      }
    }
  }

  [Symbol.dispose](): void {
    this.stop();
  }

  #askAddress(waiter: Waiter, source: string): void {
    const rate = this.#addressRate;
    if (rate.perSecond === 0) return this.#askNode(waiter);
    const line = this.#lineOf(source);
    if (line.queue.size === 0 && takeToken(line.bucket, rate, this.#clock())) return this.#askNode(waiter);
    if (line.queue.size >= placesFor(rate, MAX_WAITING_ADDRESS) || this.#waiting >= MAX_WAITING)
      return waiter.arrival.refuse("address_rate");
    this.#quiet.delete(source);
    this.#busy.set(source, line);
    this.#waiting++;
    this.#wait(waiter, line);
  }

  #askNode(waiter: Waiter): void {
    const rate = this.#nodeRate;
    const { bucket, queue } = this.#node;
    if (rate.perSecond === 0 || (queue.size === 0 && takeToken(bucket, rate, this.#clock()))) return waiter.arrival.admit();
    if (queue.size >= placesFor(rate, MAX_WAITING)) return waiter.arrival.refuse("node_rate");
    this.#wait(waiter, this.#node);
  }

  #lineOf(source: string): Line {
    const known = this.#busy.get(source) ?? this.#quiet.get(source);
    if (known) return known;
    const line: Line = { bucket: fullBucket(this.#addressRate, this.#clock()), queue: new Set() };
    this.#quiet.set(source, line);
    return line;
  }

  #wait(waiter: Waiter, line: Line): void {
    line.queue.add(waiter);
    waiter.line = line;
    this.#timer ??= setInterval(() => this.admitDue(), TICK_MS).unref();
  }

  #leave(waiter: Waiter): void {
    if (!waiter.line) return;
    waiter.line.queue.delete(waiter);
    if (waiter.line !== this.#node) this.#waiting--;
    waiter.line = undefined;
  }

  #rest(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Those at the head of a line for whom there is a token; whoever waited too long is refused on the way. */
  *#due(line: Line, rate: Rate, reason: ConnectionRefusal, now: number): Generator<Waiter> {
    for (const waiter of line.queue) {
      const isLate = now >= waiter.until;
      if (!isLate && !takeToken(line.bucket, rate, now)) return;
      this.#leave(waiter);
      if (isLate) waiter.arrival.refuse(reason);
      else yield waiter;
    }
  }
}

/** A burst below what the rate gives in two ticks could never be spent at that rate. */
const rateOf = (perSecond: number, burst: number): Rate => ({ perSecond, burst: Math.max(1, burst, (perSecond * TICK_MS * 2) / 1_000) });

/** More than get their turn in time need not begin to wait. */
const placesFor = ({ perSecond }: Rate, most: number): number => Math.min(most, Math.ceil((perSecond * MAX_WAIT_MS) / 1_000));
