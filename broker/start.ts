import type { Duplex } from "node:stream";
import { Aedes, type AedesPublishPacket, type Client, type PublishPacket, type Subscription } from "aedes";
import type { Bus, BusMessage, Commands, DeviceDirectory, DeviceRef, EventSink, Log, Metrics, Sessions } from "../core/bus.ts";
import { toCloudEvent } from "../core/event.ts";
import { isDeviceUid } from "../core/id.ts";
import type { Principal } from "../core/principal.ts";
import { isRetained, type Topics } from "../core/topics.ts";
import { loadBrokerState, saveBrokerState } from "../store/broker-state.ts";
import { eachRetainedState } from "../store/retained-state.ts";
import type { Store } from "../store/open.ts";
import type { SigningKeys } from "../store/secrets.ts";
import type { TelemetryStore } from "../store/telemetry.ts";
import type { BrokerInternals, ClientInternals, InboundPublish } from "./aedes-internals.ts";
import { authenticate } from "./authenticate.ts";
import { isValidFilter, mayPublish, mayReceive, maySubscribe, type Rights } from "./authorize.ts";
import { deviceHandlers } from "./device-handlers.ts";
import { guardParser, rememberIdentities } from "./guard.ts";
import { createIngest, type DurableIngest } from "./ingest.ts";
import { type ListenerOptions, type Listeners, openListeners } from "./listeners.ts";
import { StoredPersistence } from "./persistence.ts";
import { createPresence } from "./presence.ts";
import { acceptPublish } from "./publish.ts";
import { createRefusals } from "./refusals.ts";

export interface BrokerContext {
  readonly store: Store;
  readonly keys: SigningKeys;
  readonly telemetry: TelemetryStore;
  readonly directory: DeviceDirectory;
  readonly topics: Topics;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly clock: () => number;
  readonly maxPacketBytes: number;
}

export interface Broker extends AsyncDisposable {
  readonly bus: Bus;
  readonly sessions: Sessions;
  readonly events: EventSink;
  readonly ingest: DurableIngest;
  /** Called when a device is connected and listens to its commands, also after every reconnect. */
  onReachable(listener: (device: DeviceRef) => void): void;
  /** Opens the doors: everything that a message needs must be wired by now. */
  listen(options: Omit<ListenerOptions, "maxPacketBytes">, commands: Commands): Promise<Listeners>;
}

/** Sessions of MQTT 5 clients end this long after their connection; 3.1.1 sessions without clean stay until taken over. */
const SESSION_EXPIRY_S = 7 * 86_400;
const SHUTDOWN_MS = 5_000;

