import { openTaskSignals } from "./cluster-task-signals.ts";
import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import type { Log, SharedCache, SharedScripts, TaskSignals } from "../core/bus.ts";
import type { OutgoingLetter } from "./cluster-backlog.ts";
import { type Claims, ClientClaims } from "./cluster-claims.ts";
import type { ClusterHandlers } from "./cluster-handlers.ts";
import { type Interest, SharedInterest } from "./cluster-interest.ts";
import { createLeases, type Leases } from "./cluster-leases.ts";
import { createSharedScripts } from "./cluster-scripts.ts";
import { ClusterNode, type Identity } from "./cluster-node.ts";
import { createOutbox, type Waiting } from "./cluster-outbox.ts";
import type { PresenceBoard } from "./cluster-presence.ts";
import { RedisBoard } from "./cluster-presence-redis.ts";
import { openRedis, type RedisLink } from "./cluster-redis.ts";
import { Settling } from "./cluster-settling.ts";
import { createSharedCache } from "./shared-cache.ts";

export interface ClusterOptions {
  /** One URL, or the seeds of a Redis Cluster separated by commas. */
  readonly redisUrl: string;
  readonly log: Log;
  readonly handlers: ClusterHandlers;
  readonly clock?: () => number;
  /** Messages that wait while Redis or a peer is slow or away: 64 MiB. */
  readonly maxBacklogBytes?: number;
  /** How long the start waits for Redis; then the node goes on alone and joins when Redis is there: 5 s. */
  readonly joinWithinMs?: number;
  /** Lifetime of a presence and pause between two looks for expired ones; see {@link PresenceBoard}. */
  readonly presence?: { readonly ttlMs?: number; readonly sweepMs?: number };
}

export interface Cluster extends AsyncDisposable {
  /**
   * Resolves when this node is a member and has read what the others did before they knew it, or after a while without: it goes on
   * alone then, and joins later.
   */
  readonly joined: Promise<void>;
  /** A new one after every fencing. */
  readonly nodeId: string;
  readonly peers: ReadonlySet<string>;
  /** There is no other node, nor one that is dead and whose sessions are still to be taken. */
  readonly isAlone: boolean;
  /** Sessions of a dead node are on their way to others, or a node has not said what it has. */
  readonly isInMotion: boolean;
  /** Peers, and those that are dead and not adopted: what is sent to them reaches whoever gets what they had. */
  readonly reachable: Iterable<string>;
  /** Resolves when the others have what they are taking now, and all know of it; see {@link Settling}. Rejects at the end of this node. */
  settled(): Promise<void>;
  /** Redis answers, and this node is a member. */
  readonly isConnected: boolean;
  /** Never waits, never throws; drops what is for a node that is not a peer. One letter may be sent to many. */
  send(peerId: string, letter: OutgoingLetter): void;
  /** Resolves when Redis has everything sent so far; rejects with `BacklogFull` when some of that was dropped. No limit of time. */
  delivered(): Promise<void>;
  readonly interest: Interest;
  readonly claims: Claims;
  readonly presence: PresenceBoard;
  readonly leases: Leases;
  readonly scripts: SharedScripts;
  readonly cache: SharedCache;
  readonly taskSignals: TaskSignals;
  readonly stats: Readonly<ClusterStats>;
}

export interface ClusterStats {
  readonly backlogBytes: number;
  readonly droppedQos0: number;
  readonly droppedOthers: number;
  readonly waiting: readonly Waiting[];
  /** See {@link RedisLink.roundTripMs}. */
  readonly roundTripMs: number;
}

const MAX_BACKLOG_BYTES = 64 * 1024 * 1024;
const JOIN_WITHIN_MS = 5_000;
/** How long a node waits at its start to have read what the others did before they knew it. */
const CATCH_UP_MS = 1_000;
const LOOK_MS = 20;
const REFRESH_CLAIMS_MS = 1_000;
const SETTLE_MS = 250;
const FAREWELL_MS = 2_000;

/**
 * Opens this node's part in a cluster of equal hubs over one Redis. From then on the handlers may be called, for the mail of a
 * dead node too: what they need is to be there.
 */
