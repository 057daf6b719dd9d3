import { createHash, randomInt } from "node:crypto";
import type { Principal } from "../core/principal.ts";
import { keyOf } from "./authorize.ts";
import type { Cluster } from "./cluster.ts";
import { encodeLetter, type Letter, parseLetter } from "./message-letter.ts";
import type { Message } from "./message.ts";

const MESSAGE = 1;
/** A message for one session that has moved: its client id (2 bytes of length before it) and the message. */
const FOR_SESSION = 2;
/** A message from the mail of a dead node, for what came from it: its id (36 bytes) and the message. */
const FROM_DEAD = 3;
const NODE_ID_BYTES = 36;
/** Topics of the hub itself: they reach every node, whoever listens. */
const HUB_PREFIX = "$hub/";
/** A slow Redis keeps nobody waiting longer: what was sent is on its way, or waits until Redis is back. */
const DELIVERED_MS = 2_000;

/** The other nodes, as the message path sees them; without a cluster there are none, and nothing here costs anything. */
export class Neighbours {
  #cluster: Cluster | undefined;
  #delivering: Promise<void> | undefined;
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

  /**
   * Sends the message to the nodes that want it, and to those of which that is not known. Returns whether any is known to:
   * what only this node wants does not wait for a Redis that keeps the others from saying so.
   */
  forward(message: Message, owner: Principal | undefined): boolean {
    const cluster = this.#cluster;
    // Statistics are of one node.
    if (!cluster || cluster.peers.size === 0 || message.topic.startsWith("$SYS/")) return false;
    const isHub = message.topic.startsWith(HUB_PREFIX);
    const peers = isHub || message.retain ? [...cluster.peers] : cluster.interest.peersFor(message.topic);
    if (peers.length === 0) return false;
    const bytes = encodeLetter({ message, owner: owner && keyOf(owner) });
    const letter = { kind: MESSAGE, bytes, droppable: message.qos === 0 && !isHub && !message.retain };
    for (const peer of peers) cluster.send(peer, letter);
    return isHub || message.retain || cluster.interest.isWanted(message.topic);
  }

  /** Sends a message to wherever the session is now. */
  passOn(clientId: string, message: Message): void {
    const id = Buffer.from(clientId);
    const head = Buffer.alloc(2);
    head.writeUInt16BE(id.length);
    this.#sendAll(FOR_SESSION, Buffer.concat([head, id, encodeLetter({ message, owner: undefined })]));
  }

  /** Sends a message that a dead node had not read to wherever its sessions are. */
  passOnDead(deadId: string, letter: Buffer): void {
    this.#sendAll(FROM_DEAD, Buffer.concat([Buffer.from(deadId), letter]));
  }

  #sendAll(kind: number, bytes: Buffer): void {
    for (const peer of this.#cluster?.peers ?? []) this.#cluster?.send(peer, { kind, bytes, droppable: false });
  }

  /** Names a message among all nodes, for a while, and decides who {@link serves} it; 0 as long as this node is alone. */
  newSeed(): number {
    return this.#cluster && this.#cluster.peers.size > 0 ? randomInt(1, 0xffff_ffff) : 0;
  }

  /** Of all nodes with members of the group one serves each message, and all work out the same one. */
  serves(group: string, seed: number): boolean {
    const cluster = this.#cluster;
    if (!cluster || cluster.peers.size === 0) return true;
    const nodes = [cluster.nodeId, ...cluster.interest.peersFor(groupTopic(group))].toSorted();
    return nodes[seed % nodes.length] === cluster.nodeId;
  }

  /** Resolves when Redis has what was forwarded up to now. While it is away nobody waits: the node goes on alone. */
  delivered(): Promise<void> | undefined {
    const cluster = this.#cluster;
    if (!cluster?.isConnected || cluster.peers.size === 0) return undefined;
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

/** Announced beside a shared filter, so that every node knows where the group has members. Nothing is published there. */
export const groupTopic = (group: string): string => `$group/${createHash("sha256").update(group).digest("hex")}`;

/** What a node does with the mail of others. What a function returns is waited for before the next is read. */
export interface Readers {
  message(letter: Letter): Promise<void> | undefined;
  forSession(clientId: string, letter: Letter): Promise<void> | undefined;
  fromDead(deadId: string, letter: Letter): Promise<void> | undefined;
}

/** Reads what another node sent. */
export function readLetter(kind: number, bytes: Buffer, readers: Readers): Promise<void> | undefined {
  if (kind === MESSAGE) return readers.message(parseLetter(bytes));
  if (kind === FROM_DEAD) return readers.fromDead(bytes.toString("latin1", 0, NODE_ID_BYTES), parseLetter(bytes.subarray(NODE_ID_BYTES)));
  if (kind !== FOR_SESSION) return undefined;
  const end = 2 + bytes.readUInt16BE(0);
  return readers.forSession(bytes.toString("utf8", 2, end), parseLetter(bytes.subarray(end)));
}

/** Reads the mail of a node that is dead: `fromDead` gets what was for its sessions, and `passOn` what may be elsewhere. */
export function readDeadLetter(
  { deadId, kind, bytes }: { deadId: string; kind: number; bytes: Buffer },
  readers: Readers,
  neighbours: Neighbours,
): Promise<void> | undefined {
  if (kind !== MESSAGE) return readLetter(kind, bytes, readers);
  neighbours.passOnDead(deadId, bytes);
  return readers.fromDead(deadId, parseLetter(bytes));
}
