import { randomInt } from "node:crypto";
import type { Principal } from "../core/principal.ts";
import { keyOf } from "../core/authorize.ts";
import type { Cluster } from "./cluster.ts";
import { encodeLetter } from "./message-letter.ts";
import type { Message } from "./message.ts";
import { encodeForDead, encodeForGroups, encodeForSession, MAIL_KINDS } from "./neighbour-mail.ts";

/** Topics of the hub itself: they reach every node, whoever listens. */
const HUB_PREFIX = "$hub/";
/** Of 10,000 messages that are remembered no two may share one: a message taken for another's repeat is lost. */
const MAX_SEED = 2 ** 48 - 1;
/** A message for a group is sent on from node to node so often at most: members may go as it comes. */
const MAX_HOPS = 8;
/** A slow Redis keeps nobody waiting longer: what was sent is on its way, or waits until Redis is back. */
const DELIVERED_MS = 2_000;

/** The other nodes, as the message path sees them; without a cluster there are none, and nothing here costs anything. */
export class Neighbours {
  #cluster: Cluster | undefined;
  #delivering: Promise<void> | undefined;
  /** What was passed or handed on, until Redis has it. */
  #passingOn: Promise<void> | undefined;
  /** Filters of this node, which are announced when there is a cluster. */
  readonly #filters = new Map<string, number>();

