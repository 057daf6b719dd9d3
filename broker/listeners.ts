import type { Server as HttpServer } from "node:http";
import { createServer as createTcpServer, type AddressInfo, type Server, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { createServer as createTlsServer, type Server as TlsServer } from "node:tls";
import websocketStream from "websocket-stream";
import { SetupError } from "../core/errors.ts";
import { type CertificateOptions, ensureCertificates, watchCertificates } from "./certificates.ts";

export interface ListenerOptions {
  readonly host: string;
  /** undefined: no plain listener. */
  readonly plainHost: string | undefined;
  readonly mqttPort: number;
  readonly mqttsPort: number;
  readonly maxPacketBytes: number;
  readonly certificates: CertificateOptions;
  /** The HTTP server whose `/mqtt` upgrades become MQTT connections. */
  readonly http: HttpServer;
}

export interface Listeners extends AsyncDisposable {
  readonly mqttPort: number | undefined;
  readonly mqttsPort: number;
  readonly caFile: string | undefined;
}

/** Opens MQTT over TCP, TLS and WebSocket. Throws SetupError for a port that is taken. */
export async function openListeners(
  options: ListenerOptions,
  accept: (stream: Duplex, remoteAddress: string | undefined) => void,
): Promise<Listeners> {
  const stack = new AsyncDisposableStack();
  try {
    const onSocket = (socket: Socket): void => {
      socket.setNoDelay(true);
      accept(socket, socket.remoteAddress);
    };
    const certificates = await ensureCertificates(options.certificates);
    const secure: TlsServer = createTlsServer({ cert: certificates.cert, key: certificates.key, minVersion: "TLSv1.2" }, onSocket);
    // A handshake that fails is the peer's affair; without a listener it would be ours.
    secure.on("tlsClientError", (_error, socket) => socket.destroy());
    await listen(secure, options.mqttsPort, options.host, "HEXA_MQTTS_PORT");
    stack.defer(() => close(secure));
    stack.use(watchCertificates(options.certificates, ({ cert, key }) => secure.setSecureContext({ cert, key, minVersion: "TLSv1.2" })));

    let plain: Server | undefined;
    if (options.plainHost !== undefined) {
      plain = createTcpServer(onSocket);
      await listen(plain, options.mqttPort, options.plainHost, "HEXA_MQTT_PORT");
      const opened = plain;
      stack.defer(() => close(opened));
    }

    const sockets = websocketStream.createServer(
      {
        server: options.http,
        path: "/mqtt",
        maxPayload: options.maxPacketBytes + 1_024,
        perMessageDeflate: false,
        handleProtocols: (offered) => (offered.has("mqtt") ? "mqtt" : offered.has("mqttv3.1") ? "mqttv3.1" : false),
      },
      (stream, request) => accept(stream, request.socket.remoteAddress),
    );
    stack.defer(() => sockets.close());

    const opened = stack.move();
    return {
      mqttPort: plain && portOf(plain),
      mqttsPort: portOf(secure),
      caFile: certificates.caFile,
      [Symbol.asyncDispose]: () => opened.disposeAsync(),
    };
  } finally {
    await stack.disposeAsync();
  }
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

/** Stops accepting; the connections are ended by the broker. */
function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
  });
}
