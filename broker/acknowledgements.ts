import mqttPacket from "mqtt-packet";
import type { Output } from "./output.ts";

const PUBACK = 0x40;
const PUBREC = 0x50;
const MAX_REASON = 512;

/** The connection that is answered. */
export interface Answered {
  readonly isClosed: boolean;
  readonly version: 3 | 4 | 5;
  readonly output: Output;
  /** What the client takes at most, in bytes. */
  readonly maxPacketBytes: number;
  /** Whether the client wants to read why [MQTT-3.1.2-29]. */
  readonly wantsReasons: boolean;
  /** Some messages are answered: there is room for more. */
  answered(): void;
}

interface Waiting {
  readonly packetId: number;
  readonly qos: 1 | 2;
  reasonCode: number;
  reason: string | undefined;
  isDone: boolean;
  /** QoS 2: the session counts it already, until its release. */
  isKept: boolean;
}
/** A place in the order of answers. */
export interface Pending {
  /** QoS 2: the session has the message among those that are not released. */
  keep(): void;
  settle(reasonCode?: number, reason?: string): void;
}

/** The hub's answers to a client's QoS 1 and 2 messages, in the order in which those came [MQTT-4.6.0-2], [MQTT-4.6.0-3]. */
export class Acknowledgements {
  readonly #to: Answered;
  #waiting: Waiting[] | undefined;
  #kept = 0;

  constructor(to: Answered) {
    this.#to = to;
  }

  /** Messages whose answer waits for something. */
  get waiting(): number {
    return this.#waiting?.length ?? 0;
  }

  /** The same without those that the session counts. */
  get unkept(): number {
    return this.waiting - this.#kept;
  }

  /** Answers as soon as everything before is answered. */
  answer(qos: 1 | 2, packetId: number, reasonCode = 0, reason?: string): void {
    if (!this.#waiting) this.#write({ qos, packetId, reasonCode, reason });
    else this.#push({ qos, packetId, reasonCode, reason, isDone: true, isKept: qos === 2 && reasonCode === 0 });
  }

  /** Takes a place in the order for an answer that comes later. */
  reserve(qos: 1 | 2, packetId: number): Pending {
    const one: Waiting = { qos, packetId, reasonCode: 0, reason: undefined, isDone: false, isKept: false };
    this.#push(one);
    return {
      keep: () => {
        if (!one.isKept) this.#kept++;
        one.isKept = true;
      },
      settle: (reasonCode = 0, reason?: string) => {
        one.reasonCode = reasonCode;
        one.reason = reason;
        one.isDone = true;
        this.#settled();
      },
    };
  }

  #push(one: Waiting): void {
    (this.#waiting ??= []).push(one);
    if (one.isKept) this.#kept++;
  }

  #settled(): void {
    const waiting = this.#waiting ?? [];
    let done = 0;
    while (waiting[done]?.isDone) {
      const one = waiting[done++] as Waiting;
      if (one.isKept) this.#kept--;
      this.#write(one);
    }
    if (done === 0) return;
    this.#waiting = done === waiting.length ? undefined : waiting.slice(done);
    this.#to.answered();
  }

  #write({ qos, packetId, reasonCode, reason }: Omit<Waiting, "isDone" | "isKept">): void {
    const { isClosed, version, output, wantsReasons, maxPacketBytes } = this.#to;
    if (isClosed) return;
    if (version !== 5 || (reasonCode === 0 && reason === undefined)) return output.appendShort(qos === 1 ? PUBACK : PUBREC, packetId);
    const plain = { cmd: qos === 1 ? ("puback" as const) : ("pubrec" as const), messageId: packetId, reasonCode };
    const properties = wantsReasons && reason !== undefined ? { reasonString: reason.slice(0, MAX_REASON) } : undefined;
    const explained = properties && mqttPacket.generate({ ...plain, properties }, { protocolVersion: 5 });
    // A reason that the client could not take is left out [MQTT-3.4.2-2].
    output.append(explained && explained.length <= maxPacketBytes ? explained : mqttPacket.generate(plain, { protocolVersion: 5 }));
  }
}
