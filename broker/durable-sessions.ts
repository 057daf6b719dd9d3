import type { AedesPublishPacket, Client } from "aedes";
import type { Log, Metrics } from "../core/bus.ts";
import { isRetained, type Topics } from "../core/topics.ts";
import { loadBrokerState, saveBrokerState } from "../store/broker-state.ts";
import type { Store } from "../store/open.ts";
import { eachRetainedState } from "../store/retained-state.ts";
import { allows, isValidFilter, mayReceive, maySubscribe, type Principals, type Rights } from "./authorize.ts";
import { StoredPersistence } from "./persistence.ts";

export interface DurableSessionsContext {
  readonly store: Store;
  readonly rights: Rights;
  readonly principals: Principals;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** The persistence over the hub's own database, with every retained state of the tables in it. */
export async function openDurableSessions({ store, rights, principals, log, metrics }: DurableSessionsContext): Promise<StoredPersistence> {
  const { topics } = rights;
  const persistence = new StoredPersistence({
    load: () => loadBrokerState(store.db),
    save: (changes) => saveBrokerState(store.db, changes),
    storesRetained: (topic) => isStoredTopic(topics, topic),
    storesWill: (topic) => topics.parse(topic)?.kind !== "availability",
    allowsFilter: (client, filter) =>
      isValidFilter(filter) &&
      allows(principals.get(client as Client) ?? persistence.ownerOf(client.id), (principal) => maySubscribe(rights, principal, filter)),
    allowsDelivery(clientId, name) {
      const topic = topics.parse(name);
      return topic !== undefined && allows(persistence.ownerOf(clientId), (principal) => mayReceive(rights, principal, topic));
    },
    onError: (error) => log.error({ err: error }, "sessions could not be stored"),
    onDrop: () => metrics.count("hexahub_mqtt_queue_dropped_total"),
  });
  for await (const { topic, payload } of eachRetainedState(store.db, topics)) await persistence.storeRetained(retained(topic, payload));
  return persistence;
}

/** State topics are a view of the tables, rebuilt at start; what only the broker knows is stored by it. */
function isStoredTopic(topics: Topics, name: string): boolean {
  const topic = topics.parse(name);
  if (!topic) return true;
  return isRetained(topic) && !["availability", "relay_state", "light_state", "sensor_state"].includes(topic.kind);
}

function retained(topic: string, payload: string): AedesPublishPacket {
  return { cmd: "publish", topic, payload: Buffer.from(payload), qos: 1, retain: true, dup: false, brokerId: "", brokerCounter: 0 };
}
