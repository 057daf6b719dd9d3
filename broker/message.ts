import { type PublishOptions, publishFrame } from "./publish-frame.ts";

/** No properties: shared, so that most messages cost none. */
export const NO_PROPERTIES = Buffer.alloc(0);

export interface MessageFields {
  readonly topic: string;
  readonly payload: Buffer;
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
  /**
   * MQTT 5 properties as they travel: payload format, content type, response topic, correlation data and user
   * properties, encoded and in the publisher's order. Alias, expiry and subscription identifiers are not among them.
   */
  readonly properties?: Buffer;
  /** ms since 1970. */
  readonly expiresAt?: number | undefined;
  /** The client id of the publisher, for no-local. */
  readonly publisher?: string | undefined;
  readonly seed?: number;
  /** The bytes it came in, when those are what a QoS 0 subscriber of MQTT 3.1.1 gets. */
  readonly frame?: Buffer | undefined;
}

/** One application message on its way to its subscribers. What all of them get is encoded once. */
export class Message {
  readonly topic: string;
  readonly payload: Buffer;
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
  readonly properties: Buffer;
  readonly expiresAt: number | undefined;
  readonly publisher: string | undefined;
  /** Names the message among several nodes; 0 on a node that is alone. */
  seed: number;
  #plain: Buffer | undefined;
  #v5: Buffer | undefined;

  constructor({ topic, payload, qos, retain, properties = NO_PROPERTIES, expiresAt, publisher, seed = 0, frame }: MessageFields) {
    this.topic = topic;
    this.payload = payload;
    this.qos = qos;
    this.retain = retain;
    this.properties = properties;
    this.expiresAt = expiresAt;
    this.publisher = publisher;
    this.seed = seed;
    this.#plain = frame;
  }

  /** The QoS 0 frame without the retain flag. */
  frame(version: number): Buffer {
    if (version === 5) return (this.#v5 ??= this.encode({ version: 5, qos: 0, retain: false }));
    return (this.#plain ??= this.encode({ version: 4, qos: 0, retain: false }));
  }

  encode(options: PublishOptions): Buffer {
    return publishFrame(this, options);
  }

  isExpired(now: number): boolean {
    return this.expiresAt !== undefined && this.expiresAt <= now;
  }

  /** What it takes in a queue, in bytes. */
  get bytes(): number {
    return this.topic.length + this.payload.length + this.properties.length;
  }
}
