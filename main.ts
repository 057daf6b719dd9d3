import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join, resolve } from "node:path";
import type { ReadyHub } from "./api/cli/ready.ts";
import type { BridgesPace } from "./bridges/open-bridges.ts";
import type { BrokerPace } from "./broker/start.ts";
import type { Log, ReadingWitness } from "./core/bus.ts";
import type { Config } from "./core/config.ts";
import type { RotationPace } from "./store/key-rotation.ts";
import type { Db } from "./store/open.ts";

const { version: VERSION } = JSON.parse(readFileSync(new URL("package.json", import.meta.url), "utf8")) as { version: string };

/** The rooms that a running hub needs. Loaded on demand: a command line that only asks a hub starts without them. */
const rooms = async () => ({
  ...(await import("./api/cli/operator-file.ts")),
  ...(await import("./api/api-settings.ts")),
  ...(await import("./api/long-requests.ts")),
  ...(await import("./api/loop-delay.ts")),
  ...(await import("./api/metrics.ts")),
  ...(await import("./api/rate-limits.ts")),
  ...(await import("./api/server.ts")),
  ...(await import("./bridges/open-bridges.ts")),
  ...(await import("./bridges/mail/open-mailer.ts")),
  ...(await import("./bridges/outbound/outbound.ts")),
  ...(await import("./bridges/webhooks/open-webhooks.ts")),
  ...(await import("./broker/device-certificates.ts")),
  ...(await import("./broker/duties.ts")),
  ...(await import("./broker/start.ts")),
  ...(await import("./core/destination.ts")),
  ...(await import("./core/hub-clock.ts")),
  ...(await import("./core/id.ts")),
  ...(await import("./core/reach.ts")),
  ...(await import("./core/topics.ts")),
  ...(await import("./firmware/virtual/demo.ts")),
  ...(await import("./rules/command-path.ts")),
  ...(await import("./rules/open-rules.ts")),
  ...(await import("./rules/recent-commands.ts")),
  ...(await import("./rules/state-commits.ts")),
  ...(await import("./rules/timers.ts")),
  ...(await import("./store/access-directory.ts")),
  ...(await import("./store/audit-open.ts")),
  ...(await import("./store/clickhouse-configured.ts")),
  ...(await import("./store/demo.ts")),
  ...(await import("./store/device-directory.ts")),
  ...(await import("./store/encryption.ts")),
  ...(await import("./store/encryption-rotation.ts")),
  ...(await import("./store/first-administrator.ts")),
  ...(await import("./store/idempotency.ts")),
  ...(await import("./store/key-rotation.ts")),
  ...(await import("./store/maintenance.ts")),
  ...(await import("./store/open.ts")),
  ...(await import("./store/passwords.ts")),
  ...(await import("./store/risk-policy-directory.ts")),
  ...(await import("./store/secrets.ts")),
  ...(await import("./store/sensor-directory.ts")),
  ...(await import("./store/sole-hub.ts")),
  ...(await import("./store/task-keys.ts")),
  ...(await import("./store/telemetry.ts")),
  ...(await import("./store/two-level-cache.ts")),
  ...(await import("./store/users.ts")),
  ...(await import("./store/webhook-directory.ts")),
});
type Rooms = Awaited<ReturnType<typeof rooms>>;

/** A running hub: where it listens, and how to stop it. */
export type Hub = ReadyHub & AsyncDisposable;

/** What a hub does slowly, for whoever cannot wait so long. */
export type Pace = BrokerPace & BridgesPace & { readonly keyRotation?: Partial<RotationPace> | undefined };

