import type { Entry } from "./explorer.ts";

export interface TopicNode {
  readonly name: string;
  /** The topic to here. */
  readonly path: string;
  /** undefined for a level that is no topic itself. */
  entry: Entry | undefined;
  /** Topics under it and itself. */
  topics: number;
  readonly children: Map<string, TopicNode>;
}

/** The topics by their levels. */
export function treeOf(entries: Iterable<Entry>): TopicNode {
  const root = nodeOf("", "");
  for (const entry of entries) {
    let node = root;
    node.topics++;
    for (const [index, name] of entry.topic.split("/").entries()) {
      let child = node.children.get(name);
      if (!child) {
        child = nodeOf(name, index === 0 ? name : `${node.path}/${name}`);
        node.children.set(name, child);
      }
      child.topics++;
      node = child;
    }
    node.entry = entry;
  }
  return root;
}

const nodeOf = (name: string, path: string): TopicNode => ({ name, path, entry: undefined, topics: 0, children: new Map() });

/** Under one node, by name; numbers by their size. */
export const sorted = ({ children }: TopicNode): TopicNode[] =>
  [...children.values()].toSorted((one, other) => collator.compare(one.name, other.name));

const collator = new Intl.Collator("en", { numeric: true });

export type Readers =
  | { readonly kind: "device" | "device_only"; readonly uid: string }
  | { readonly kind: "members" | "person" | "platform" | "hub" | "home_assistant" | "unknown" };

/** Who may read a topic, as docs/topics.md has it. */
export function readersOf(topic: string): Readers {
  const [first = "", second = "", third = "", ...rest] = topic.split("/");
  if (first === "$SYS") return { kind: "platform" };
  if (topic === "homeassistant/status") return { kind: "hub" };
  if (first === "homeassistant") return { kind: "home_assistant" };
  if (first.endsWith("-app")) return { kind: third === "users" ? "person" : "members" };
  if (second === "" || (third === "" && rest.length === 0)) return { kind: "unknown" };
  return { kind: third === "down" ? "device_only" : "device", uid: second };
}
