import { createHash, randomInt } from "node:crypto";
import type { Principal } from "../core/principal.ts";
import { keyOf } from "./authorize.ts";
import type { Cluster } from "./cluster.ts";
import { encodeLetter, type Letter, parseLetter } from "./message-letter.ts";
import type { Message } from "./message.ts";

/** What one node does with a message of another one. */
export type Receive = (letter: Letter) => Promise<void> | undefined;

const MESSAGE = 1;
/** Topics of the hub itself: they reach every node, whoever listens. */
const HUB_PREFIX = "$hub/";
/** A slow Redis keeps nobody waiting longer: what was sent is on its way, or waits until Redis is back. */
const DELIVERED_MS = 2_000;

/** The other nodes, as the message path sees them; without a cluster there are none, and nothing here costs anything. */
export class Neighbours {
  #cluster: Cluster | undefined;
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

  /** One more subscriber of this node. */
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

  /** Resolves when what others publish on the filter from now on comes here; undefined when there is nobody to tell. */
  announced(filter: string): Promise<void> | undefined {
    return this.#cluster && this.#cluster.peers.size > 0 ? this.#cluster.interest.announced(filter) : undefined;
  }

  /** Sends the message to the nodes that want it. Returns whether there were any; `seed` decides who serves shared filters. */
  forward(message: Message, seed: number, owner: Principal | undefined): boolean {
    const cluster = this.#cluster;
    if (!cluster || cluster.peers.size === 0) return false;
    const isHub = message.topic.startsWith(HUB_PREFIX);
    const peers = isHub || message.retain ? [...cluster.peers] : cluster.interest.peersFor(message.topic);
    if (peers.length === 0) return false;
    const bytes = encodeLetter({ message, seed, owner: owner && keyOf(owner) });
    const letter = { kind: MESSAGE, bytes, droppable: message.qos === 0 && !isHub && !message.retain };
    for (const peer of peers) cluster.send(peer, letter);
    return true;
  }

  /** A seed for {@link serves}; 0 as long as this node is alone. */
  newSeed(): number {
    return this.#cluster && this.#cluster.peers.size > 0 ? randomInt(0xffff_ffff) : 0;
  }

  /** Of all nodes with members of the group one serves each message, and all work out the same one. */
  serves(group: string, seed: number): boolean {
    const cluster = this.#cluster;
    if (!cluster || cluster.peers.size === 0) return true;
    const nodes = [cluster.nodeId, ...cluster.interest.peersFor(groupTopic(group))].toSorted();
    return nodes[seed % nodes.length] === cluster.nodeId;
  }

  /** Resolves when Redis has what was forwarded up to now. While it is away nobody waits: the node goes on alone. */
  async delivered(): Promise<void> {
    const cluster = this.#cluster;
    if (!cluster?.isConnected || cluster.peers.size === 0) return;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, DELIVERED_MS).unref();
    });
    await Promise.race([cluster.delivered().catch(() => undefined), late]);
    clearTimeout(timer);
  }
}

/** Announced beside a shared filter, so that every node knows where the group has members. Nothing is published there. */
export const groupTopic = (group: string): string => `$group/${createHash("sha256").update(group).digest("hex")}`;

/** Reads what another node sent. What it returns is waited for before the next is read. */
export function readLetter(kind: number, bytes: Buffer, receive: Receive): Promise<void> | undefined {
  return kind === MESSAGE ? receive(parseLetter(bytes)) : undefined;
}