/** Starts the embedded broker without any listener. It is the hub's bus from the first moment. */
export async function startBroker(context: BrokerContext): Promise<Broker> {
  const { store, directory, topics, log, metrics, clock } = context;
  const rights: Rights = { topics, directory };
  const principals = new WeakMap<Client, Principal>();
  const wills = new WeakSet<object>();
  const listeners: ((device: DeviceRef) => void)[] = [];
  let commands: Commands | undefined;

  const persistence = new StoredPersistence({
    load: () => loadBrokerState(store.db),
    save: (changes) => saveBrokerState(store.db, changes),
    storesRetained: (topic) => isStoredTopic(topics, topic),
    storesWill: (topic) => topics.parse(topic)?.kind !== "availability",
    allowsFilter: (client, filter) =>
      isValidFilter(filter) &&
      allows(principals.get(client as Client) ?? (persistence.ownerOf(client.id) as Principal | undefined), (principal) =>
        maySubscribe(rights, principal, filter),
      ),
    allowsDelivery(clientId, name) {
      const topic = topics.parse(name);
      return (
        topic !== undefined &&
        allows(persistence.ownerOf(clientId) as Principal | undefined, (principal) => mayReceive(rights, principal, topic))
      );
    },
    onError: (error) => log.error({ err: error }, "sessions could not be stored"),
    onDrop: () => metrics.count("hexahub_mqtt_queue_dropped_total"),
  });
  for await (const { topic, payload } of eachRetainedState(store.db, topics))
    await persistence.storeRetained({
      cmd: "publish",
      topic,
      payload: Buffer.from(payload),
      qos: 1,
      retain: true,
      dup: false,
      brokerId: "",
      brokerCounter: 0,
    } as AedesPublishPacket);

  const aedes = await Aedes.createBroker({
    persistence,
    // Without a bound: a queue behind a slow client would stop everybody, and mqemitter recurses when it drains one.
    concurrency: 0,
    maximumPacketSize: context.maxPacketBytes,
    sessionExpiryIntervalLimit: SESSION_EXPIRY_S,
    topicAliasMaximum: 16,
    maxClientsIdLength: 128,
    authenticate: (client, username, password, done) =>
      void onConnect(client as ClientInternals, username, password?.toString()).then(
        (ok) => done(null, ok),
        (error: unknown) => refuseConnect(client, error, done),
      ),
    authorizePublish: (client, packet, done) => onPublish(client as ClientInternals | null, packet as unknown as InboundPublish, done),
    authorizeSubscribe: (client, subscription, done) =>
      done(
        null,
        isValidFilter(subscription.topic) &&
          allows(principals.get(client), (principal) => maySubscribe(rights, principal, subscription.topic))
          ? subscription
          : null,
      ),
    authorizeForward: (client, packet) => (delivers(client, packet) ? packet : null),
  });

  const inside = aedes as unknown as BrokerInternals;
  const bus = createBus(aedes);
  const events: EventSink = {
    async emit(list) {
      for (const event of list) {
        if (event.organizationId !== null)
          await bus.publish({
            topic: topics.build({ kind: "event", organizationId: event.organizationId, type: event.type }),
            payload: JSON.stringify(toCloudEvent(event)),
            qos: 1,
          });
      }
    },
  };
  const ingest = createIngest({ store, directory, log, metrics, clock });
  const refusals = createRefusals({ bus, topics, log, metrics, clock });
  const presence = createPresence({ store, ingest, bus, events, topics, log, metrics, clock });
  for (const [type, handler] of deviceHandlers({ telemetry: context.telemetry, directory, bus, events, topics }))
    ingest.handle(type, handler);

  aedes.on("error" as "closed", ((error: unknown) => log.error({ err: error }, "the broker reported an error")) as () => void);
  aedes.on("connectionError", (client, error) => {
    metrics.count("hexahub_mqtt_connection_errors_total");
    log.debug({ clientId: client.id, reason: error.message }, "a connection failed before its session began");
  });
  aedes.on("clientError", (client, error) => log.debug({ clientId: client.id, reason: error.message }, "a connection failed"));
  aedes.on("ping", (_packet, client) => withDevice(client, (device) => presence.seen(device)));
  aedes.on("clientReady", (client) => {
    metrics.count("hexahub_mqtt_connects_total");
    withDevice(client, (device) => {
      presence.online(device, (client as ClientInternals).conn.remoteAddress);
      if (isListening(client, device.uid)) for (const listener of listeners) listener(device);
    });
  });
  aedes.on("subscribe", (_subscriptions, client) =>
    withDevice(client, (device) => {
      if (isListening(client, device.uid)) for (const listener of listeners) listener(device);
    }),
  );
  aedes.on("clientDisconnect", (client) =>
    withDevice(client, (device) => {
      // In a take-over the new session answers for the device.
      const successor = clientOf(device.uid);
      if ((!successor || successor === client) && !inside._takingOver.has(device.uid))
        presence.offline(device, (client as ClientInternals).errored ? "connection lost" : "disconnected");
    }),
  );

  function clientOf(clientId: string): ClientInternals | undefined {
    return inside.clients[clientId];
  }

  function withDevice(client: Client, act: (device: DeviceRef) => void): void {
    const principal = principals.get(client);
    const device = principal?.kind === "device" ? directory.find(principal.uid) : undefined;
    if (device) act(device);
  }

  function isListening(client: Client, uid: string): boolean {
    const down = topics.build({ kind: "down", uid, type: "command" });
    const { subscriptions } = client as ClientInternals;
    const [prefix] = down.split("/command");
    return [down, `${prefix}/#`, `${prefix}/+`].some((filter) => Object.hasOwn(subscriptions, filter));
  }

  function delivers(client: Client, packet: AedesPublishPacket): boolean {
    const topic = topics.parse(packet.topic);
    return topic !== undefined && allows(principals.get(client), (principal) => mayReceive(rights, principal, topic));
  }

  async function onConnect(client: ClientInternals, username: string | undefined, password: string | undefined): Promise<boolean> {
    const principal = await authenticate(context, username, password);
    if (!principal) throw new ConnectRefusal(username ? 4 : 5, "bad_credentials");
    const owner = keyOf(principal);
    if (principal.kind === "device" ? client.id !== principal.uid : isDeviceUid(client.id) && directory.find(client.id) !== undefined)
      throw new ConnectRefusal(2, "client_id_of_another");
    const live = clientOf(client.id);
    const stored = persistence.ownerOf(client.id) as Principal | undefined;
    const holder = live && principals.get(live);
    if ((holder && keyOf(holder) !== owner) || (!holder && stored && keyOf(stored) !== owner))
      throw new ConnectRefusal(2, "client_id_of_another");
    const will = client._will;
    if (will) {
      const topic = topics.parse(will.topic);
      if (!topic || !mayPublish(rights, principal, topic) || (topic.kind !== "availability" && topic.kind !== "ha_status"))
        throw new ConnectRefusal(5, "will_forbidden");
      wills.add(will);
    }
    principals.set(client, principal);
    if (!client.clean) await persistence.claimSession(client.id, principal);
    return true;
  }

  function refuseConnect(client: Client, error: unknown, done: (error: never, ok: null) => void): void {
    const refusal = error instanceof ConnectRefusal ? error : new ConnectRefusal(3, "unavailable");
    if (refusal !== error) log.error({ err: error }, "a login could not be checked");
    metrics.count("hexahub_mqtt_logins_refused_total", { reason: refusal.message });
    log.info(
      { clientId: client.id, remoteAddress: (client as ClientInternals).conn.remoteAddress, reason: refusal.message },
      "connection refused",
    );
    done(refusal as never, null);
  }

  function onPublish(client: ClientInternals | null, packet: InboundPublish, done: (error?: Error | null) => void): void {
    // The hub's own, and what a dead node's client left behind: both were checked when they came in.
    if (client === null) return done();
    if (wills.has(packet))
      return done(topics.parse(packet.topic)?.kind === "availability" ? new Error("the hub itself says when a device leaves") : null);
    withDevice(client, (device) => presence.seen(device));
    const context_ = { rights, ingest, commands: () => commands as Commands, directory, refusals, log, metrics, clock };
    void acceptPublish(context_, client, principals.get(client), packet).then((outcome) => {
      if (outcome === "close") client.conn.destroy();
      else done();
    });
  }

  const sessions: Sessions = {
    isReachable(uid) {
      const client = clientOf(uid);
      return client !== undefined && !client.closed && client.connected && isListening(client, uid);
    },
    async disconnect(match, reason) {
      const clients = Object.values(inside.clients).filter((client) => allows(principals.get(client), match));
      await Promise.all(clients.map((client) => end(client, reason)));
      return clients.length;
    },
    async forgetDevice(uid) {
      const client = clientOf(uid);
      if (client) await end(client, "deleted");
      await persistence.forgetSession(uid);
      for (const topic of persistence.retainedBelow(`${topics.root}/${uid}/`))
        await bus.publish({ topic, payload: "", qos: 1, retain: true });
    },
    count: () => Object.keys(inside.clients).length,
  };

  let open: Listeners | undefined;
  return {
    bus,
    sessions,
    events,
    ingest,
    onReachable: (listener) => void listeners.push(listener),
    async listen(options, commandPath) {
      commands = commandPath;
      open = await openListeners({ ...options, maxPacketBytes: context.maxPacketBytes }, (stream, remoteAddress) =>
        attach(aedes, stream, remoteAddress, log),
      );
      return open;
    },
    async [Symbol.asyncDispose]() {
      const closing = open?.[Symbol.asyncDispose]();
      await Promise.race([new Promise<void>((resolve) => aedes.close(resolve)), expiry(SHUTDOWN_MS)]);
      await closing;
      await presence[Symbol.asyncDispose]();
      await ingest[Symbol.asyncDispose]();
      await persistence.flushed();
    },
  };
}

