import assert from "node:assert/strict";
import { once } from "node:events";
import { connect as connectTcp } from "node:net";
import mqttPacket, { type IConnectPacket, type IPublishPacket, type ISubscription, type Packet } from "mqtt-packet";

/** The protocol level: MQTT 3.1.1 is 4. */
export type Version = 4 | 5;

/** A packet as it came, with its bytes. */
export type Received = Packet & { readonly raw: Buffer };
export type ReceivedOf<Cmd extends Packet["cmd"]> = Extract<Packet, { cmd: Cmd }> & { readonly raw: Buffer };

export interface RawTarget {
  readonly host: string;
  readonly port: number;
  /** For connections over WebSocket. */
  readonly ws?: string;
}

export interface RawOptions {
  readonly version: Version;
  /** Whether PUBLISH and PUBREL are acknowledged as they come; PUBREL is then not seen. */
  readonly acknowledges?: boolean;
  /** TCP where it is not said. */
  readonly transport?: "tcp" | "websocket";
}

export type PublishOptions = Partial<Pick<IPublishPacket, "qos" | "retain" | "dup" | "messageId" | "properties">>;
/** QoS 0 where it is not said. */
export type Filter = string | (Omit<ISubscription, "qos"> & { readonly qos?: 0 | 1 | 2 });

/** How long one packet or the end of the connection is waited for, in milliseconds. */
const WAIT_MS = 5_000;

/**
 * One connection that sends any bytes and hands over what comes in the order it came. It keeps no rule of MQTT by itself
 * but the acknowledgements it is asked for. Whatever does not come as expected is an AssertionError that says what came.
 */
export interface RawClient extends AsyncDisposable {
  readonly version: Version;
  readonly isClosed: boolean;
  write(bytes: Buffer): void;
  send(packet: Packet): void;
  /** The next packet, of any kind. */
  next(): Promise<Received>;
  /** The next packet, which must be of this kind. */
  take<Cmd extends Packet["cmd"]>(cmd: Cmd): Promise<ReceivedOf<Cmd>>;
  /** The first packet of this kind, whatever came before it. */
  pick<Cmd extends Packet["cmd"]>(cmd: Cmd, match?: (packet: ReceivedOf<Cmd>) => boolean): Promise<ReceivedOf<Cmd>>;
  /** Takes what is there now. */
  takeAll(): Received[];
  /** Waits for the end of the connection and takes all that came before it. */
  ended(waitMs?: number): Promise<Received[]>;
  /** CONNECT; resolves with the CONNACK, whatever it says. */
  connect(packet: IConnectPacket): Promise<ReceivedOf<"connack">>;
  /** The whole exchange of the message's QoS; resolves with PUBACK or PUBREC, undefined for QoS 0. */
  publish(topic: string, payload: string | Buffer, options?: PublishOptions): Promise<ReceivedOf<"puback" | "pubrec"> | undefined>;
  subscribe(
    filters: Filter | readonly Filter[],
    properties?: { subscriptionIdentifier?: number; userProperties?: Record<string, string> },
  ): Promise<ReceivedOf<"suback">>;
  unsubscribe(filters: readonly string[]): Promise<ReceivedOf<"unsuback">>;
  /** PINGREQ, and waits for the PINGRESP. */
  ping(): Promise<void>;
  /** DISCONNECT, and waits until the server has closed the connection. */
  disconnect(options?: { reasonCode?: number; properties?: { sessionExpiryInterval?: number } }): Promise<void>;
  /** Closes the connection without a word and waits until that is done here. */
  drop(): Promise<void>;
}

