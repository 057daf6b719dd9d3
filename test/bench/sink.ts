import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import { type AddressInfo, createServer as createTcpServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { generate, parser, type Packet } from "mqtt-packet";
import { createFrameReader, type Receive } from "./frames.ts";
import { frameBytes, idOffset, PUBACK, PUBACK_BYTES, topicOf } from "./packets.ts";
import { createUnwrapper, frameHeader } from "./websocket-frames.ts";
import type { Target, Transport } from "./wire.ts";

export interface SinkOptions {
  readonly transport: Transport;
  /** PEM, for tls. */
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
}

export interface Sink extends Target, AsyncDisposable {}

const WEBSOCKET_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/**
 * What remains of a broker without its work: it hands bytes from publishers to the subscribers of the publisher's first
 * topic without looking at them, and acknowledges frames of one size. What the generator reaches against it is the ceiling
 * of both.
 */
export async function startSink({ transport, cert = "", key = "" }: SinkOptions): Promise<Sink> {
  const hall: Hall = { subscribers: new Set() };
  const sockets = new Set<Socket>();
  const onSocket = (socket: Socket): void => {
    sockets.add(socket);
    socket.setNoDelay(true);
    socket.on("error", () => socket.destroy());
    socket.on("close", () => {
      sockets.delete(socket);
      for (const subscriber of hall.subscribers) if (subscriber.socket === socket) hall.subscribers.delete(subscriber);
    });
    const serveChunk = serve(socket, transport, hall);
    socket.on("data", (chunk: Buffer) => serveChunk(chunk, 0, chunk.length));
  };
  const server = open(transport, { cert, key }, onSocket).listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    host: "127.0.0.1",
    port: (server.address() as AddressInfo).port,
    transport,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

function open(transport: Transport, pem: { cert: string; key: string }, onSocket: (socket: Socket) => void): Server {
  if (transport === "tcp") return createTcpServer(onSocket);
  if (transport === "tls") return createTlsServer(pem, onSocket);
  return createHttpServer().on("upgrade", (request, stream) => {
    const accept = createHash("sha1").update(`${request.headers["sec-websocket-key"]}${WEBSOCKET_GUID}`).digest("base64");
    stream.write(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n`,
    );
    onSocket(stream as Socket);
  });
}

interface Hall {
  readonly subscribers: Set<{ readonly socket: Socket; readonly filter: string }>;
}

function serve(socket: Socket, transport: Transport, hall: Hall): Receive {
  const isFramed = transport === "websocket";
  /** Of one read, so that a subscriber gets it in one write. */
  let pieces: Buffer[] = [];
  const dispatch = handshake(socket, isFramed, hall);
  const forward = (): void => {
    const [first] = pieces;
    if (first === undefined) return;
    const bytes = pieces.length === 1 ? first : Buffer.concat(pieces);
    pieces = [];
    for (const subscriber of dispatch.readers()) subscriber.write(bytes);
  };
  const take: Receive = (buffer, start, end) => {
    if (!dispatch.isPublisher(buffer, start, end)) return;
    if (isFramed) pieces.push(frameHeader(end - start));
    pieces.push(buffer.subarray(start, end));
  };
  const receive = isFramed ? createUnwrapper(take) : take;
  return (buffer, start, end) => {
    receive(buffer, start, end);
    forward();
  };
}

interface Dispatch {
  /** true from the first PUBLISH on: then the bytes are to be handed on. Acknowledges them at QoS 1. */
  isPublisher(buffer: Buffer, start: number, end: number): boolean;
  readers(): readonly Socket[];
}

function handshake(socket: Socket, isFramed: boolean, hall: Hall): Dispatch {
  const packets = parser();
  let protocolVersion = 4;
  let readers: Socket[] | undefined;
  let acknowledge: Receive | undefined;
  let isSubscriber = false;
  const answer = (bytes: Buffer): void => {
    socket.write(isFramed ? Buffer.concat([frameHeader(bytes.length), bytes]) : bytes);
  };
  packets.on("packet", (packet: Packet) => {
    if (packet.cmd === "connect") {
      protocolVersion = packet.protocolVersion ?? 4;
      answer(generate({ cmd: "connack", returnCode: 0, reasonCode: 0, sessionPresent: false }, { protocolVersion }));
    }
    if (packet.cmd !== "subscribe") return;
    isSubscriber = true;
    for (const { topic } of packet.subscriptions) hall.subscribers.add({ socket, filter: topic });
    answer(generate({ cmd: "suback", messageId: packet.messageId ?? 1, granted: [0] }, { protocolVersion }));
  });
  return {
    readers: () => readers ?? [],
    isPublisher(buffer, start, end) {
      // What a subscriber says after its handshake are acknowledgements, which nobody needs here.
      if (isSubscriber) return false;
      if (readers === undefined) {
        // Handshake packets come alone; the first PUBLISH opens the gate for all that follows, and comes whole.
        if ((buffer[start] ?? 0) >> 4 !== 3) {
          packets.parse(buffer.subarray(start, end));
          return false;
        }
        const first = buffer.subarray(start, start + frameBytes(buffer.subarray(start, end)));
        const topic = topicOf(first);
        readers = [...hall.subscribers].filter(({ filter }) => matches(filter, topic)).map((subscriber) => subscriber.socket);
        if (first[0] !== 0x30) acknowledge = acknowledger(first, answer);
      }
      acknowledge?.(buffer, start, end);
      return true;
    },
  };
}

function acknowledger(first: Buffer, answer: (bytes: Buffer) => void): Receive {
  const idAt = idOffset(first);
  let acks = Buffer.alloc(0);
  let end = 0;
  const read = createFrameReader(first.length, (buffer, at) => {
    acks[end] = PUBACK;
    acks[end + 1] = 2;
    acks[end + 2] = buffer[at + idAt] ?? 0;
    acks[end + 3] = buffer[at + idAt + 1] ?? 0;
    end += PUBACK_BYTES;
  });
  const size = first.length;
  return (buffer, start, stop) => {
    acks = Buffer.allocUnsafe((Math.floor((stop - start) / size) + 1) * PUBACK_BYTES);
    end = 0;
    read(buffer, start, stop);
    if (end > 0) answer(acks.subarray(0, end));
  };
}

function matches(filter: string, topic: string): boolean {
  return filter.endsWith("#") ? topic.startsWith(filter.slice(0, -1)) : filter === topic;
}
