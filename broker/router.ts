import qlobber from "qlobber";
import type { Principal } from "../core/principal.ts";
import type { Topic } from "../core/topics.ts";
import { mayReceive, type Rights } from "./authorize.ts";
import type { Message } from "./message.ts";
import { groupTopic, type Neighbours } from "./neighbours.ts";
import type { Reach, Session, Subscription } from "./session.ts";

/** MQTT's wildcards, for qlobber. */
export const WILDCARDS = { wildcard_one: "+", wildcard_some: "#", separator: "/", match_empty_levels: true };

/** A subscriber inside the hub: it sees every message that was accepted. */
export type Handler = (message: Message) => void;

/** What the matcher holds: a session's filter, one member of a group that shares a filter, or a handler. */
type Entry =
  | { readonly kind: "session"; readonly session: Session; readonly subscription: Subscription }
  | { readonly kind: "shared"; readonly session: Session; readonly subscription: Subscription; readonly group: string }
  | { readonly kind: "handler"; readonly handler: Handler };

interface Target {
  readonly session: Session;
  readonly subscriptions: readonly Subscription[];
  /** The reach of a message without, and with, the retain flag. */
  readonly plain: Reach;
  readonly retained: Reach;
  readonly hasNoLocal: boolean;
}

/** Everybody who gets the messages of one topic: worked out once, and again after a change of filters or rights. */
interface Route {
  readonly version: number;
  readonly targets: readonly Target[];
  readonly groups: readonly { readonly name: string; readonly members: readonly Target[] }[];
  readonly handlers: readonly Handler[];
}

const MAX_ROUTES = 20_000;
const SHARE = /^\$share\/([^/]+)\/(.+)$/su;

export interface SharedFilter {
  readonly group: string;
  readonly filter: string;
}

/** `$share/<group>/<filter>`; undefined for every other filter. */
export function parseShared(filter: string): SharedFilter | undefined {
  if (!filter.startsWith("$share/")) return undefined;
  const [, group, inner] = SHARE.exec(filter) ?? [];
  return group === undefined || inner === undefined ? undefined : { group, filter: inner };
}

/**
 * Brings each message to the sessions and handlers whose filters match and whose rights allow it. Rights are asked when
 * a route is worked out, so that a delivery costs no decision; after a change of the directory all are worked out anew.
 */
export class Router {
  readonly #rights: Rights;
  readonly #neighbours: Neighbours;
  readonly #matcher = new qlobber.Qlobber<Entry>(WILDCARDS);
  readonly #entries = new Map<Session | Handler, Map<string, Entry>>();
  /** Whose turn it is in each group. */
  readonly #turns = new Map<string, number>();
  #routes = new Map<string, Route>();
  #version = 0;
  #directoryVersion = -1;

  constructor(rights: Rights, neighbours: Neighbours) {
    this.#rights = rights;
    this.#neighbours = neighbours;
  }

