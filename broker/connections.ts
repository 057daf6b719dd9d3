import type { Duplex } from "node:stream";
import type { Aedes } from "aedes";
import mqttPacket, { type IDisconnectPacket, type Packet } from "mqtt-packet";
import type { DeviceDirectory, DeviceRef, Log, Metrics } from "../core/bus.ts";
import type { Principal } from "../core/principal.ts";
import type { MqttLimits } from "../core/settings.ts";
import type { Topics } from "../core/topics.ts";
import { type ClientInternals, type ConnectPacket, takeOverReading, takeOverWriting } from "./aedes-internals.ts";
import { connackProperties, isAcceptance } from "./connack.ts";
import { type Admission, longestExpiryS } from "./connect.ts";
import { Connection, type ConnectionContext, HOLD, type PacketHandlers } from "./connection.ts";
import { Contacts } from "./contacts.ts";
import type { Rights } from "../core/authorize.ts";
import type { Counters } from "./counters.ts";
import type { FrameFault } from "./frame-fault.ts";
import { Grants } from "./grants.ts";
import { Turn } from "./output.ts";
import { readPacket } from "./packet-reader.ts";
import type { PresenceTracker } from "./presence.ts";
import type { PublishFlow } from "./publish-flow.ts";
import type { Refusals } from "./refusals.ts";
import type { Session } from "./session.ts";
import type { SessionRegistry } from "./session-registry.ts";
import type { SessionTransfer } from "./session-transfer.ts";
import { listensToCommands } from "./sessions.ts";
import type { Wills } from "./wills.ts";

export interface ConnectionsContext {
  readonly aedes: Aedes;
  readonly limits: MqttLimits;
  readonly counters: Counters;
  readonly registry: SessionRegistry;
  readonly transfer: SessionTransfer;
  readonly wills: Wills;
  readonly publishFlow: PublishFlow;
  readonly subscription: PacketHandlers["subscription"];
  /** Asked when somebody has logged in. */
  readonly admission: () => Pick<Admission, "isWelcome">;
  readonly refusals: Pick<Refusals, "reportSize" | "reportRate">;
  readonly presence: PresenceTracker;
  readonly directory: DeviceDirectory;
  readonly rights: Rights;
  readonly topics: Topics;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly clock: () => number;
  /** The hub ends all connections: nobody left by himself. */
  readonly isStopping: () => boolean;
  /** Called when a device is connected and listens to its commands. */
  readonly onReachable: (device: DeviceRef) => void;
}

const PINGRESP = Buffer.from([0xd0, 0]);

/** The connections of the broker: what follows when clients come, are heard of and go. */
export class Connections implements PacketHandlers {
  readonly #context: ConnectionsContext;
  readonly #connectionContext: ConnectionContext;
  readonly #byClient = new WeakMap<object, { readonly connection: Connection; readonly give: (packet: Packet) => void }>();
  readonly #contacts = new Contacts();
  readonly subscription: PacketHandlers["subscription"];
  /** Network connections that are open, those without a session too. */
  open = 0;

  constructor(context: ConnectionsContext) {
    const { limits, counters, clock, subscription } = context;
    this.#context = context;
    this.#connectionContext = { limits, counters, turn: new Turn(counters), handlers: this, clock };
    this.subscription = subscription;
    this.#listen();
  }

