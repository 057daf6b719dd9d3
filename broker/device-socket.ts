import type { RawData, WebSocket } from "ws";
import type { HubError } from "../core/errors.ts";
import type { MqttLimits } from "../core/settings.ts";
import type { Topics } from "../core/topics.ts";
import type { GatewayLogin } from "./gateway-login.ts";
import { messageTo, readMessage, type SaidByDevice, topicOf } from "./gateway-messages.ts";
import { type Down, type GatewayListener, GatewaySession, type SessionEnd } from "./gateway-session.ts";
import type { Accept } from "./listeners.ts";
import { PendingMessages } from "./pending-messages.ts";

export interface DeviceSocketContext {
  readonly attach: Accept;
  readonly topics: Topics;
  readonly limits: Pick<MqttLimits, "mqttSlowCloseBytes">;
  readonly clock: () => number;
}

/** Of MQTT: in silence of three times the heartbeat interval the session is over. */
const KEEPALIVE_S = 60;
const LOST = 1_006;
const MALFORMED = 4_400;
const UNAUTHORIZED = [4_401, "the uid or the credential is wrong, expired or revoked"] as const;

const CLOSES: Readonly<Record<SessionEnd, readonly [code: number, reason: string]>> = {
  unauthorized: UNAUTHORIZED,
  taken_over: [4_409, "the device has another session"],
  silent: [4_408, "nothing was heard for three heartbeats"],
  too_many: [4_429, "too many logins, or messages that are not read"],
  too_large: [1_009, "the message is too large"],
  stopping: [1_001, "the hub stops"],
  unavailable: [1_013, "try again later"],
  failed: [1_011, "the hub could not go on"],
  closed: [1_000, ""],
};

/** Nobody in particular: closed as one whose credential is wrong. */
export const closeUnauthorized = (socket: WebSocket): void => {
  socket.on("error", () => undefined);
  socket.close(...UNAUTHORIZED);
};

/** A device that speaks JSON over a WebSocket, and its session. */
export class DeviceSocket implements GatewayListener {
  readonly #socket: WebSocket;
  readonly #context: DeviceSocketContext;
  readonly #session: GatewaySession;
  readonly #pending: PendingMessages;
  /** What the socket had read already when there was no room: at most one read of it. */
  #unread: Buffer[] = [];
  #isAlive = true;
  #isClosing = false;
  /** Messages that the system has not taken yet. */
  #sending = 0;
  #whenTaken: (() => void) | undefined;

  constructor(context: DeviceSocketContext, socket: WebSocket, login: GatewayLogin & { readonly remoteAddress: string | undefined }) {
    this.#context = context;
    this.#socket = socket;
    this.#pending = new PendingMessages((packetId) => this.#session.acknowledge(packetId), context.clock);
    const { attach, topics } = context;
    // Nothing is read of somebody who is nobody yet.
    socket.pause();
    socket.on("message", (data, isBinary) => this.#receive(data, isBinary));
    socket.on("ping", () => this.#pinged());
    socket.on("pong", () => {
      this.#isAlive = true;
    });
    // A frame that is none: `ws` closes with the code for it.
    socket.on("error", () => undefined);
    socket.on("close", (code) => this.#closed(code));
    this.#session = new GatewaySession({ attach, topics, login, remoteAddress: login.remoteAddress, keepaliveS: KEEPALIVE_S }, this);
  }

  opened(): void {
    this.ready();
  }

  down({ type, payload, packetId }: Down): void {
    if (type === "error") return this.#refused(payload, packetId);
    const isAnswered = type === "command" || type === "task";
    if (isAnswered && packetId > 0 && !this.#pending.add({ type, payload, packetId })) return;
    this.#say(messageTo(type, payload));
    if (!isAnswered) this.#session.acknowledge(packetId);
  }

  taken(done: () => void): void {
    // What went out at once waits for nobody.
    if (this.#sending === 0 || this.#socket.bufferedAmount === 0) return done();
    this.#whenTaken = done;
  }

  ready(): void {
    while (this.#unread.length > 0 && this.#session.hasRoom && !this.#isClosing) this.#handle(this.#unread.shift() as Buffer);
    if (this.#unread.length === 0 && this.#session.hasRoom && this.#socket.isPaused) this.#socket.resume();
  }

  ended(end: SessionEnd): void {
    this.#pending.clear();
    this.#close(...CLOSES[end]);
  }

  /** Sends a ping if nothing came since the last call; ends a connection that left the last one unanswered. */
  checkAlive(): void {
    const { isPaused, readyState, OPEN } = this.#socket;
    if (isPaused || readyState !== OPEN) return;
    if (!this.#isAlive) return this.#socket.terminate();
    this.#isAlive = false;
    this.#socket.ping();
  }

  cut(): void {
    this.#socket.terminate();
  }

  #receive(data: RawData, isBinary: boolean): void {
    this.#isAlive = true;
    if (this.#isClosing) return;
    if (isBinary) return this.#close(1_003, "messages are JSON texts");
    this.#unread.push(data as Buffer);
    this.ready();
    if (this.#unread.length > 0 && !this.#socket.isPaused) this.#socket.pause();
  }

  #handle(data: Buffer): void {
    let message: SaidByDevice;
    try {
      message = readMessage(data.toString());
    } catch (error) {
      this.#answer(undefined, error as HubError);
      return this.#close(MALFORMED, "a message that is none");
    }
    const { id, type: said, payload: fields } = message;
    if (said === "received") return this.#pending.settle(String(id));
    const { type, payload } = topicOf(message);
    this.#session.publish(type, payload, (error) => {
      this.#answer(id, error);
      if (error) return;
      const answered = said === "ack" ? fields["command_id"] : said === "task.result" ? fields["task_id"] : undefined;
      if (typeof answered === "string") this.#pending.settle(answered);
    });
  }

  #answer(id: string | number | undefined, error: HubError | undefined): void {
    if (error) this.#say({ type: "error", id, code: error.code, message: error.message });
    else if (id !== undefined) this.#say({ type: "ok", id });
  }

  /** What concerns one message was its answer already. */
  #refused({ topic, code, message }: Down["payload"], packetId: number): void {
    this.#session.acknowledge(packetId);
    if (topic === "") this.#say({ type: "error", code, message });
  }

  #say(message: object): void {
    const socket = this.#socket;
    if (this.#isClosing || socket.readyState !== socket.OPEN) return;
    this.#sending++;
    socket.send(JSON.stringify(message), () => {
      if (--this.#sending > 0) return;
      const done = this.#whenTaken;
      this.#whenTaken = undefined;
      done?.();
    });
  }

  #pinged(): void {
    this.#isAlive = true;
    this.#session.ping();
    // The answers to pings alone could fill the memory.
    if (this.#socket.bufferedAmount > this.#context.limits.mqttSlowCloseBytes) this.#socket.terminate();
  }

  #close(code: number, reason: string): void {
    if (this.#isClosing) return;
    this.#isClosing = true;
    this.#unread = [];
    this.#socket.close(code, reason);
    // Or the answer to the close frame would not be read.
    if (this.#socket.isPaused) this.#socket.resume();
  }

  #closed(code: number): void {
    this.#isClosing = true;
    this.#unread = [];
    this.#whenTaken?.();
    this.#whenTaken = undefined;
    this.#session.end(code === LOST ? "lost" : "in order");
  }
}
