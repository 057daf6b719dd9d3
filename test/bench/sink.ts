import { createServer, type AddressInfo, type Socket } from "node:net";
import { once } from "node:events";
import { generate, parser } from "mqtt-packet";
import type { Target } from "./connection.ts";

export interface Sink extends Target, AsyncDisposable {}

/**
 * What remains of a broker without its work: it hands bytes from publishers to every subscriber without looking at
 * them. What the generator reaches against it is the generator's own ceiling.
 */
export async function startSink(): Promise<Sink> {
  const subscribers = new Set<Socket>();
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    const handshake = parser({ protocolVersion: 4 });
    let publishes = false;
    handshake.on("packet", (packet) => {
      if (packet.cmd === "connect") socket.write(generate({ cmd: "connack", returnCode: 0, sessionPresent: false }));
      if (packet.cmd !== "subscribe") return;
      subscribers.add(socket);
      socket.write(generate({ cmd: "suback", messageId: packet.messageId ?? 1, granted: [0] }));
    });
    socket.on("data", (chunk) => {
      // Handshake packets come alone; the first PUBLISH opens the gate for all that follows.
      publishes ||= chunk[0] === 0x30;
      if (publishes) for (const subscriber of subscribers) subscriber.write(chunk);
      else handshake.parse(chunk);
    });
    socket.on("error", () => socket.destroy());
    socket.on("close", () => {
      sockets.delete(socket);
      subscribers.delete(socket);
    });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    host: "127.0.0.1",
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}