/** Wires the rooms: config → store → broker → rules → api; disposed in reverse. Throws SetupError. */
export async function startHub(config: Config, log: Log, pace: Pace = {}): Promise<Hub> {
  const hub = await rooms();
  await using stack = new AsyncDisposableStack();
  const base = await openHubStore(hub, { config, log, pace }, stack);
  const wired = await startMessaging(hub, base, stack);
  const urls: Urls = { mqtt: null, mqtts: null, ws: null };
  const doors = await openApi(hub, base, wired, urls, stack);
  // A third of what stands in memory now is of the start alone, and would stay for as long as there is little to do (docs/decisions/0007).
  globalThis.gc?.({ type: "major", execution: "sync", flavor: "last-resort" });
  // From here on: what the start takes is nobody's wait.
  const loopDelay = stack.use(hub.startLoopDelay());
  base.metrics.gauge("hexahub_event_loop_delay_seconds", "How late the event loop was in the last 10 to 20 s", () => loopDelay.quantiles());
  const listeners = await listen(hub, base, wired, doors.api, urls);
  // While HTTP still answers what it has, nobody new comes over MQTT either.
  stack.defer(() => listeners.stop());
  stack.use(await hub.writeOperatorFile(base.dataDir, { url: doors.api.url, token: doors.operatorToken }));
  // Nobody waits for the demo home: the hub is ready without it.
  doors.demo.begin();
  wired.mailer.begin(config.publicUrl ?? doors.api.url);
  // First of all that is stopped: a timer's work may need everything else.
  stack.use(base.timers).begin();

  const running = stack.move();
  return {
    http: config.publicUrl ?? doors.api.url,
    mqtt: urls.mqtt,
    mqtts: urls.mqtts,
    ws: urls.ws,
    ca: base.caFile,
    dataDir: base.dataDir,
    setupToken: doors.setup.token,
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

/** What a hub begins with. */
type Start = { readonly config: Config; readonly log: Log; readonly pace: Pace };
/** What every room is given. */
type Base = Awaited<ReturnType<typeof openHubStore>>;
/** The broker and the command path on top of it. */
type Messaging = Awaited<ReturnType<typeof startMessaging>>;
/** Known once the listeners are open; the API and the bridges read them when they are asked. */
type Urls = { mqtt: string | null; mqtts: string | null; ws: string | null };

const storeOptions = ({ dataDir, databaseUrl }: Config) => ({ dataDir: resolve(dataDir), databaseUrl });

/** The database with its keys, its first organisation and administrator. */
async function openHubStore(hub: Rooms, { config, log, pace }: Start, stack: AsyncDisposableStack) {
  const dataDir = resolve(config.dataDir);
  const store = stack.use(await hub.openStore(storeOptions(config)));
  stack.use(await hub.claimDatabase(store, { isShared: config.redisUrl !== undefined, clickhouseUrl: config.clickhouseUrl }));
  const { db } = store;
  if (config.redisUrl === undefined) await hub.abandonUnfinished(db);
  const metrics = hub.createMetrics();
  const timers = await hub.openTimers({ db, log, metrics, clock: Date.now });
  // A board that thinks it is 1970 goes on by the hub's own time, as timers do.
  const clock = hub.believedClock(Date.now, () => timers.now());
  const masterKey = await hub.loadMasterKey(dataDir, config.masterKey);
  const keys = await hub.loadSigningKeys(db, masterKey, { jwtSecret: config.jwtSecret, clock });
  const rotateAfterMs = config.signingKeyRotationDays * 86_400_000;
  const keyRotation = hub.createKeyRotation({ db, masterKey, keys, clock, rotateAfterMs, pace: pace.keyRotation });
  const { adminEmail: email, adminPassword: password } = config;
  const passwords = stack.use(await hub.openPasswords(db, config.passwordCost));
  await hub.prepareFirstStart({ db, passwords }, email === undefined || password === undefined ? undefined : { email, password });
  if (config.redisUrl !== undefined && hub.usesOwnAuthority(config))
    await (await import("./broker/shared-authority.ts")).shareAuthority({ db, masterKey, dir: join(dataDir, "tls"), clock });

  const clickhouse = stack.use(await hub.openConfiguredClickhouse(config, { db, log, metrics, clock }));
  const audit = stack.use(await hub.openAudit({ db, masterKey, log, clock }));
  const telemetry = hub.createTelemetryStore(store, clock);
  await telemetry.maintain(clock());
  const directory = await hub.loadDeviceDirectory(db);
  const sensors = stack.use(await hub.loadSensorDirectory(db, log));
  const access = stack.use(await hub.loadAccessDirectory(db, log));
  return {
    config,
    brokerPace: pace,
    bridgesPace: pace,
    clock,
    dataDir,
    caFile: config.tlsCertFile ?? join(dataDir, "tls", "ca.pem"),
    store,
    keys,
    keyRotation,
    taskKeys: hub.createTaskKeys(masterKey),
    passwords,
    encryption: hub.createEncryption(masterKey),
    clickhouse,
    audit,
    telemetry,
    directory,
    sensors,
    access,
    topics: hub.createTopics(config.topicRoot),
    metrics,
    timers,
    log,
  };
}

/** The broker, not listening yet, and the rooms that its messages go to. */
async function startMessaging(hub: Rooms, base: Base, stack: AsyncDisposableStack) {
  const { config, store, audit, encryption, directory, sensors, access, keyRotation, telemetry, topics, metrics, log, clock } = base;
  const { redisUrl, presenceTtlS, presenceGraceS, eventRetentionDays, readingRetentionDays } = config;
  const shares: { reload(): void }[] = [];
  const readingWitnesses: ReadingWitness<Db>[] = [];
  const reloadAll = (): void => shares.forEach((share) => share.reload());
  const broker = stack.use(
    await hub.startBroker({
      ...base,
      security: audit.security,
      limits: config,
      redisUrl,
      presenceTtlMs: presenceTtlS * 1_000,
      presenceGraceMs: presenceGraceS * 1_000,
      onResync: reloadAll,
      readingWitnesses,
      version: VERSION,
    }),
  );
  const { bus, cluster, sessions, events, ingest } = broker;
  const duties = hub.createDuties(cluster?.leases, log);
  stack.use(hub.startSummingUp({ db: store.db, events, duties, log, clock }));
  stack.use(hub.startMaintenance({ db: store.db, telemetry, keyRotation, eventRetentionDays, readingRetentionDays, duties, log, clock }));
  stack.use(audit.startSealing(duties));
  stack.use(base.clickhouse?.startShipping({ duties, events }));
  for (const { type, name, help, read, labelNames } of broker.readings) metrics[type](name, help, read, labelNames);
  stack.use(hub.startRotation({ db: store.db, encryption, duties, bus, log }));
  const cache = stack.use(new hub.TwoLevelCache({ db: store.db, shared: cluster?.cache, metrics, log }));
  const destinations = hub.createDestinations({ allow: config.outboundAllow, ports: config.outboundPorts });
  const outbound = hub.createOutbound({ destinations });
  const webhooks = stack.use(await hub.loadWebhookDirectory(store.db, log));
  stack.use(hub.openWebhooks({ ...base, db: store.db, outbound, directory: webhooks, events }));
  const shared = { store, bus, events, topics, log, metrics, clock, isShared: cluster !== undefined };
  const states = hub.createStateCommits(shared);
  const riskPolicies = stack.use(await hub.loadRiskPolicyDirectory(store.db, log));
  const recentCommands = hub.createRecentCommands();
  states.onSettled(({ record }) => recentCommands.ended(record.deviceId, record.status, clock()));
  const commands = stack.use(hub.createCommandPath({ ...shared, sessions, states, timeoutMs: config.commandTimeoutMs }));
  const mailer = stack.use(await hub.openMailer(config, { ...base, db: store.db, duties, bus }));
  const organizationOf = (uid: string): string | null | undefined => directory.find(uid)?.organizationId;
  const rules = stack.use(
    await hub.openRules({
      ...base,
      ...shared,
      db: store.db,
      commands,
      sessions,
      policies: riskPolicies,
      recent: recentCommands,
      nodeId: () => broker.nodeId,
      signals: cluster?.taskSignals,
      mailer,
      organizationOf,
      commandTimeoutMs: config.commandTimeoutMs,
    }),
  );
  readingWitnesses.push(rules.witnessReadings);
  commands.guardBy(rules.tasks.gate);
  states.readResultsBy(rules.tasks.readResult);
  metrics.gauge("hexahub_alerts_open", "Alerts that are open, by severity", () => rules.alerts.open());
  if (cluster) {
    const onChanged = ({ id }: { readonly id: string }): void => {
      telemetry.forgetDevice(id);
      commands.ownerChanged(id);
    };
    shares.push(stack.use(directory.share({ bus, log, onChanged })));
    for (const one of [access, keyRotation, cache, rules, webhooks, riskPolicies, sensors]) shares.push(stack.use(one.share({ bus, log })));
    // What changed since it was loaded, before the others told this node.
    reloadAll();
  }
  for (const type of ["ack", "state_report", "task_result"] as const) ingest.handle(type, states.onMessages);
  broker.onReachable((device) => {
    commands.deviceReachable(device);
    rules.tasks.deviceReachable(device);
  });
  return { broker, commands, duties, cache, mailer, rules, destinations, webhooks, riskPolicies, recentCommands, outbound, shares };
}

/** The HTTP side: the API and the demo home, whose devices connect like any other. */
async function openApi(hub: Rooms, base: Base, wired: Messaging, urls: Urls, stack: AsyncDisposableStack) {
  const { config, caFile, store, log } = base;
  const { bus, sessions, gateway, calls } = wired.broker;
  const operatorToken = hub.newSecret("hxo");
  const setup = { token: (await hub.countUsers(store.db)) === 0 ? randomBytes(24).toString("base64url") : undefined };
  const demo = stack.use(
    hub.createDemo({
      ...hub.demoEnrolment({ ...base, sessions }),
      connection: async () => ({ url: hub.ownMqttUrl(urls), ca: await readFile(caFile, "utf8"), topicRoot: config.topicRoot }),
      calls,
      duties: wired.duties,
      log,
    }),
  );
  const deviceCertificates = hub.createDeviceCertificates({
    dir: join(base.dataDir, "tls"),
    clientCaFile: config.mqttClientCaFile,
    isOff: config.mqttClientCerts === "off",
    clock: base.clock,
  });
  const long = await hub.openLongRequests({ ...base, db: store.db, bus, isAlone: config.redisUrl === undefined });
  const { automations } = wired.rules;
  const smartHomes = stack.use(await hub.openBridges({ ...base, ...wired, ...wired.broker, db: store.db, urls, automations }));
  wired.shares.push(smartHomes.homes);
  const api = stack.use(
    await hub.startApi({
      ...base,
      ...base.audit,
      ...wired,
      ...wired.broker,
      ...wired.rules,
      ...smartHomes,
      tasks: wired.rules.tasks.control,
      demo,
      deviceCertificates,
      rateLimits: hub.createRateLimits(config, wired.broker.cluster?.scripts),
      ...long.parts,
      setup,
      settings: hub.apiSettingsOf(config, { urls, caFile, operatorToken, version: VERSION }),
    }),
  );
  // They end before the API waits for its answers.
  stack.use(long);
  stack.defer(() => gateway.endWaits());
  return { api, demo, setup, operatorToken };
}

/** Opens the MQTT listeners and writes down where they are. */
async function listen(
  hub: Rooms,
  { config, dataDir, log, metrics, clock }: Base,
  { broker, commands }: Messaging,
  api: Awaited<ReturnType<Rooms["startApi"]>>,
  urls: Urls,
) {
  const name = hub.publicName(config, hostname());
  const remoteOf = (await import("./api/remote.ts")).remoteReader(config.trustProxy);
  const listeners = await broker.listen(
    {
      ...hub.mqttPlaces(config),
      certificates: { dir: join(dataDir, "tls"), hostnames: [name, hostname()], certFile: config.tlsCertFile, keyFile: config.tlsKeyFile },
      tls: {
        clientCertificates: config.mqttClientCerts,
        clientCaFile: config.mqttClientCaFile,
        crlFile: config.mqttCrlFile,
        sniDir: config.tlsSniDir,
        pollMs: config.tlsPollMs,
        log,
        metrics,
        clock,
        onRevoked: (fingerprints) => broker.sessions.disconnect({ certificateFingerprints: [...fingerprints] }, "revoked"),
      },
      http: api.server,
      addressOf: (request) => remoteOf(request).address,
      publicOrigin: config.publicUrl === undefined ? undefined : new URL(config.publicUrl).origin,
    },
    commands,
  );
  Object.assign(urls, hub.mqttUrls(config, name, { ...listeners, api: api.url }));
  return listeners;
}

async function serve(config: Config, { json }: { json: boolean }): Promise<void> {
  const { pino } = await import("pino");
  const { readyLine, readyScreen } = await import("./api/cli/ready.ts");
  const level = process.env["HEXA_LOG_LEVEL"] ? config.logLevel : process.stderr.isTTY ? "warn" : "info";
  const log = pino(
    { level, base: null, timestamp: pino.stdTimeFunctions.isoTime, formatters: { level: (label) => ({ level: label }) } },
    pino.destination(2),
  );
  process.on("unhandledRejection", (error) => log.error({ err: error }, "a rejection was not handled"));
  const hub = await startHub(config, log);
  if (json) say(readyLine(hub, VERSION));
  else process.stdout.write(readyScreen(hub, VERSION));
  const signal = await new Promise<string>((stop) => {
    for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, () => stop(name));
  });
  if (json) say({ event: "stopping", signal });
  else process.stdout.write("\nStopping …\n");
  setTimeout(() => process.exit(1), config.shutdownTimeoutMs).unref();
  await hub[Symbol.asyncDispose]();
  process.exit(0);
}

const say = (line: object): boolean => process.stdout.write(`${JSON.stringify(line)}\n`);

/** Runs one command line; the process's exit code says how it went. */
export async function run(args: readonly string[]): Promise<void> {
  const { runCli } = await import("./api/cli/program.ts");
  const { readConfig } = await import("./core/config.ts");
  const { env, stdin, stdout, stderr } = process;
  process.exitCode = await runCli(
    {
      version: VERSION,
      terminal: { stdin, stdout, stderr },
      readConfig: () => readConfig(env, (path) => readFileSync(path, "utf8")),
      serve,
      async docs({ check }) {
        const { writeDocuments } = await import("./api/docs/write.ts");
        return { changed: await writeDocuments(new URL(".", import.meta.url), VERSION, check) };
      },
      dbMigrate: async (config) => (await import("./store/open.ts")).migrationsOf(storeOptions(config), { isToMigrate: true }),
      dbStatus: async (config) => (await import("./store/open.ts")).migrationsOf(storeOptions(config), { isToMigrate: false }),
      redisServers: async (redisUrl) => (await import("./broker/cluster-inspection.ts")).inspectRedis(redisUrl),
      clickhouseServer: async (url) => (await import("./store/clickhouse-inspection.ts")).inspectClickhouse(url),
    },
    args,
  );
}

if (import.meta.main) await run(process.argv.slice(2));
