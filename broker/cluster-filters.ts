import QlobberSub from "qlobber/aedes/qlobber-sub.js";
import { WILDCARDS } from "./router.ts";

const MAX_CACHED_TOPICS = 10_000;

/** Which node has subscribers for which filters, for one question: who wants this topic? */
export class NodeFilters {
  readonly #trie = new QlobberSub(WILDCARDS);
  readonly #byNode = new Map<string, Set<string>>();
  readonly #cache = new Map<string, readonly string[]>();

  add(nodeId: string, filter: string): void {
    let mine = this.#byNode.get(nodeId);
    if (!mine) this.#byNode.set(nodeId, (mine = new Set()));
    if (mine.has(filter)) return;
    mine.add(filter);
    this.#trie.add(filter, { clientId: nodeId, topic: filter, qos: 0 });
    this.#cache.clear();
  }

  remove(nodeId: string, filter: string): void {
    if (!this.#byNode.get(nodeId)?.delete(filter)) return;
    this.#trie.remove(filter, { clientId: nodeId, topic: filter });
    this.#cache.clear();
  }

  clear(nodeId: string): void {
    for (const filter of this.#byNode.get(nodeId) ?? []) this.remove(nodeId, filter);
    this.#byNode.delete(nodeId);
  }

  matching(topic: string): readonly string[] {
    const known = this.#cache.get(topic);
    if (known) return known;
    const found = [...new Set(this.#trie.match(topic).map(({ clientId }) => clientId))];
    if (this.#cache.size >= MAX_CACHED_TOPICS) this.#cache.clear();
    this.#cache.set(topic, found);
    return found;
  }
}

const SHARED = /^\$share\/[^/]+\/(?=.)/;

/** A shared subscription is one for its filter: which of the group gets a message is decided where it is delivered. */
export const plainFilter = (filter: string): string => filter.replace(SHARED, "");
