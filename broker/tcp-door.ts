import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { SetupError } from "../core/errors.ts";
import { withoutMapping } from "./addresses.ts";
import type { ConnectionRates } from "./connection-rates.ts";
import { takeProxyHeader } from "./proxy-protocol.ts";
import type { TurnAway } from "./turned-away.ts";

/** What every door asks before somebody comes in. */
export interface DoorContext {
  readonly rates: ConnectionRates;
  readonly turnAway: TurnAway;
  /** Whether connections from this address begin with a PROXY header. */
  readonly isBalancer: (address: string | undefined) => boolean;
  /** Sockets of one door at most, those included that have not said for whom they come. */
  readonly maxSockets: number;
}

export interface TcpDoorOptions extends DoorContext {
  readonly host: string;
  readonly port: number;
  /** The setting of the port, for whoever has to change it. */
  readonly setting: string;
}

export interface TcpDoor extends AsyncDisposable {
  readonly port: number;
  /** Takes no new connections. */
  stop(): void;
}

const PROXY_HEADER_MS = 5_000;
/** Idle for so long, the system asks whether the other side is still there. */
const KEEP_ALIVE_MS = 60_000;

/**
 * Listens, and hands on each socket whose turn it is, together with the client's address. The socket is paused and unread,
 * except for a PROXY header. Closing ends what is still connected: a client that never said CONNECT has no session to end.
 * Throws {@link SetupError} for a port that cannot be had.
 */
export async function openTcpDoor(
  options: TcpDoorOptions,
  onSocket: (socket: Socket, remoteAddress: string | undefined) => void,
): Promise<TcpDoor> {
  const { turnAway, maxSockets } = options;
  const sockets = new Set<Socket>();
  const socketOptions = { noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS, pauseOnConnect: true };
  const server = createServer(socketOptions, (socket) => {
    // Whoever gets the socket has listeners of its own; until then a reset is the peer's affair.
    socket.on("error", () => socket.destroy());
    if (sockets.size >= maxSockets) {
      turnAway("connections", socket.remoteAddress);
      socket.destroy();
      return;
    }
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    void enter(options, socket, onSocket);
  });
  await listen(server, options);
  const closed = new Promise<void>((resolve) => server.once("close", () => resolve()));
  return {
    port: (server.address() as AddressInfo).port,
    stop: () => void server.close(),
    async [Symbol.asyncDispose]() {
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

async function enter(
  { rates, turnAway, isBalancer }: DoorContext,
  socket: Socket,
  onSocket: Parameters<typeof openTcpDoor>[1],
): Promise<void> {
  const peer = socket.remoteAddress === undefined ? undefined : withoutMapping(socket.remoteAddress);
  let address = peer;
  if (isBalancer(peer)) {
    try {
      address = (await takeProxyHeader(socket, PROXY_HEADER_MS)) ?? peer;
    } catch {
      // A balancer that connects and leaves without a word looks whether we are there.
      if (socket.bytesRead > 0 || !(socket.readableEnded || socket.destroyed)) turnAway("proxy_header", peer);
      socket.destroy();
      return;
    }
  }
  const leave = rates.arrive(address, {
    admit() {
      if (!socket.destroyed) onSocket(socket, address);
    },
    refuse(reason) {
      turnAway(reason, address);
      socket.destroy();
    },
  });
  if (socket.destroyed) leave();
  else socket.once("close", leave);
}

function listen(server: Server, { port, host, setting }: TcpDoorOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (cause: NodeJS.ErrnoException) => {
      const what =
        cause.code === "EADDRINUSE"
          ? `port ${port} is taken`
          : cause.code === "EACCES"
            ? `port ${port} needs more rights`
            : `cannot listen on ${host}:${port} (${cause.code ?? cause.message})`;
      reject(new SetupError(what, `${setting} (${host}:${port})`, `stop the other program or set ${setting} to another port`, { cause }));
    });
    server.listen(port, host, () => {
      server.removeAllListeners("error");
      server.on("error", () => {});
      resolve();
    });
  });
}
