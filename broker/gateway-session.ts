import { Duplex } from "node:stream";
import mqttPacket, { type IConnackPacket, type IPubackPacket, type IPublishPacket, type Packet } from "mqtt-packet";
import { type ErrorCode, ERRORS, HubError } from "../core/errors.ts";
import type { DownType } from "../core/payloads.ts";
import type { Topics } from "../core/topics.ts";
import { bodyOffset, readHeader, remainingLength } from "./frame.ts";
import { type GatewayLogin, rememberGatewayLogin } from "./gateway-login.ts";
import type { Accept } from "./listeners.ts";
import { readPacket } from "./packet-reader.ts";

/** Why a session is over. `unavailable`: the broker could not let the device in now; `failed`: it could not go on. */
export type SessionEnd =
  | "unauthorized"
  | "taken_over"
  | "silent"
  | "too_many"
  | "too_large"
  | "stopping"
  | "unavailable"
  | "failed"
  | "closed";

/** What came on the device's `down/<type>`. */
export interface Down {
  readonly type: DownType;
  readonly payload: Readonly<Record<string, unknown>>;
  /** To be acknowledged; 0 for what nobody waits for. */
  readonly packetId: number;
}

/** The gateway's side of a session. */
export interface GatewayListener {
  /** The device listens to its commands from now on. */
  opened(): void;
  down(message: Down): void;
  /** To be called back when the device has taken what came: until then the broker counts it as unread. */
  taken(done: () => void): void;
  /** There is room for a message again. */
  ready(): void;
  ended(end: SessionEnd): void;
}

export interface GatewaySessionOptions {
  readonly attach: Accept;
  readonly topics: Topics;
  readonly login: GatewayLogin;
  readonly remoteAddress: string | undefined;
  /** Of MQTT, in seconds: after one and a half times that in silence the session is over. 0 for as long as the broker allows. */
  readonly keepaliveS: number;
}

type Done = (error?: HubError) => void;

/** As a device with MQTT is asked to; the hub may say less. */
const SESSION_EXPIRY_S = 3_600;
/** Messages either way that are not answered. */
const MAX_UNANSWERED = 100;
const SUBSCRIBE_ID = 65_535;
const GOODBYE_MS = 1_000;
const VERSION = { protocolVersion: 5 } as const;
const PINGREQ = Buffer.from([0xc0, 0]);
const DISCONNECT = Buffer.from([0xe0, 0]);

/** Reason codes of CONNACK and DISCONNECT (MQTT 5, 3.2.2.2 and 3.14.2.1). */
const ENDS: Readonly<Record<number, SessionEnd>> = {
  0x85: "unauthorized",
  0x86: "unauthorized",
  0x87: "unauthorized",
  0x88: "unavailable",
  0x8b: "stopping",
  0x8d: "silent",
  0x8e: "taken_over",
  0x93: "too_many",
  0x95: "too_large",
  0x97: "too_many",
  0x9c: "stopping",
  0x9f: "too_many",
};

/**
 * A device's MQTT session that begins inside the hub, for a device that speaks something else: a connection like any
 * other, so that log-in, rights, take-over, presence, limits and the other nodes are the broker's own.
 */
export class GatewaySession {
  readonly #options: GatewaySessionOptions;
  readonly #listener: GatewayListener;
  readonly #stream: Duplex;
  readonly #unanswered = new Map<number, Done>();
  #window = MAX_UNANSWERED;
  #lastId = 0;
  #isOpen = false;
  /** The broker reads no more for the moment. */
  #isFull = false;
  #end: SessionEnd | undefined;

