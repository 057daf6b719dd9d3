import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before } from "node:test";
import { newId, newSecret } from "../../core/id.ts";
import { HubError } from "../../core/errors.ts";
import type { Bus, BusMessage, DeviceRef, EventSink, Log } from "../../core/bus.ts";
import type { Role } from "../../core/permissions.ts";
import type { CommandRequest, CommandResult } from "../../core/command.ts";
import type { HubEvent } from "../../core/event.ts";
import { UP_PAYLOADS } from "../../core/payloads.ts";
import { readingsOf } from "../../core/telemetry.ts";
import type { RecentCommandMemory } from "../../core/risk.ts";
import { createTopics } from "../../core/topics.ts";
import { parserFor } from "../../core/validate.ts";
import { FileThread } from "../../api/file-thread.ts";
import { createRateLimits, type RateLimitSettings } from "../../api/rate-limits.ts";
import { LiveStreams } from "../../api/live/live-streams.ts";
import { createMetrics } from "../../api/metrics.ts";
import { type StreamPace, StreamReaders } from "../../api/notifications/readers.ts";
import { ReadingImports } from "../../api/readings/imports.ts";
import { startApi } from "../../api/server.ts";
import type { Api, ApiContext, ApiSettings } from "../../api/context.ts";
import { createMailer, type HubMailer } from "../../bridges/mail/mailer.ts";
import { createSmtp, type SmtpSettings } from "../../bridges/mail/smtp.ts";
import { createOutbound } from "../../bridges/outbound/outbound.ts";
import type { GateLimits } from "../../bridges/webhooks/gate.ts";
import { openWebhooks } from "../../bridges/webhooks/open-webhooks.ts";
import { createDeviceCertificates } from "../../broker/device-certificates.ts";
import { createDuties } from "../../broker/duties.ts";
import { createRecentCommands } from "../../rules/recent-commands.ts";
import { openRules } from "../../rules/open-rules.ts";
import { createDestinations } from "../../core/destination.ts";
import { openTimers } from "../../rules/timers.ts";
import { openAudit } from "../../store/audit-open.ts";
import { loadAccessDirectory } from "../../store/access-directory.ts";
import { createEncryption } from "../../store/encryption.ts";
import { createKeyRotation } from "../../store/key-rotation.ts";
import { openStore } from "../../store/open.ts";
import { createPasswords } from "../../store/passwords.ts";
import { inTransaction } from "../../store/transaction.ts";
import { loadMasterKey, loadSigningKeys } from "../../store/secrets.ts";
import { createTaskKeys } from "../../store/task-keys.ts";
import { createTelemetryStore } from "../../store/telemetry.ts";
import { TwoLevelCache } from "../../store/two-level-cache.ts";
import { createOrganization } from "../../store/organizations.ts";
import { loadRiskPolicyDirectory } from "../../store/risk-policy-directory.ts";
import { startHomeDirectory } from "../../store/home-directory.ts";
import { loadSensorDirectory } from "../../store/sensor-directory.ts";
import { loadWebhookDirectory } from "../../store/webhook-directory.ts";
import { createUser } from "../../store/users.ts";
import { issueUserJwt, openLogin } from "../../store/logins.ts";
import type { TestDatabase } from "../support/databases.ts";
import { layTables } from "../support/tables.ts";
import { temporaryFolder } from "../support/wait.ts";

export interface Answered {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The parsed body; {} for an empty one. */
  readonly json: Record<string, unknown>;
}

export interface Asked {
  readonly token?: string | undefined;
  readonly body?: unknown;
  readonly headers?: Record<string, string>;
}

export interface TestApi extends AsyncDisposable {
  readonly api: Api;
  readonly context: ApiContext;
  readonly dataDir: string;
  /** What the API gave to the broker's side, in order. */
  readonly published: BusMessage[];
  readonly emitted: HubEvent[];
  readonly forgotten: string[];
  /** Credentials, and people, whose sessions were ended. */
  readonly disconnected: string[];
  /** How far the hub's clock is ahead of the machine's. */
  readonly time: { aheadMs: number };
  /** What the broker says of the disk. */
  readonly storage: { isFull: boolean };
  readonly sent: CommandRequest[];
  readonly recentCommands: RecentCommandMemory;
  readonly logged: { level: string; data: Record<string, unknown>; message: string }[];
  readonly commandAnswer: { next: (request: CommandRequest) => Promise<CommandResult> };
  ask(method: string, path: string, asked?: Asked): Promise<Answered>;
  /** Of an organisation of its own, in which it has the second role: `owner` without one given. */
  member(role?: "admin" | "user", memberRole?: Role | null): Promise<{ token: string; userId: string; organizationId: string }>;
}

