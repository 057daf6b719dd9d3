import type { Duplex } from "node:stream";
import type { Principal } from "../core/principal.ts";
import type { MqttLimits } from "../core/settings.ts";
import type { ClientInternals, ConnectPacket } from "./aedes-internals.ts";
import type { Claim } from "./cluster-claims.ts";
import { Acknowledgements, type Answered } from "./acknowledgements.ts";
import type { Contact } from "./contacts.ts";
import type { Counters } from "./counters.ts";
import { bodyOffset, checkFrame, connectVersion, HEADER_INCOMPLETE, HEADER_MALFORMED, readHeader, remainingLength } from "./frame.ts";
import { FAULTS, type FrameFault } from "./frame-fault.ts";
import type { TopicLimits } from "./frame-text.ts";
import { Output, type Turn } from "./output.ts";
import type { Grants } from "./grants.ts";
import type { Link, Session } from "./session.ts";
import { createThrottle, type Throttle } from "./throttle.ts";
import type { Will } from "./wills.ts";
import { UnreadBytes } from "./unread-bytes.ts";

/** What happens with the packets of a connection; each is whole and checked. */
export interface PacketHandlers {
  /** Given to Aedes: CONNECT and DISCONNECT. */
  control(connection: Connection, frame: Buffer): void;
  publish(connection: Connection, buffer: Buffer, start: number, end: number): void;
  acknowledgement(connection: Connection, buffer: Buffer, start: number, end: number): void;
  subscription(connection: Connection, frame: Buffer): void;
  ping(connection: Connection): void;
  /** Any whole packet came, once for all that came together. */
  alive(connection: Connection): void;
  refused(connection: Connection, fault: FrameFault, head: Buffer): void;
  tooLarge(connection: Connection, bytes: number): void;
  tooFast(connection: Connection): void;
  failed(connection: Connection, error: unknown): void;
}

export interface ConnectionContext {
  readonly limits: MqttLimits;
  readonly counters: Counters;
  readonly turn: Turn;
  readonly handlers: PacketHandlers;
  readonly clock: () => number;
}

/** Why nothing is read for the moment. */
export const HOLD = { login: 1, window: 2, rate: 4, turn: 8 } as const;

const TYPE = { connect: 1, publish: 3, puback: 4, pubcomp: 7, subscribe: 8, unsubscribe: 10, pingreq: 12, disconnect: 14 } as const;
/** A topic is part of a key, and PostgreSQL's index rows end at 2.7 KB. */
const MAX_TOPIC_BYTES = 1_024;
/** How long one connection may keep the event loop before the others have their turn. */
const TURN_MS = 8;
/** Packets between two looks at the clock. */
const TURN_PACKETS = 64;
/** Enough to see what a refused packet was; a CONNECT ends before its first string, which may be a secret. */
const HEAD_BYTES = 32;
const CONNECT_HEAD_BYTES = 10;

const CONNECT_FIRST: FrameFault = { reasonCode: 0x82, statement: "[MQTT-3.1.0-1] a packet before CONNECT" };
const CONNECT_AGAIN: FrameFault = { reasonCode: 0x82, statement: "[MQTT-3.1.0-2] a second CONNECT" };
const TOO_LARGE: FrameFault = { reasonCode: 0x95, statement: "[MQTT-3.2.2-15] a packet larger than the limit" };
const DISCONNECT = 0xe0;
const NOTHING = Buffer.alloc(0);

/**
 * One network connection: cuts what comes into packets, lets none pass that is malformed, too large or out of place, and
 * reads no faster than the client may send. Aedes keeps its life; what its packets do is decided by the handlers.
 */
