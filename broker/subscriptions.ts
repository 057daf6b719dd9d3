import type { Subscription } from "aedes";
import QlobberSub from "qlobber/aedes/qlobber-sub.js";
import type { WriteBehind } from "./write-behind.ts";

export type StoredSubscription = Pick<Subscription, "topic" | "qos"> & {
  rh?: number;
  rap?: boolean;
  nl?: boolean;
  subscriptionIdentifier?: number;
};
export type SubscriptionMatch = StoredSubscription & { clientId: string };

/** MQTT's wildcards, for qlobber. */
export const WILDCARDS = { wildcard_one: "+", wildcard_some: "#", separator: "/", match_empty_levels: true };

/** The subscriptions of the sessions that outlive their connection. QoS 0 is remembered and never queued. */
export class Subscriptions {
  readonly #rows: WriteBehind;
  readonly #byClient = new Map<string, Map<string, StoredSubscription>>();
  readonly #trie = new QlobberSub(WILDCARDS);

  constructor(rows: WriteBehind) {
    this.#rows = rows;
  }

  get counts(): { subsCount: number; clientsCount: number } {
    return { subsCount: this.#trie.subscriptionsCount, clientsCount: this.#byClient.size };
  }

  add(clientId: string, subscriptions: readonly StoredSubscription[]): void {
    for (const { topic, qos, rh, rap, nl, subscriptionIdentifier } of subscriptions) {
      const old = this.#byClient.get(clientId)?.get(topic);
      if (qos === 0 && old && old.qos > 0) this.#trie.remove(topic, { clientId, topic });
      const record = { topic, qos, rh, rap, nl, ...(subscriptionIdentifier === undefined ? {} : { subscriptionIdentifier }) };
      this.restore(clientId, record);
      this.#rows.put("subscription", clientId, topic, record);
    }
  }

  remove(clientId: string, topics: readonly string[]): void {
    const mine = this.#byClient.get(clientId);
    for (const topic of topics) {
      const old = mine?.get(topic);
      if (!old) continue;
      if (old.qos > 0) this.#trie.remove(topic, { clientId, topic });
      mine?.delete(topic);
      this.#rows.delete("subscription", clientId, topic);
    }
    if (mine?.size === 0) this.#byClient.delete(clientId);
  }

  clean(clientId: string): void {
    this.remove(clientId, [...(this.#byClient.get(clientId)?.keys() ?? [])]);
  }

  of(clientId: string): StoredSubscription[] {
    return [...(this.#byClient.get(clientId)?.values() ?? [])].map((subscription) => ({ ...subscription }));
  }

  matching(topic: string): SubscriptionMatch[] {
    return this.#trie.match(topic);
  }

  clientsOf(filter: string): string[] {
    return [...this.#byClient].filter(([, mine]) => mine.has(filter)).map(([clientId]) => clientId);
  }

  restore(clientId: string, record: StoredSubscription): void {
    const { topic, qos, rh, rap, nl } = record;
    let mine = this.#byClient.get(clientId);
    if (!mine) this.#byClient.set(clientId, (mine = new Map()));
    mine.set(topic, record);
    if (qos > 0) this.#trie.add(topic, { clientId, topic, qos, rh, rap, nl });
  }
}
