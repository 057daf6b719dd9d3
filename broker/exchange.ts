import type { Principal } from "../core/principal.ts";
import type { Message } from "./message.ts";
import type { Letter } from "./message-letter.ts";
import type { Neighbours } from "./neighbours.ts";
import type { Retained } from "./retained.ts";
import type { Router } from "./router.ts";
import type { WriteBehind } from "./write-behind.ts";

/** Where every message goes through, whoever sends it: a client, a will, or the hub itself. */
export interface Exchange {
  /**
   * Retains the message if it says so and hands it to whoever it is for, on this node and the others. `owner` is the client
   * that it counts for; the hub's own have none. Returns whether anything followed that {@link stored} waits for. Throws
   * quota_exceeded.
   */
  publish(message: Message, owner?: Principal): boolean;
  /** A message that another node published. Resolves when what follows from it here is committed; undefined when nothing does. */
  receive(letter: Letter): Promise<void> | undefined;
  /**
   * Resolves when what was published up to now is committed for every session that is away, and on its way to the other
   * nodes; rejects when it could not be committed.
   */
  stored(): Promise<void>;
}

export interface ExchangeContext {
  readonly router: Router;
  readonly retained: Retained;
  readonly rows: WriteBehind;
  readonly neighbours: Neighbours;
}

export function createExchange({ router, retained, rows, neighbours }: ExchangeContext): Exchange {
  return {
    publish(message, owner) {
      const isRetained = message.retain && retained.set(message, owner);
      message.seed = neighbours.newSeed();
      const isStored = router.route(message);
      const isForwarded = neighbours.forward(message, owner) && message.qos > 0;
      return isRetained || isStored || isForwarded;
    },
    receive({ message, owner }) {
      if (message.retain) retained.copy(message, owner);
      return router.routeForeign(message) ? rows.flushed() : undefined;
    },
    async stored() {
      const delivered = neighbours.delivered();
      await rows.flushed();
      await delivered;
    },
  };
}
