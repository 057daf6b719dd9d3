import type { HubEvent } from "./event.ts";

/** An event and what followed from it. */
export interface ChainNode {
  readonly event: HubEvent;
  readonly children: ChainNode[];
}

/** What one has to know of an event to get past it. */
export type Link = Pick<HubEvent, "id" | "causationId">;

/**
 * Events as trees, each below its cause; below the cause's cause where that one is in `hidden` alone, and so on. Without any
 * it is a root. A circle of causes, which only a faulty writer makes, opens at its first event. What lies deeper than
 * `maxDepth` hangs on the last event above that is shown with children.
 */
export function chainTrees(events: readonly HubEvent[], hidden: readonly Link[], maxDepth: number): ChainNode[] {
  const ordered = events.toSorted((a, b) => (a.id < b.id ? -1 : 1));
  const shown = new Set(ordered.map(({ id }) => id));
  const passed = new Map(hidden.map(({ id, causationId }) => [id, causationId]));
  const parents = new Map(ordered.map((event) => [event.id, nextShown(event, shown, passed)]));
  openCircles(parents);
  const childrenOf = Map.groupBy(ordered, ({ id }) => parents.get(id) ?? null);
  const roots = (childrenOf.get(null) ?? []).map((event): ChainNode => ({ event, children: [] }));
  const waiting = roots.map((node) => ({ id: node.event.id, into: node, depth: 1 }));
  for (const { id, into, depth } of waiting)
    for (const event of childrenOf.get(id) ?? []) {
      const node: ChainNode = { event, children: [] };
      into.children.push(node);
      const isLast = depth + 1 >= maxDepth;
      waiting.push({ id: event.id, into: isLast ? into : node, depth: isLast ? depth : depth + 1 });
    }
  return roots;
}

function nextShown({ id, causationId }: Link, shown: ReadonlySet<string>, passed: ReadonlyMap<string, string | null>): string | null {
  const visited = new Set([id]);
  for (let cause = causationId; cause !== null && !visited.has(cause); cause = passed.get(cause) ?? null) {
    if (shown.has(cause)) return cause;
    visited.add(cause);
  }
  return null;
}

/** In the order of the ids, so that the first one of a circle becomes its root. */
function openCircles(parents: Map<string, string | null>): void {
  const safe = new Set<string>();
  for (const start of parents.keys()) {
    const path = new Set<string>();
    let at: string | null = start;
    while (at !== null && !safe.has(at) && !path.has(at)) {
      path.add(at);
      at = parents.get(at) ?? null;
    }
    if (at !== null && path.has(at)) {
      const circle = [...path].slice([...path].indexOf(at)).toSorted();
      parents.set(circle[0] as string, null);
    }
    for (const id of path) safe.add(id);
  }
}
