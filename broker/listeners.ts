import type { Server as HttpServer } from "node:http";
import { createServer as createTcpServer, type AddressInfo, type Server, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { createServer as createTlsServer } from "node:tls";
import websocketStream from "websocket-stream";
import { SetupError } from "../core/errors.ts";
import type { MqttLimits } from "../core/settings.ts";
import { type CertificateOptions, ensureCertificates, watchCertificates } from "./certificates.ts";

export interface ListenerOptions {
  readonly host: string;
  /** undefined: no plain listener. */
  readonly plainHost: string | undefined;
  readonly mqttPort: number;
  readonly mqttsPort: number;
  readonly limits: MqttLimits;
  readonly certificates: CertificateOptions;
  /** The HTTP server whose `/mqtt` upgrades become MQTT connections. */
  readonly http: HttpServer;
}

export interface Listeners extends AsyncDisposable {
  readonly mqttPort: number | undefined;
  readonly mqttsPort: number;
  readonly caFile: string | undefined;
  /** Takes no new connections; those that are open stay until the end. */
  stop(): void;
}

type Accept = (stream: Duplex, remoteAddress: string | undefined) => void;

/** Opens MQTT over TCP, TLS and WebSocket. Throws SetupError for a port that is taken. */
export async function openListeners(options: ListenerOptions, accept: Accept): Promise<Listeners> {
  await using stack = new AsyncDisposableStack();
  const onSocket = (socket: Socket): void => {
    socket.setNoDelay(true);
    accept(socket, socket.remoteAddress);
  };
  const certificates = await ensureCertificates(options.certificates);
  const secure = createTlsServer({ cert: certificates.cert, key: certificates.key, minVersion: "TLSv1.2" }, onSocket);
  // A handshake that fails is the peer's affair; without a listener it would be ours.
  secure.on("tlsClientError", (_error, socket) => socket.destroy());
  const doors = [stack.use(await openDoor(secure, options.mqttsPort, options.host, "HEXA_MQTTS_PORT"))];
  stack.use(watchCertificates(options.certificates, ({ cert, key }) => secure.setSecureContext({ cert, key, minVersion: "TLSv1.2" })));

  let plain: Server | undefined;
  if (options.plainHost !== undefined) {
    plain = createTcpServer(onSocket);
    doors.push(stack.use(await openDoor(plain, options.mqttPort, options.plainHost, "HEXA_MQTT_PORT")));
  }
  doors.push(stack.use(openWebSocketDoor(options, accept)));

  const mqttPort = plain && portOf(plain);
  const mqttsPort = portOf(secure);
  const opened = stack.move();
  return {
    mqttPort,
    mqttsPort,
    caFile: certificates.caFile,
    stop() {
      for (const door of doors) door.stop();
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

interface Door extends AsyncDisposable {
  /** Takes no new connections. */
  stop(): void;
}

/** Closing ends what is still connected: a client that never said CONNECT, or never finished its handshake, has no session to end. */
async function openDoor(server: Server, port: number, host: string, setting: string): Promise<Door> {
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  await listen(server, port, host, setting);
  const closed = new Promise<void>((resolve) => server.once("close", () => resolve()));
  return {
    stop: () => void server.close(),
    async [Symbol.asyncDispose]() {
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

/** `/mqtt` of the HTTP server, which itself is closed by whoever opened it. */
function openWebSocketDoor({ http, limits }: ListenerOptions, accept: Accept): Door {
  const streams = new Set<Duplex>();
  const sockets = websocketStream.createServer(
    {
      server: http,
      path: "/mqtt",
      maxPayload: limits.maxPacketBytes + 1_024,
      perMessageDeflate: false,
      handleProtocols: (offered) => (offered.has("mqtt") ? "mqtt" : offered.has("mqttv3.1") ? "mqttv3.1" : false),
    },
    (stream, request) => {
      streams.add(stream);
      stream.once("close", () => streams.delete(stream));
      accept(stream, request.socket.remoteAddress);
    },
  );
  return {
    stop: () => sockets.close(),
    async [Symbol.asyncDispose]() {
      sockets.close();
      for (const stream of streams) stream.destroy();
    },
  };
}

function listen(server: Server, port: number, host: string, setting: string): Promise<void> {
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

const portOf = (server: Server): number => (server.address() as AddressInfo).port;
