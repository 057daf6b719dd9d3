import type { AedesPublishPacket } from "aedes";
import qlobber from "qlobber";
import { WILDCARDS } from "./subscriptions.ts";
import type { WriteBehind } from "./write-behind.ts";

/** The last retained message of each topic. */
export class Retained {
  readonly #rows: WriteBehind;
  readonly #isStored: (topic: string) => boolean;
  readonly #packets = new Map<string, AedesPublishPacket>();

  constructor(rows: WriteBehind, isStored: (topic: string) => boolean) {
    this.#rows = rows;
    this.#isStored = isStored;
  }

  /** An empty payload takes the message back. Returns whether the message has a row that is worth waiting for. */
  set(packet: AedesPublishPacket): boolean {
    const { topic } = packet;
    if (packet.payload.length === 0) {
      this.#packets.delete(topic);
      this.#rows.delete("retained", "", topic);
      return false;
    }
    const copy = { ...packet };
    this.#packets.set(topic, copy);
    if (!this.#isStored(topic)) return false;
    this.#rows.put("retained", "", topic, copy);
    return true;
  }

  *matching(patterns: readonly string[]): Iterable<AedesPublishPacket> {
    for (const pattern of patterns) {
      if (!pattern.includes("+") && !pattern.includes("#")) {
        const packet = this.#packets.get(pattern);
        if (packet) yield packet;
        continue;
      }
      const matcher = new qlobber.QlobberTrue(WILDCARDS);
      matcher.add(pattern);
      for (const [topic, packet] of this.#packets) if (matcher.test(topic)) yield packet;
    }
  }

  topicsBelow(prefix: string): string[] {
    return [...this.#packets.keys()].filter((topic) => topic.startsWith(prefix));
  }

  restore(topic: string, packet: AedesPublishPacket): void {
    this.#packets.set(topic, packet);
  }
}