export function openCluster(options: ClusterOptions): Cluster {
  const stack = new AsyncDisposableStack();
  const { log } = options;
  const link = stack.use(openRedis({ url: options.redisUrl, log, purpose: "cluster" }));
  const reading = stack.use(openRedis({ url: options.redisUrl, log, purpose: "inbox" }));
  const parts = composeParts(options, link);
  stack.use(parts.presence);
  const node = stack.use(new ClusterNode({ ...parts, log, handlers: options.handlers, link, reading }));
  const refreshing = setInterval(() => void parts.claims.refresh(), REFRESH_CLAIMS_MS).unref();
  stack.defer(() => clearInterval(refreshing));
  // What was sent last still goes out, before this node says good-bye.
  stack.defer(() => Promise.race([parts.outbox.delivered().catch(() => {}), pause(FAREWELL_MS, undefined, { ref: false })]));
  stack.defer(() => parts.ending.abort());
  const taskSignals = stack.use(openTaskSignals({ url: options.redisUrl, link, log }));
  const { outbox, interest, claims, presence, leases, scripts, cache, dropped } = parts;
  return {
    joined: joining(node.joined, parts.isCaughtUp, options.joinWithinMs),
    get nodeId() {
      return parts.identity.id;
    },
    peers: parts.peers,
    get isAlone() {
      return parts.peers.size === 0 && parts.mourned.size === 0;
    },
    get isInMotion() {
      return parts.mourned.size > 0 || interest.unknown.size > 0;
    },
    get reachable() {
      return parts.reachable();
    },
    settled: parts.settled,
    get isConnected() {
      return link.isUp && parts.identity.membership?.isCertain === true;
    },
    send: (peerId, letter) => outbox.send(peerId, letter),
    delivered: () => outbox.delivered(),
    interest,
    claims,
    presence,
    leases,
    scripts,
    cache,
    taskSignals,
    get stats() {
      return {
        backlogBytes: outbox.backlogBytes,
        droppedQos0: dropped.qos0,
        droppedOthers: dropped.others,
        waiting: outbox.waiting,
        roundTripMs: link.roundTripMs,
      };
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

async function joining(joined: Promise<void>, isCaughtUp: () => boolean, withinMs = JOIN_WITHIN_MS): Promise<void> {
  const waiting = new AbortController();
  // Holds the process: nothing else may, as long as there is no connection.
  await Promise.race([joined, pause(withinMs, undefined, { signal: waiting.signal }).catch(() => {})]);
  waiting.abort();
  // One that is dead, and not known to be, does not answer.
  for (const end = performance.now() + CATCH_UP_MS; !isCaughtUp() && performance.now() < end; ) await pause(LOOK_MS);
}

function composeParts(
  { log, handlers, clock = Date.now, maxBacklogBytes = MAX_BACKLOG_BYTES, presence = {} }: ClusterOptions,
  link: RedisLink,
) {
  const identity: Identity = { id: randomUUID(), membership: undefined };
  const self = () => identity.id;
  const dropped = { qos0: 0, others: 0 };
  const outbox = createOutbox({
    link,
    log,
    self,
    maxBacklogBytes,
    onDropped(count, droppable) {
      dropped[droppable ? "qos0" : "others"] += count;
    },
  });
  const send = (peerId: string, kind: number, bytes: Buffer) => outbox.send(peerId, { kind, bytes, droppable: false });
  // What a peer did before it knew this node was not sent here, and may have been done after this node has looked.
  const interest = new SharedInterest(send, (peerId) => void catchUp(peerId));
  async function isAlive(nodeId: string): Promise<boolean> {
    if (!identity.membership?.peers.has(nodeId)) await identity.membership?.look();
    return identity.membership?.peers.has(nodeId) === true;
  }
  const release = (clientId: string) => handlers.release(clientId);
  const peers = new Set<string>();
  const claims = new ClientClaims({ link, log, self, send, peers: () => peers, isAlive, release, clock });
  const leases = createLeases(link, log);
  const scripts = createSharedScripts(link);
  const cache = createSharedCache(link);
  const mourned = new Set<string>();
  const orphaned = new Set<string>();
  const reachable = (): string[] => [...peers, ...orphaned];
  const settling = new Settling({
    send,
    nodes: reachable,
    async isSettled() {
      await handlers.arrivals?.();
      await interest.allAnnounced();
    },
  });
  const ending = new AbortController();
  const caughtUp = new Set<string>();
  const isCaughtUp = (): boolean => [...peers].every((peerId) => caughtUp.has(peerId));
  let asking: Promise<void> | undefined;
  // Many sessions may move within a second: one question is enough.
  function settled(): Promise<void> {
    return (asking ??= pause(SETTLE_MS, undefined, { ref: false, signal: ending.signal }).then(() => {
      asking = undefined;
      return settling.of(ending.signal);
    }));
  }
  async function catchUp(peerId: string): Promise<void> {
    const isSettled = await settling.of(ending.signal, [peerId]).then(
      () => true,
      () => false,
    );
    if (isSettled) await handlers.known?.(peerId);
    caughtUp.add(peerId);
  }
  const board = new RedisBoard({ link, leases, log, self, clock, ...presence });
  const others = { peers, mourned, orphaned, reachable, isCaughtUp };
  return { identity, ...others, settling, settled, ending, dropped, outbox, interest, claims, leases, scripts, cache, presence: board };
}
