import type { Socket } from "node:net";
import { createServer, type TLSSocket } from "node:tls";
import { withoutMapping } from "./addresses.ts";
import type { Accept } from "./listeners.ts";
import type { Tls } from "./tls.ts";
import type { TurnAway } from "./turned-away.ts";

export interface TlsHandshakeOptions {
  readonly tls: Tls;
  /** How long a client may take for its first word, and then for the rest. */
  readonly timeoutMs: number;
  readonly turnAway: TurnAway;
}

/** A handshake is a millisecond or two of work, and a crowd that comes back at once brings a thousand: others have their turn in between. */
const TURN_MS = 2;

/** TLS over sockets that are through the door; returns what takes them. The server never listens itself. */
export function createTlsHandshakes(
  { tls, timeoutMs, turnAway }: TlsHandshakeOptions,
  accept: Accept,
): (socket: Socket, remoteAddress: string | undefined) => void {
  /** Behind a balancer, by the balancer's own address and port: all that a socket and the TLS socket over it have in common. */
  const clients = new Map<string, string>();
  const clientOf = (socket: Socket): string | undefined => clients.get(keyOf(socket)) ?? peerOf(socket);
  const server = createServer(tls.serverOptions, (socket: TLSSocket) => {
    if (tls.admits(socket)) accept(socket, clientOf(socket));
  });
  // A handshake that fails is the peer's affair; without a listener it would be ours.
  server.on("tlsClientError", (_error, socket) => {
    turnAway("tls_handshake", clientOf(socket));
    socket.destroy();
  });
  tls.keep(server);

  /** Those whose first word is there. */
  const ready = new Set<Socket>();
  function takeTurn(): void {
    const until = performance.now() + TURN_MS;
    for (const socket of ready) {
      ready.delete(socket);
      if (!socket.destroyed) server.emit("connection", socket);
      if (performance.now() >= until) break;
    }
    if (ready.size > 0) setImmediate(takeTurn);
  }
  return (socket, remoteAddress) => {
    if (remoteAddress !== undefined && remoteAddress !== peerOf(socket)) {
      const key = keyOf(socket);
      clients.set(key, remoteAddress);
      socket.once("close", () => clients.delete(key));
    }
    awaitFirstWord(socket, timeoutMs, (hasCome) => {
      if (!hasCome) {
        turnAway("tls_handshake", clientOf(socket));
        socket.destroy();
      } else if (ready.add(socket).size === 1) setImmediate(takeTurn);
    });
  };
}

const keyOf = ({ remoteAddress, remotePort }: Socket): string => `${remoteAddress ?? ""} ${remotePort ?? ""}`;
const peerOf = ({ remoteAddress }: Socket): string | undefined => remoteAddress && withoutMapping(remoteAddress);

/** Calls back, once, when there is something to read, which stays unread, or when there will be nothing in time. */
function awaitFirstWord(socket: Socket, timeoutMs: number, done: (hasCome: boolean) => void): void {
  const onReadable = (): void => end(socket.readableLength > 0);
  const onClose = (): void => end(false);
  const timer = setTimeout(end, timeoutMs, false);
  function end(hasCome: boolean): void {
    clearTimeout(timer);
    socket.off("readable", onReadable).off("close", onClose);
    done(hasCome);
  }
  socket.on("readable", onReadable).on("close", onClose);
}
