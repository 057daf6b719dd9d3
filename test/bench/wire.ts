import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls, type ConnectionOptions } from "node:tls";
import type { Receive } from "./frames.ts";
import { createUnwrapper, maskedFrame } from "./websocket-frames.ts";

export type Transport = "tcp" | "tls" | "websocket";

export interface Target {
  readonly host: string;
  readonly port: number;
  /** tcp when absent. */
  readonly transport?: Transport | undefined;
  /** PEM of what a TLS server's certificate must be signed by. */
  readonly ca?: string | undefined;
}

/** One connection with the bytes of MQTT on it, whatever carries them. */
export interface Wire {
  readonly socket: Socket;
  /** Packets as they go onto the socket; over WebSocket each in a frame of its own, as clients send them. */
  readonly wrap: (packet: Buffer) => Buffer;
  /** Gets the bytes of MQTT; the buffer is used again after the call. */
  receive: Receive;
}

const OPEN_TIMEOUT_MS = 20_000;
/** One for all connections: what a read brings is used up before the next. */
const READ_BUFFER = Buffer.alloc(256 * 1024);
const END_OF_HEAD = "\r\n\r\n";

/** Rejects when the server refuses the connection, its certificate is not the expected one, or 20 s pass. */
export async function openWire(target: Target, receive: Receive): Promise<Wire> {
  const wire: { receive: Receive } = { receive };
  let take: Receive = (buffer, start, end) => wire.receive(buffer, start, end);
  const onread = {
    buffer: READ_BUFFER,
    callback: (length: number) => {
      take(READ_BUFFER, 0, length);
      return true;
    },
  };
  const { host, port, transport = "tcp", ca } = target;
  // Handed on to the socket, which the types do not say.
  const options: ConnectionOptions & { onread: typeof onread } = { host, port, onread, ...(ca === undefined ? {} : { ca }) };
  const isTls = transport === "tls";
  const socket: Socket = isTls ? connectTls(options) : connectTcp({ host, port, onread, noDelay: true });
  const signal = AbortSignal.timeout(OPEN_TIMEOUT_MS);
  try {
    await once(socket, isTls ? "secureConnect" : "connect", { signal });
    if (isTls) socket.setNoDelay(true);
    if (transport === "websocket") {
      const payload = take;
      const answered = Promise.withResolvers<void>();
      take = untilUpgraded(answered, () => (take = createUnwrapper(payload)));
      const refuse = (why: string) => () => answered.reject(new Error(`${host}:${port} ${why} instead of an upgrade to WebSocket`));
      signal.addEventListener("abort", refuse(`said nothing for ${OPEN_TIMEOUT_MS} ms`), { once: true });
      socket.once("close", refuse("closed the connection"));
      socket.once("error", answered.reject);
      socket.write(upgradeRequest(target));
      await answered.promise;
    }
  } catch (error) {
    socket.destroy();
    throw error;
  }
  return Object.assign(wire, { socket, wrap: transport === "websocket" ? maskedFrame : asItIs });
}

function asItIs(packet: Buffer): Buffer {
  return packet;
}

function upgradeRequest({ host, port }: Target): string {
  const lines = [
    "GET /mqtt HTTP/1.1",
    `Host: ${host}:${port}`,
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    `Sec-WebSocket-Key: ${randomBytes(16).toString("base64")}`,
    "Sec-WebSocket-Protocol: mqtt",
  ];
  return lines.join("\r\n") + END_OF_HEAD;
}

/** The server says nothing of its own after the head, so that the head ends where its last read ends. */
function untilUpgraded({ resolve, reject }: PromiseWithResolvers<void>, upgraded: () => void): Receive {
  let head = "";
  return (buffer, start, end) => {
    head += buffer.toString("latin1", start, end);
    if (!head.includes(END_OF_HEAD)) return;
    if (!head.startsWith("HTTP/1.1 101 ")) return reject(new Error(`no upgrade to WebSocket: ${head.slice(0, 200)}`));
    upgraded();
    resolve();
  };
}