  /** From now on there may be others. */
  join(cluster: Cluster): void {
    this.#cluster = cluster;
    for (const [filter, count] of this.#filters) for (let n = 0; n < count; n++) cluster.interest.add(filter);
  }

  get cluster(): Cluster | undefined {
    return this.#cluster;
  }

  /** There is nobody else whom a message may be for. */
  get isAlone(): boolean {
    return this.#cluster?.isAlone ?? true;
  }

  /** One more subscriber of this node; `$share/<group>/<filter>`: one more member of a group. */
  want(filter: string): void {
    this.#filters.set(filter, (this.#filters.get(filter) ?? 0) + 1);
    this.#cluster?.interest.add(filter);
  }

  unwant(filter: string): void {
    const count = (this.#filters.get(filter) ?? 0) - 1;
    if (count > 0) this.#filters.set(filter, count);
    else this.#filters.delete(filter);
    this.#cluster?.interest.remove(filter);
  }

  /** Resolves when what others publish on the filter from now on comes here; undefined when there is nobody to tell. See {@link want}. */
  announced(filter: string): Promise<void> | undefined {
    return this.#cluster && this.#cluster.peers.size > 0 ? this.#cluster.interest.announced(filter) : undefined;
  }

  /**
   * Sends the message to the nodes that want it, but for groups, and to those of which that is not known. Returns whether any
   * is known to: what only this node wants does not wait for a Redis that keeps the others from saying so.
   */
  forward(message: Message, owner: Principal | undefined): boolean {
    const cluster = this.#others(message);
    if (!cluster) return false;
    const isHub = message.topic.startsWith(HUB_PREFIX);
    const wanting = cluster.interest.peersFor(message.topic);
    const peers = isHub || message.retain ? [...new Set([...cluster.peers, ...wanting])] : wanting;
    if (peers.length === 0) return false;
    const bytes = encodeLetter({ message, owner: owner && keyOf(owner) });
    const letter = { kind: MAIL_KINDS.message, bytes, droppable: message.qos === 0 && !isHub && !message.retain };
    for (const peer of peers) cluster.send(peer, letter);
    return isHub || message.retain || cluster.interest.isWanted(message.topic);
  }

  /**
   * Decides which node serves each group that the message is for, and tells those: whoever publishes a message decides, so that
   * all have one opinion. `own` are the groups with members here; returns those that are this node's to serve.
   */
  allot(message: Message, own: readonly string[]): { readonly here: readonly string[]; readonly isSent: boolean } {
    const cluster = this.#others(message);
    const groups = cluster?.interest.groupsFor(message.topic);
    if (!cluster || !groups || (groups.size === 0 && cluster.interest.unknown.size === 0)) return { here: own, isSent: false };
    const here = own.filter((group) => !groups.has(group));
    const letter = encodeLetter({ message, owner: undefined });
    const droppable = message.qos === 0;
    let isSent = cluster.interest.hasStranger;
    for (const [group, peers] of groups) {
      const living: (string | undefined)[] = peers.filter((peer) => cluster.peers.has(peer));
      if (own.includes(group)) living.push(undefined);
      // With nobody else it is for the sessions of a dead node, whoever gets them.
      const nodes = living.length > 0 ? living : peers;
      const chosen = nodes[message.seed % nodes.length];
      if (chosen === undefined) here.push(group);
      else {
        cluster.send(chosen, { kind: MAIL_KINDS.forGroup, bytes: encodeForGroups([group], letter), droppable });
        isSent = true;
      }
    }
    // Who has not said what it wants may have members of groups that nobody else has.
    const others = { kind: MAIL_KINDS.forOtherGroups, bytes: encodeForGroups([...own, ...groups.keys()], letter), droppable };
    for (const peer of cluster.interest.unknown) cluster.send(peer, others);
    return { here, isSent };
  }

  /**
   * Sends a message for a group without members here to a living node that has some. `hops`: how often that was done. Returns
   * false when none is known and the members, if there are any, are still on their way to one: it is to be tried again.
   */
  handOn(group: string, message: Message, hops: number): boolean {
    const cluster = this.#others(message);
    if (!cluster || hops >= MAX_HOPS) return true;
    const known = (cluster.interest.groupsFor(message.topic).get(group) ?? []).filter((peer) => cluster.peers.has(peer));
    const peer = known[message.seed % known.length];
    if (peer === undefined) return !cluster.isInMotion || message.qos === 0;
    const bytes = encodeForGroups([group], encodeLetter({ message, owner: undefined }), hops + 1);
    cluster.send(peer, { kind: MAIL_KINDS.forGroup, bytes, droppable: message.qos === 0 });
    this.#notePassing();
    return true;
  }

  /** Sends a message to wherever the session is now; `group`: as a member of that. */
  passOn(clientId: string, message: Message, group: string | undefined): void {
    this.sendAll(MAIL_KINDS.forSession, encodeForSession({ clientId, group }, encodeLetter({ message, owner: undefined })));
    this.#notePassing();
  }

  /** Sends a message that a dead node had not read to wherever its sessions are. */
  passOnDead(deadId: string, letter: Buffer): void {
    this.sendAll(MAIL_KINDS.fromDead, encodeForDead(deadId, letter), deadId);
  }

  /** To every node, and whoever gets what the dead ones had. */
  sendAll(kind: number, bytes: Buffer, except?: string): void {
    for (const peer of this.#cluster?.reachable ?? []) if (peer !== except) this.#cluster?.send(peer, { kind, bytes, droppable: false });
  }

  /** To the nodes that live: what was passed on before goes to no dead one again, or several of them would send it around for ever. */
  sendLiving(kind: number, bytes: Buffer): void {
    for (const peer of this.#cluster?.peers ?? []) this.#cluster?.send(peer, { kind, bytes, droppable: false });
  }

  /** Names a message among all nodes, for a while; 0 on a node that has always been alone. */
  newSeed(): number {
    return this.isAlone ? 0 : randomInt(1, MAX_SEED);
  }

  /** The cluster, when the message may be for somebody else in it. */
  #others({ topic }: Message): Cluster | undefined {
    // Statistics are of one node.
    return this.#cluster && !this.#cluster.isAlone && !topic.startsWith("$SYS/") ? this.#cluster : undefined;
  }

  /** Resolves when Redis has what was passed or handed on up to now; undefined when it has. */
  passedOn(): Promise<void> | undefined {
    return this.#passingOn;
  }

  #notePassing(): void {
    const passing = this.delivered()?.finally(() => {
      if (this.#passingOn === passing) this.#passingOn = undefined;
    });
    this.#passingOn = passing;
  }

  /** Resolves when Redis has what was forwarded up to now. While it is away nobody waits: the node goes on alone. */
  delivered(): Promise<void> | undefined {
    const cluster = this.#cluster;
    if (!cluster?.isConnected || cluster.isAlone) return undefined;
    // Asked once for all messages of this turn, when the last of them is on its way.
    this.#delivering ??= new Promise<void>((resolve) => setImmediate(resolve)).then(() => {
      this.#delivering = undefined;
      return this.#confirmed(cluster);
    });
    return this.#delivering;
  }

  async #confirmed(cluster: Cluster): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, DELIVERED_MS).unref();
    });
    await Promise.race([cluster.delivered().catch(() => undefined), late]);
    clearTimeout(timer);
  }
}
