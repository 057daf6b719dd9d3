import type { Log } from "../core/bus.ts";
import type { MqttLimits } from "../core/settings.ts";
import { isRetained, type Topics } from "../core/topics.ts";
import { loadBrokerState, saveBrokerState } from "../store/broker-state.ts";
import type { Store } from "../store/open.ts";
import { eachRetainedState } from "../store/retained-state.ts";
import { mayReceive, type Rights } from "./authorize.ts";
import type { Counters } from "./counters.ts";
import { createExchange, type Exchange } from "./exchange.ts";
import { createReplayMark, replay, type ReplayMark } from "./replay.ts";
import { Retained } from "./retained.ts";
import { Router } from "./router.ts";
import { SessionRegistry } from "./session-registry.ts";
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
}

/** What the broker knows and keeps over a restart: sessions, retained messages, wills; and what moves messages between them. */
export interface DurableState extends AsyncDisposable {
  readonly rows: WriteBehind;
  readonly router: Router;
  readonly retained: Retained;
  readonly registry: SessionRegistry;
  readonly exchange: Exchange;
  readonly wills: Wills;
  readonly storage: StorageWatch;
  /** From now on something may be announced: `source` knows until when everything is. */
  follow(source: { announcedUntil(): number }): Promise<void>;
}

/**
 * Brings back everything from the database, the retained states of the hub's tables too; after an end without a stop also
 * what had not reached the queues of sessions.
 */
export async function openDurableState(context: DurableStateContext): Promise<DurableState> {
  const { store, rights, limits, log, clock } = context;
  const mark = createReplayMark(clock);
  const monotonic = (): number => performance.now();
  const storage = createStorageWatch({ log, monotonic, probe: () => rows.put("replay", "", "", mark.current()) });
  const rows = new WriteBehind({
    save: (changes) => saveBrokerState(store.db, changes),
    onError(error) {
      if (!storage.failed(error)) log.error({ err: error }, "sessions could not be stored");
    },
    onSaved: () => storage.worked(),
    mark: () => mark.due(),
  });
  const router = new Router(rights);
  const retained = new Retained({ rows, isStored: (topic) => isStoredTopic(rights.topics, topic), limits });
  const exchange = createExchange({ router, retained, rows });
  const wills = new Wills({ ...context, exchange, rows });
  const registry = new SessionRegistry({
    ...context,
    router,
    rows,
    allows(session, name) {
      const topic = rights.topics.parse(name);
      return topic !== undefined && mayReceive(rights, session.principal, topic);
    },
    onEnd: (clientId) => wills.sessionEnded(clientId),
  });
  const until = await restore(store, { rows, retained, registry, wills });
  for await (const { topic, payload } of eachRetainedState(store.db, rights.topics))
    retained.restore(topic, { payload: Buffer.from(payload), qos: 1 });
  if (until !== undefined && registry.size > 0) await replay({ store, topics: rights.topics, router, log }, until);
  return {
    rows,
    router,
    retained,
    registry,
    exchange,
    wills,
    storage,
    async follow(source) {
      mark.follow(source);
      rows.put("replay", "", "", mark.current());
      // What fails was reported, and is tried again before anything else is stored.
      await rows.flushed().catch(() => undefined);
    },
    async [Symbol.asyncDispose]() {
      registry[Symbol.dispose]();
      wills[Symbol.dispose]();
      storage[Symbol.dispose]();
      // A stop in good order: there is nothing to replay.
      rows.delete("replay", "", "");
      await rows.flushed();
    },
  };
}

/**
 * Sessions come first: what else there is belongs to one of them. Resolves to the mark of a run that ended without a stop,
 * in ms since 1970.
 */
async function restore(store: Store, { rows, retained, registry, wills }: Pick<DurableState, "rows" | "retained" | "registry" | "wills">) {
  let until: number | undefined;
  const later: { kind: "subscription" | "outgoing" | "incoming"; clientId: string; key: string; value: Record<string, unknown> }[] = [];
  for await (const row of loadBrokerState(store.db)) {
    const value = rows.restore(row);
    const { kind, clientId, key } = row;
    if (kind === "retained") retained.restore(key, value);
    else if (kind === "will") wills.restore(clientId, value);
    else if (kind === "replay") until = value["until"] as number;
    else if (kind === "owner") registry.restore(kind, clientId, key, value);
    else later.push({ kind, clientId, key, value });
  }
  for (const { kind, clientId, key, value } of later) registry.restore(kind, clientId, key, value);
  return until;
}

/** State topics are a view of the tables, rebuilt at start, and statistics begin anew; what only the broker knows is stored by it. */
function isStoredTopic(topics: Topics, name: string): boolean {
  const topic = topics.parse(name);
  if (!topic) return true;
  return isRetained(topic) && !["availability", "relay_state", "light_state", "sensor_state", "sys"].includes(topic.kind);
}