export const OPERATOR = newSecret("hxo");
export const PROVISION_KEY = "a provisioning key of the tests";
export const SETUP_TOKEN = newSecret("hxsetup");

type TestSettings = Partial<ApiSettings & RateLimitSettings> & {
  /** Without it the hub sends no mails. */
  readonly smtp?: SmtpSettings;
  /** Of bcrypt: the least, where a test is not about its time. */
  readonly passwordCost?: number;
  readonly streamPace?: Partial<StreamPace>;
  /** Destinations in this machine's network that it may ask. With it the hub's timers run, and webhooks are sent. */
  readonly outboundAllow?: readonly string[];
  readonly gate?: Partial<GateLimits>;
};

/** An API for all tests of the suite that asks for it here; what it answers is there when they run. */
export function apiOfSuite(engine: { readonly open: () => Promise<TestDatabase> }): () => TestApi {
  const resources = new AsyncDisposableStack();
  let hub: TestApi | undefined;
  before(async () => {
    hub = resources.use(await startTestApi({}, resources.use(await engine.open()).url));
  });
  after(() => resources.disposeAsync());
  return () => hub ?? assert.fail("no test runs");
}

/** The API with a real store, real HTTP and real mail. What belongs to the broker is kept in lists. */
export async function startTestApi(
  { smtp, streamPace, passwordCost = 10, outboundAllow, gate, ...settings }: TestSettings = {},
  databaseUrl?: string,
): Promise<TestApi> {
  await using resources = new AsyncDisposableStack();
  const folder = resources.use(temporaryFolder("hexahub-api"));
  const caFile = join(folder.path, "ca.pem");
  await writeFile(caFile, "-----BEGIN CERTIFICATE-----\n");
  const dataDir = join(folder.path, "data");
  if (databaseUrl === undefined) await layTables(dataDir);
  const store = resources.use(await openStore({ dataDir, databaseUrl }));
  const masterKey = await loadMasterKey(dataDir);
  const keys = await loadSigningKeys(store.db, masterKey);
  const telemetry = createTelemetryStore(store);
  const published: BusMessage[] = [];
  const emitted: HubEvent[] = [];
  const forgotten: string[] = [];
  const disconnected: string[] = [];
  const time = { aheadMs: 0 };
  const clock = (): number => Date.now() + time.aheadMs;
  const storage = { isFull: false };
  const sent: CommandRequest[] = [];
  const logged: TestApi["logged"] = [];
  const directory = new Map<string, DeviceRef>();
  const commandAnswer: TestApi["commandAnswer"] = {
    next: () => Promise.reject(new HubError("device_offline", "the device is not connected")),
  };
  const deviceDirectory: ApiContext["directory"] = {
    version: 0,
    find: (uid) => directory.get(uid),
    put: (device) => void directory.set(device.uid, device),
    remove: (uid) => void directory.delete(uid),
    know: async () => undefined,
    settled: async () => undefined,
  };
  const parseTelemetry = parserFor(UP_PAYLOADS.telemetry);
  const log = (level: string) => (data: object, message: string) =>
    void logged.push({ level, data: data as Record<string, unknown>, message });
  const logs: Log = { debug: log("debug"), info: log("info"), warn: log("warn"), error: log("error") };
  const access = resources.use(await loadAccessDirectory(store.db, logs));
  const bus = busOfOne(published);
  const metrics = createMetrics();
  const cache = resources.use(new TwoLevelCache({ db: store.db, shared: undefined, metrics, log: logs }));
  let mailer: HubMailer | undefined;
  if (smtp) {
    const duties = createDuties(undefined, logs);
    mailer = resources.use(createMailer({ db: store.db, keys, duties, bus, deliver: createSmtp(smtp), log: logs, metrics, clock }));
  }
  const streamReaders = new StreamReaders({ db: store.db, bus, log: logs, clock, ...(streamPace ? { pace: streamPace } : {}) });
  const readingImports = new ReadingImports();
  const commands: ApiContext["commands"] = {
    async send(request) {
      sent.push(request);
      return await commandAnswer.next(request);
    },
    accept: async (request) => ({ commandId: request.commandId ?? newId(), taskId: null }),
  };
  const events: EventSink = { emit: async (happened) => void emitted.push(...happened) };
  const topics = createTopics();
  const rules = { db: store.db, keys, bus, topics, commands, events, metrics, log: logs, clock };
  const timers = resources.use(await openTimers(rules));
  const organizationOf = (uid: string) => directory.get(uid)?.organizationId;
  const recentCommands = createRecentCommands();
  const riskPolicies = resources.use(await loadRiskPolicyDirectory(store.db, logs));
  const taskKeys = createTaskKeys(masterKey);
  const {
    automations,
    schedules,
    alerts,
    scenes,
    tasks: { control: tasks },
  } = resources.use(
    await openRules({
      ...rules,
      timers,
      mailer: mailer ?? { isOn: false, wake: () => undefined },
      organizationOf,
      // No device is connected here.
      sessions: { isReachableHere: () => false },
      policies: riskPolicies,
      recent: recentCommands,
      taskKeys,
      nodeId: () => "",
      signals: undefined,
    }),
  );
  const destinations = createDestinations({ allow: outboundAllow ?? [], ports: [443] });
  const webhooks = resources.use(await loadWebhookDirectory(store.db, logs));
  const sensors = resources.use(await loadSensorDirectory(store.db, logs));
  const encryption = createEncryption(masterKey);
  const outbound = createOutbound({ destinations });
  const sending = { db: store.db, timers, encryption, outbound, directory: webhooks, events, log: logs, metrics };
  resources.use(openWebhooks(gate === undefined ? sending : { ...sending, limits: gate }));
  const context: ApiContext = {
    store,
    automations,
    scenes,
    timers,
    destinations,
    riskPolicies,
    recentCommands,
    webhooks,
    sensors,
    homes: resources.use(startHomeDirectory({ db: store.db, bus, topics, log: logs })),
    bridges: [],
    // The bridge's; what it answers is tested with the whole hub.
    alexa: { answer: () => Promise.reject(new Error("there is no bridge to Alexa here")) },
    homeAssistant: { async changed() {} },
    homekitPairings: { of: async () => [] },
    schedules,
    alerts,
    tasks,
    keys,
    keyRotation: createKeyRotation({ db: store.db, masterKey, keys, clock: Date.now, rotateAfterMs: 0 }),
    taskKeys,
    passwords: resources.use(createPasswords(passwordCost)),
    encryption,
    cache,
    telemetry,
    bus,
    commands,
    sessions: {
      isReachable: async () => false,
      isReachableHere: () => false,
      endRevoked: async () => {},
      async disconnect(selector) {
        disconnected.push(...(selector.credentialIds ?? []), ...(selector.userIds ?? []));
        return 0;
      },
      forgetDevice: async (uid) => void forgotten.push(uid),
      count: () => 0,
    },
    events,
    ingest: {
      async accept(device, _type, payload) {
        const now = Date.now();
        const organizationId = directory.get(device.uid)?.organizationId ?? null;
        const readings = readingsOf(parseTelemetry(payload), now).map((reading) => ({ ...reading, deviceId: device.id, organizationId }));
        await telemetry.ensurePartitions(readings.map((reading) => reading.ts));
        await inTransaction(store.db, (trx) => telemetry.insert(trx, readings));
      },
    },
    // The broker's; what it does is tested with the whole hub.
    gateway: { poll: async () => [], report: async () => undefined, endWaits: () => undefined },
    storage,
    directory: deviceDirectory,
    access,
    deviceCertificates: createDeviceCertificates({ dir: join(folder.path, "tls"), clock: Date.now }),
    demo: { start: async () => [{ uid: "relay-demo000001", name: "Demo", connected: true }], stop: async () => 1, status: async () => [] },
    metrics,
    topics,
    log: logs,
    clock,
    rateLimits: createRateLimits(
      { apiRate: 0, loginFailures: 0, mailAddressRate: 0, mailCallerRate: 0, hookRate: 0, ...settings },
      undefined,
    ),
    mailer: mailer ?? { isOn: false, wake: () => undefined },
    streamReaders,
    ...resources.use(await openAudit({ db: store.db, masterKey, log: logs, clock })),
    readingImports,
    files: resources.use(new FileThread()),
    liveStreams: new LiveStreams({ db: store.db, bus, topics, directory: deviceDirectory, access, log: logs, clock }),
    setup: { token: SETUP_TOKEN },
    settings: {
      host: "127.0.0.1",
      port: 0,
      mqttUrl: () => "mqtt://127.0.0.1:1883",
      mqttsUrl: () => "mqtts://127.0.0.1:8883",
      wssUrl: () => "wss://127.0.0.1:8884/mqtt",
      caFile,
      provisionKey: PROVISION_KEY,
      operatorToken: OPERATOR,
      version: "0.0.0-test",
      enforceHttps: false,
      trustProxy: [],
      apiOrigins: [],
      accessTokenTtlMs: 3_600_000,
      loginTtlMs: 30 * 86_400_000,
      registration: "invited",
      importMaxBytes: 1_073_741_824,
      readingRetentionDays: 0,
      ...settings,
    },
  };
  const api = resources.use(await startApi(context));
  resources.use(streamReaders);
  resources.use(readingImports);
  mailer?.begin(api.url);
  timers.begin();
  const owned = resources.move();
  return {
    api,
    context,
    dataDir,
    published,
    emitted,
    forgotten,
    disconnected,
    time,
    storage,
    sent,
    recentCommands,
    logged,
    commandAnswer,
    ask: (method, path, asked) => ask(api.url, method, path, asked),
    async member(role = "user", memberRole: Role | null = "owner") {
      const organization = await createOrganization(store.db, { name: `Home ${newId()}` });
      const user = await createUser(store.db, {
        email: `${newId()}@example.com`,
        passwordHash: "none",
        role,
        organizationId: organization.id,
        memberRole,
      });
      const login = await openLogin(store.db, keys, { userId: user.id, ttlMs: 3_600_000 }, Date.now());
      const token = issueUserJwt(keys, { loginId: login.id, userId: user.id }, 3_600_000, Date.now());
      return { token, userId: user.id, organizationId: organization.id };
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Keeps what is published, and hands it to whoever subscribed to just that topic. */
function busOfOne(published: BusMessage[]): Bus {
  const handlers = new Map<string, Set<Parameters<Bus["subscribe"]>[1]>>();
  return {
    async publish(message) {
      published.push(message);
      for (const handler of handlers.get(message.topic) ?? []) handler(message.topic, Buffer.from(message.payload));
    },
    subscribe(filter, handler) {
      const all = handlers.get(filter) ?? new Set();
      handlers.set(filter, all.add(handler));
      return { [Symbol.dispose]: () => void all.delete(handler) };
    },
  };
}

async function ask(url: string, method: string, path: string, { token, body, headers = {} }: Asked = {}): Promise<Answered> {
  const response = await fetch(url + path, {
    method,
    redirect: "manual",
    headers: {
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
  });
  const text = await response.text();
  const isJson = /[/+]json/.test(response.headers.get("content-type") ?? "");
  return {
    status: response.status,
    headers: response.headers,
    text,
    json: isJson && text !== "" ? (JSON.parse(text) as Record<string, unknown>) : {},
  };
}

/** Of requests that ran at once, the lowest first. */
export function statusesOf(answers: readonly Answered[]): number[] {
  return answers.map(({ status }) => status).toSorted((a, b) => a - b);
}

/** A text field of the answer. */
export function field(answer: Answered, name: string): string {
  const value = answer.json[name];
  assert.ok(typeof value === "string", `${name} is no text: ${answer.text}`);
  return value;
}

/** Every error has the same body, whatever went wrong. */
export function assertEnvelope(answer: Answered, status: number, code: string): void {
  assert.deepEqual({ status: answer.status, code: answer.json["code"] }, { status, code }, answer.text);
  assert.deepEqual(Object.keys(answer.json).toSorted(), ["code", "details", "message", "request_id"]);
  assert.equal(answer.headers.get("x-request-id"), answer.json["request_id"]);
  assert.equal(typeof answer.json["message"], "string");
}