  /** Whether the filter is new to the session. */
  subscribe(session: Session, subscription: Subscription): boolean {
    const isNew = !this.unsubscribe(session, subscription.filter);
    session.subscriptions.set(subscription.filter, subscription);
    const shared = parseShared(subscription.filter);
    this.#add(
      session,
      subscription.filter,
      shared?.filter ?? subscription.filter,
      shared
        ? { kind: "shared", session, subscription, group: `${ownerOf(session.principal)}/${subscription.filter}` }
        : { kind: "session", session, subscription },
    );
    return isNew;
  }

  /** Whether the session had the filter. */
  unsubscribe(session: Session, filter: string): boolean {
    session.subscriptions.delete(filter);
    return this.#remove(session, filter, parseShared(filter)?.filter ?? filter);
  }

  handle(filter: string, handler: Handler): Disposable {
    this.#add(handler, filter, filter, { kind: "handler", handler });
    return { [Symbol.dispose]: () => void this.#remove(handler, filter, filter) };
  }

  forget(session: Session): void {
    for (const filter of session.subscriptions.keys()) this.unsubscribe(session, filter);
  }

  /** The session's account has other rights than before: what was worked out with those is void. */
  rightsChanged(session: Session): void {
    const all = [...session.subscriptions.values()];
    for (const subscription of all) this.subscribe(session, subscription);
  }

  /** Hands the message to everybody it is for on this node. Returns whether a durable session put it into a row. */
  route(message: Message): boolean {
    const route = this.#routeOf(message.topic);
    const isStored = this.#deliver(route, message);
    for (const handler of route.handlers) handler(message);
    return isStored;
  }

  /** The same for a message that another node published: the hub's own subscribers there have seen it, unless it is for all nodes. `only`: for nobody but these. */
  routeForeign(message: Message, only?: Pick<ReadonlySet<Session>, "has">): boolean {
    const route = this.#routeOf(message.topic);
    if (only) return this.#deliver({ ...route, targets: route.targets.filter(({ session }) => only.has(session)), groups: [] }, message);
    if (message.topic.startsWith("$hub/")) for (const handler of route.handlers) handler(message);
    return this.#deliver(route, message);
  }

  #deliver({ targets, groups }: Route, message: Message): boolean {
    let isStored = false;
    for (const target of targets) if (deliver(target, message)) isStored = true;
    for (const { name, members } of groups)
      if (this.#neighbours.serves(name, message.seed) && this.#deliverToOne(name, members, message)) isStored = true;
    return isStored;
  }

  /** One member after the other; whoever is connected goes before whoever is away. */
  #deliverToOne(name: string, members: readonly Target[], message: Message): boolean {
    const turn = this.#turns.get(name) ?? 0;
    let chosen = turn;
    while (chosen < turn + members.length && !members[chosen % members.length]?.session.link) chosen++;
    if (this.#turns.size > MAX_ROUTES) this.#turns.clear();
    this.#turns.set(name, (chosen + 1) % members.length);
    return deliver(members[chosen % members.length] as Target, message);
  }

  #add(holder: Session | Handler, key: string, filter: string, entry: Entry): void {
    let mine = this.#entries.get(holder);
    if (!mine) this.#entries.set(holder, (mine = new Map<string, Entry>()));
    mine.set(key, entry);
    this.#matcher.add(filter, entry);
    for (const wanted of wantedBy(entry, filter)) this.#neighbours.want(wanted);
    this.#version++;
  }

  #remove(holder: Session | Handler, key: string, filter: string): boolean {
    const mine = this.#entries.get(holder);
    const entry = mine?.get(key);
    if (!mine || !entry) return false;
    mine.delete(key);
    if (mine.size === 0) this.#entries.delete(holder);
    this.#matcher.remove(filter, entry);
    for (const wanted of wantedBy(entry, filter)) this.#neighbours.unwant(wanted);
    this.#version++;
    return true;
  }

  #routeOf(topic: string): Route {
    const { version: directoryVersion } = this.#rights.directory;
    if (directoryVersion !== this.#directoryVersion) {
      this.#directoryVersion = directoryVersion;
      this.#version++;
    }
    const known = this.#routes.get(topic);
    if (known?.version === this.#version) return known;
    const route = this.#workOut(topic);
    if (this.#routes.size >= MAX_ROUTES) this.#routes = new Map();
    this.#routes.set(topic, route);
    return route;
  }

  #workOut(name: string): Route {
    const topic = this.#rights.topics.parse(name);
    const bySession = new Map<Session, Subscription[]>();
    const groups = new Map<string, Target[]>();
    const handlers = new Set<Handler>();
    for (const entry of this.#matcher.match(name)) {
      if (entry.kind === "handler") handlers.add(entry.handler);
      else if (!topic || !this.#mayReceive(entry, name, topic)) continue;
      else if (entry.kind === "session") push(bySession, entry.session, entry.subscription);
      else push(groups, entry.group, targetOf(entry.session, [entry.subscription]));
    }
    return {
      version: this.#version,
      targets: [...bySession].map(([session, subscriptions]) => targetOf(session, subscriptions)),
      groups: [...groups].map(([group, members]) => ({ name: group, members })),
      handlers: [...handlers],
    };
  }

  #mayReceive({ session, subscription }: Extract<Entry, { session: Session }>, name: string, topic: Topic): boolean {
    // A wildcard in the first level does not reach into $SYS [MQTT-4.7.2-1].
    const { filter } = parseShared(subscription.filter) ?? subscription;
    if (name.startsWith("$") && !filter.startsWith("$")) return false;
    return mayReceive(this.#rights, session.principal, topic);
  }
}

/** What other nodes must know. The hub's own subscribers are on every node. */
function wantedBy(entry: Entry, filter: string): string[] {
  if (entry.kind === "handler") return [];
  return entry.kind === "shared" ? [filter, groupTopic(entry.group)] : [filter];
}

/** Groups are an organisation's own: two that choose one name share nothing. */
function ownerOf(principal: Principal): string {
  return principal.kind === "device" ? principal.id : principal.organizationId;
}

function push<K, V>(map: Map<K, V[]>, key: K, value: V): void {
  const list = map.get(key);
  if (list) list.push(value);
  else map.set(key, [value]);
}

/** Overlapping filters of one session are one delivery with the best QoS [MQTT-3.3.5-1] and every identifier [MQTT-3.3.4-4]. */
function targetOf(session: Session, subscriptions: readonly Subscription[]): Target {
  const qos = Math.max(...subscriptions.map((subscription) => subscription.qos)) as 0 | 1 | 2;
  const ids = subscriptions.map(({ id }) => id).filter((id) => id !== undefined);
  const subscriptionIds = ids.length > 0 ? ids : undefined;
  const keepsRetain = subscriptions.some(({ retainAsPublished }) => retainAsPublished);
  return {
    session,
    subscriptions,
    plain: { qos, retain: false, subscriptionIds },
    retained: { qos, retain: keepsRetain, subscriptionIds },
    hasNoLocal: subscriptions.some(({ noLocal }) => noLocal),
  };
}

function deliver(target: Target, message: Message): boolean {
  if (target.hasNoLocal && message.publisher === target.session.id) {
    const others = target.subscriptions.filter(({ noLocal }) => !noLocal);
    return others.length > 0 && deliver(targetOf(target.session, others), message);
  }
  return target.session.deliver(message, message.retain ? target.retained : target.plain);
}