  constructor(options: GatewaySessionOptions, listener: GatewayListener) {
    const { attach, login, keepaliveS, remoteAddress } = options;
    this.#options = options;
    this.#listener = listener;
    this.#stream = this.#openStream();
    rememberGatewayLogin(this.#stream, login);
    attach(this.#stream, remoteAddress);
    const { uid } = login;
    const properties = { sessionExpiryInterval: SESSION_EXPIRY_S, receiveMaximum: MAX_UNANSWERED };
    const who = { clientId: uid, username: uid, clean: false, keepalive: keepaliveS, properties };
    this.#send({ cmd: "connect", protocolId: "MQTT", protocolVersion: 5, ...who });
  }

  /** Whether a message may be published now; the listener is told when it may again. */
  get hasRoom(): boolean {
    return this.#isOpen && !this.#isFull && !this.#stream.destroyed && this.#unanswered.size < this.#window;
  }

  /** `up/<type>` at QoS 1. `done` is called when what it means is durable, with the broker's refusal, or when the session ends before. */
  publish(type: string, payload: string, done: Done): void {
    if (this.#stream.destroyed) return done(new HubError("unavailable", "the session is over"));
    const { topics, login } = this.#options;
    const messageId = this.#freeId();
    this.#unanswered.set(messageId, done);
    // The broker says itself whether there is such a topic.
    const topic = `${topics.root}/${login.uid}/up/${type}`;
    this.#send({ cmd: "publish", topic, payload, qos: 1, dup: false, retain: false, messageId });
  }

  acknowledge(packetId: number): void {
    if (packetId > 0) this.#send({ cmd: "puback", messageId: packetId });
  }

  /** The device gave a sign of life. */
  ping(): void {
    if (this.#isOpen && !this.#isFull) this.#push(PINGREQ);
  }

  /** Ends the session's connection; `lost`: the device left without a word. */
  end(how: "in order" | "lost"): void {
    this.#end ??= "closed";
    if (how === "lost" || !this.#isOpen) return void this.#stream.destroy();
    this.#push(DISCONNECT);
    // The broker may read nothing more of it for the moment.
    setTimeout(() => this.#stream.destroy(), GOODBYE_MS).unref();
  }

  #openStream(): Duplex {
    const stream = new Duplex({
      read: () => {
        if (!this.#isFull) return;
        this.#isFull = false;
        if (this.#isOpen) this.#listener.ready();
      },
      write: (chunk: Buffer, _encoding, done) => {
        try {
          this.#take(chunk);
        } catch (error) {
          return done(error as Error);
        }
        this.#listener.taken(() => done());
      },
      final: (done) => {
        done();
        stream.destroy();
      },
      destroy: (error, done) => {
        this.#ended(stream.writableLength > 0 ? "too_many" : "failed");
        done(error);
      },
    });
    // Said before the connection is closed, which a device that does not read might never learn otherwise.
    const socket = {
      close: (code: number, reason: string): void => {
        this.#end ??= reason === "taken_over" ? "taken_over" : code === 4_401 ? "unauthorized" : "stopping";
      },
    };
    return Object.assign(stream, { socket });
  }

  #ended(unsaid: SessionEnd): void {
    this.#isOpen = false;
    const waiting = [...this.#unanswered.values()];
    this.#unanswered.clear();
    for (const done of waiting) done(new HubError("unavailable", "the session ended before the message was stored"));
    this.#listener.ended(this.#end ?? unsaid);
  }

  #freeId(): number {
    do this.#lastId = (this.#lastId % (SUBSCRIBE_ID - 1)) + 1;
    while (this.#unanswered.has(this.#lastId));
    return this.#lastId;
  }

  #send(packet: Packet): void {
    this.#push(mqttPacket.generate(packet, VERSION));
  }

  #push(frame: Buffer): void {
    if (!this.#stream.destroyed && !this.#stream.push(frame)) this.#isFull = true;
  }

  /** The broker writes whole packets. What is read is used up at once: the buffer is the broker's. */
  #take(chunk: Buffer): void {
    for (let start = 0; start < chunk.length; ) {
      const header = readHeader(chunk, start, chunk.length);
      const end = start + bodyOffset(header) + remainingLength(header);
      if (header < 0 || end > chunk.length) throw new Error("the broker wrote a part of a packet");
      this.#packet(readPacket(chunk.subarray(start, end), VERSION.protocolVersion));
      start = end;
    }
  }

  #packet(packet: Packet): void {
    switch (packet.cmd) {
      case "connack":
        return this.#connected(packet);
      case "suback":
        this.#isOpen = true;
        return this.#listener.opened();
      case "publish":
        return this.#received(packet);
      case "puback":
        return this.#answered(packet);
      case "disconnect":
        this.#end ??= ENDS[packet.reasonCode ?? 0] ?? "failed";
        return;
      default:
    }
  }

  #connected({ reasonCode = 0, properties }: IConnackPacket): void {
    if (reasonCode !== 0) {
      this.#end ??= ENDS[reasonCode] ?? "unavailable";
      return;
    }
    const { topics, login } = this.#options;
    this.#window = Math.min(MAX_UNANSWERED, properties?.receiveMaximum ?? MAX_UNANSWERED);
    const subscriptions = [{ topic: `${topics.root}/${login.uid}/down/#`, qos: 1 as const }];
    this.#send({ cmd: "subscribe", messageId: SUBSCRIBE_ID, subscriptions });
  }

  #received({ topic, payload, qos, messageId = 0 }: IPublishPacket): void {
    const packetId = qos === 0 ? 0 : messageId;
    const place = this.#options.topics.parse(topic);
    const json = place?.kind === "down" ? objectOf(payload) : undefined;
    // A retained message that was taken back is empty.
    if (place?.kind !== "down" || !json) return this.acknowledge(packetId);
    this.#listener.down({ type: place.type, payload: json, packetId });
  }

  #answered({ messageId = 0, reasonCode = 0, properties }: IPubackPacket): void {
    const done = this.#unanswered.get(messageId);
    this.#unanswered.delete(messageId);
    done?.(reasonCode < 0x80 ? undefined : refusalOf(properties?.reasonString));
    if (this.hasRoom) this.#listener.ready();
  }
}

function objectOf(payload: string | Buffer): Readonly<Record<string, unknown>> | undefined {
  try {
    const json: unknown = JSON.parse(payload.toString());
    return typeof json === "object" && json !== null ? (json as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

/** The broker's reason strings are `code: message`. */
function refusalOf(reason = ""): HubError {
  const [, code = "", message = ""] = /^([a-z_]+): (.*)$/s.exec(reason) ?? [];
  return Object.hasOwn(ERRORS, code)
    ? new HubError(code as ErrorCode, message)
    : new HubError("validation_error", "the message was refused");
}
