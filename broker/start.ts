import { Aedes } from "aedes";
import type {
  AccessDirectory,
  Bus,
  Commands,
  DeviceDirectory,
  DeviceGateway,
  DeviceRef,
  EventSink,
  Log,
  Metrics,
  NodeCalls,
  ReadingWitness,
  Sessions,
  StorageState,
} from "../core/bus.ts";
import type { ClockPace } from "../core/device-clock.ts";
import type { SecurityEvents } from "../core/security-event.ts";
import type { MqttLimits } from "../core/settings.ts";
import type { Topics } from "../core/topics.ts";
import type { Db, Store } from "../store/open.ts";
import type { Passwords } from "../store/passwords.ts";
import type { SigningKeys } from "../store/secrets.ts";
import type { SensorDirectory } from "../store/sensor-directory.ts";
import type { TelemetryStore } from "../store/telemetry.ts";
import { type BrokerInternals, NO_EMITTER, NO_PERSISTENCE, takeOverMessages } from "./aedes-internals.ts";
import type { Rights } from "../core/authorize.ts";
import { createAnnounce, createBus, createEventSink } from "./bus.ts";
import { type Admission, createAdmission } from "./connect.ts";
import type { Connection } from "./connection.ts";
import type { Cluster } from "./cluster.ts";
import { clusterReadings } from "./cluster-statistics.ts";
import { BOARD_SWEEP_MS, BOARD_TTL_MS } from "./cluster-presence.ts";
import { createClockWatch } from "./clock-watch.ts";
import { Connections } from "./connections.ts";
import { createCounters } from "./counters.ts";
import { deviceHandlers } from "./device-handlers.ts";
import { drain } from "./drain.ts";
import { type DurableState, openDurableState } from "./durable-state.ts";
import { type DevicePresence, openDevicePresence } from "./device-presence.ts";
import { createFlapping } from "./flapping.ts";
import { createFlappingAlarm } from "./flapping-alarm.ts";
import { createIngest, type DurableIngest } from "./ingest.ts";
import { devicePath } from "./device-door.ts";
import { type Accept, type ListenerOptions, type Listeners, openListeners } from "./listeners.ts";
import { createLoginFailures } from "./login-failures.ts";
import { createNodeCalls } from "./node-calls.ts";
import { createPolls, type PollPace, type Polls } from "./polls.ts";
import { PublishFlow } from "./publish-flow.ts";
import { createRefusals } from "./refusals.ts";
import { createSessions } from "./sessions.ts";
import { brokerReadings, certificateReading, type Reading, startStatistics } from "./statistics.ts";
import { createSubscribeFlow } from "./subscribe-flow.ts";

/** What the broker does slowly, for whoever cannot wait so long. */
export interface BrokerPace {
  readonly polls?: PollPace | undefined;
  readonly clocks?: ClockPace | undefined;
}

export interface BrokerContext {
  readonly store: Store;
  readonly keys: SigningKeys;
  readonly passwords: Passwords;
  readonly telemetry: TelemetryStore;
  readonly directory: DeviceDirectory;
  readonly sensors: SensorDirectory;
  readonly access: AccessDirectory;
  readonly topics: Topics;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly clock: () => number;
  readonly limits: MqttLimits;
  readonly security: SecurityEvents;
  /** Where the nodes of a cluster meet. */
  readonly redisUrl?: string | undefined;
  /** See core/settings.ts; in ms. */
  readonly presenceTtlMs?: number | undefined;
  readonly presenceGraceMs?: number | undefined;
  /** Called when messages of other nodes may have been missed. */
  readonly onResync?: (() => void) | undefined;
  readonly version: string;
  /** See readings while they are stored; may grow until the doors open. */
  readonly readingWitnesses?: readonly ReadingWitness<Db>[] | undefined;
  readonly brokerPace?: BrokerPace | undefined;
}

export interface Broker extends AsyncDisposable {
  /** undefined on a node that is alone. */
  readonly cluster: Cluster | undefined;
  /** This node's name among the others; it changes when they took it for dead. */
  readonly nodeId: string;
  readonly bus: Bus;
  readonly sessions: Sessions;
  readonly calls: NodeCalls;
  readonly events: EventSink;
  readonly ingest: DurableIngest;
  readonly storage: StorageState;
  readonly gateway: DeviceGateway;
  /** For /metrics. */
  readonly readings: readonly Reading[];
  /** Called when a device is connected and listens to its commands, also after every reconnect. */
  onReachable(listener: (device: DeviceRef) => void): void;
  /** Opens the doors: everything that a message needs must be wired by now. */
  listen(options: Omit<ListenerOptions, "limits" | "log" | "metrics" | "paths">, commands: Commands): Promise<Listeners>;
}

/** The cluster's code is loaded by who has one. */
async function joinOthers({ log, presenceTtlMs }: BrokerContext, redisUrl: string, state: DurableState): Promise<Cluster> {
  const { openCluster } = await import("./cluster.ts");
  const ttlMs = presenceTtlMs ?? BOARD_TTL_MS;
  const presence = { ttlMs, sweepMs: Math.min(BOARD_SWEEP_MS, ttlMs / 4) };
  const cluster = openCluster({ redisUrl, log, presence, handlers: state.clusterHandlers });
  // Before it is a member: it may get the sessions of a dead node, and that one's mail, as soon as it is.
  state.neighbours.join(cluster);
  await cluster.joined;
  await state.signMark();
  await state.transfer.takeFree();
  return cluster;
}

