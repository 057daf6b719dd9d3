import assert from "node:assert/strict";
import { describePacket, type RawClient, type Received } from "../support/raw-client.ts";
import type { Player } from "./model-cast.ts";
import { isFence } from "./model-fences.ts";
import { type Arrival, Ledger } from "./model-ledger.ts";
import type { Model } from "./model.ts";
import type { Debt } from "./model-terms.ts";

/** One connection of the world. */
export interface Live {
  readonly raw: RawClient;
  readonly player: Player;
  /** Where it is connected. */
  readonly node: number;
  /** QoS 1 and 2 messages that it takes without an acknowledgement. */
  readonly window: number;
  /** Whether it acknowledges only when it is told. */
  readonly holds: boolean;
  /** Packet ids of the PUBRELs that came. */
  readonly released: Set<number>;
}

/** How long a message that must come is waited for. */
const PATIENCE_MS = 5_000;

/** The connections that are open, and the comparison of what comes on them with what the model owes them. */
export class Clients {
  readonly live = new Map<string, Live>();
  readonly ledger = new Ledger();
  readonly #model: Model;

  constructor(model: Model) {
    this.#model = model;
  }

  /** Waits until these clients, or all, have what they must have, and the hub has their acknowledgements. */
  async settle(names: Iterable<string> = this.live.keys()): Promise<void> {
    const asked = [...names];
    // What one of a group has, the others are not owed.
    const waiting = new Set([...asked, ...asked.flatMap((name) => this.ledger.partners(name))].filter((name) => this.live.has(name)));
    const deadline = performance.now() + PATIENCE_MS;
    while (waiting.size > 0) {
      await Promise.all([...waiting].map((name) => this.#of(name).raw.ping()));
      for (const name of waiting) {
        const news = this.#take(name);
        const missing = this.#missing(name);
        // What came is acknowledged: the hub knows after one more round, and may have more to send.
        if (missing.length === 0 && !news) waiting.delete(name);
        assert.ok(missing.length === 0 || performance.now() < deadline, `${name} did not get ${missing.join(", ")}`);
      }
    }
  }

  /** The session's connection is over: what came on it after the last look may or may not have counted. */
  async supersede(name: string, reasonCode: number): Promise<void> {
    const { raw } = this.#of(name);
    const left = await raw.ended();
    this.live.delete(name);
    const last = left.filter(({ cmd }) => cmd === "disconnect").map(describePacket);
    assert.deepEqual(last, raw.version === 5 ? [`disconnect 0x${reasonCode.toString(16)}`] : [], name);
    for (const packet of left.filter(isPlayed)) if (packet.cmd === "publish") this.ledger.mayHaveCome(name, arrivalOf(packet, raw.version));
  }

  /** Acknowledges what the client has held back; half of the way only, where there are two halves. */
  async acknowledge(name: string, isHalf: boolean): Promise<void> {
    const { raw, released } = this.#of(name);
    const held = this.ledger.unacknowledged(name);
    for (const { packetId, qos, isReceived } of held) {
      if (isReceived) continue;
      raw.send({ cmd: qos === 1 ? "puback" : "pubrec", messageId: packetId });
      if (qos === 1) this.ledger.completed(name, packetId);
      else this.ledger.received(name, packetId);
    }
    await this.settle([name]);
    if (isHalf) return;
    for (const { packetId, isReceived } of this.ledger.unacknowledged(name)) {
      if (!isReceived || !released.has(packetId)) continue;
      raw.send({ cmd: "pubcomp", messageId: packetId });
      this.ledger.completed(name, packetId);
    }
    await this.settle([name]);
  }

  [Symbol.dispose](): void {
    for (const { raw } of this.live.values()) void raw[Symbol.asyncDispose]();
  }

  #of(name: string): Live {
    const live = this.live.get(name);
    assert.ok(live, `${name} is not connected`);
    return live;
  }

  /** Whether there was something. */
  #take(name: string): boolean {
    const { raw, holds, released } = this.#of(name);
    const packets = raw.takeAll().filter(isPlayed);
    for (const packet of packets) {
      if (packet.cmd === "publish") this.#arrived(name, packet);
      else if (packet.cmd === "pubrel" && holds) released.add(packet.messageId as number);
      else assert.fail(`${name} got ${describePacket(packet)}`);
    }
    return packets.length > 0;
  }

  #arrived(name: string, packet: Extract<Received, { cmd: "publish" }>): void {
    const { raw, holds, player } = this.#of(name);
    // What a device did wrong, said within a rate.
    if (packet.topic === `hexa/${player.account.name}/down/error`) return;
    this.ledger.arrived(name, arrivalOf(packet, raw.version), { holds, sees: (topic) => this.#model.sees(player.account, topic) });
  }

  #missing(name: string): string[] {
    const { holds, released, window, player } = this.#of(name);
    const missing = this.ledger.missing(name, {
      window,
      sees: (topic) => this.#model.sees(player.account, topic),
      isShareSettled: ({ to }: Debt) => [...to.keys()].every((member) => this.live.has(member)),
    });
    const held = holds ? this.ledger.unacknowledged(name) : [];
    if (held.length > window) return missing;
    return [...missing, ...held.filter((one) => one.isReceived && !released.has(one.packetId)).map((one) => `PUBREL ${one.packetId}`)];
  }
}

/** The fences' own messages are not. */
const isPlayed = (packet: Received): boolean => packet.cmd !== "publish" || !isFence(packet.topic);

/** Events are told apart by their device, answers to `register` not at all. */
function arrivalOf(packet: Extract<Received, { cmd: "publish" }>, version: 4 | 5): Arrival {
  const { topic, payload, qos, retain, dup, messageId, properties } = packet;
  const text = payload.toString();
  const ids = properties?.subscriptionIdentifier;
  return {
    topic,
    payload: topic.includes("/events/")
      ? (JSON.parse(text) as { data: { uid: string } }).data.uid
      : topic.endsWith("/registered")
        ? "registered"
        : text,
    qos,
    retain,
    dup,
    ids: version === 5 ? [ids ?? []].flat() : undefined,
    packetId: messageId,
  };
}
