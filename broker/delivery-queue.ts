import type { Message } from "./message.ts";

/** One message of QoS 1 or 2 for one session. */
export interface Delivery {
  /** Its row's key, which sorts in the order of arrival; empty without a row. */
  readonly key: string;
  readonly message: Message;
  readonly qos: 1 | 2;
  readonly retain: boolean;
  readonly subscriptionIds: readonly number[] | undefined;
  /** Among several nodes: what comes for the session under this name again, from another one, is the same. */
  readonly name: number | string | undefined;
  /** 0 until it is sent for the first time. */
  packetId: number;
  /** QoS 2: the client has it, and only the release is left to do. */
  isReleased: boolean;
}

const MAX_PACKET_ID = 65_535;

/** What a session has not acknowledged: first what was sent, then what waits, each in the order of arrival. */
export class DeliveryQueue {
  /** By packet id: sent at some time, on this connection or an earlier one. */
  readonly #sent = new Map<number, Delivery>();
  /** Sent on an earlier connection and not yet on this one. */
  #unsent: Delivery[] = [];
  #waiting: Delivery[] = [];
  #head = 0;
  #bytes = 0;
  #lastPacketId = 0;
  /** On their way to the client of this connection. */
  outstanding = 0;
  #outstandingBytes = 0;

  get size(): number {
    return this.#sent.size + this.#waiting.length - this.#head;
  }

  get isWaiting(): boolean {
    return this.#unsent.length > 0 || this.#head < this.#waiting.length;
  }

  hasRoom(message: Message, { mqttQueueMessages, mqttQueueBytes }: { mqttQueueMessages: number; mqttQueueBytes: number }): boolean {
    return this.#waiting.length - this.#head < mqttQueueMessages && this.#bytes + message.bytes <= mqttQueueBytes;
  }

  /** Whether one more may be on its way: a client that acknowledges nothing must not make the hub hold whatever it likes. */
  hasWindow(window: number, { mqttQueueBytes }: { mqttQueueBytes: number }): boolean {
    return this.outstanding < window && (this.outstanding === 0 || this.#outstandingBytes < mqttQueueBytes);
  }

  add(delivery: Delivery): void {
    this.#waiting.push(delivery);
    this.#bytes += delivery.message.bytes;
  }

  /** Takes the next one that is to be sent. */
  next(): Delivery | undefined {
    while (this.#unsent.length > 0) {
      const again = this.#unsent.shift() as Delivery;
      if (this.#sent.get(again.packetId) === again) return again;
    }
    const delivery = this.#waiting[this.#head];
    if (!delivery) return undefined;
    this.#bytes -= delivery.message.bytes;
    this.#head++;
    if (this.#head === this.#waiting.length) {
      this.#waiting = [];
      this.#head = 0;
    } else if (this.#head > 1_024 && this.#head * 2 > this.#waiting.length) {
      this.#waiting = this.#waiting.slice(this.#head);
      this.#head = 0;
    }
    return delivery;
  }

  /** Gives it a packet id that no other message of the session has. */
  number(delivery: Delivery): void {
    do this.#lastPacketId = this.#lastPacketId >= MAX_PACKET_ID ? 1 : this.#lastPacketId + 1;
    while (this.#sent.has(this.#lastPacketId));
    delivery.packetId = this.#lastPacketId;
  }

  sent(delivery: Delivery): void {
    this.#sent.set(delivery.packetId, delivery);
    this.outstanding++;
    this.#outstandingBytes += delivery.message.bytes;
  }

  byPacketId(packetId: number): Delivery | undefined {
    return this.#sent.get(packetId);
  }

  /** Forgets one that was taken out or sent. */
  remove(delivery: Delivery): void {
    if (this.#sent.get(delivery.packetId) !== delivery) return;
    this.#sent.delete(delivery.packetId);
    // An acknowledgement of what this connection has not sent yet frees nothing.
    if (this.#unsent.includes(delivery)) return;
    this.outstanding--;
    this.#outstandingBytes -= delivery.message.bytes;
  }

  /** A new connection: what was sent on the one before is sent again, first. */
  rewind(): void {
    this.outstanding = 0;
    this.#outstandingBytes = 0;
    this.#unsent = [...this.#sent.values()];
  }

  restore(delivery: Delivery): void {
    if (delivery.packetId > 0) {
      this.#sent.set(delivery.packetId, delivery);
      this.#lastPacketId = delivery.packetId;
      return;
    }
    this.add(delivery);
  }

  all(): Delivery[] {
    return [...this.#sent.values(), ...this.#waiting.slice(this.#head)];
  }
}
