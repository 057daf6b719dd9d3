import { randomUUID } from "node:crypto";
import type { Log } from "../core/bus.ts";
import type { MqttLimits } from "../core/settings.ts";
import { isRetained, type Topics } from "../core/topics.ts";
import { loadBrokerState, saveBrokerState } from "../store/broker-state.ts";
import type { Store } from "../store/open.ts";
import { eachRetainedState } from "../store/retained-state.ts";
import { mayReceive, type Rights } from "../core/authorize.ts";
import type { ClusterHandlers } from "./cluster-handlers.ts";
import type { Counters } from "./counters.ts";
import { createExchange, type Exchange } from "./exchange.ts";
import { readDeadMail, readMail, type Readers } from "./neighbour-mail.ts";
import { Neighbours } from "./neighbours.ts";
import { createReplayMark, replay } from "./replay.ts";
import { Retained } from "./retained.ts";
import { Router } from "./router.ts";
import { SessionRegistry } from "./session-registry.ts";
import { SessionTransfer } from "./session-transfer.ts";
import { createStorageWatch, type StorageWatch } from "./storage-watch.ts";
import { Wills } from "./wills.ts";
import { WriteBehind } from "./write-behind.ts";

export interface DurableStateContext {
  readonly store: Store;
  readonly rights: Rights;
  readonly limits: MqttLimits;
  readonly counters: Counters;
  readonly log: Log;
  readonly clock: () => number;
  /** No other node shares the database. */
  readonly isAlone: boolean;
  /** Called when messages of other nodes may have been missed. */
  readonly onResync?: (() => void) | undefined;
}

/** What the broker knows and keeps over a restart: sessions, retained messages, wills; and what moves messages between them. */
export interface DurableState extends AsyncDisposable {
  readonly rows: WriteBehind;
  readonly router: Router;
  readonly retained: Retained;
  readonly registry: SessionRegistry;
  readonly exchange: Exchange;
  readonly wills: Wills;
  readonly neighbours: Neighbours;
  readonly transfer: SessionTransfer;
  /** What the other nodes ask of this one. */
  readonly clusterHandlers: ClusterHandlers;
  readonly storage: StorageWatch;
  /** From now on something may be announced: `source` knows until when everything is. */
  follow(source: { announcedUntil(): number }): Promise<void>;
  /** Says once more whose mark this is: this node has a name among others now. */
  signMark(): Promise<void>;
}

/**
 * Brings back everything from the database, the retained states of the hub's tables too; after an end without a stop also
 * what had not reached the queues of sessions.
 */
export async function openDurableState(context: DurableStateContext): Promise<DurableState> {
  const { store, rights, limits, log, clock } = context;
  const neighbours = new Neighbours();
  // Among several nodes each has its own mark, which says whose it is.
  const runId = context.isAlone ? "" : randomUUID();
  const mark = createReplayMark(clock, () => neighbours.cluster?.nodeId);
  const monotonic = (): number => performance.now();
  const storage = createStorageWatch({ log, monotonic, probe: () => rows.put("replay", "", runId, mark.current()) });
  const rows = new WriteBehind({
    save: (changes) => saveBrokerState(store.db, changes),
    onError(error) {
      if (!storage.failed(error)) log.error({ err: error }, "sessions could not be stored");
    },
    onSaved: () => storage.worked(),
    mark: () => mark.due(),
    markKey: runId,
  });
  const router = new Router(rights, neighbours);
  const retained = new Retained({ rows, isStored: (topic) => isStoredTopic(rights.topics, topic), limits });
  const exchange = createExchange({ router, retained, rows, neighbours });
  const wills: Wills = new Wills({
    ...context,
    exchange,
    rows,
    onSaid(clientId) {
      if (!registry.find(clientId)) transfer.letGo(clientId);
    },
  });
  const registry: SessionRegistry = new SessionRegistry({
    ...context,
    router,
    rows,
    allows(session, name) {
      const topic = rights.topics.parse(name);
      return topic !== undefined && mayReceive(rights, session.principal, topic);
    },
    onEnd(clientId) {
      wills.sessionEnded(clientId);
      transfer.letGo(clientId);
    },
    settled: () => neighbours.cluster?.settled() ?? Promise.resolve(),
    onUnload(clientId) {
      wills.unload(clientId);
      transfer.letGo(clientId);
    },
  });
  const transfer: SessionTransfer = new SessionTransfer({ ...context, topics: rights.topics, rows, router, registry, wills, neighbours });
  async function signMark(): Promise<void> {
    rows.put("replay", "", runId, mark.current());
    // What fails was reported, and is tried again before anything else is stored.
    await rows.flushed().catch(() => undefined);
  }
  const until = await restore(context, { rows, retained, registry, wills });
  await restoreRetained(context, retained, rows);
  if (until !== undefined && registry.size > 0) await replay({ store, topics: rights.topics, router, log }, until);
  return {
    rows,
    router,
    retained,
    registry,
    exchange,
    wills,
    neighbours,
    transfer,
    clusterHandlers: clusterHandlers({ ...context, retained, rows, router, registry, exchange, transfer, neighbours, signMark }),
    storage,
    async follow(source) {
      mark.follow(source);
      await signMark();
    },
    signMark,
    async [Symbol.asyncDispose]() {
      registry[Symbol.dispose]();
      wills[Symbol.dispose]();
      storage[Symbol.dispose]();
      // A stop in good order: there is nothing to replay.
      rows.delete("replay", "", runId);
      await rows.flushed();
    },
  };
}

