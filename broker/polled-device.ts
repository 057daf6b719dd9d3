import { HubError } from "../core/errors.ts";
import type { DevicePrincipal } from "../core/principal.ts";
import type { Topics } from "../core/topics.ts";
import { type Down, type GatewayListener, GatewaySession, type SessionEnd } from "./gateway-session.ts";
import type { Accept } from "./listeners.ts";
import { PendingMessages } from "./pending-messages.ts";

export interface PolledDeviceContext {
  readonly attach: Accept;
  readonly topics: Topics;
  readonly clock: () => number;
  /** Called once, when the session is over. */
  readonly onEnd: (device: PolledDevice) => void;
}

interface Waiting {
  /** With what there is by then; with nothing for a poll that a newer one has replaced. */
  readonly answer: (messages: readonly Down[]) => void;
  readonly fail: (error: HubError) => void;
  readonly timer: NodeJS.Timeout;
}

/** A database that is slow, another node that does not let go of the session. */
const OPEN_MS = 10_000;
/** A device that works on what it was given and asks again gets the same again, no faster than this. */
const AGAIN_MS = 1_000;

/** A device that polls, and its session, which goes on between the polls. */
export class PolledDevice implements GatewayListener {
  readonly id: string;
  readonly credentialId: string;
  readonly #session: GatewaySession;
  readonly #pending: PendingMessages;
  readonly #onEnd: (device: PolledDevice) => void;
  readonly #opened = Promise.withResolvers<void>();
  #end: SessionEnd | undefined;
  #waiting: Waiting | undefined;
  #lease: NodeJS.Timeout | undefined;

  constructor({ attach, topics, clock, onEnd }: PolledDeviceContext, principal: DevicePrincipal, remoteAddress: string | undefined) {
    this.id = principal.id;
    this.credentialId = principal.credentialId;
    this.#onEnd = onEnd;
    this.#pending = new PendingMessages((packetId) => this.#session.acknowledge(packetId), clock);
    // Whoever waits for it hears of it; it may also fail with nobody waiting.
    this.#opened.promise.catch(() => undefined);
    const login = { uid: principal.uid, principal };
    this.#session = new GatewaySession({ attach, topics, login, remoteAddress, keepaliveS: 0 }, this);
  }

  get isOver(): boolean {
    return this.#end !== undefined;
  }

  /** What the device has to be told and was not told of yet, or has not answered. Throws `unauthorized`, `rate_limited`, `unavailable`. */
  async poll(waitMs: number): Promise<readonly Down[]> {
    // The newer poll ends the older.
    this.#answer([]);
    await this.#open();
    clearTimeout(this.#lease);
    this.#answer([]);
    this.#session.ping();
    this.#pending.settleOffered();
    if (this.#pending.hasNew || waitMs === 0) return this.#pending.offer();
    const { promise, resolve, reject } = Promise.withResolvers<readonly Down[]>();
    const patienceMs = this.#pending.size > 0 ? Math.min(waitMs, AGAIN_MS) : waitMs;
    const timer = setTimeout(() => this.#answer(this.#pending.offer()), patienceMs);
    this.#waiting = { answer: resolve, fail: reject, timer };
    return promise;
  }

  /** Nobody polls now: in so long the device is gone. */
  leave(inMs: number): void {
    if (this.#waiting || this.isOver) return;
    clearTimeout(this.#lease);
    this.#lease = setTimeout(() => this.close(), inMs).unref();
  }

  /** The device said something over HTTP. */
  heard(): void {
    this.#session.ping();
  }

  settle(id: string): void {
    this.#pending.settle(id);
  }

  /** Nobody waits any longer. */
  release(): void {
    this.#answer([]);
  }

  close(): void {
    clearTimeout(this.#lease);
    this.#session.end("in order");
  }

  opened(): void {
    this.#opened.resolve();
  }

  down(message: Down): void {
    const { type, packetId } = message;
    // What was refused was the answer to its request.
    if (type === "error") return this.#session.acknowledge(packetId);
    if (this.#pending.add(message) && this.#waiting) this.#answer(this.#pending.offer());
  }

  taken(done: () => void): void {
    done();
  }

  ready(): void {
    // Nothing is published by this session.
  }

  ended(end: SessionEnd): void {
    this.#end = end;
    clearTimeout(this.#lease);
    this.#pending.clear();
    const error = errorOf(end);
    this.#opened.reject(error ?? new HubError("unavailable", "the device has another session"));
    if (error) this.#fail(error);
    else this.#answer([]);
    this.#onEnd(this);
  }

  async #open(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => reject(new HubError("unavailable", "the session could not be opened in time")), OPEN_MS);
    });
    try {
      await Promise.race([this.#opened.promise, late]);
    } finally {
      clearTimeout(timer);
    }
    if (this.#end) throw errorOf(this.#end) ?? new HubError("unavailable", "the device has another session");
  }

  #answer(messages: readonly Down[]): void {
    this.#take()?.answer(messages);
  }

  #fail(error: HubError): void {
    this.#take()?.fail(error);
  }

  #take(): Waiting | undefined {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    clearTimeout(waiting?.timer);
    return waiting;
  }
}

/** undefined where the device has nothing to do about it. */
function errorOf(end: SessionEnd): HubError | undefined {
  switch (end) {
    case "taken_over":
    case "stopping":
    case "closed":
      return undefined;
    case "unauthorized":
      return new HubError("unauthorized", "the device's uid or credential is wrong, expired or revoked");
    case "too_many":
      return new HubError("rate_limited", "the device connects too often, or its address fails too often");
    default:
      return new HubError("unavailable", "the broker cannot take the device now");
  }
}