export class Connection implements Link, Answered {
  readonly client: ClientInternals;
  readonly stream: Duplex;
  readonly output: Output;
  readonly acknowledgements = new Acknowledgements(this);
  /** undefined until the CONNACK. */
  session: Session | undefined;
  principal: Principal | undefined;
  /** What the client asked for. */
  connect: ConnectPacket | undefined;
  /** What the client has to say when it is gone; a device's availability is the hub's word and not among it. */
  will: Will | undefined;
  /** On the client id, among several nodes. */
  claim: Claim | undefined;
  /** The session was there before this connection. */
  isResumed = false;
  /** How long the client has been heard here. */
  contact: Contact | undefined;
  /** What the client sent in that time before is answered. */
  answeredBefore: Contact | undefined;
  /** How long the session outlives this connection. */
  expiryMs = 0;
  /** The client ended the connection itself, and its will with it. */
  saidGoodbye = false;
  /** Another connection has taken the session over. */
  isSuperseded = false;
  version: 3 | 4 | 5 = 4;
  window = 0;
  maxPacketBytes = Number.POSITIVE_INFINITY;
  /** Topic names by alias, of this connection. */
  aliases: Map<number, string> | undefined;
  grants: Grants | undefined;
  readonly #throttle: Throttle;
  readonly #context: ConnectionContext;
  readonly #topicLimits: TopicLimits;
  readonly #unread = new UnreadBytes();
  #holds = 0;
  #isReading = false;
  #isAnswered = false;

  constructor(context: ConnectionContext, client: ClientInternals) {
    this.#context = context;
    this.#topicLimits = { topicLevels: context.limits.mqttTopicLevels, topicBytes: MAX_TOPIC_BYTES };
    this.client = client;
    this.stream = client.conn;
    this.output = new Output(client.conn, context.turn);
    this.#throttle = createThrottle(context.limits, () => this.release(HOLD.rate));
  }

  get wantsReasons(): boolean {
    return this.client._requestProblemInformation;
  }

  answered(): void {
    this.release(HOLD.window);
  }

  get isClosed(): boolean {
    return this.#isAnswered || this.client.closed || this.stream.destroyed;
  }

  /** Starts to read. The stream must have no other reader. */
  read(): void {
    const { stream } = this;
    stream.on("data", (chunk: Buffer) => {
      this.#context.counters.bytesReceived += chunk.length;
      this.#take(chunk);
    });
    stream.on("drain", () => this.session?.link === this && this.session.pump());
    stream.resume();
  }