/**
 * Sessions come first: what else there is belongs to one of them. Resolves to the mark of a run that ended without a stop,
 * in ms since 1970.
 */
async function restore(
  { store, isAlone }: DurableStateContext,
  { rows, registry, wills }: Pick<DurableState, "rows" | "retained" | "registry" | "wills">,
) {
  let until: number | undefined;
  const later: { kind: "subscription" | "outgoing" | "incoming"; clientId: string; key: string; value: Record<string, unknown> }[] = [];
  for await (const row of loadBrokerState(store.db)) {
    const { kind, clientId, key } = row;
    // Among several nodes each takes the sessions that nobody has, when it knows of the others.
    if (kind === "retained" || !isAlone) continue;
    const value = rows.restore(row);
    if (kind === "will") wills.restore(clientId, value);
    else if (kind === "replay") until = value["until"] as number;
    else if (kind === "owner") registry.restore(kind, clientId, key, value);
    else later.push({ kind, clientId, key, value });
  }
  for (const { kind, clientId, key, value } of later) registry.restore(kind, clientId, key, value);
  return until;
}

/** Everything that is retained, as the database has it now: what the broker stored, and the states of the hub's tables. */
async function restoreRetained({ store, rights }: DurableStateContext, retained: Retained, rows: WriteBehind): Promise<void> {
  await retained.reload(async () => {
    const found: { topic: string; row: Record<string, unknown> }[] = [];
    for await (const row of loadBrokerState(store.db, { kind: "retained" })) found.push({ topic: row.key, row: rows.restore(row) });
    for await (const { topic, payload } of eachRetainedState(store.db, rights.topics))
      found.push({ topic, row: { payload: Buffer.from(payload), qos: 1 } });
    return found;
  });
}

function clusterHandlers({
  retained,
  rows,
  router,
  exchange,
  transfer,
  neighbours,
  signMark,
  ...context
}: DurableStateContext &
  Omit<DurableState, "clusterHandlers" | "storage" | "wills" | "follow" | typeof Symbol.asyncDispose>): ClusterHandlers {
  const report = (what: string) => (error: unknown) => context.log.error({ err: error }, what);
  const reloadRetained = (): Promise<void> =>
    restoreRetained(context, retained, rows).catch(report("retained messages could not be loaded again"));
  function loadAgain(): Promise<void> {
    context.onResync?.();
    return reloadRetained();
  }
  const readers: Readers = {
    message: (letter) => exchange.receive(letter),
    async forSession({ clientId, group }, { message }) {
      await transfer.deliver(clientId, message, group);
      await exchange.received();
    },
    async fromDead(deadId, { message }) {
      // Whoever comes back just now may have its session here.
      await transfer.arrivals();
      if (router.routeTo(transfer.cameFrom(deadId), message, { asMembers: false })) await exchange.received();
    },
    forGroup: (group, letter, hops) => exchange.receiveForGroup(group, letter, hops),
    async forOtherGroups(groups, { message }) {
      const mine = router.groupsOf(message.topic).filter((group) => !groups.includes(group));
      for (const group of mine) router.routeToGroup(group, message);
      if (mine.length > 0) await exchange.received();
    },
    async replay(since) {
      await Promise.all([transfer.arrivals(), reloadRetained()]);
      await transfer.replay(since);
    },
  };
  return {
    message: (_peerId, kind, bytes) => readMail(kind, bytes, readers),
    async deadMail(deadId, _senderId, kind, bytes) {
      await transfer.arrivals();
      await readDeadMail({ deadId, kind, bytes }, readers, neighbours);
      await neighbours.delivered();
    },
    arrivals: () => Promise.all([transfer.arrivals(), rows.flushed()]),
    async adopt(deadId) {
      await transfer.takeFree(deadId);
      await reloadRetained();
    },
    release: (claimKey) => transfer.release(claimKey),
    fenced() {
      transfer.drop();
      void signMark();
      transfer.takeFree().catch(report("sessions could not be taken over"));
    },
    known: loadAgain,
    resync: () => void loadAgain(),
  };
}

/** State topics are a view of the tables, rebuilt at start, and statistics begin anew; what only the broker knows is stored by it. */
function isStoredTopic(topics: Topics, name: string): boolean {
  const topic = topics.parse(name);
  if (!topic) return true;
  return isRetained(topic) && !["availability", "relay_state", "light_state", "sensor_state", "sys"].includes(topic.kind);
}