/** CONNACK's return code of MQTT 3.1.1; Aedes translates it for MQTT 5. */
class ConnectRefusal extends Error {
  readonly returnCode: number;

  constructor(returnCode: 2 | 3 | 4 | 5, reason: string) {
    super(reason);
    this.returnCode = returnCode;
  }
}

function createBus(aedes: Aedes): Bus {
  return {
    publish: (message) =>
      new Promise((resolve, reject) => {
        // While the hub stops there is nobody left to tell, and the tables hold what the next start retains.
        aedes.publish(packetOf(message), (error) => (error && !aedes.closed ? reject(error) : resolve()));
      }),
    subscribe(filter, handler) {
      const deliver = (packet: AedesPublishPacket, done: () => void): void => {
        handler(packet.topic, packet.payload as Buffer);
        done();
      };
      aedes.subscribe(filter, deliver, () => {});
      return { [Symbol.dispose]: () => aedes.unsubscribe(filter, deliver, () => {}) };
    },
  };
}

function packetOf({ topic, payload, qos = 0, retain = false, expiresInMs }: BusMessage): PublishPacket {
  return {
    cmd: "publish",
    topic,
    payload: Buffer.from(payload as string),
    qos,
    retain,
    dup: false,
    ...(expiresInMs === undefined ? {} : { properties: { messageExpiryInterval: Math.max(1, Math.ceil(expiresInMs / 1_000)) } }),
  };
}

