import type { Duplex } from "node:stream";
import type { Aedes, Client } from "aedes";
import mqttPacket from "mqtt-packet";
import type { DeviceDirectory, DeviceRef, Log, Metrics } from "../core/bus.ts";
import type { Topics } from "../core/topics.ts";
import type { BrokerInternals, ClientInternals } from "./aedes-internals.ts";
import type { Principals } from "./authorize.ts";
import type { Admission } from "./connect.ts";
import { guardParser, rememberIdentities } from "./guard.ts";
import type { StoredPersistence } from "./persistence.ts";
import type { PresenceTracker } from "./presence.ts";
import type { Refusals } from "./refusals.ts";
import { listensToCommands } from "./sessions.ts";

export interface ConnectionsContext {
  readonly aedes: Aedes;
  readonly inside: BrokerInternals;
  readonly principals: Principals;
  readonly admission: Pick<Admission, "isWelcome">;
  readonly refusals: Pick<Refusals, "refuseSize">;
  readonly persistence: StoredPersistence;
  readonly presence: PresenceTracker;
  readonly directory: DeviceDirectory;
  readonly topics: Topics;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Called when a device is connected and listens to its commands. */
  readonly onReachable: (device: DeviceRef) => void;
}

/** What follows when clients come, subscribe, are heard of and go. */
export function watchConnections(context: ConnectionsContext): void {
  const { aedes, presence, log, metrics } = context;
  // Its type of the event's listener is that of another event.
  aedes.on("error" as "closed", ((error: unknown) => log.error({ err: error }, "the broker reported an error")) as () => void);
  aedes.on("connectionError", (client, error) => {
    metrics.count("hexahub_mqtt_connection_errors_total");
    onFault(context, client as ClientInternals, error);
  });
  aedes.on("clientError", (client, error) => onFault(context, client as ClientInternals, error));
  aedes.on("ping", (_packet, client) => {
    const device = deviceOf(context, client);
    if (device) presence.seen(device);
  });
  aedes.on("clientReady", (client) => {
    if (!context.admission.isWelcome(client)) return client.close();
    metrics.count("hexahub_mqtt_connects_total");
    const device = deviceOf(context, client);
    if (device) presence.online(device, (client as ClientInternals).conn.remoteAddress);
    tellReachable(context, client);
  });
  aedes.on("subscribe", (_subscriptions, client) => tellReachable(context, client));
  aedes.on("clientDisconnect", (client) => onDisconnect(context, client as ClientInternals));
  aedes.on("sessionExpired", (client) => forget(context, client.id));
}

/**
 * The packet writer keeps a Buffer for each of the 65,536 numbers there are, 7 MB that a hub of a few hundred devices
 * never earns back: without, it writes the two bytes each time.
 */
(mqttPacket.writeToStream as typeof mqttPacket.writeToStream & { cacheNumbers: boolean }).cacheNumbers = false;

/** Hands a new connection to Aedes, with what the beta lacks put around it. */
export function attach(aedes: Aedes, stream: Duplex, remoteAddress: string | undefined, log: Log): void {
  const client = aedes.handle(stream) as ClientInternals;
  if (client.conn.remoteAddress === undefined) Object.defineProperty(client.conn, "remoteAddress", { value: remoteAddress });
  guardParser(client, (error, chunk) =>
    // The first byte says which packet it was; those behind it may hold a password.
    log.warn({ err: error, clientId: client.id, header: chunk[0], bytes: chunk.length }, "a packet could not be read"),
  );
  rememberIdentities(client);
}

/** The device that this client is, as the directory knows it now. */
export function deviceOf(
  { principals, directory }: Pick<ConnectionsContext, "principals" | "directory">,
  client: Client,
): DeviceRef | undefined {
  const principal = principals.get(client);
  return principal?.kind === "device" ? directory.find(principal.uid) : undefined;
}

function onFault({ refusals, principals, log }: ConnectionsContext, client: ClientInternals, error: Error & { size?: number }): void {
  // Aedes gives a size to the error of a packet that is too large, and to no other.
  if (error.size === undefined) log.debug({ clientId: client.id, reason: error.message }, "a connection failed");
  else refusals.refuseSize(client, principals.get(client), error.size);
}

function tellReachable(context: ConnectionsContext, client: Client): void {
  const device = deviceOf(context, client);
  if (device && listensToCommands(context.topics, client, device.uid)) context.onReachable(device);
}

function onDisconnect(context: ConnectionsContext, client: ClientInternals): void {
  const { inside, presence } = context;
  // In a take-over the new session answers for the device, and goes on with what is stored.
  const successor = inside.clients[client.id];
  if ((successor && successor !== client) || inside._takingOver.has(client.id)) return;
  const device = deviceOf(context, client);
  if (device) presence.offline(device, client.errored ? "connection lost" : "disconnected");
  if (client.clean || client.sessionExpiryInterval === 0) forget(context, client.id);
}

/** A session that is over leaves nothing, and its client id is free for others. */
function forget({ persistence, log }: ConnectionsContext, clientId: string): void {
  if (persistence.ownerOf(clientId) === undefined) return;
  persistence
    .forgetSession(clientId)
    .catch((error: unknown) => log.error({ err: error, clientId }, "a session that ended could not be removed"));
}
