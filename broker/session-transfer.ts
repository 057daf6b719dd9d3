import type { Log } from "../core/bus.ts";
import type { Principal } from "../core/principal.ts";
import { loadBrokerState } from "../store/broker-state.ts";
import type { Topics } from "../core/topics.ts";
import type { Store } from "../store/open.ts";
import { keyOf } from "./authorize.ts";
import type { Claim } from "./cluster-claims.ts";
import type { Neighbours } from "./neighbours.ts";
import { type Mark, replay } from "./replay.ts";
import type { Router } from "./router.ts";
import type { Session } from "./session.ts";
import type { SessionRegistry } from "./session-registry.ts";
import type { Wills } from "./wills.ts";
import type { WriteBehind } from "./write-behind.ts";

export interface SessionTransferContext {
  readonly store: Store;
  readonly rows: WriteBehind;
  readonly registry: SessionRegistry;
  readonly wills: Wills;
  readonly neighbours: Neighbours;
  readonly topics: Topics;
  readonly router: Router;
  readonly log: Log;
}

/** Some sessions, as whoever delivers to them alone needs them. */
export type Sessions = Pick<WeakSet<Session>, "has">;

/** Accounts do not share client ids: what one account claims ends nobody else's connection. */
const claimKeyOf = (clientId: string, principal: Principal): string => `${keyOf(principal)}/${clientId}`;
const clientIdOf = (claimKey: string): string => claimKey.slice(claimKey.indexOf("/") + 1);

/**
 * Which node has which session. Exactly one does: the one with the client's connection, or the last that had it, or
 * whoever took it from a node that is gone; that one queues for it. All of it is nothing on a node that is alone.
 */
export class SessionTransfer {
  readonly #context: SessionTransferContext;
  readonly #held = new Map<string, Claim>();
  /** What came from each other node: mail for that node may still be for it. */
  readonly #cameFrom = new Map<string, WeakSet<Session>>();

  constructor(context: SessionTransferContext) {
    this.#context = context;
  }

  /** Who has the client id in the database, when no session here has it. */
  async ownerOf(clientId: string): Promise<Principal | undefined> {
    const { store, registry, neighbours } = this.#context;
    const known = registry.ownerOf(clientId);
    if (known || !neighbours.cluster) return known;
    for await (const row of loadBrokerState(store.db, { kind: "owner", clientId }))
      return this.#context.rows.restore(row)["principal"] as Principal;
    return undefined;
  }

  /** Takes the session to this node, wherever it was. Resolves to the claim on it; undefined on a node that is alone. */
  async take(clientId: string, principal: Principal): Promise<Claim | undefined> {
    const { registry, neighbours } = this.#context;
    const { cluster } = neighbours;
    if (!cluster) return undefined;
    const claim = await cluster.claims.claim(claimKeyOf(clientId, principal));
    if (!registry.find(clientId)) await this.#load(clientId);
    const session = registry.find(clientId);
    if (session && claim.previous !== undefined) this.#from(claim.previous).add(session);
    return claim;
  }

  /** The session is this node's as long as it lasts here. */
  hold(clientId: string, claim: Claim | undefined): void {
    if (claim) this.#held.set(clientId, claim);
  }

  /** The session is over, or another node's. */
  letGo(clientId: string): void {
    this.#held.get(clientId)?.end();
    this.#held.delete(clientId);
  }

  /** Another node takes the session: ends its connection here and lets it go. Resolves when all its rows are written. */
  async release(claimKey: string): Promise<void> {
    const { registry, rows, wills, neighbours } = this.#context;
    const clientId = clientIdOf(claimKey);
    const session = registry.find(clientId);
    if (session && claimKeyOf(clientId, session.principal) === claimKey) {
      session.link?.takenOver();
      // Others still send here what is for it, until they know better.
      registry.unload(clientId, (message) => neighbours.passOn(clientId, message));
    } else if (!session) {
      wills.unload(clientId);
      this.letGo(clientId);
    }
    await rows.flushed();
  }

  /** Takes all sessions that no node has. `deadId`: because that node is gone. */
  async takeFree(deadId?: string): Promise<void> {
    const { store, registry, neighbours, rows, log } = this.#context;
    const { cluster } = neighbours;
    if (!cluster) return;
    const taken = new Set<Session>();
    // A client without a session that stays may have left a will.
    for (const kind of ["owner", "will"] as const) {
      for await (const row of loadBrokerState(store.db, { kind })) {
        const { clientId } = row;
        if (registry.find(clientId)) continue;
        const claim = await cluster.claims.claimFree(claimKeyOf(clientId, rows.restore(row)["principal"] as Principal));
        if (!claim) continue;
        await this.#load(clientId);
        this.hold(clientId, claim);
        const session = registry.find(clientId);
        if (!session) continue;
        taken.add(session);
        if (deadId !== undefined) this.#from(deadId).add(session);
      }
    }
    await this.#replayFor(taken);
    if (taken.size > 0) log.info({ sessions: taken.size, deadId }, "sessions were taken over");
  }

  /** What followed from the last commits of nodes that are gone, and may not have reached the queues of what was taken. */
  async #replayFor(taken: ReadonlySet<Session>): Promise<void> {
    const { store, rows, neighbours } = this.#context;
    const { cluster } = neighbours;
    for await (const row of loadBrokerState(store.db, { kind: "replay" })) {
      const { until, nodeId } = rows.restore(row) as unknown as Mark;
      if (nodeId === undefined || nodeId === cluster?.nodeId || cluster?.peers.has(nodeId)) continue;
      if (taken.size > 0) await replay(this.#context, until, taken);
      rows.delete("replay", "", row.key);
    }
  }

  /** Lets everything go in good order: another node takes it. */
  async leave(): Promise<void> {
    const { registry, rows, neighbours } = this.#context;
    if (!neighbours.cluster) return;
    await rows.flushed();
    for (const { id } of registry.all()) registry.unload(id);
  }

  /** The sessions that a message for a dead node is for. */
  cameFrom(deadId: string): Sessions {
    return this.#cameFrom.get(deadId) ?? new WeakSet();
  }

  #from(nodeId: string): WeakSet<Session> {
    let sessions = this.#cameFrom.get(nodeId);
    if (!sessions) this.#cameFrom.set(nodeId, (sessions = new WeakSet()));
    return sessions;
  }

  /** The others took this node for dead: what it had is theirs. */
  drop(): void {
    const { registry, rows } = this.#context;
    for (const session of registry.all()) {
      session.link?.takenOver();
      registry.unload(session.id);
    }
    this.#held.clear();
    rows.discard();
  }

  async #load(clientId: string): Promise<void> {
    const { store, rows, registry, wills } = this.#context;
    const later: { kind: "subscription" | "outgoing" | "incoming"; key: string; value: Record<string, unknown> }[] = [];
    for await (const row of loadBrokerState(store.db, { clientId })) {
      const value = rows.restore(row);
      const { kind, key } = row;
      if (kind === "owner") registry.restore(kind, clientId, key, value);
      else if (kind === "will") wills.restore(clientId, value);
      else if (kind === "subscription" || kind === "outgoing" || kind === "incoming") later.push({ kind, key, value });
    }
    registry.find(clientId)?.watchRepeats();
    for (const { kind, key, value } of later) registry.restore(kind, clientId, key, value);
  }
}
