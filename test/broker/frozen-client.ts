import { once } from "node:events";
import { connect as connectTcp, type Socket } from "node:net";
import mqttPacket, { type Packet } from "mqtt-packet";
import type { RawTarget, Version } from "../support/raw-client.ts";
import type { Account } from "./limits-scene.ts";

export interface FrozenOptions {
  readonly version?: Version;
  readonly filters?: readonly { readonly topic: string; readonly qos: 0 | 1 }[];
}

/** A client that logs in, subscribes and then reads nothing more until it thaws. */
export interface FrozenClient extends AsyncDisposable {
  readonly socket: Socket;
  readonly isClosed: boolean;
  /** Resolves when the bytes are the kernel's, or the connection has ended. */
  write(bytes: Buffer): Promise<void>;
  /** From now on it reads, and acknowledges QoS 1. All packets that came and come, in their order. */
  thaw(): readonly Packet[];
}

export async function freeze(
  target: RawTarget,
  account: Account,
  { version = 4, filters = [] }: FrozenOptions = {},
): Promise<FrozenClient> {
  const socket = connectTcp(target.port, target.host);
  await once(socket, "connect");
  socket.on("error", () => undefined);
  let isClosed = false;
  socket.on("close", () => {
    isClosed = true;
  });
  const generate = (packet: Packet): Buffer => mqttPacket.generate(packet, { protocolVersion: version });
  const packets: Packet[] = [];
  const parser = mqttPacket.parser({ protocolVersion: version });
  parser.on("packet", (packet) => packets.push(packet));
  const greeted = Promise.withResolvers<void>();
  const onData = (chunk: Buffer): void => {
    parser.parse(chunk);
    if (packets.length < (filters.length > 0 ? 2 : 1)) return;
    socket.pause();
    greeted.resolve();
  };
  socket.on("data", onData);
  const { username, password } = account;
  socket.write(
    generate({
      cmd: "connect",
      protocolId: "MQTT",
      protocolVersion: version,
      clientId: username,
      clean: true,
      keepalive: 600,
      username,
      password: Buffer.from(password),
    }),
  );
  if (filters.length > 0) socket.write(generate({ cmd: "subscribe", messageId: 1, subscriptions: [...filters] }));
  await greeted.promise;
  packets.length = 0;
  return {
    socket,
    get isClosed() {
      return isClosed;
    },
    write: (bytes) =>
      new Promise((resolve) => {
        if (isClosed) return resolve();
        socket.once("close", resolve);
        socket.write(bytes, () => {
          socket.off("close", resolve);
          resolve();
        });
      }),
    thaw() {
      socket.off("data", onData);
      parser.on("packet", (packet) => {
        if (packet.cmd === "publish" && packet.qos === 1) socket.write(generate({ cmd: "puback", messageId: packet.messageId as number }));
      });
      socket.on("data", (chunk: Buffer) => parser.parse(chunk));
      socket.resume();
      return packets;
    },
    async [Symbol.asyncDispose]() {
      socket.destroy();
    },
  };
}