  hold(reason: number): void {
    if (this.#holds === 0) this.stream.pause();
    this.#holds |= reason;
  }

  release(reason: number): void {
    if ((this.#holds & reason) === 0) return;
    this.#holds &= ~reason;
    if (this.#holds !== 0 || this.#isReading || this.isClosed) return;
    this.#take(NOTHING);
    if (this.#holds === 0 && !this.isClosed) this.stream.resume();
  }

  /**
   * Counts what the client asked for, in messages. Of a client that asks for more than its rate nothing is refused: it is
   * read no faster.
   */
  spend(units: number): void {
    if (this.#throttle.spend(units) === 0) return;
    this.#context.counters.throttled++;
    this.hold(HOLD.rate);
    this.#context.handlers.tooFast(this);
  }

  /** Its connection is over. */
  stop(): void {
    this.#throttle.stop();
  }

  /** Ends the connection; MQTT 5 hears why. Only the first reason counts. */
  end(reasonCode: number, reason: string): void {
    if (!this.mayEnd()) return;
    if (this.version === 5 && this.session) this.output.append(Buffer.from([DISCONNECT, 1, reasonCode]));
    this.output.flush();
    this.client.emit("error", new Error(reason));
  }

  /** Somebody else says the last word to the client. Returns whether nobody did before. */
  mayEnd(): boolean {
    if (this.isClosed) return false;
    this.#isAnswered = true;
    return true;
  }

  takenOver(): void {
    this.isSuperseded = true;
    this.end(0x8e, "the session was taken over");
  }

  overflow(): void {
    if (this.isClosed) return;
    this.#context.counters.overflowed++;
    // 0x97: quota exceeded. The client does not read, so that nobody waits for this to arrive.
    this.end(0x97, "the client does not read");
    this.stream.destroy();
  }

  #take(chunk: Buffer): void {
    if (this.#isReading || this.isClosed) return;
    this.#isReading = true;
    try {
      this.#readAll(chunk);
    } catch (error) {
      this.#context.handlers.failed(this, error);
      this.stream.destroy();
    } finally {
      this.#isReading = false;
    }
  }

  #readAll(chunk: Buffer): void {
    const unread = this.#unread;
    const buffer = unread.with(chunk);
    const end = unread.length + chunk.length;
    const { handlers } = this.#context;
    const startedAt = performance.now();
    let start = 0;
    let packets = 0;
    let whole = 0;
    while (this.#holds === 0 && !this.isClosed) {
      whole = this.#packetBytes(buffer, start, end);
      if (whole === 0 || start + whole > end) break;
      this.#packet(buffer, start, start + whole);
      start += whole;
      packets++;
      if (packets % TURN_PACKETS === 0 && performance.now() - startedAt > TURN_MS) {
        this.hold(HOLD.turn);
        setImmediate(() => this.release(HOLD.turn));
      }
    }
    if (this.isClosed) return unread.clear();
    // Answers alone can fill the memory: of a client that sends and never reads.
    if (this.output.buffered > this.#context.limits.mqttSlowCloseBytes) return this.overflow();
    unread.keep(buffer, start, end, whole);
    if (packets > 0 && this.session) handlers.alive(this);
  }

  /** The size of the packet at `start`; 0 when its header is not whole, or the connection ends here. */
  #packetBytes(buffer: Buffer, start: number, end: number): number {
    const header = readHeader(buffer, start, end);
    if (header === HEADER_INCOMPLETE) return 0;
    if (header === HEADER_MALFORMED) return this.#refuse(FAULTS.longLength, buffer, start, end);
    const bytes = bodyOffset(header) + remainingLength(header);
    const { mqttConnectBytes, maxPacketBytes } = this.#context.limits;
    if (!this.session && buffer[start] !== 0x10) return this.#refuse(CONNECT_FIRST, buffer, start, end);
    if (bytes <= (this.session ? maxPacketBytes : mqttConnectBytes)) return bytes;
    this.#context.handlers.tooLarge(this, bytes);
    return this.#refuse(TOO_LARGE, buffer, start, end);
  }

  #refuse(fault: FrameFault, buffer: Buffer, start: number, end: number): 0 {
    const isConnect = buffer[start] === 0x10;
    const headBytes = isConnect ? CONNECT_HEAD_BYTES : HEAD_BYTES;
    this.#context.handlers.refused(this, fault, buffer.subarray(start, Math.min(end, start + headBytes)));
    if (!this.session && isConnect) this.#refuseConnect(fault, connectVersion(buffer, start, end));
    this.end(fault.reasonCode, fault.statement);
    return 0;
  }

  /** MQTT 5 has an answer for every refusal, 3.1.1 for the protocol's level alone; for the rest the connection just ends. */
  #refuseConnect({ reasonCode }: FrameFault, version: number | undefined): void {
    if (this.#holds & HOLD.login) return;
    const returnCode = reasonCode === 0x84 ? 1 : reasonCode === 0x85 ? 2 : 0;
    if (version === 5) this.output.append(Buffer.from([0x20, 3, 0, reasonCode, 0]));
    else if (returnCode > 0) this.output.append(Buffer.from([0x20, 2, 0, returnCode]));
    this.output.flush();
  }

  /** A CONNACK that lets nobody in, and the end. `returnCode` is MQTT 3.1.1's. */
  refuse(reasonCode: number, returnCode: number): void {
    this.output.append(Buffer.from(this.version === 5 ? [0x20, 3, 0, reasonCode, 0] : [0x20, 2, 0, returnCode]));
    this.end(reasonCode, "connection refused");
  }

  #packet(buffer: Buffer, start: number, end: number): void {
    const { handlers } = this.#context;
    const fault = checkFrame(buffer, start, end, this.version, this.#topicLimits);
    if (fault) return void this.#refuse(fault, buffer, start, end);
    const type = (buffer[start] as number) >> 4;
    switch (type) {
      case TYPE.publish:
        return handlers.publish(this, buffer, start, end);
      case TYPE.pingreq:
        return handlers.ping(this);
      case TYPE.subscribe:
      case TYPE.unsubscribe:
        return handlers.subscription(this, buffer.subarray(start, end));
      case TYPE.connect:
        if (this.session) return void this.#refuse(CONNECT_AGAIN, buffer, start, end);
        this.hold(HOLD.login);
        return handlers.control(this, buffer.subarray(start, end));
      case TYPE.disconnect:
        this.output.flush();
        return handlers.control(this, buffer.subarray(start, end));
      default:
        return handlers.acknowledgement(this, buffer, start, end);
    }
  }
}
