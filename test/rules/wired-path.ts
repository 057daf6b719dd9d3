import { createServer } from "node:http";
import { createMetrics } from "../../api/metrics.ts";
import { startBroker, type Broker } from "../../broker/start.ts";
import type { DeviceRef, Log } from "../../core/bus.ts";
import type { CommandRecord } from "../../core/command.ts";
import { readConfig } from "../../core/config.ts";
import type { Device } from "../../core/device.ts";
import { newId } from "../../core/id.ts";
import { PLATFORM, SYSTEM } from "../../core/principal.ts";
import { createTopics, type Topics } from "../../core/topics.ts";
import { startVirtualDevice, type VirtualDevice, type VirtualDeviceOptions } from "../../firmware/virtual/device.ts";
import { type CommandPath, createCommandPath } from "../../rules/command-path.ts";
import { createStateCommits, type StateCommits } from "../../rules/state-commits.ts";
import { loadAccessDirectory } from "../../store/access-directory.ts";
import { issueDeviceToken } from "../../store/credentials.ts";
import { loadDeviceDirectory } from "../../store/device-directory.ts";
import { loadSensorDirectory } from "../../store/sensor-directory.ts";
import { createDevice, getDevice } from "../../store/devices.ts";
import { openStore, type Store } from "../../store/open.ts";
import { createOrganization } from "../../store/organizations.ts";
import { createPasswords } from "../../store/passwords.ts";
import { loadMasterKey, loadSigningKeys } from "../../store/secrets.ts";
import { createSecurityEvents } from "../../store/security-events.ts";
import { createTelemetryStore } from "../../store/telemetry.ts";
import { temporaryFolder } from "../support/wait.ts";

/** Store, broker and command path as main.ts wires them, without the API: for what only their inner doors can bring about. */
export interface WiredPath extends AsyncDisposable {
  readonly store: Store;
  readonly broker: Broker;
  readonly states: StateCommits;
  readonly path: CommandPath;
  /** Ids of the commands that were sent to devices, each time they were sent. */
  readonly dispatched: readonly string[];
  readonly organizationId: string;
  /** A device with two relays that is connected and listens. */
  addDevice(options?: Pick<VirtualDeviceOptions, "faults">): Promise<{ ref: DeviceRef; device: VirtualDevice }>;
  record(ref: DeviceRef, fields?: Partial<CommandRecord>): CommandRecord;
}

const log: Log = {
  debug() {},
  info() {},
  warn() {},
  error(data, message) {
    process.stderr.write(`hub error: ${message} ${JSON.stringify(data)}\n`);
  },
};

export async function startWiredPath({ databaseUrl }: { databaseUrl?: string | undefined } = {}): Promise<WiredPath> {
  await using stack = new AsyncDisposableStack();
  const dataDir = stack.use(temporaryFolder()).path;
  const store = stack.use(await openStore({ dataDir, databaseUrl }));
  const { db } = store;
  const keys = await loadSigningKeys(db, await loadMasterKey(dataDir));
  const directory = await loadDeviceDirectory(db);
  const access = stack.use(await loadAccessDirectory(db, log));
  const topics = createTopics();
  const metrics = createMetrics();
  const { id: organizationId } = await createOrganization(db, { name: "Home" });
  const telemetry = createTelemetryStore(store);
  const broker = stack.use(
    await startBroker({
      store,
      keys,
      passwords: stack.use(createPasswords(10)),
      telemetry,
      directory,
      sensors: stack.use(await loadSensorDirectory(db, log)),
      access,
      topics,
      log,
      metrics,
      clock: Date.now,
      limits: readConfig({}, () => ""),
      security: stack.use(createSecurityEvents({ db, log, clock: Date.now })),
      version: "0.0.0-test",
    }),
  );
  const { bus, sessions, events, ingest } = broker;
  const states = createStateCommits({ store, bus, events, topics, log, metrics, clock: Date.now });
  const path = stack.use(createCommandPath({ store, bus, sessions, events, topics, states, log, metrics, clock: Date.now }));
  for (const type of ["ack", "state_report"] as const) ingest.handle(type, states.onMessages);
  broker.onReachable((device) => path.deviceReachable(device));
  const dispatched = recordDispatches(broker, topics);
  const { mqttPort } = await broker.listen(
    {
      host: "127.0.0.1",
      plainHost: "127.0.0.1",
      mqttPort: 0,
      mqttsPort: 0,
      certificates: { dir: `${dataDir}/tls`, hostnames: ["localhost"] },
      http: createServer(),
    },
    path,
  );
  const running = stack.move();
  return {
    store,
    broker,
    states,
    path,
    dispatched,
    organizationId,
    async addDevice(options = {}) {
      const capabilities = { relays: 2 };
      const made = await createDevice(db, { name: "Relay", deviceClass: "relay_controller", capabilities, organizationId, ownerId: null });
      const ref = refOf(await getDevice(db, PLATFORM, made.id));
      directory.put(ref);
      const { token } = await issueDeviceToken(db, keys, ref.id);
      const device = await startVirtualDevice({
        url: `mqtt://127.0.0.1:${mqttPort}`,
        uid: ref.uid,
        password: token,
        deviceClass: "relay_controller",
        capabilities,
        protocolVersion: 5,
        heartbeatMs: 0,
        ...options,
      });
      return { ref, device };
    },
    record: (ref, fields = {}) => recordFor(ref, fields),
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

function refOf({ id, uid, organizationId }: Device): DeviceRef {
  return { id, uid, organizationId };
}

function recordDispatches({ bus }: Broker, topics: Topics): string[] {
  const dispatched: string[] = [];
  bus.subscribe(topics.build({ kind: "down", uid: "+", type: "command" }), (_topic, payload) => {
    dispatched.push((JSON.parse(payload.toString()) as { command_id: string }).command_id);
  });
  return dispatched;
}

function recordFor(ref: DeviceRef, fields: Partial<CommandRecord>): CommandRecord {
  const id = fields.id ?? newId();
  return {
    id,
    deviceId: ref.id,
    organizationId: ref.organizationId,
    taskId: null,
    command: { command: "set_relay", relay: 0, state: "ON" },
    status: "sent",
    actor: SYSTEM,
    source: "rest",
    correlationId: id,
    causationId: null,
    ruleVersion: null,
    error: null,
    latencyMs: null,
    createdAt: new Date().toISOString(),
    deadlineAt: new Date(Date.now() + 60_000).toISOString(),
    finishedAt: null,
    ...fields,
  };
}