export async function openRawClient(target: RawTarget, how: RawOptions): Promise<RawClient> {
  const { version, acknowledges = true, transport = "tcp" } = how;
  const inbox: Received[] = [];
  let isClosed = false;
  let fault: Error | undefined;
  let change = Promise.withResolvers<void>();
  const changed = (): void => {
    change.resolve();
    change = Promise.withResolvers<void>();
  };
  let lastId = 0;
  const nextId = (): number => ++lastId;

  const read = frameReader(version, (packet) => {
    if (acknowledges && answer(client, packet)) return;
    inbox.push(packet);
  });
  const wire = await (transport === "tcp" ? openTcp : openWebSocket)(target, {
    data(chunk) {
      try {
        read(chunk);
      } catch (error) {
        fault ??= error instanceof Error ? error : new Error("unreadable", { cause: error });
      }
      changed();
    },
    close() {
      isClosed = true;
      changed();
    },
  });

  /** Resolves with the first answer of `find` that is not undefined. */
  async function wait<T>(what: string, find: () => T | undefined, waitMs = WAIT_MS): Promise<T> {
    const deadline = performance.now() + waitMs;
    for (;;) {
      if (fault !== undefined) throw new assert.AssertionError({ message: `unreadable packet: ${fault.message}` });
      const found = find();
      if (found !== undefined) return found;
      const came = inbox.length === 0 ? "nothing" : inbox.map(describePacket).join(", ");
      if (isClosed) throw new assert.AssertionError({ message: `expected ${what}, got ${came} and the end of the connection` });
      const leftMs = deadline - performance.now();
      if (leftMs <= 0) throw new assert.AssertionError({ message: `expected ${what}, got ${came} in ${waitMs} ms` });
      await Promise.race([change.promise, within(leftMs)]);
    }
  }

  const client: RawClient = {
    version,
    get isClosed() {
      return isClosed;
    },
    write: (bytes) => wire.write(bytes),
    send: (packet) => wire.write(mqttPacket.generate(packet, { protocolVersion: version })),
    next: () => wait("a packet", () => inbox.shift()),
    take: (cmd) =>
      wait(cmd, () => {
        if (inbox.length === 0) return undefined;
        const [first] = inbox.splice(0, 1) as [Received];
        if (isOf(first, cmd)) return first;
        throw new assert.AssertionError({ message: `expected ${cmd}, got ${describePacket(first)}` });
      }),
    pick: <Cmd extends Packet["cmd"]>(cmd: Cmd, match: (packet: ReceivedOf<Cmd>) => boolean = () => true) =>
      wait(cmd, () => {
        const at = inbox.findIndex((packet) => isOf(packet, cmd) && match(packet));
        return at < 0 ? undefined : (inbox.splice(at, 1)[0] as ReceivedOf<Cmd>);
      }),
    takeAll: () => inbox.splice(0),
    ended: (waitMs) => wait("the end of the connection", () => (isClosed ? inbox.splice(0) : undefined), waitMs),
    async connect(packet) {
      client.send(packet);
      return client.take("connack");
    },
    async publish(topic, payload, options = {}) {
      const { qos = 0, retain = false, dup = false, messageId = qos === 0 ? undefined : nextId(), properties } = options;
      const id = messageId === undefined ? {} : { messageId };
      client.send({ cmd: "publish", topic, payload, qos, retain, dup, ...id, ...(properties === undefined ? {} : { properties }) });
      if (qos === 0 || messageId === undefined) return undefined;
      if (qos === 1) return client.pick("puback", (packet) => packet.messageId === messageId);
      const received = await client.pick("pubrec", (packet) => packet.messageId === messageId);
      if ((received.reasonCode ?? 0) >= 0x80) return received;
      client.send({ cmd: "pubrel", messageId });
      await client.pick("pubcomp", (packet) => packet.messageId === messageId);
      return received;
    },
    async subscribe(filters, properties) {
      const messageId = nextId();
      const subscriptions = [filters]
        .flat()
        .map((filter) => (typeof filter === "string" ? { topic: filter, qos: 0 } : { qos: 0, ...filter }));
      client.send({
        cmd: "subscribe",
        messageId,
        subscriptions: subscriptions as ISubscription[],
        ...(properties === undefined ? {} : { properties }),
      });
      return client.pick("suback", (packet) => packet.messageId === messageId);
    },
    async unsubscribe(filters) {
      const messageId = nextId();
      client.send({ cmd: "unsubscribe", messageId, unsubscriptions: [...filters] });
      return client.pick("unsuback", (packet) => packet.messageId === messageId);
    },
    async ping() {
      client.send({ cmd: "pingreq" });
      await client.pick("pingresp");
    },
    async disconnect(options = {}) {
      client.send({ cmd: "disconnect", ...options });
      await client.ended();
    },
    async drop() {
      wire.destroy();
      await wait("the end of the connection", () => isClosed || undefined);
    },
    async [Symbol.asyncDispose]() {
      wire.destroy();
    },
  };
  return client;
}

