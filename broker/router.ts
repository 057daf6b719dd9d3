import { createHash } from "node:crypto";
import qlobber from "qlobber";
import type { Principal } from "../core/principal.ts";
import type { Topic } from "../core/topics.ts";
import { mayReceive, type Rights, versionOf } from "../core/authorize.ts";
import type { Message } from "./message.ts";
import type { Neighbours } from "./neighbours.ts";
import type { Reach, Session, Subscription } from "./session.ts";

/** MQTT's wildcards, for qlobber. */
export const WILDCARDS = { wildcard_one: "+", wildcard_some: "#", separator: "/", match_empty_levels: true };

/** Where something followed from a message that has to be kept: on this node alone, or on others too. */
export type Followed = "here" | "elsewhere";

/** A subscriber inside the hub: it sees every message that was accepted. */
export type Handler = (message: Message) => void;

/** Of what it sees: the messages that this node accepts (and those for all nodes), or what any node accepts. */
export type HandlerReach = "here" | "everywhere";

/** What the matcher holds: a session's filter, one member of a group that shares a filter, or a handler. */
type Entry =
  | { readonly kind: "session"; readonly session: Session; readonly subscription: Subscription }
  | { readonly kind: "shared"; readonly session: Session; readonly subscription: Subscription; readonly group: string }
  | { readonly kind: "handler"; readonly handler: Handler; readonly reach: HandlerReach };

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
  /** Those with members here. */
  readonly groups: ReadonlyMap<string, readonly Target[]>;
  readonly handlers: readonly Handler[];
  /** Those among them that also see what other nodes accept. */
  readonly everywhere: readonly Handler[];
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
 * a route is worked out, so that a delivery costs no decision; after a change of rights all are worked out anew.
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
  #rightsVersion = -1;

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
        ? { kind: "shared", session, subscription, group: groupOf(session, subscription.filter) }
        : { kind: "session", session, subscription },
    );
    return isNew;
  }

  /** Whether the session had the filter. */
  unsubscribe(session: Session, filter: string): boolean {
    session.subscriptions.delete(filter);
    return this.#remove(session, filter, parseShared(filter)?.filter ?? filter);
  }

  handle(filter: string, handler: Handler, reach: HandlerReach = "here"): Disposable {
    this.#add(handler, filter, filter, { kind: "handler", handler, reach });
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

  /**
   * Hands the message to everybody it is for on this node, and to a member of each group on any. Returns where something
   * followed that whoever acknowledges it waits for.
   */
  route(message: Message): Followed | undefined {
    const route = this.#routeOf(message.topic);
    const isStored = deliverToAll(route.targets, message);
    const shared = route.groups.size > 0 || !this.#neighbours.isAlone ? this.#share(route, message) : undefined;
    for (const handler of route.handlers) handler(message);
    return shared ?? (isStored ? "here" : undefined);
  }

  /** To a member of each group, on any node. */
  #share({ groups }: Route, message: Message): Followed | undefined {
    const { here, isSent } = this.#neighbours.allot(message, [...groups.keys()]);
    let isStored = false;
    for (const group of here) if (this.#deliverToOne(group, groups.get(group), message)) isStored = true;
    return isSent && message.qos > 0 ? "elsewhere" : isStored ? "here" : undefined;
  }

  /** The same for a message that another node published: the hub's own subscribers there have seen it, unless it is for all nodes. Groups get it by {@link routeToGroup}. */
  routeForeign(message: Message): boolean {
    const { targets, handlers, everywhere } = this.#routeOf(message.topic);
    for (const handler of message.topic.startsWith("$hub/") ? handlers : everywhere) handler(message);
    return deliverToAll(targets, message);
  }

  /** Hands the message to those sessions that it is for. `asMembers`: also where they share a filter. */
  routeTo(sessions: Pick<ReadonlySet<Session>, "has">, message: Message, { asMembers }: { asMembers: boolean }): boolean {
    const { targets, groups } = this.#routeOf(message.topic);
    let isStored = deliverToAll(
      targets.filter(({ session }) => sessions.has(session)),
      message,
    );
    if (!asMembers) return isStored;
    for (const [group, members] of groups) {
      const some = members.filter(({ session }) => sessions.has(session));
      if (this.#deliverToOne(group, some, message)) isStored = true;
    }
    return isStored;
  }

  /** The groups with members here that may have such a message. */
  groupsOf(topic: string): readonly string[] {
    return [...this.#routeOf(topic).groups.keys()];
  }

  /** Hands a message that another node published to one member of the group. */
  routeToGroup(group: string, message: Message): boolean {
    return this.#deliverToOne(group, this.#routeOf(message.topic).groups.get(group), message);
  }

  /** Hands the session a message that it was chosen for as a member of the group, on the node where it was. */
  routeToMember(session: Session, group: string, message: Message): boolean {
    const target = this.#routeOf(message.topic)
      .groups.get(group)
      ?.find((member) => member.session === session);
    return target !== undefined && deliver(target, message, group);
  }

  /** One member after the other; whoever is connected goes before whoever is away, and both before whoever is at another node. */
  #deliverToOne(name: string, members: readonly Target[] = [], message: Message): boolean {
    const connected = members.filter(({ session }) => session.link);
    const here = connected.length > 0 ? connected : members.filter(({ session }) => !session.hasMoved);
    const candidates = here.length > 0 ? here : members;
    if (candidates.length === 0) return false;
    const turn = this.#turns.get(name) ?? 0;
    if (this.#turns.size > MAX_ROUTES) this.#turns.clear();
    this.#turns.set(name, turn + 1);
    return deliver(candidates[turn % candidates.length] as Target, message, name);
  }

  #add(holder: Session | Handler, key: string, filter: string, entry: Entry): void {
    let mine = this.#entries.get(holder);
    if (!mine) this.#entries.set(holder, (mine = new Map<string, Entry>()));
    mine.set(key, entry);
    this.#matcher.add(filter, entry);
    const wanted = wantedBy(entry, filter);
    if (wanted !== undefined) this.#neighbours.want(wanted);
    this.#version++;
  }

  #remove(holder: Session | Handler, key: string, filter: string): boolean {
    const mine = this.#entries.get(holder);
    const entry = mine?.get(key);
    if (!mine || !entry) return false;
    mine.delete(key);
    if (mine.size === 0) this.#entries.delete(holder);
    this.#matcher.remove(filter, entry);
    const wanted = wantedBy(entry, filter);
    if (wanted !== undefined) this.#neighbours.unwant(wanted);
    this.#version++;
    return true;
  }

  #routeOf(topic: string): Route {
    const rightsVersion = versionOf(this.#rights);
    if (rightsVersion !== this.#rightsVersion) {
      this.#rightsVersion = rightsVersion;
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
    const handlers = new Map<Handler, HandlerReach>();
    for (const entry of this.#matcher.match(name)) {
      if (entry.kind === "handler") handlers.set(entry.handler, entry.reach);
      else if (!topic || !this.#mayReceive(entry, name, topic)) continue;
      else if (entry.kind === "session") push(bySession, entry.session, entry.subscription);
      else push(groups, entry.group, targetOf(entry.session, [entry.subscription]));
    }
    return {
      version: this.#version,
      targets: [...bySession].map(([session, subscriptions]) => targetOf(session, subscriptions)),
      groups,
      handlers: [...handlers.keys()],
      everywhere: [...handlers].filter(([, reach]) => reach === "everywhere").map(([handler]) => handler),
    };
  }

  #mayReceive({ session, subscription }: Extract<Entry, { session: Session }>, name: string, topic: Topic): boolean {
    // A wildcard in the first level does not reach into $SYS [MQTT-4.7.2-1].
    const { filter } = parseShared(subscription.filter) ?? subscription;
    if (name.startsWith("$") && !filter.startsWith("$")) return false;
    return mayReceive(this.#rights, session.principal, topic);
  }
}

/** What other nodes must know. Most of the hub's own subscribers are on every node. */
const wantedBy = (entry: Entry, filter: string): string | undefined =>
  entry.kind === "handler"
    ? entry.reach === "everywhere"
      ? filter
      : undefined
    : entry.kind === "shared"
      ? `$share/${entry.group}/${filter}`
      : filter;

/** How other nodes know a filter of the session. */
export function announcedAs(session: Session, filter: string): string {
  const shared = parseShared(filter);
  return shared ? `$share/${groupOf(session, filter)}/${shared.filter}` : filter;
}

/** A name of fixed length for the group of a shared filter. */
const groupOf = ({ principal }: Session, filter: string): string =>
  createHash("sha256")
    .update(`${ownerOf(principal)}/${filter}`)
    .digest("hex")
    .slice(0, 32);

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

function deliverToAll(targets: readonly Target[], message: Message): boolean {
  let isStored = false;
  for (const target of targets) if (deliver(target, message)) isStored = true;
  return isStored;
}

/** `group`: the session was chosen for it as a member of that. */
function deliver(target: Target, message: Message, group?: string): boolean {
  const { session } = target;
  if (target.hasNoLocal && message.publisher === session.id) {
    const others = target.subscriptions.filter(({ noLocal }) => !noLocal);
    if (others.length > 0) return deliver(targetOf(session, others), message);
    session.skip(message);
    return false;
  }
  return session.deliver(message, message.retain ? target.retained : target.plain, group);
}