  /** Serves a new network connection. */
  attach(stream: Duplex, remoteAddress: string | undefined): void {
    const client = this.#context.aedes.handle(stream) as unknown as ClientInternals;
    // A socket's own may be a balancer's, and a WebSocket has none.
    Object.defineProperty(client.conn, "remoteAddress", { value: remoteAddress });
    const connection = new Connection(this.#connectionContext, client);
    const give = takeOverReading(client, (error) => {
      if (error) client.emit("error", error);
      else if (client.connected) connection.release(HOLD.login);
    });
    this.#byClient.set(client, { connection, give });
    takeOverWriting(stream, (packet) => this.#write(connection, packet));
    this.open++;
    stream.once("close", () => this.#closed(connection));
    connection.read();
  }

  connectionOf(client: object): Connection | undefined {
    return this.#byClient.get(client)?.connection;
  }

  /** What follows when a client has new subscriptions. */
  subscribed(connection: Connection): void {
    const { topics, onReachable } = this.#context;
    const device = this.#deviceOf(connection);
    if (device && connection.session && listensToCommands(topics, connection.session, device.uid)) onReachable(device);
  }

  control(connection: Connection, frame: Buffer): void {
    const packet = readPacket(frame, connection.version);
    if (packet.cmd === "connect") {
      connection.connect = packet as ConnectPacket;
      connection.version = packet.protocolVersion as 3 | 4 | 5;
    }
    if (packet.cmd === "disconnect" && !this.#takesLeave(connection, packet)) return;
    this.#byClient.get(connection.client)?.give(packet);
  }

  /** Notes what a DISCONNECT means. Returns whether it is one. */
  #takesLeave(connection: Connection, { reasonCode = 0, properties }: IDisconnectPacket): boolean {
    const isProlonged = (properties?.sessionExpiryInterval ?? 0) > 0;
    if (isProlonged && (connection.connect?.properties?.sessionExpiryInterval ?? 0) === 0) {
      connection.end(0x82, "[3.14.2.2.2] an expiry for a session that had none");
      return false;
    }
    // With any other reason the client wants its will to be heard [3.1.2.5].
    connection.saidGoodbye = connection.version !== 5 || reasonCode === 0;
    return true;
  }

  publish(connection: Connection, buffer: Buffer, start: number, end: number): void {
    this.#context.publishFlow.publish(connection, buffer, start, end);
  }

  acknowledgement(connection: Connection, buffer: Buffer, start: number, end: number): void {
    this.#context.publishFlow.acknowledgement(connection, buffer, start, end);
  }

  ping(connection: Connection): void {
    connection.output.append(PINGRESP);
  }

  alive(connection: Connection): void {
    const { client, contact } = connection;
    if (contact) contact.until = this.#context.clock();
    if (client._keepaliveInterval > 0) client._keepaliveTimer?.refresh();
    const device = this.#deviceOf(connection);
    if (device) this.#context.presence.seen(device);
  }

  refused({ client, version }: Connection, { reasonCode, statement }: FrameFault, head: Buffer): void {
    const { metrics, log } = this.#context;
    metrics.count("hexahub_mqtt_malformed_total", { reason: `0x${reasonCode.toString(16)}` });
    const { remoteAddress } = client.conn;
    log.info({ clientId: client.id, remoteAddress, version, reasonCode, statement, head: head.toString("hex") }, "a packet was refused");
  }

  tooLarge({ client, principal }: Connection, bytes: number): void {
    this.#context.refusals.reportSize(client, principal, bytes);
  }

  tooFast({ client, principal }: Connection): void {
    const { refusals, limits } = this.#context;
    refusals.reportRate(client, principal, limits.mqttPublishRate);
  }

  failed({ client }: Connection, error: unknown): void {
    this.#context.metrics.count("hexahub_mqtt_connection_errors_total");
    this.#context.log.error({ err: error, clientId: client.id }, "a packet could not be handled");
  }

  #listen(): void {
    const { aedes, log, metrics } = this.#context;
    // Its type of the event's listener is that of another event.
    aedes.on("error" as "closed", ((error: unknown) => log.error({ err: error }, "the broker reported an error")) as () => void);
    aedes.on("connectionError", () => metrics.count("hexahub_mqtt_connection_errors_total"));
    aedes.on("clientError", (client, error) => log.debug({ clientId: client.id, reason: error.message }, "a connection failed"));
    aedes.on("keepaliveTimeout", (client) => this.connectionOf(client)?.end(0x8d, "[MQTT-3.1.2-24] keep alive timeout"));
    aedes.on("clientReady", (client) => this.#ready(this.connectionOf(client)));
  }

  /** What Aedes writes. The session begins with the CONNACK that says so. */
  #write(connection: Connection, packet: Packet): void {
    const { admission, limits, registry, topics } = this.#context;
    const { output, version } = connection;
    if (packet.cmd === "disconnect" && !connection.mayEnd()) return;
    if (!isAcceptance(packet)) {
      output.append(mqttPacket.generate(packet, { protocolVersion: version }));
      return output.flush();
    }
    if (!admission().isWelcome(connection)) return connection.refuse(0x87, 5);
    // Another node has let the same client in meanwhile.
    if (connection.claim?.isCurrent === false) return connection.refuse(0x8e, 3);
    const sessionPresent = this.#begin(connection, connection.principal as Principal);
    const properties = version === 5 ? connackProperties(connection, limits, topics.root) : undefined;
    const connack = { cmd: "connack" as const, sessionPresent, returnCode: 0, reasonCode: 0, ...(properties ? { properties } : {}) };
    output.append(mqttPacket.generate(connack, { protocolVersion: version }));
    registry.attach(connection.session as Session, connection, connection.expiryMs);
  }

  /** Returns whether a session was there. */
  #begin(connection: Connection, principal: Principal): boolean {
    const { wills, registry, transfer, limits, clock } = this.#context;
    const { client, connect } = connection;
    const isClean = transfer.supersede(client.id, { isClean: connect?.clean === true });
    if (isClean) wills.sessionEnded(client.id);
    const { session, isResumed } = registry.open(client.id, principal, { isDurable: !client.clean, isClean });
    wills.forget(client.id);
    transfer.hold(client.id, connection.claim);
    if (connection.will) wills.put(client.id, connection.will);
    const { receiveMaximum = 65_535, maximumPacketSize = Number.POSITIVE_INFINITY } = connect?.properties ?? {};
    connection.grants = new Grants(this.#context.rights, principal);
    connection.window = Math.min(receiveMaximum, limits.mqttInflight);
    connection.maxPacketBytes = maximumPacketSize;
    connection.expiryMs = client.sessionExpiryInterval * 1_000;
    connection.session = session;
    connection.isResumed = isResumed;
    const { present, answered } = this.#contacts.begin(client.id, principal, clock());
    connection.contact = present;
    connection.answeredBefore = answered;
    return isResumed;
  }

  #ready(connection: Connection | undefined): void {
    if (!connection?.session || connection.isClosed) return;
    const { metrics, presence } = this.#context;
    metrics.count("hexahub_mqtt_connects_total");
    const device = this.#deviceOf(connection);
    const { credentialId } = connection.principal as Principal;
    if (device) presence.online(device, { ip: connection.client.conn.remoteAddress, credentialId });
    this.subscribed(connection);
  }

  #closed(connection: Connection): void {
    const { isStopping, limits, wills, registry, presence } = this.#context;
    const { client, session, principal } = connection;
    this.open--;
    connection.stop();
    // In a take-over the new connection answers for the device, and goes on with the session.
    if (!session || !principal) return;
    if (connection.isSuperseded) return this.#superseded(connection);
    const expiryMs = Math.min(client.sessionExpiryInterval, longestExpiryS(limits, principal)) * 1_000;
    // First: nothing that the last word reaches is to be lost on a connection that is gone.
    const wasItsOwn = registry.detach(session, connection, expiryMs);
    if (connection.saidGoodbye) wills.forget(client.id);
    // The hub's own stop is no last word of its clients: they come back, or go to another node [MQTT-3.1.2-8].
    else if (!isStopping()) wills.leave(client.id, expiryMs);
    if (!wasItsOwn) return;
    const device = this.#deviceOf(connection);
    if (device && !isStopping()) presence.offline(device, client.errored ? "connection lost" : "disconnected");
  }

  /** When no connection here has the session any more, another node has it. */
  #superseded(connection: Connection): void {
    const device = this.#deviceOf(connection);
    if (device && !this.#context.registry.find(device.uid)?.link) this.#context.presence.moved(device);
  }

  /** The device that this client is, as the directory knows it now. */
  #deviceOf({ principal }: Connection): DeviceRef | undefined {
    return principal?.kind === "device" ? this.#context.directory.find(principal.uid) : undefined;
  }
}