/** For messages of assertions: `publish "a/b" qos 1 retain`, `disconnect 0x8e`. */
export function describePacket(packet: Packet): string {
  if (packet.cmd === "publish") {
    const { topic, payload, qos, retain, dup } = packet;
    const text = payload.length > 40 ? `${payload.length} bytes` : JSON.stringify(payload.toString());
    return `publish ${topic.split("/").at(-1)} ${text} qos ${qos}${retain ? " retain" : ""}${dup ? " dup" : ""}`;
  }
  if (packet.cmd === "suback" || packet.cmd === "unsuback") return `${packet.cmd} [${packet.granted.map(Number).join(", ")}]`;
  return `${packet.cmd} ${hex(codeOf(packet))}`;
}

/** The reason or return code, 0 where the packet has none. */
export function codeOf(packet: Packet): number {
  if ("reasonCode" in packet && packet.reasonCode !== undefined) return packet.reasonCode;
  return "returnCode" in packet && packet.returnCode !== undefined ? packet.returnCode : 0;
}

export const hex = (code: number): string => `0x${code.toString(16).padStart(2, "0")}`;

function isOf<Cmd extends Packet["cmd"]>(packet: Received, cmd: Cmd): packet is ReceivedOf<Cmd> {
  return packet.cmd === cmd;
}

interface Wire {
  write(bytes: Buffer): void;
  destroy(): void;
}

interface WireEvents {
  data(chunk: Buffer): void;
  close(): void;
}

async function openTcp({ host, port }: RawTarget, events: WireEvents): Promise<Wire> {
  const socket = connectTcp(port, host);
  await once(socket, "connect");
  socket.setNoDelay(true);
  socket.on("data", (chunk: Buffer) => events.data(chunk));
  socket.on("error", () => undefined);
  socket.on("close", () => events.close());
  return { write: (bytes) => void socket.write(bytes), destroy: () => void socket.destroy() };
}

/** Every write is one binary frame. */
async function openWebSocket({ ws: url = "" }: RawTarget, events: WireEvents): Promise<Wire> {
  const socket = new WebSocket(url, "mqtt");
  socket.binaryType = "arraybuffer";
  await new Promise((resolve, reject) => {
    socket.addEventListener("open", resolve);
    socket.addEventListener("error", () => reject(new Error(`no WebSocket to ${url}`)));
  });
  assert.equal(socket.protocol, "mqtt");
  socket.addEventListener("message", ({ data }) => events.data(Buffer.from(data as ArrayBuffer)));
  socket.addEventListener("close", () => events.close());
  return { write: (bytes) => socket.send(bytes), destroy: () => socket.close() };
}

/** True when the packet needs no further look. */
function answer(client: RawClient, packet: Received): boolean {
  if (packet.cmd === "publish" && packet.messageId !== undefined && packet.qos > 0)
    client.send({ cmd: packet.qos === 1 ? "puback" : "pubrec", messageId: packet.messageId });
  if (packet.cmd !== "pubrel" || packet.messageId === undefined) return false;
  client.send({ cmd: "pubcomp", messageId: packet.messageId });
  return true;
}

/** Cuts the stream into frames itself, so that each packet comes with its bytes. */
function frameReader(version: Version, onPacket: (packet: Received) => void): (chunk: Buffer) => void {
  let rest = Buffer.alloc(0);
  let raw = rest;
  const parser = mqttPacket.parser({ protocolVersion: version });
  parser.on("packet", (packet) => onPacket(Object.assign(packet, { raw })));
  parser.on("error", (error) => {
    throw new Error(`${String(error)} in ${raw.toString("hex").slice(0, 200)}`, { cause: error });
  });
  return (chunk) => {
    rest = Buffer.concat([rest, chunk]);
    for (let length = frameLength(rest); length !== undefined && length <= rest.length; length = frameLength(rest)) {
      raw = rest.subarray(0, length);
      rest = rest.subarray(length);
      parser.parse(raw);
    }
  };
}

/** Bytes of the frame at the start of the buffer; undefined when its header is not there yet. */
function frameLength(buffer: Buffer): number | undefined {
  let length = 0;
  for (let at = 1; at <= 4; at++) {
    const byte = buffer[at];
    if (byte === undefined) return undefined;
    length += (byte & 0x7f) * 128 ** (at - 1);
    if (byte < 0x80) return 1 + at + length;
  }
  throw new Error(`a remaining length of more than four bytes: ${buffer.subarray(0, 8).toString("hex")}`);
}

function within(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms).unref();
  });
}
