import QlobberSub from "qlobber/aedes/qlobber-sub.js";
import { parseShared, WILDCARDS } from "./router.ts";

/** Who wants a topic. */
export interface Wanted {
  readonly nodes: readonly string[];
  /** The nodes with members of each group that shares a filter. */
  readonly groups: ReadonlyMap<string, readonly string[]>;
}

const MAX_CACHED_TOPICS = 10_000;

/** Which node has subscribers for which filters, for one question: who wants this topic? `$share/<group>/<filter>` is one of a group. */
export class NodeFilters {
  readonly #trie = new QlobberSub(WILDCARDS);
  readonly #byNode = new Map<string, Set<string>>();
  readonly #cache = new Map<string, Wanted>();

  add(nodeId: string, filter: string): void {
    let mine = this.#byNode.get(nodeId);
    if (!mine) this.#byNode.set(nodeId, (mine = new Set()));
    if (mine.has(filter)) return;
    mine.add(filter);
    const { wanter, topic } = wanterOf(nodeId, filter);
    this.#trie.add(topic, { clientId: wanter, topic, qos: 0 });
    this.#cache.clear();
  }

  remove(nodeId: string, filter: string): void {
    if (!this.#byNode.get(nodeId)?.delete(filter)) return;
    const { wanter, topic } = wanterOf(nodeId, filter);
    this.#trie.remove(topic, { clientId: wanter, topic });
    this.#cache.clear();
  }

  clear(nodeId: string): void {
    for (const filter of this.#byNode.get(nodeId) ?? []) this.remove(nodeId, filter);
    this.#byNode.delete(nodeId);
  }

  matching(topic: string): Wanted {
    const known = this.#cache.get(topic);
    if (known) return known;
    const found = sorted(this.#trie.match(topic).map(({ clientId }) => clientId));
    if (this.#cache.size >= MAX_CACHED_TOPICS) this.#cache.clear();
    this.#cache.set(topic, found);
    return found;
  }
}

/** Between a node and its group, in neither of which it can be. */
const SEPARATOR = "/";

function wanterOf(nodeId: string, filter: string): { readonly wanter: string; readonly topic: string } {
  const shared = parseShared(filter);
  return shared ? { wanter: `${nodeId}${SEPARATOR}${shared.group}`, topic: shared.filter } : { wanter: nodeId, topic: filter };
}

function sorted(wanters: readonly string[]): Wanted {
  const nodes: string[] = [];
  const groups = new Map<string, string[]>();
  for (const wanter of new Set(wanters)) {
    const [nodeId = "", group] = wanter.split(SEPARATOR);
    if (group === undefined) nodes.push(nodeId);
    else groups.set(group, [...(groups.get(group) ?? []), nodeId]);
  }
  return { nodes, groups };
}
