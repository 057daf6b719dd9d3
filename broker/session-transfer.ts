import type { Log } from "../core/bus.ts";
import type { Principal } from "../core/principal.ts";
import { loadBrokerState } from "../store/broker-state.ts";
import type { Topics } from "../core/topics.ts";
import type { Store } from "../store/open.ts";
import { keyOf } from "../core/authorize.ts";
import type { Cluster } from "./cluster.ts";
import type { Claim } from "./cluster-claims.ts";
import type { Message } from "./message.ts";
import { encodeReplay, MAIL_KINDS } from "./neighbour-mail.ts";
import type { Neighbours } from "./neighbours.ts";
import { type Mark, replay } from "./replay.ts";
import type { Router } from "./router.ts";
import { REPEATS_MS, type Session } from "./session.ts";
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

/**
 * Mail of any dead node may be for a session that moved so lately: it may have come over several of them, faster than their
 * deaths are known.
 */
const RECENT_MS = 30_000;

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
  /** When each session came that another node had, in ms of the monotonic clock. */
  readonly #cameAt = new WeakMap<Session, number>();
  /** Sessions on their way here. */
  readonly #coming = new Set<{ /** undefined: of several. */ readonly clientId: string | undefined; readonly here: Promise<unknown> }>();
  /** Client ids that came from another node, which may still pass on what comes there for them. */
  readonly #lately = new Map<string, NodeJS.Timeout>();

  constructor(context: SessionTransferContext) {
    this.#context = context;
  }

  /** Who has the client id in the database, when no session here has it. */
  async ownerOf(clientId: string): Promise<Principal | undefined> {
    const { store, registry, neighbours } = this.#context;
    const known = registry.ownerOf(clientId);
    if (known || !neighbours.cluster) return known;
    await this.#written();
    for await (const row of loadBrokerState(store.db, { kind: "owner", clientId }))
      return this.#context.rows.restore(row)["principal"] as Principal;
    return undefined;
  }

  /** Takes the session to this node, wherever it was. Resolves to the claim on it; undefined on a node that is alone. */
  async take(clientId: string, principal: Principal): Promise<Claim | undefined> {
    const { cluster } = this.#context.neighbours;
    if (!cluster) return undefined;
    return this.#await(
      clientId,
      cluster.claims.claim(claimKeyOf(clientId, principal)).then((claim) => this.#fetch(clientId, claim)),
    );
  }

  #await<T>(clientId: string | undefined, here: Promise<T>): Promise<T> {
    const coming = { clientId, here };
    this.#coming.add(coming);
    return here.finally(() => this.#coming.delete(coming));
  }

  async #fetch(clientId: string, claim: Claim): Promise<Claim> {
    const { registry } = this.#context;
    if (!registry.find(clientId)) {
      await this.#written();
      await this.#load(clientId);
    }
    this.#came(registry.find(clientId), claim.previous);
    return claim;
  }

  /**
   * A message that is for one session, should it be here or on its way; `group`: as a member of that. Resolves when what follows
   * is a row to be committed.
   */
  async deliver(clientId: string, message: Message, group: string | undefined): Promise<void> {
    const { registry, router } = this.#context;
    if (!registry.find(clientId)) await this.arrivals(clientId);
    const session = registry.find(clientId);
    if (!session) return;
    if (group === undefined) router.routeTo(new Set([session]), message, { asMembers: false });
    else router.routeToMember(session, group, message);
  }

  /** Resolves when every session is here that is on its way now, or that one; undefined when none is. */
  arrivals(only?: string): Promise<unknown> | undefined {
    const coming = [...this.#coming].filter(({ clientId }) => only === undefined || clientId === undefined || clientId === only);
    return coming.length === 0 ? undefined : Promise.allSettled(coming.map(({ here }) => here));
  }

  /** The session is this node's as long as it lasts here. */
  hold(clientId: string, claim: Claim | undefined): void {
    if (!claim) return;
    this.#held.set(clientId, claim);
    if (claim.previous !== undefined && claim.previous !== this.#context.neighbours.cluster?.nodeId) this.#cameLately(clientId);
    // Also a session that begins anew: what was for the one before may still be passed on.
    if (this.#lately.has(clientId)) this.#context.registry.find(clientId)?.watchRepeats();
  }

  #cameLately(clientId: string): void {
    clearTimeout(this.#lately.get(clientId));
    const timer = setTimeout(() => this.#lately.delete(clientId), REPEATS_MS).unref();
    this.#lately.set(clientId, timer);
  }

  /** The session is over, or another node's. */
  letGo(clientId: string): void {
    const claim = this.#held.get(clientId);
    if (!claim) return;
    this.#held.delete(clientId);
    // Another node that has it next reads the database: what is over must not be found there.
    void this.#written().then(() => claim.end());
  }

  /**
   * Ends the session's connection here, since another one takes over; its last word is said before that. Returns whether
   * the session is over: the new one begins anew (`isClean`), or it ends with its connection, as one without an expiry does
   * [MQTT-3.1.2-23].
   */
  supersede(clientId: string, { isClean }: { readonly isClean: boolean }): boolean {
    const { registry, wills } = this.#context;
    const session = registry.find(clientId);
    const old = session?.link;
    const isOver = isClean || old?.expiryMs === 0;
    // First: its group's share of the last word is not to be lost on a session that ends.
    if (session && isOver) registry.silence(session);
    if (!session || !old) return isOver;
    session.link = undefined;
    if (!old.saidGoodbye) wills.leave(clientId, old.expiryMs);
    // Aedes ends the one that it knows; of many that came at once it knows one.
    old.takenOver();
    return isOver;
  }

  /** Another node takes the session: ends its connection here and lets it go. Resolves when all its rows are written. */
  async release(claimKey: string): Promise<void> {
    const { registry, rows, wills, neighbours } = this.#context;
    const clientId = clientIdOf(claimKey);
    const session = registry.find(clientId);
    if (session && claimKeyOf(clientId, session.principal) === claimKey) {
      if (this.supersede(clientId, { isClean: false })) registry.end(clientId);
      // Others still send here what is for it, until they know better.
      else
        registry.unload(clientId, (message, group) => {
          neighbours.passOn(clientId, message, group);
          // It may be back, or on its way.
          void this.deliver(clientId, message, group);
        });
    } else if (!session) {
      wills.unload(clientId);
      this.letGo(clientId);
    }
    await rows.flushed();
  }

  /** Takes all sessions that no node has. `deadId`: because that node is gone. */
  async takeFree(deadId?: string): Promise<void> {
    const { neighbours, log } = this.#context;
    if (!neighbours.cluster) return;
    const taken = await this.#await(undefined, this.#takeAllFree(neighbours.cluster, deadId));
    await this.#replayDead();
    if (taken > 0) log.info({ sessions: taken, deadId }, "sessions were taken over");
  }

  /** Resolves to how many there were. */
  async #takeAllFree(cluster: Cluster, deadId: string | undefined): Promise<number> {
    const { store, registry, rows } = this.#context;
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
        this.#came(session, claim.previous);
        this.#came(session, deadId);
      }
    }
    return taken.size;
  }

  /**
   * What followed from the last commits of nodes that are gone, and may have reached nobody: every node queues it again for the
   * sessions it has, whose clients may not have been there.
   */
  async #replayDead(): Promise<void> {
    const { store, rows, neighbours } = this.#context;
    const { cluster } = neighbours;
    for await (const row of loadBrokerState(store.db, { kind: "replay" })) {
      const { until, nodeId } = rows.restore(row) as unknown as Mark;
      if (nodeId === undefined || nodeId === cluster?.nodeId || cluster?.peers.has(nodeId)) continue;
      neighbours.sendAll(MAIL_KINDS.replay, encodeReplay(until));
      await this.replay(until);
      await neighbours.delivered();
      rows.delete("replay", "", row.key);
    }
  }

  /** Queues once more what was committed since then. */
  async replay(since: number): Promise<void> {
    const { registry, rows } = this.#context;
    const lasting = new Set([...registry.all()].filter(({ isDurable }) => isDurable));
    if (lasting.size > 0) await replay(this.#context, since, lasting);
    await rows.flushed();
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
    const known = this.#cameFrom.get(deadId);
    const since = performance.now() - RECENT_MS;
    const isRecent = (session: Session): boolean => (this.#cameAt.get(session) ?? Number.NEGATIVE_INFINITY) > since;
    // Where a session has gone to, such mail is read too.
    return { has: (session) => !session.hasMoved && (known?.has(session) === true || isRecent(session)) };
  }

  #came(session: Session | undefined, nodeId: string | undefined): void {
    if (!session || nodeId === undefined || nodeId === this.#context.neighbours.cluster?.nodeId) return;
    let sessions = this.#cameFrom.get(nodeId);
    if (!sessions) this.#cameFrom.set(nodeId, (sessions = new WeakSet()));
    sessions.add(session);
    this.#cameAt.set(session, performance.now());
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

  /** What ended here a moment ago is not to be found in the database again. */
  async #written(): Promise<void> {
    await this.#context.rows.flushed().catch(() => undefined);
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
