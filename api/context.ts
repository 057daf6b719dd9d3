import type { Server } from "node:http";
import type { AlexaDoor } from "../core/alexa.ts";
import type {
  AccessDirectory,
  AlertControl,
  AutomationControl,
  Bus,
  Commands,
  Demo,
  DeviceDirectory,
  DeviceGateway,
  EventSink,
  Ingest,
  Log,
  ScheduleControl,
  Sessions,
  StorageState,
  TaskControl,
} from "../core/bus.ts";
import type { DeviceCertificates } from "../core/certificate.ts";
import type { Destinations } from "../core/destination.ts";
import type { HomekitPairings } from "../core/homekit.ts";
import type { Mailer } from "../core/mail.ts";
import type { Bridge, HomeAssistantControl } from "../core/smart-home.ts";
import type { RecentCommandMemory } from "../core/risk.ts";
import type { SceneControl } from "../core/scene.ts";
import type { SecurityEvents } from "../core/security-event.ts";
import type { Settings } from "../core/settings.ts";
import type { Timers } from "../core/timer.ts";
import type { Topics } from "../core/topics.ts";
import type { AuditCheckpoints } from "../store/audit-checkpointing.ts";
import type { AuditKeys } from "../store/audit-keys.ts";
import type { AuditChains } from "../store/audit-verification.ts";
import type { Encryption } from "../store/encryption.ts";
import type { HomeDirectory } from "../store/home-directory.ts";
import type { KeyRotation } from "../store/key-rotation.ts";
import type { Db, Store } from "../store/open.ts";
import type { SensorDirectory } from "../store/sensor-directory.ts";
import type { RiskPolicyDirectory } from "../store/risk-policy-directory.ts";
import type { Passwords } from "../store/passwords.ts";
import type { SigningKeys } from "../store/secrets.ts";
import type { TaskKeys } from "../store/task-keys.ts";
import type { TelemetryStore } from "../store/telemetry.ts";
import type { TwoLevelCache } from "../store/two-level-cache.ts";
import type { WebhookDirectory } from "../store/webhook-directory.ts";
import type { FileThread } from "./file-thread.ts";
import type { LiveStreams } from "./live/live-streams.ts";
import type { MetricsRegistry } from "./metrics.ts";
import type { StreamReaders } from "./notifications/readers.ts";
import type { RateLimits } from "./rate-limits.ts";
import type { ReadingImports } from "./readings/imports.ts";

export interface ApiSettings {
  readonly host: string;
  /** 0 takes any free one. */
  readonly port: number;
  /** How the outside reaches the API, for example `https://hub.example`; never taken from the Host header. */
  readonly publicUrl?: string | undefined;
  /** Functions, since the ports may be unknown until the listeners are up; null for a listener that is off. */
  readonly mqttUrl: () => string | null;
  readonly mqttsUrl: () => string | null;
  readonly wssUrl: () => string | null;
  /** Path of the CA certificate that devices trust; served as /ca.pem. */
  readonly caFile: string;
  /** DEVICE_PROVISION_KEY; without it devices are enrolled by users only. */
  readonly provisionKey?: string | undefined;
  /** Whoever can read it from the data folder acts as the platform's operator. */
  readonly operatorToken: string;
  readonly version: string;
  readonly enforceHttps: boolean;
  /** Addresses or CIDR ranges of the proxies whose forwarded headers count. */
  readonly trustProxy: readonly string[];
  /** Whose pages may ask with a bearer token; `*` for all. */
  readonly apiOrigins: readonly string[];
  readonly accessTokenTtlMs: number;
  readonly loginTtlMs: number;
  readonly registration: Settings["registration"];
  readonly importMaxBytes: number;
  /** 0: for ever. */
  readonly readingRetentionDays: number;
}

/** Everything the API needs of the rest of the hub. */
export interface ApiContext {
  readonly store: Store;
  readonly keys: SigningKeys;
  readonly keyRotation: KeyRotation;
  readonly taskKeys: TaskKeys;
  readonly passwords: Passwords;
  readonly encryption: Encryption;
  readonly cache: TwoLevelCache;
  readonly telemetry: TelemetryStore;
  readonly bus: Bus;
  readonly commands: Commands;
  readonly scenes: SceneControl;
  readonly automations: AutomationControl<Db>;
  readonly schedules: ScheduleControl<Db>;
  readonly alerts: AlertControl<Db>;
  readonly tasks: TaskControl<Db>;
  readonly sessions: Sessions;
  readonly events: EventSink;
  readonly ingest: Ingest;
  readonly gateway: DeviceGateway;
  readonly storage: StorageState;
  readonly directory: DeviceDirectory;
  readonly access: AccessDirectory;
  readonly deviceCertificates: DeviceCertificates;
  readonly demo: Demo;
  readonly rateLimits: RateLimits;
  readonly mailer: Mailer;
  readonly streamReaders: StreamReaders;
  readonly readingImports: ReadingImports;
  readonly files: FileThread;
  readonly liveStreams: LiveStreams;
  readonly timers: Timers<Db>;
  readonly webhooks: Pick<WebhookDirectory, "changed">;
  readonly sensors: Pick<SensorDirectory, "calibrationsChanged" | "virtualSensorsChanged" | "deviceLeft">;
  readonly homes: Pick<HomeDirectory, "changed">;
  readonly bridges: readonly Bridge[];
  readonly alexa: AlexaDoor;
  readonly homeAssistant: HomeAssistantControl;
  readonly homekitPairings: HomekitPairings;
  readonly riskPolicies: Pick<RiskPolicyDirectory, "of" | "changed">;
  readonly recentCommands: Pick<RecentCommandMemory, "of">;
  readonly destinations: Destinations;
  readonly security: SecurityEvents;
  readonly auditChains: AuditChains;
  readonly auditCheckpoints: AuditCheckpoints;
  readonly auditKeys: Pick<AuditKeys, "list" | "rotate">;
  readonly metrics: MetricsRegistry;
  readonly topics: Topics;
  readonly log: Log;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
  /** `token` opens the first set-up; undefined once the hub has an administrator. The API clears it. */
  readonly setup: { token: string | undefined };
  readonly settings: ApiSettings;
}

export interface Api extends AsyncDisposable {
  /** For the MQTT WebSocket listener, which attaches itself to `upgrade`. */
  readonly server: Server;
  /** Where it listens, for example `http://127.0.0.1:8080`. */
  readonly url: string;
}
