import { boundedCache } from "../core/bounded-cache.ts";
import type { Principal } from "../core/principal.ts";
import { keyOf } from "../core/authorize.ts";

/** From the beginning of a connection until the client was heard last, in ms since 1970. */
export interface Contact {
  readonly from: number;
  until: number;
}

interface Known {
  present: Contact;
  /** The last before it that was long enough for an answer. */
  before: Contact | undefined;
}

/** The client that was quiet for longest is forgotten first. */
const MAX_CLIENTS = 10_000;
/** Who is heard on a connection so long after the hub has taken a message there has got its answer. */
const ANSWER_MS = 30_000;

/**
 * Until when each client had got its answers before it came back. A packet id of then may name another message now: one that
 * says it is a repeat was never here, should it look like the one before byte for byte.
 */
export class Contacts {
  readonly #known = boundedCache<Known>(MAX_CLIENTS);

  /** A connection begins. `present` is to be kept up to date; `answered`: what was taken then is answered. */
  begin(clientId: string, principal: Principal, now: number): { readonly present: Contact; readonly answered: Contact | undefined } {
    const key = `${keyOf(principal)}/${clientId}`;
    const last = this.#known.get(key);
    const present = { from: now, until: now };
    const before = last && last.present.until - last.present.from > ANSWER_MS ? last.present : last?.before;
    this.#known.set(key, { present, before });
    return { present, answered: before && { from: before.from, until: before.until - ANSWER_MS } };
  }
}
