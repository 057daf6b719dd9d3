import { generate, type IConnackPacket, type IPublishPacket, type Packet, parser } from "mqtt-packet";

/** Why something did not happen: a reason code of MQTT 5, the connection, or time. */
export type MqttReason = number | "lost" | "late";

export class MqttError extends Error {
  readonly reason: MqttReason;
  /** In the hub's words; often "". */
  readonly told: string;

  constructor(reason: MqttReason, told = "") {
    super(`MQTT: ${reason} ${told}`);
    this.name = "MqttError";
    this.reason = reason;
    this.told = told;
  }
}

export interface ConnectionListener {
  /** Logged in. */
  readonly onOpen: () => void;
  readonly onMessage: (packet: IPublishPacket) => void;
  /** Once, whatever ended it; what waits for an answer has been told. */
  readonly onEnd: (reason: MqttReason) => void;
}

const ANSWER_MS = 10_000;
/** One that is not answered until the next is due ends the connection: a hub that is frozen closes nothing. */
const PING_MS = 10_000;
/** Browsers let the timers of hidden tabs run once a minute. */
const KEEP_ALIVE_S = 120;
const MAX_PACKET_ID = 0xffff;
/** [MQTT-2.4] */
const FIRST_REFUSAL = 0x80;
const V5 = { protocolVersion: 5 } as const;

/** One WebSocket to the hub's broker, from its opening to its end, logged in with the session's cookie. */
export class MqttConnection {
  readonly #listener: ConnectionListener;
  readonly #parser = parser(V5);
  readonly #answers = new Map<number, PromiseWithResolvers<Packet>>();
  #socket: WebSocket | undefined;
  #timer: ReturnType<typeof setInterval> | undefined;
  #isOpen = false;
  #isPinged = false;
  #lastId = 0;

  constructor(listener: ConnectionListener) {
    this.#listener = listener;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  open(): void {
    const socket = new WebSocket(`${location.origin.replace(/^http/, "ws")}/mqtt`, "mqtt");
    this.#socket = socket;
    this.#parser.on("packet", (packet: Packet) => this.#take(packet));
    this.#parser.on("error", () => this.#end("lost"));
    socket.binaryType = "arraybuffer";
    socket.addEventListener("open", () => this.#connect());
    // A frame may hold a part of a packet, or several.
    socket.addEventListener("message", ({ data }) => this.#parser.parse(new Uint8Array(data as ArrayBuffer) as never));
    socket.addEventListener("close", () => this.#end("lost"));
    this.#timer = setInterval(() => this.#end("late"), ANSWER_MS);
  }

  /** Without an end that is told. */
  close(): void {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#send({ cmd: "disconnect", reasonCode: 0 });
    this.#release();
  }

  /** The hub's answer to it. Throws {@link MqttError} where it refuses, or does not answer. */
  async ask(packet: Packet & { messageId?: number }): Promise<Packet> {
    const id = this.#nextId();
    const answer = Promise.withResolvers<Packet>();
    this.#answers.set(id, answer);
    const timer = setTimeout(() => answer.reject(new MqttError("late")), ANSWER_MS);
    try {
      this.#send({ ...packet, messageId: id });
      return await answer.promise;
    } finally {
      clearTimeout(timer);
      this.#answers.delete(id);
    }
  }

  /** Nobody says whether it came. Throws {@link MqttError} without a connection. */
  tell(packet: Packet): void {
    this.#send(packet);
  }

  #connect(): void {
    const clientId = `console-${crypto.getRandomValues(new Uint32Array(2)).join("-")}`;
    this.#send({ cmd: "connect", protocolId: "MQTT", protocolVersion: 5, clean: true, clientId, keepalive: KEEP_ALIVE_S });
  }

  #take(packet: Packet): void {
    if (!this.#socket) return;
    this.#isPinged = false;
    if (packet.cmd === "connack") this.#welcomed(packet);
    else if (packet.cmd === "publish") this.#listener.onMessage(packet);
    else if (packet.cmd === "disconnect") this.#end(packet.reasonCode ?? "lost");
    else if (packet.messageId !== undefined) this.#answered(packet, this.#answers.get(packet.messageId));
  }

  #welcomed({ reasonCode = 0 }: IConnackPacket): void {
    if (reasonCode >= FIRST_REFUSAL) return this.#end(reasonCode);
    this.#isOpen = true;
    clearInterval(this.#timer);
    this.#timer = setInterval(() => this.#ping(), PING_MS);
    this.#listener.onOpen();
  }

  #answered(packet: Packet, answer: PromiseWithResolvers<Packet> | undefined): void {
    const code = reasonOf(packet);
    if (code < FIRST_REFUSAL) answer?.resolve(packet);
    else answer?.reject(new MqttError(code, "properties" in packet ? (packet.properties as { reasonString?: string })?.reasonString : ""));
  }

  #ping(): void {
    if (this.#isPinged) return this.#end("late");
    if (this.#socket?.readyState !== WebSocket.OPEN) return this.#end("lost");
    this.#isPinged = true;
    this.#send({ cmd: "pingreq" });
  }

  #send(packet: Packet): void {
    if (this.#socket?.readyState !== WebSocket.OPEN) throw new MqttError("lost");
    this.#socket.send(generate(packet, V5) as Uint8Array<ArrayBuffer>);
  }

  #end(reason: MqttReason): void {
    if (!this.#socket) return;
    this.#release();
    for (const answer of this.#answers.values()) answer.reject(new MqttError(reason));
    this.#listener.onEnd(reason);
  }

  /** The browser may take long to close it: nothing is heard from here on. */
  #release(): void {
    const socket = this.#socket;
    this.#socket = undefined;
    this.#isOpen = false;
    clearInterval(this.#timer);
    socket?.close();
  }

  #nextId(): number {
    do this.#lastId = (this.#lastId % MAX_PACKET_ID) + 1;
    while (this.#answers.has(this.#lastId));
    return this.#lastId;
  }
}

/** A SUBACK has one for each filter, and here there is one. */
function reasonOf(packet: Packet): number {
  if (packet.cmd === "suback") return Number(packet.granted[0]);
  return "reasonCode" in packet ? (packet.reasonCode ?? 0) : 0;
}
