import { type Duplex, Readable } from "node:stream";
import type { Aedes, AedesPublishPacket, Client } from "aedes";
import mqttPacket, { type IConnectPacket, type Packet } from "mqtt-packet";

/*
 * What aedes 2.0.0-beta.1 keeps on its client and its broker beyond its types. Aedes has the life of a connection:
 * CONNECT and DISCONNECT, keepalive, take-over, close. Messages and subscriptions are the hub's. This is the whole list
 * of what is touched for that; the exact pin in package.json makes it safe.
 */

export interface BrokerInternals {
  /** By client id. */
  clients: Record<string, ClientInternals>;
  /** Client ids whose old connection is being closed for a new one. */
  readonly _takingOver: ReadonlySet<string>;
  connectedClients: number;
  unregisterClient(client: ClientInternals): void;
  publish(packet: object, client: unknown, done?: () => void): void;
  publishWill(client: ClientInternals, will: object): void;
  scheduleWill(client: ClientInternals, will: object, delayS: number): void;
  scheduleSessionExpiry(client: ClientInternals): void;
}

export interface ClientInternals extends Omit<Client, "disconnect" | "sessionExpiryInterval" | "clean" | "conn"> {
  readonly conn: Duplex & {
    readonly socket?: { close(code: number, reason: string): void };
    readonly remoteAddress?: string;
  };
  _parser: ParserStandIn;
  _parsingBatch: number;
  _nextBatch: (error?: Error | null) => void;
  readonly _keepaliveTimer: NodeJS.Timeout | null;
  readonly _keepaliveInterval: number;
  _serverKeepAlive?: number;
  readonly _assignedClientId?: string;
  sessionExpiryInterval: number;
  clean: boolean;
  /** The client said good-bye. */
  readonly _disconnected: boolean;
  readonly errored: boolean;
  /** MQTT 5: whether the client wants reason strings. */
  readonly _requestProblemInformation: boolean;
  readonly _requestResponseInformation: boolean;
  disconnect(options: { reasonCode: number }, done: () => void): void;
}

/** What Aedes asks of its parser once somebody else reads. */
interface ParserStandIn {
  readonly client: ClientInternals;
  _queue: Packet[] | null;
  removeAllListeners(): void;
}

/** Takes the reading of a connection over from Aedes; the result hands a packet to its handlers. `onDone` follows each. */
export function takeOverReading(client: ClientInternals, onDone: (error?: Error | null) => void): (packet: Packet) => void {
  const parser = client._parser as unknown as { listeners(event: "packet"): ((this: ParserStandIn, packet: Packet) => void)[] };
  const [enqueue] = parser.listeners("packet");
  if (!enqueue) throw new Error("aedes has another parser than expected");
  // The real one is 2 KB of buffers and listeners that nobody uses any more.
  const standIn: ParserStandIn = { client, _queue: [], removeAllListeners: () => undefined };
  client._parser = standIn;
  client._nextBatch = onDone;
  client.conn.removeAllListeners("readable");
  return (packet) => {
    // One packet at a time: it is never queued.
    client._parsingBatch = 0;
    enqueue.call(standIn, packet);
  };
}

/** Aedes keeps nothing of messages, subscriptions, wills and session ends: all of it happens outside. */
export function takeOverMessages(aedes: Aedes): BrokerInternals {
  const broker = aedes as unknown as BrokerInternals & Aedes;
  // On a plain object a client id such as "constructor" counts as connected, and the take-over of what is no client throws.
  broker.clients = Object.create(null) as BrokerInternals["clients"];
  const unregister = broker.unregisterClient.bind(broker);
  return Object.assign(broker, {
    // A connection that ends before it was registered must not take the live one of its client id out of the list.
    unregisterClient(client: ClientInternals) {
      if (broker.clients[client.id] === client) unregister(client);
    },
    publish(_packet: object, client: unknown, done?: () => void) {
      const callback = typeof client === "function" ? (client as () => void) : done;
      callback?.();
    },
    publishWill: () => undefined,
    scheduleWill: () => undefined,
    scheduleSessionExpiry: () => undefined,
  });
}

/** Aedes' emitter, of which nothing is left to do. */
export const NO_EMITTER = {
  on: (_topic: string, _listener: unknown, done?: () => void) => done?.(),
  removeListener: (_topic: string, _listener: unknown, done?: () => void) => done?.(),
  emit: (_packet: object, done?: () => void) => done?.(),
  close: (done?: () => void) => done?.(),
};

const nothing = async (): Promise<void> => undefined;
const none = (): Readable => Readable.from([]);

/** Aedes' persistence, of which nothing is left to do either. */
export const NO_PERSISTENCE = {
  setup: nothing,
  subscriptionsByClient: async () => [],
  cleanSubscriptions: nothing,
  putWill: nothing,
  delWill: nothing,
  outgoingStream: none,
  streamWill: none,
  destroy: nothing,
};

const writers = new WeakMap<object, (packet: Packet) => void>();
const { writeToStream } = mqttPacket;

/**
 * The packet writer keeps a Buffer for each of the 65,536 numbers there are, 7 MB that a hub of a few hundred devices
 * never earns back: without, it writes the two bytes each time.
 */
(writeToStream as typeof writeToStream & { cacheNumbers: boolean }).cacheNumbers = false;

mqttPacket.writeToStream = ((packet, stream, options) => {
  const writer = writers.get(stream);
  if (!writer) return writeToStream(packet, stream, options);
  writer(packet);
  return true;
}) as typeof writeToStream;

/** From now on what Aedes writes to this connection is handed over as packets. */
export function takeOverWriting(conn: object, write: (packet: Packet) => void): void {
  writers.set(conn, write);
}

export type ConnectPacket = IConnectPacket & { readonly will?: AedesPublishPacket };
