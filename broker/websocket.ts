import { type IncomingMessage, type Server as HttpServer, STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";
import { type WebSocket, WebSocketServer } from "ws";
import { rememberCookie } from "./browser-login.ts";
import type { ConnectionRates } from "./connection-rates.ts";
import type { TurnAway } from "./turned-away.ts";
import { webSocketStream } from "./websocket-stream.ts";

/** An open WebSocket, to its door. */
export interface WatchedSocket {
  /** Called now and then; ends a connection that shows no sign of life. */
  checkAlive(): void;
  /** Ends the connection without a good-bye. */
  cut(): void;
}

/** What becomes of the upgrades of one path. */
export interface WebSocketPath {
  readonly path: string;
  readonly reasonAgainst: (request: IncomingMessage) => keyof typeof REFUSALS | undefined;
  readonly protocolOf: (offered: ReadonlySet<string>) => string | false;
  /** undefined when it has been closed at once. */
  readonly open: (webSocket: WebSocket, request: IncomingMessage, remoteAddress: string | undefined) => WatchedSocket | undefined;
}

export interface MqttPathOptions {
  /** Web origins that may connect besides the request's own host; `*` is all. */
  readonly origins: readonly string[];
  /** Whose pages may log in by the session cookie, besides the request's own host. */
  readonly publicOrigin?: string | undefined;
  readonly isOff?: boolean | undefined;
}

export interface WebSocketDoorOptions {
  /** The server whose upgrades come here. It is closed by whoever opened it. */
  readonly http: HttpServer;
  readonly maxPayloadBytes: number;
  /** The client behind the proxies that are trusted. */
  readonly addressOf: (request: IncomingMessage) => string | undefined;
  readonly rates: ConnectionRates;
  readonly turnAway: TurnAway;
  /** How often a connection is looked at for signs of life; 30 s unless a test is in a hurry. */
  readonly checkMs?: number;
}

type Refusal = readonly [status: number, code: string, message: string];

/** MQTT 3.1 had a name of its own. */
const PROTOCOLS = ["mqtt", "mqttv3.1"];
const CHECK_MS = 30_000;
/** How long the other side may take for its part of the closing handshake. */
const CLOSE_TIMEOUT_MS = 2_000;

const REFUSALS = {
  path: [404, "not_found", "MQTT over WebSocket is at /mqtt, JSON of devices at /ws/device"],
  off: [404, "not_found", "MQTT over WebSocket is off here (HEXA_MQTT_WEBSOCKET)"],
  origin: [403, "forbidden", "pages of this origin may not connect; HEXA_MQTT_ORIGINS names those that may"],
  subprotocol: [400, "validation_error", "ask for the WebSocket subprotocol mqtt"],
  early_data: [400, "validation_error", "nothing may be sent before the upgrade"],
  address_rate: [429, "rate_limited", "too many connections from your address"],
  node_rate: [503, "unavailable", "too many new connections"],
  connections: [503, "unavailable", "too many connections"],
  stopping: [503, "unavailable", "the hub is stopping"],
} as const satisfies Record<string, Refusal>;

/** MQTT over WebSocket. */
export function mqttPath(
  { origins, publicOrigin, isOff }: MqttPathOptions,
  accept: (stream: Duplex, remoteAddress: string | undefined) => void,
): WebSocketPath {
  return {
    path: "/mqtt",
    reasonAgainst({ headers }) {
      if (isOff) return "off";
      if (!isAllowedOrigin(headers, origins)) return "origin";
      const offered = (headers["sec-websocket-protocol"] ?? "").split(",").map((name) => name.trim());
      return PROTOCOLS.some((protocol) => offered.includes(protocol)) ? undefined : "subprotocol";
    },
    protocolOf: (offered) => PROTOCOLS.find((protocol) => offered.has(protocol)) ?? false,
    open(webSocket, request, remoteAddress) {
      const stream = webSocketStream(webSocket);
      rememberCookie(stream, request, publicOrigin);
      accept(stream, remoteAddress);
      return stream;
    },
  };
}

/** Every upgrade of the HTTP server comes here; those for other paths are refused. */
export function openWebSocketDoor(options: WebSocketDoorOptions, paths: readonly WebSocketPath[]): AsyncDisposable {
  const { http, rates, turnAway, addressOf } = options;
  const open = new Set<WatchedSocket>();
  const pathOf = ({ url = "" }: IncomingMessage): WebSocketPath | undefined => {
    const [path] = url.split("?", 1);
    return paths.find((one) => one.path === path);
  };
  const upgradeOptions = {
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: options.maxPayloadBytes,
    // Younger than the types.
    closeTimeout: CLOSE_TIMEOUT_MS,
    handleProtocols: (offered: Set<string>, request: IncomingMessage) => pathOf(request)?.protocolOf(offered) ?? false,
  };
  const upgrades = new WebSocketServer(upgradeOptions);
  // Its answer to what is no upgrade says why.
  upgrades.on("wsClientError", (_error, socket, request) => {
    turnAway("handshake", addressOf(request));
    socket.end("HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
  });

  function upgrade(path: WebSocketPath | undefined, request: IncomingMessage, socket: Duplex): void {
    upgrades.handleUpgrade(request, socket, Buffer.alloc(0), (webSocket) => {
      const watched = path?.open(webSocket, request, addressOf(request));
      if (!watched) return;
      open.add(watched);
      socket.once("close", () => open.delete(watched));
    });
  }

  function onUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const address = addressOf(request);
    let isRefused = false;
    const refuse = (reason: keyof typeof REFUSALS): void => {
      if (isRefused) return;
      isRefused = true;
      turnAway(reason, address);
      answer(socket, REFUSALS[reason]);
    };
    const onEarlyData = (): void => refuse("early_data");
    const onEnd = (): unknown => socket.destroy();
    socket.on("error", () => socket.destroy());
    const path = pathOf(request);
    const reason = head.length > 0 ? "early_data" : path ? path.reasonAgainst(request) : "path";
    if (reason) return refuse(reason);
    // Read while it waits: who sends before the answer breaks the protocol, and who leaves is noticed.
    socket.on("data", onEarlyData).on("end", onEnd);
    const leave = rates.arrive(address, {
      admit() {
        if (isRefused) return;
        socket.off("data", onEarlyData).off("end", onEnd);
        upgrade(path, request, socket);
      },
      refuse,
    });
    if (socket.destroyed) leave();
    else socket.once("close", leave);
  }

  http.on("upgrade", onUpgrade);
  const checking = setInterval(() => {
    for (const one of open) one.checkAlive();
  }, options.checkMs ?? CHECK_MS).unref();
  return {
    async [Symbol.asyncDispose]() {
      clearInterval(checking);
      http.off("upgrade", onUpgrade);
      upgrades.close();
      for (const one of open) one.cut();
    },
  };
}

/** Browsers say which page asks, and let every page ask; whatever sends no origin is no browser. */
export function isAllowedOrigin(headers: { origin?: string | undefined; host?: string | undefined }, origins: readonly string[]): boolean {
  const { origin, host } = headers;
  if (origin === undefined || origins.includes("*") || origins.includes(origin)) return true;
  return host !== undefined && URL.parse(origin)?.host === host.toLowerCase();
}

function answer(socket: Duplex, [status, code, message]: Refusal): void {
  const body = JSON.stringify({ code, message, details: null, request_id: "none" });
  const lines = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}`,
    "content-type: application/json; charset=utf-8",
    `content-length: ${Buffer.byteLength(body)}`,
    ...(status === 429 || status === 503 ? ["retry-after: 1"] : []),
    "connection: close",
  ];
  socket.end(`${lines.join("\r\n")}\r\n\r\n${body}`, () => socket.destroy());
}
