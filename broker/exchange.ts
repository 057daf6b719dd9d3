import { setTimeout as pause } from "node:timers/promises";
import type { Principal } from "../core/principal.ts";
import type { Message } from "./message.ts";
import type { Letter } from "./message-letter.ts";
import type { Neighbours } from "./neighbours.ts";
import type { Retained } from "./retained.ts";
import type { Followed, Router } from "./router.ts";
import type { WriteBehind } from "./write-behind.ts";

/** Where every message goes through, whoever sends it: a client, a will, or the hub itself. */
export interface Exchange {
  /**
   * Retains the message if it says so and hands it to whoever it is for, on this node and the others. `owner` is the client
   * that it counts for; the hub's own have none. Returns where anything followed that {@link stored} waits for. Throws
   * quota_exceeded.
   */
  publish(message: Message, owner?: Principal): Followed | undefined;
  /** A message that another node published. Resolves when what follows from it here is committed; undefined when nothing does. */
  receive(letter: Letter): Promise<void> | undefined;
  /** The same for a message that is to go to one member of the group, and was sent on that often; it is sent on again when there is none here. */
  receiveForGroup(group: string, letter: Letter, hops: number): Promise<void> | undefined;
  /** Resolves when what followed here from a message of another node is committed, or on its way to a third one. */
  received(): Promise<void>;
  /**
   * Resolves when what was published up to now is committed for every session that is away, and on its way to the other
   * nodes; rejects when it could not be committed. What followed here alone does not wait for the other nodes' mail.
   */
  stored(followed?: Followed): Promise<void>;
}

export interface ExchangeContext {
  readonly router: Router;
  readonly retained: Retained;
  readonly rows: WriteBehind;
  readonly neighbours: Neighbours;
}

/** After the death of a node its sessions are with others by then. */
const MEMBERS_MS = 15_000;
const LOOK_MS = 50;

export function createExchange({ router, retained, rows, neighbours }: ExchangeContext): Exchange {
  async function stored(followed?: Followed): Promise<void> {
    const delivered = followed === "here" ? undefined : neighbours.delivered();
    await rows.flushed();
    await delivered;
  }
  async function received(): Promise<void> {
    const passedOn = neighbours.passedOn();
    await rows.flushed();
    await passedOn;
  }
  /** Until then it stays in the mail that it came with: should this node die, the one that reads that next goes on. */
  async function handOn(group: string, message: Message, hops: number): Promise<void> {
    const end = performance.now() + MEMBERS_MS;
    while (!neighbours.handOn(group, message, hops)) {
      await pause(LOOK_MS, undefined, { ref: false });
      const isHere = router.groupsOf(message.topic).includes(group);
      if (isHere) router.routeToGroup(group, message);
      if (isHere || performance.now() >= end) break;
    }
    await received();
  }
  return {
    publish(message, owner) {
      const isRetained = message.retain && retained.set(message, owner);
      message.seed = neighbours.newSeed();
      const followed = router.route(message);
      const isForwarded = neighbours.forward(message, owner) && message.qos > 0;
      return isForwarded ? "elsewhere" : (followed ?? (isRetained ? "here" : undefined));
    },
    receive({ message, owner }) {
      if (message.retain) retained.copy(message, owner);
      return router.routeForeign(message) ? received() : undefined;
    },
    receiveForGroup(group, { message }, hops) {
      if (router.groupsOf(message.topic).includes(group)) return router.routeToGroup(group, message) ? received() : undefined;
      return handOn(group, message, hops);
    },
    received,
    stored,
  };
}