const SHUTDOWN_MS = 5_000;

/** Starts the embedded broker without any listener. It is the hub's bus from the first moment. */
export async function startBroker(context: BrokerContext): Promise<Broker> {
  const { directory, access, topics, log, limits, redisUrl } = context;
  const rights: Rights = { topics, directory, access };
  const shared = { ...context, rights, counters: createCounters(), onResync: (): void => online.resync() };
  const reachable: ((device: DeviceRef) => void)[] = [];
  let commands: Commands | undefined;
  let open: Listeners | undefined;
  let isStopping = false;

  await using stack = new AsyncDisposableStack();
  const state = stack.use(await openDurableState({ ...shared, isAlone: redisUrl === undefined }));
  const aedes = createAedes(limits);
  const inside = takeOverMessages(aedes);
  const bus = createBus({ ...context, ...state });
  const announce = createAnnounce(bus, log);
  const events = createEventSink({ bus, topics, log });
  const clocks = stack.use(createClockWatch({ ...context, events, clockPace: context.brokerPace?.clocks }));
  const ingest = stack.use(createIngest({ ...context, ...state, clocks, stored: () => state.exchange.stored() }));
  await state.follow(ingest);
  const online: DevicePresence = stack.use(openDevicePresence({ ...context, ...state, ingest, bus, announce, events }));
  for (const [type, handler] of deviceHandlers({ ...context, announce, events })) ingest.handle(type, handler);

  const refusals = createRefusals({ ...context, announce });
  const surroundings = { ...shared, ...state, ...online, refusals, announce };
  const connections: Connections = new Connections({
    ...surroundings,
    aedes,
    publishFlow: new PublishFlow({ ...surroundings, ingest, commands: () => commands as Commands }),
    subscription: createSubscribeFlow({ ...surroundings, onSubscribed: (connection) => connections.subscribed(connection) }),
    admission: () => admission,
    isStopping: () => isStopping,
    onReachable: (device) => reachable.forEach((listener) => listener(device)),
  });
  const admission: Admission = createAdmission({
    ...surroundings,
    connectionOf: (client) => connections.connectionOf(client) as Connection,
    failures: createLoginFailures(limits.mqttLoginFailures, monotonic),
    flapping: createFlapping({ ...context, clock: monotonic, onFlapping: createFlappingAlarm({ ...context, events }) }),
  });
  aedes.authenticate = admission.authenticate;
  const attach: Accept = (stream, remoteAddress) => connections.attach(stream, remoteAddress);
  const gateway: Polls = stack.use(createPolls({ ...context, attach, bus, ingest, pace: context.brokerPace?.polls }));
  const cluster = redisUrl === undefined ? undefined : stack.use(await joinOthers(context, redisUrl, state));
  stack.defer(() => state.transfer.leave());
  const calls = stack.use(createNodeCalls({ bus, log, peerCount: () => cluster?.peers.size ?? 0 }));
  const sessions = createSessions({ ...surroundings, bus, admission, calls });
  await online.begin(sessions);
  await aedes.listen();
  const counted = { ...surroundings, connections: () => connections.open };
  stack.use(startStatistics(counted));
  const numbers = [...brokerReadings(counted), ...clocks.readings];
  // Last comes first: no new clients, a good-bye to everybody with a session, and the end of connections that never had one.
  stack.defer(() => open?.[Symbol.asyncDispose]());
  stack.defer(() => Promise.race([new Promise<void>((resolve) => aedes.close(resolve)), expiry(SHUTDOWN_MS)]));
  stack.defer(() => sendAllAway(inside, ingest, limits));
  stack.defer(() => {
    isStopping = true;
    open?.stop();
  });

  const running = stack.move();
  return {
    bus,
    cluster,
    get nodeId() {
      return cluster?.nodeId ?? "";
    },
    sessions,
    calls,
    events,
    ingest,
    storage: state.storage,
    gateway,
    readings: [...numbers, ...clusterReadings(cluster), certificateReading(() => open?.secondsToExpiry() ?? [])],
    onReachable: (listener) => void reachable.push(listener),
    async listen(options, commandPath) {
      commands = commandPath;
      open = await openListeners({ ...options, ...context, paths: [devicePath({ ...context, attach }, limits.mqttOrigins)] }, attach);
      return open;
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

function createAedes({ mqttConnectTimeoutS }: MqttLimits): Aedes {
  return new Aedes({
    persistence: NO_PERSISTENCE,
    mq: NO_EMITTER,
    connectTimeout: mqttConnectTimeoutS * 1_000,
    // Ours are the better checks: they hold for every version of MQTT and count bytes.
    maxClientsIdLength: Number.POSITIVE_INFINITY,
    heartbeatInterval: 2_147_483_647 / 4,
  });
}

function sendAllAway({ clients }: BrokerInternals, ingest: DurableIngest, { mqttServerReference }: MqttLimits): Promise<void> {
  const settled = (): Promise<void> => Promise.resolve(ingest[Symbol.asyncDispose]());
  return drain({ clients: Object.values(clients), settled, serverReference: mqttServerReference });
}

const monotonic = (): number => performance.now();
const expiry = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms).unref());
