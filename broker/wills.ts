import type { Log } from "../core/bus.ts";
import type { Principal } from "../core/principal.ts";
import type { Topic } from "../core/topics.ts";
import { mayPublish, type Rights } from "../core/authorize.ts";
import { messageOf as hubMessage } from "./bus.ts";
import type { Exchange } from "./exchange.ts";
import { Message } from "./message.ts";
import { messageOf, messageRow } from "./message-row.ts";
import { homeAssistantStatus } from "./publish.ts";
import type { WriteBehind } from "./write-behind.ts";

export interface WillsContext {
  readonly rights: Rights;
  readonly exchange: Exchange;
  readonly rows: WriteBehind;
  readonly log: Log;
  readonly clock: () => number;
  /** Called when the last word of a client is said. */
  readonly onSaid: (clientId: string) => void;
}

/** A client's last words, as they were checked at its CONNECT. */
export interface Will {
  readonly principal: Principal;
  readonly message: Message;
  /** How long after the connection they are said, unless the client is back before. */
  readonly delayMs: number;
  /** How long the message lives once it is said; undefined for ever. */
  readonly expiryMs: number | undefined;
}

/** After a start the clients of the run before are not there yet, but may be on their way. */
const GRACE_MS = 10_000;

/** The wills of the clients that are connected, or gone for less than their will's delay. */
export class Wills {
  readonly #context: WillsContext;
  readonly #wills = new Map<string, Will>();
  readonly #timers = new Map<string, NodeJS.Timeout>();

  constructor(context: WillsContext) {
    this.#context = context;
  }

  /** Whether somebody may leave such a will. A device's availability is the hub's own word: it may be left and is not said. */
  static isAllowed(rights: Rights, principal: Principal, name: string): boolean {
    const topic = rights.topics.parse(name);
    return topic !== undefined && isSayable(topic) && mayPublish(rights, principal, topic);
  }

  put(clientId: string, will: Will): void {
    this.#cancel(clientId);
    this.#wills.set(clientId, will);
    this.#write(clientId, will);
  }

  /** Writes the will of a client that is about to be let in. Resolves when it is committed: it may be all that is left of it. */
  async promise(clientId: string, will: Will): Promise<void> {
    this.#write(clientId, will);
    await this.#context.rows.flushed();
  }

  /** The client was not let in after all. */
  retract(clientId: string): void {
    const will = this.#wills.get(clientId);
    if (will) this.#write(clientId, will);
    else this.#context.rows.delete("will", clientId, "");
  }

  #write(clientId: string, { message, ...rest }: Will): void {
    this.#context.rows.put("will", clientId, "", { ...messageRow(message), retain: message.retain, ...rest });
  }

  /** The client said good-bye, or is back. */
  forget(clientId: string): void {
    this.#cancel(clientId);
    if (this.#wills.delete(clientId)) this.#context.rows.delete("will", clientId, "");
  }

  /** The connection ended without a good-bye. The session's end comes first if it comes before the delay's. */
  leave(clientId: string, sessionEndsInMs: number): void {
    const will = this.#wills.get(clientId);
    if (!will) return;
    this.#sayIn(clientId, Math.min(will.delayMs, sessionEndsInMs));
  }

  /** The session is over: what it still has to say is said now. */
  sessionEnded(clientId: string): void {
    if (this.#timers.has(clientId)) this.#say(clientId);
  }

  restore(clientId: string, row: Record<string, unknown>): void {
    const { principal, delayMs, expiryMs } = row as unknown as Will;
    this.#wills.set(clientId, { principal, delayMs, expiryMs, message: messageOf(row) });
    this.#sayIn(clientId, Math.max(delayMs, GRACE_MS));
  }

  /** The client is another node's. */
  unload(clientId: string): void {
    this.#cancel(clientId);
    this.#wills.delete(clientId);
  }

  /** The hub stops: what was not said is said after its next start. */
  [Symbol.dispose](): void {
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
  }

  #sayIn(clientId: string, delayMs: number): void {
    this.#cancel(clientId);
    if (delayMs <= 0) return this.#say(clientId);
    // Longer than a timer can wait is longer than any session lives.
    this.#timers.set(clientId, setTimeout(() => this.#say(clientId), Math.min(delayMs, 2_147_483_647)).unref());
  }

  #cancel(clientId: string): void {
    clearTimeout(this.#timers.get(clientId));
    this.#timers.delete(clientId);
  }

  /** The right is asked again: it may have ended since the CONNECT. */
  #say(clientId: string): void {
    const will = this.#wills.get(clientId);
    this.forget(clientId);
    this.#context.onSaid(clientId);
    if (!will) return;
    const { rights, exchange, log, clock } = this.#context;
    const { principal, message, expiryMs } = will;
    const topic = rights.topics.parse(message.topic);
    if (!topic || topic.kind === "availability" || !mayPublish(rights, principal, topic)) return;
    try {
      const said =
        expiryMs === undefined ? message : new Message({ ...messageRow(message), retain: message.retain, expiresAt: clock() + expiryMs });
      exchange.publish(said, principal);
      if (topic.kind === "ha_status") exchange.publish(hubMessage(homeAssistantStatus(principal, String(message.payload))));
    } catch (error) {
      log.warn({ err: error, clientId, topic: message.topic }, "a will could not be published");
    }
  }
}

/** States of being there, and the organisation's own: everything else would be a command of somebody who is gone. */
const isSayable = ({ kind }: Topic): boolean => kind === "availability" || kind === "ha_status" || kind === "bus";