function attach(aedes: Aedes, stream: Duplex, remoteAddress: string | undefined, log: Log): void {
  const client = aedes.handle(stream as never, undefined as never) as unknown as ClientInternals;
  if (client.conn.remoteAddress === undefined) Object.defineProperty(client.conn, "remoteAddress", { value: remoteAddress });
  guardParser(client, (error, chunk) =>
    log.warn({ err: error, clientId: client.id, firstBytes: chunk.subarray(0, 32).toString("hex") }, "a packet could not be read"),
  );
  rememberIdentities(client);
}

/** WebSocket clients get close code 4401, MQTT 5 clients a reason; for the others the connection just ends. */
async function end(client: ClientInternals, reason: "revoked" | "taken_over" | "deleted"): Promise<void> {
  client.conn.socket?.close(4401, reason);
  await new Promise<void>((resolve) => client.disconnect({ reasonCode: reason === "taken_over" ? 0x8e : 0x87 }, resolve));
}

const keyOf = (principal: Principal): string => `${principal.kind}:${principal.id}`;

function allows(principal: Principal | undefined, may: (principal: Principal) => boolean): boolean {
  return principal !== undefined && may(principal);
}

/** State topics are a view of the tables, rebuilt at start; what only the broker knows is stored by it. */
function isStoredTopic(topics: Topics, name: string): boolean {
  const topic = topics.parse(name);
  if (!topic) return true;
  return isRetained(topic) && !["availability", "relay_state", "light_state", "sensor_state"].includes(topic.kind);
}

const expiry = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms).unref());
