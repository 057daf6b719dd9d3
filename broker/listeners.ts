import type { IncomingMessage, Server as HttpServer } from "node:http";
import type { Duplex } from "node:stream";
import type { Log, Metrics } from "../core/bus.ts";
import type { MqttLimits } from "../core/settings.ts";
import { rangeMatcher, withoutMapping } from "./addresses.ts";
import type { CertificateOptions } from "./certificates.ts";
import { ConnectionRates } from "./connection-rates.ts";
import { type DoorContext, openTcpDoor, type TcpDoor } from "./tcp-door.ts";
import { openTls, type TlsOptions } from "./tls.ts";
import { createTlsHandshakes } from "./tls-handshakes.ts";
import { createTurnAway } from "./turned-away.ts";
import { mqttPath, openWebSocketDoor, type WebSocketPath } from "./websocket.ts";

export interface ListenerOptions {
  /** undefined: no listener for TLS. */
  readonly host: string | undefined;
  /** undefined: no plain listener. */
  readonly plainHost: string | undefined;
  readonly mqttPort: number;
  readonly mqttsPort: number;
  readonly limits: MqttLimits;
  readonly certificates: CertificateOptions;
  /** Without it nobody is asked for a certificate, and one certificate serves all names. */
  readonly tls?: Omit<TlsOptions, "certificates"> | undefined;
  /** The HTTP server whose upgrades of `/mqtt` become MQTT connections, unless that is off. */
  readonly http: HttpServer;
  readonly isWebSocketOff?: boolean | undefined;
  /** The client of an upgrade behind the proxies that are trusted; without it the peer. */
  readonly addressOf?: ((request: IncomingMessage) => string | undefined) | undefined;
  /** Of the hub's own pages, where it is not that of the request's host. */
  readonly publicOrigin?: string | undefined;
  /** Upgrades of other paths than `/mqtt`. */
  readonly paths?: readonly WebSocketPath[] | undefined;
  readonly log: Log;
  readonly metrics: Metrics;
}

export interface Listeners extends AsyncDisposable {
  readonly mqttPort: number | undefined;
  readonly mqttsPort: number | undefined;
  readonly caFile: string | undefined;
  /** How long the certificates still hold, by name. */
  secondsToExpiry(): { readonly labels: { readonly name: string }; readonly value: number }[];
  /** Takes no new connections and closes those that wait for their turn; those that are open stay until the end. */
  stop(): void;
}

/**
 * Takes a connection whose turn it is. The stream is unread and may be paused: a `readable` listener starts it, a `data`
 * listener needs `resume()`. `remoteAddress` is the client's, also behind a balancer.
 */
export type Accept = (stream: Duplex, remoteAddress: string | undefined) => void;

/** Opens MQTT over TCP, TLS and WebSocket. Throws SetupError for a port that is taken. */
export async function openListeners(options: ListenerOptions, accept: Accept): Promise<Listeners> {
  const { limits, host, plainHost, http, addressOf } = options;
  await using stack = new AsyncDisposableStack();
  // A monotonic clock: a step of the other one would stop everybody, or let everybody in.
  const clock = (): number => performance.now();
  const rates = stack.use(new ConnectionRates(limits, clock));
  const turnAway = createTurnAway(options, clock);
  const door: DoorContext = { rates, turnAway, isBalancer: rangeMatcher(limits.mqttProxy), maxSockets: limits.mqttConnections };

  const handshakeTimeoutMs = limits.mqttConnectTimeoutS * 1_000;
  const tls = stack.use(
    await openTls({ clientCertificates: "off", handshakeTimeoutMs, ...options.tls, certificates: options.certificates }),
  );
  const handshake = createTlsHandshakes({ tls, timeoutMs: handshakeTimeoutMs, turnAway }, accept);
  let secure: TcpDoor | undefined;
  if (host !== undefined)
    secure = stack.use(await openTcpDoor({ ...door, host, port: options.mqttsPort, setting: "HEXA_MQTTS_PORT" }, handshake));
  let plain: TcpDoor | undefined;
  if (plainHost !== undefined)
    plain = stack.use(await openTcpDoor({ ...door, host: plainHost, port: options.mqttPort, setting: "HEXA_MQTT_PORT" }, accept));
  const maxPayloadBytes = limits.maxPacketBytes + 1_024;
  const peerOf = ({ socket: { remoteAddress } }: IncomingMessage): string | undefined => remoteAddress && withoutMapping(remoteAddress);
  const { publicOrigin, isWebSocketOff: isOff } = options;
  const mqtt = mqttPath({ origins: limits.mqttOrigins, publicOrigin, isOff }, accept);
  const web = { http, maxPayloadBytes, addressOf: addressOf ?? peerOf, rates, turnAway };
  stack.use(openWebSocketDoor(web, [mqtt, ...(options.paths ?? [])]));

  const opened = stack.move();
  return {
    mqttPort: plain?.port,
    mqttsPort: secure?.port,
    caFile: tls.caFile,
    secondsToExpiry: () =>
      tls
        .expiries()
        .map(({ name, notAfter }) => ({ labels: { name }, value: (notAfter.getTime() - (options.tls?.clock ?? Date.now)()) / 1_000 })),
    stop() {
      rates.stop();
      secure?.stop();
      plain?.stop();
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}
