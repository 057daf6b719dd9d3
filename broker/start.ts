import { Aedes } from "aedes";
import type { Bus, Commands, DeviceDirectory, DeviceRef, EventSink, Log, Metrics, Sessions } from "../core/bus.ts";
import type { MqttLimits } from "../core/settings.ts";
import type { Topics } from "../core/topics.ts";
import type { Store } from "../store/open.ts";
import type { SigningKeys } from "../store/secrets.ts";
import type { TelemetryStore } from "../store/telemetry.ts";
import { clientsOf } from "./aedes-internals.ts";
import type { Principals, Rights } from "./authorize.ts";
import { createAnnounce, createBus, createEventSink } from "./bus.ts";
import { createAdmission } from "./connect.ts";
import { attach, watchConnections } from "./connections.ts";
import { deviceHandlers } from "./device-handlers.ts";
import { openDurableSessions } from "./durable-sessions.ts";
import { deliveryGate, publishGate, subscribeGate } from "./gates.ts";
import { createIngest, type DurableIngest } from "./ingest.ts";
import { type ListenerOptions, type Listeners, openListeners } from "./listeners.ts";
import type { StoredPersistence } from "./persistence.ts";
import { createPresence } from "./presence.ts";
import { createRefusals } from "./refusals.ts";
import { createSessions } from "./sessions.ts";

export interface BrokerContext {
  readonly store: Store;
  readonly keys: SigningKeys;
  readonly telemetry: TelemetryStore;
  readonly directory: DeviceDirectory;
  readonly topics: Topics;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly clock: () => number;
  readonly limits: MqttLimits;
}

export interface Broker extends AsyncDisposable {
  readonly bus: Bus;
  readonly sessions: Sessions;
  readonly events: EventSink;
  readonly ingest: DurableIngest;
  /** Called when a device is connected and listens to its commands, also after every reconnect. */
  onReachable(listener: (device: DeviceRef) => void): void;
  /** Opens the doors: everything that a message needs must be wired by now. */
  listen(options: Omit<ListenerOptions, "limits">, commands: Commands): Promise<Listeners>;
}

/** Sessions of MQTT 5 clients end this long after their connection; 3.1.1 sessions without clean stay until taken over. */
const SESSION_EXPIRY_S = 7 * 86_400;
const SHUTDOWN_MS = 5_000;

/** Starts the embedded broker without any listener. It is the hub's bus from the first moment. */
export async function startBroker(context: BrokerContext): Promise<Broker> {
  const { directory, topics, log } = context;
  const rights: Rights = { topics, directory };
  const principals: Principals = new WeakMap();
  const reachable: ((device: DeviceRef) => void)[] = [];
  let commands: Commands | undefined;
  let open: Listeners | undefined;

  await using stack = new AsyncDisposableStack();
  const persistence = await openDurableSessions({ ...context, rights, principals });
  stack.defer(() => persistence.flushed());
  const aedes = createAedes(persistence, context.limits.maxPacketBytes);
  const inside = clientsOf(aedes);
  const bus = createBus(aedes);
  const announce = createAnnounce(bus, log);
  const events = createEventSink({ bus, topics, log });
  const ingest = stack.use(createIngest(context));
  const presence = stack.use(createPresence({ ...context, ingest, announce, events }));
  for (const [type, handler] of deviceHandlers({ ...context, announce, events })) ingest.handle(type, handler);

  const admission = createAdmission({ ...context, rights, principals, persistence, findClient: (clientId) => inside.clients[clientId] });
  const refusals = createRefusals({ ...context, announce });
  aedes.authenticate = admission.authenticate;
  aedes.authorizeSubscribe = subscribeGate(rights, principals);
  aedes.authorizeForward = deliveryGate(rights, principals);
  aedes.authorizePublish = publishGate({
    ...context,
    rights,
    principals,
    admission,
    presence,
    ingest,
    refusals,
    commands: () => commands as Commands,
  });
  watchConnections({
    ...context,
    aedes,
    inside,
    principals,
    admission,
    refusals,
    persistence,
    presence,
    onReachable: (device) => {
      for (const listener of reachable) listener(device);
    },
  });
  await aedes.listen();
  // Last comes first: no new clients, a good-bye to everybody with a session, and the end of connections that never had one.
  stack.defer(() => open?.[Symbol.asyncDispose]());
  stack.defer(() => Promise.race([new Promise<void>((resolve) => aedes.close(resolve)), expiry(SHUTDOWN_MS)]));
  stack.defer(() => open?.stop());

  const running = stack.move();
  return {
    bus,
    sessions: createSessions({ inside, principals, persistence, presence, bus, topics, admission }),
    events,
    ingest,
    onReachable: (listener) => void reachable.push(listener),
    async listen(options, commandPath) {
      commands = commandPath;
      open = await openListeners({ ...options, limits: context.limits }, (stream, remoteAddress) =>
        attach(aedes, stream, remoteAddress, log),
      );
      return open;
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

function createAedes(persistence: StoredPersistence, maximumPacketSize: number): Aedes {
  return new Aedes({
    persistence,
    // Without a bound: a queue behind a slow client would stop everybody, and mqemitter recurses when it drains one.
    concurrency: 0,
    maximumPacketSize,
    sessionExpiryIntervalLimit: SESSION_EXPIRY_S,
    topicAliasMaximum: 16,
    // Ours is the better check: it holds for every version of MQTT and counts bytes.
    maxClientsIdLength: Number.POSITIVE_INFINITY,
  });
}

const expiry = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms).unref());
