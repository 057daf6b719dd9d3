import type { Principal } from "../core/principal.ts";
import type { Message } from "./message.ts";
import type { Retained } from "./retained.ts";
import type { Router } from "./router.ts";
import type { WriteBehind } from "./write-behind.ts";

/** Where every message goes through, whoever sends it: a client, a will, or the hub itself. */
export interface Exchange {
  /**
   * Retains the message if it says so and hands it to whoever it is for. `owner` is the client that it counts for; the
   * hub's own have none. Returns whether a row followed from it; {@link stored} resolves when that is committed. Throws
   * quota_exceeded.
   */
  publish(message: Message, owner?: Principal): boolean;
  /** Resolves when what was published up to now is committed for every session that is away; rejects when it could not be. */
  stored(): Promise<void>;
}

export function createExchange({ router, retained, rows }: { router: Router; retained: Retained; rows: WriteBehind }): Exchange {
  return {
    publish(message, owner) {
      const isRetained = message.retain && retained.set(message, owner);
      return router.route(message) || isRetained;
    },
    stored: () => rows.flushed(),
  };
}
