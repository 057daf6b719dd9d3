import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { createAdoption } from "./cluster-adoption.ts";
import { encodeSeq, type Letter, OWN_KINDS } from "./cluster-frame.ts";
import { startInbox } from "./cluster-inbox.ts";
import type { Leases } from "./cluster-leases.ts";
import { handleDeadMail, handleMail, type MailContext } from "./cluster-mail.ts";
import { joinCluster, type Membership } from "./cluster-membership.ts";
import type { RedisBoard } from "./cluster-presence-redis.ts";
import type { RedisLink } from "./cluster-redis.ts";

/** Which node this is now; one id is one life, from joining to leaving or fencing. */
export interface Identity {
  id: string;
  membership: Membership | undefined;
}

export interface NodeContext extends MailContext {
  readonly identity: Identity;
  readonly peers: Set<string>;
  /** Peers that are dead, and of which not everybody knows who has their sessions. */
  readonly mourned: Set<string>;
  /** Of those: whose sessions nobody is known to have. */
  readonly orphaned: Set<string>;
  /** The peers, and the orphaned: what is sent to them reaches whoever gets what they had. */
  readonly reachable: () => readonly string[];
  readonly presence: RedisBoard;
  readonly leases: Leases;
  readonly link: RedisLink;
  /** For the inbox alone. */
  readonly reading: RedisLink;
}

const REJOIN_MS = 50;
/** Several reasons to load everything again at the same time are one. */
const RESYNC_MS = 100;

/** Keeps this node a member: joins, reads its inbox, answers to what happens, and joins anew when it was declared dead. */
export class ClusterNode implements AsyncDisposable {
  /** Resolves when this node is a member for the first time. */
  readonly joined: Promise<void>;
  readonly #context: NodeContext;
  readonly #adoption: ReturnType<typeof createAdoption>;
  readonly #closing = new AbortController();
  #resyncing: NodeJS.Timeout | undefined;
  #inbox: AsyncDisposable | undefined;
  /** The joining or the change of id that runs. */
  #turning: Promise<void>;
  #connects = 0;

  constructor(context: NodeContext) {
    this.#context = context;
    const { link, leases, log, handlers } = context;
    this.#adoption = createAdoption({
      link,
      leases,
      log,
      onAdopt: (deadId) => handlers.adopt(deadId),
      announced: async () => {
        // A client may have brought its session here before it could be adopted.
        await handlers.arrivals?.();
        await context.interest.allAnnounced();
      },
      settled: (deadId, signal) =>
        context.settling.of(
          signal,
          context.reachable().filter((nodeId) => nodeId !== deadId),
        ),
      onLetters: (deadId, sender, letters) => handleDeadMail(context, { deadId, sender, letters }),
    });
    link.onUp(() => {
      this.#connects += 1;
      if (this.#connects > 1) this.#resync();
    });
    this.joined = this.#join();
    this.#turning = this.joined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    clearTimeout(this.#resyncing);
    await this.#turning;
    await this.#leave();
  }

  async #join(): Promise<void> {
    const { identity, peers, mourned, log } = this.#context;
    const { signal } = this.#closing;
    while (!signal.aborted) {
      try {
        const membership = await this.#enter(identity.id);
        identity.membership = membership;
        // Who died while this node was away.
        for (const peerId of peers) if (!membership.peers.has(peerId)) this.#onLeft(peerId);
        for (const peerId of mourned) this.#onBuried(peerId);
        this.#inbox = this.#openInbox(identity.id, membership);
        return;
      } catch (err) {
        log.debug({ err }, "cannot join the cluster yet");
        await pause(REJOIN_MS, undefined, { signal, ref: false }).catch(() => {});
      }
    }
  }

  #enter(nodeId: string): Promise<Membership> {
    const { link, log } = this.#context;
    return joinCluster({
      nodeId,
      link,
      log,
      onJoined: (peerId) => this.#onJoined(peerId),
      onLeft: (peerId) => this.#onLeft(peerId),
      onAdopted: (peerId) => void this.#context.orphaned.delete(peerId),
      onBuried: (peerId) => this.#onBuried(peerId),
      onRestored: () => this.#resync(),
      onOrphan: (deadId) => void this.#adoption.adopt(deadId),
      onFenced: () => {
        this.#turning = this.#rejoin();
      },
    });
  }

  #openInbox(nodeId: string, membership: Membership): AsyncDisposable {
    const { link, reading, log, outbox, interest } = this.#context;
    return startInbox({
      nodeId,
      reading,
      link,
      log,
      mayRead: () => membership.isCertain,
      onLetters: (sender, letters) => handleMail(this.#context, sender, letters),
      onReceived: (sender, seq) => outbox.send(sender, { kind: OWN_KINDS.received, bytes: encodeSeq(seq), droppable: false }),
      onGap: (sender, missing) => {
        log.warn({ peerId: sender, missing }, "messages of a node are missing");
        interest.doubt(sender);
        this.#resync();
      },
    });
  }

  #onJoined(peerId: string): void {
    const { peers, outbox, interest, handlers } = this.#context;
    const isNew = !peers.has(peerId);
    peers.add(peerId);
    outbox.open(peerId);
    interest.joined(peerId);
    if (isNew) handlers.joined?.(peerId);
  }

  /** What its sessions want still goes to its inbox: they are nobody's until it is buried. */
  #onLeft(peerId: string): void {
    const { peers, mourned, orphaned, interest, claims, handlers } = this.#context;
    peers.delete(peerId);
    mourned.add(peerId);
    orphaned.add(peerId);
    interest.left(peerId);
    claims.left(peerId);
    handlers.left?.(peerId);
  }

  #onBuried(peerId: string): void {
    const { mourned, orphaned, outbox, interest, identity } = this.#context;
    orphaned.delete(peerId);
    if (!mourned.delete(peerId)) return;
    interest.buried(peerId);
    const letters: readonly Letter[] = outbox.close(peerId);
    void handleDeadMail(this.#context, { deadId: peerId, sender: identity.id, letters });
  }

  #resync(): void {
    const { outbox, claims, presence, interest, peers, handlers } = this.#context;
    this.#resyncing ??= setTimeout(() => {
      this.#resyncing = undefined;
      outbox.forgetOutstanding();
      void claims.reassert();
      presence.renote();
      for (const peerId of peers) interest.joined(peerId);
      handlers.resync?.();
    }, RESYNC_MS).unref();
  }

  async #rejoin(): Promise<void> {
    const { identity, claims, outbox, presence, handlers } = this.#context;
    const former = identity.id;
    identity.id = randomUUID();
    claims.drop();
    outbox.restart();
    presence.renote();
    handlers.fenced?.(former);
    await this.#leave();
    await this.#join();
    this.#resync();
  }

  async #leave(): Promise<void> {
    const { identity } = this.#context;
    await this.#inbox?.[Symbol.asyncDispose]();
    await identity.membership?.[Symbol.asyncDispose]();
    this.#inbox = undefined;
    identity.membership = undefined;
  }
}
