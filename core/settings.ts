import Type, { type Static } from "typebox";
import { LISTENER_SETTINGS } from "./listener-settings.ts";
import { OUTSIDE_SETTINGS } from "./outside-settings.ts";

const limit = (fallback: number, minimum: number, maximum: number, description: string) =>
  Type.Integer({ default: fallback, minimum, maximum, description });
const optional = (description: string) => Type.Optional(Type.String({ description }));
const secret = (options: { minLength?: number; pattern?: string; description: string }) =>
  Type.Optional(Type.String({ ...options, writeOnly: true }));

/**
 * Every setting there is: default, range and description. The names of the variables follow from the keys
 * (variableOf in setting-names.ts), docs/configuration.md and .env.example from the whole. `writeOnly` marks a secret: it is
 * never printed, and it may also be given as the path of a file in `<NAME>_FILE`.
 */
export const Settings = Type.Object(
  {
    dataDir: Type.String({
      default: "./data",
      description: "Folder of the database, the keys, the certificates and operator.json. Whoever can read it owns the hub.",
    }),
    host: Type.String({
      default: "127.0.0.1",
      minLength: 1,
      description: "Address that HTTP and MQTT over TLS listen on. 0.0.0.0 opens them to the network.",
    }),
    ...LISTENER_SETTINGS,
    topicRoot: Type.String({
      default: "hexa",
      pattern: "^(?!homeassistant$)[a-z0-9][a-z0-9_-]{0,31}$",
      description: "First level of every device topic; one level of small letters, digits, - and _.",
    }),
    publicUrl: Type.Optional(
      Type.String({
        description:
          "How the outside reaches the hub, for example https://hub.example. Its host name also goes into the MQTT URLs and the certificate. Accounts can be linked (docs/account-linking.md) when it begins with https://.",
      }),
    ),
    tlsCertFile: optional(
      "PEM certificate (with its chain) for MQTT over TLS. Without it the hub makes its own authority and certificate in the data folder.",
    ),
    tlsKeyFile: Type.Optional(Type.String({ description: "PEM private key that belongs to HEXA_TLS_CERT_FILE." })),
    tlsSniDir: optional(
      "Folder of further certificates for MQTT over TLS: <host>.crt and <host>.key in PEM for each host name; _.example.org stands for *.example.org.",
    ),
    tlsPollMs: Type.Integer({
      default: 10_000,
      minimum: 50,
      maximum: 3_600_000,
      description: "How often the files of TLS are looked at; a change takes effect without a restart. In milliseconds.",
    }),
    mqttClientCerts: Type.Enum(["off", "optional", "required"], {
      default: "optional",
      description:
        "TLS client certificates: nobody is asked, whoever has one may log in with it, or nobody gets in over TLS without. One that is shown must be good in any case.",
    }),
    mqttClientCaFile: optional(
      "PEM certificates of the authorities whose client certificates are taken, with their intermediates. Without it the hub's own authority issues them to its devices.",
    ),
    mqttCrlFile: optional(
      "Certificate revocation lists of these authorities, in PEM or DER. Whoever is on one is disconnected; intermediates have to stand in HEXA_MQTT_CLIENT_CA_FILE.",
    ),
    adminEmail: Type.Optional(
      Type.String({
        format: "email",
        description: "With HEXA_ADMIN_PASSWORD: the first administrator, with a verified address; no set-up. Ignored once there is one.",
      }),
    ),
    adminPassword: secret({ minLength: 8, description: "Password of the first administrator: at least 8 characters, at most 72 bytes." }),
    passwordCost: limit(
      12,
      10,
      15,
      "What it costs to check a password, as bcrypt counts: one more is twice the work. 10 is the least that OWASP accepts, for boards that are slow. Passwords that were made before keep their cost, and while there is a dearer one, every log-in takes its time.",
    ),
    masterKey: secret({
      pattern: "^([0-9a-fA-F]{64}|[A-Za-z0-9+/]{43}=)$",
      description:
        "32 bytes in hexadecimal or base64 that encrypt the secrets in the database. Without it the hub makes master.key in the data folder.",
    }),
    registration: Type.Enum(["invited", "open"], {
      default: "invited",
      description:
        "Who may make an account: whoever was invited into an organisation, or everybody, with an organisation of their own. open needs mail.",
    }),
    smtpUrl: secret({
      pattern: "^smtps?://",
      description:
        "Mail server that sends the hub's mails: smtp://user:password@host:587, which goes on to TLS before a password is sent, or smtps:// for TLS from the start. Without it nobody can register or reset a password by mail; while NODE_ENV is not production, the links stand in the log then.",
    }),
    mailFrom: Type.Optional(
      Type.String({
        pattern: '^([^\\u0000-\\u001f\\u007f<>"@,;]{1,100} <[^\\s@<>]{1,64}@[^\\s@<>]{1,255}>|[^\\s@<>]{1,64}@[^\\s@<>]{1,255})$',
        description: "Sender of the hub's mails: hub@example.org, or Hexahub <hub@example.org>.",
      }),
    ),
    mailAddressRate: limit(
      5,
      0,
      1_000,
      "Mails an hour that anybody may cause to one address, of each kind; over it none is sent, and the answer is the same. 0 is no limit.",
    ),
    mailCallerRate: limit(
      20,
      0,
      100_000,
      "Mails an hour that one address (IPv6: its /64) may cause over REST; over it 429. 0 is no limit.",
    ),
    jwtSecret: secret({
      minLength: 32,
      description: "Fixed signing secret for the access tokens of people. Without it the hub makes its own and keeps it encrypted.",
    }),
    provisionKey: secret({
      minLength: 16,
      description: "What a device sends as x-provision-key to enrol itself. Without it only signed-in people can enrol devices.",
    }),
    databaseUrl: secret({
      pattern: "^postgres(ql)?://",
      description: "PostgreSQL connection. Without it the hub keeps its data in SQLite in the data folder.",
    }),
    redisUrl: secret({
      pattern: "^rediss?://",
      description:
        "Redis, for several hubs that work as one on the same DATABASE_URL; the servers of a Redis Cluster separated by commas. Each hub gets the same HEXA_MASTER_KEY and a data folder of its own.",
    }),
    ...OUTSIDE_SETTINGS,
    presenceTtlS: limit(
      120,
      2,
      86_400,
      "How long a device counts as connected after its node has died, and may be silent before it is stale, in seconds.",
    ),
    presenceGraceS: limit(
      60,
      0,
      86_400,
      "How long a device that was connected when the hub stopped has to come back before it is offline, in seconds.",
    ),
    enforceHttps: Type.Boolean({
      default: false,
      description:
        "Answers plain HTTP with 426 https_required, except from the hub's own machine. Takes effect when NODE_ENV is production.",
    }),
    trustProxy: Type.String({
      default: "",
      description:
        "Whose x-forwarded-* headers count: addresses and CIDR ranges separated by commas, or true for loopback and private networks.",
    }),
    nodeEnv: Type.Enum(["production", "development", "test"], {
      default: "production",
      description:
        "ENFORCE_HTTPS takes effect in production only; without HEXA_SMTP_URL the links of mails stand in the log except in production.",
    }),
    accessTokenTtlS: Type.Integer({
      default: 3600,
      minimum: 60,
      maximum: 2_592_000,
      description: "How long the access token of a login is valid, in seconds; the login's refresh token gets the next one.",
    }),
    apiOrigins: Type.String({
      default: "",
      description:
        "Web origins whose pages may use the REST API with a bearer token (CORS), separated by commas, for example https://app.example; * allows all. The hub's own pages need none.",
    }),
    apiRate: limit(
      1_200,
      0,
      1_000_000,
      "REST requests a minute of one account, or of one address (IPv6: its /64) that shows none; over it 429. 0 is no limit.",
    ),
    loginFailures: limit(
      10,
      0,
      1_000,
      "Log-ins over REST that may fail within 15 minutes, of one address for one account; ten times as many for all accounts. 0 is no limit.",
    ),
    loginTtlS: limit(2_592_000, 600, 31_536_000, "How long a login lasts that is not refreshed, in seconds."),
    signingKeyRotationDays: limit(
      90,
      0,
      3_650,
      "How old the signing key of people's tokens becomes before the hub goes on to another one, in days; tokens stay valid. 0 is never.",
    ),
    readingRetentionDays: limit(0, 0, 3_650, "Days that readings are kept; readings.retention_days says fewer, hours stay. 0: for ever."),
    eventRetentionDays: limit(90, 0, 3_650, "Days that events are kept; an organisation's events.retention_days says fewer. 0: for ever."),
    importMaxBytes: limit(1_073_741_824, 1_048_576, 1_099_511_627_776, "Largest file that POST /api/v1/readings/import takes, in bytes."),
    outboundAllow: Type.String({
      default: "",
      description:
        "Destinations in the hub's own network that webhooks and whatever else asks a URL may reach: addresses, CIDR ranges and host names separated by commas, for example 192.168.1.20,nodered.lan. Without it only the public internet is.",
    }),
    outboundPorts: Type.String({
      default: "80,443,8080,8443",
      description: "Ports of the public internet that webhooks and whatever else asks a URL may reach, separated by commas.",
    }),
    hookRate: limit(
      120,
      0,
      100_000,
      "Messages a minute that one inbound webhook takes of one address (IPv6: its /64), and ten times as many of all; over it 429. 0 is no limit.",
    ),
    commandTimeoutMs: limit(5000, 100, 60_000, "How long a command waits for the device's acknowledgement, in milliseconds."),
    maxPacketBytes: limit(262_144, 16_384, 16_777_216, "Largest MQTT packet of a connected client, in bytes."),
    mqttConnectBytes: limit(16_384, 256, 262_144, "Largest packet before a client is logged in, in bytes."),
    mqttTopicLevels: limit(32, 8, 100, "Most levels of a topic or filter."),
    mqttPublishRate: limit(
      100,
      0,
      1_000_000,
      "Messages a second that one client may publish on average, ten filters of a SUBSCRIBE or UNSUBSCRIBE counted as one; its socket is read no faster. 0 is no limit.",
    ),
    mqttPublishBurst: limit(200, 1, 1_000_000, "Messages that one client may publish at once, above its rate."),
    mqttConnectRate: limit(
      300,
      0,
      100_000,
      "New MQTT connections a second that this node takes; more wait for their turn, up to 2,000 of them and 10 s. 0 is no limit.",
    ),
    mqttConnectBurst: limit(500, 1, 100_000, "New MQTT connections that this node takes at once, above the rate."),
    mqttAddressRate: limit(
      20,
      0,
      100_000,
      "New MQTT connections a second from one address (one /64 network of IPv6); up to 100 more wait for their turn. 0 is no limit.",
    ),
    mqttLoginFailures: limit(
      10,
      0,
      100_000,
      "Refused logins a minute from one address before it is refused without a look at its password. 0 is no limit.",
    ),
    mqttFlappingCount: limit(15, 0, 100_000, "Connects a minute of one client id before the id is banned for a while. 0 is no limit."),
    mqttFlappingBanS: limit(60, 1, 86_400, "How long a flapping client id is refused, in seconds."),
    mqttReceiveMaximum: limit(
      100,
      1,
      65_535,
      "QoS 1 and 2 messages that a client may have on their way to the hub without an acknowledgement.",
    ),
    mqttInflight: limit(
      1_000,
      1,
      65_535,
      "QoS 1 and 2 messages on their way to one client without an acknowledgement; MQTT 5 clients may ask for fewer.",
    ),
    mqttQueueMessages: limit(1_000, 0, 1_000_000, "Messages of QoS 1 and 2 that wait for one session that is away or slow."),
    mqttQueueBytes: limit(1_048_576, 0, 1_073_741_824, "Bytes of messages that wait for one session that is away or slow."),
    mqttSubscriptions: limit(50, 1, 100_000, "Subscriptions of one session of a device or a person."),
    mqttServiceSubscriptions: limit(1_000, 1, 100_000, "Subscriptions of one session of a service account."),
    mqttSessionsPerAccount: limit(100, 1, 1_000_000, "Sessions of one person that outlive their connection; each node counts its own."),
    mqttServiceSessionsPerAccount: limit(
      1_000,
      1,
      1_000_000,
      "Sessions of one service account that outlive their connection; each node counts its own.",
    ),
    mqttRetainedTopics: limit(200, 0, 1_000_000, "Topics on which one principal may have retained messages of its own."),
    mqttRetainedBytes: limit(262_144, 0, 1_073_741_824, "Bytes of the retained messages of one principal."),
    mqttKeepaliveMinS: limit(10, 1, 65_535, "Shortest keepalive, in seconds; a shorter one is served as this."),
    mqttKeepaliveMaxS: limit(1_200, 10, 65_535, "Longest keepalive, in seconds; a longer one, or none, is served as this."),
    mqttSessionExpiryS: limit(
      86_400,
      0,
      31_536_000,
      "How long a session of a device or a person outlives its connection at most, in seconds.",
    ),
    mqttServiceSessionExpiryS: limit(
      604_800,
      0,
      31_536_000,
      "How long a session of a service account outlives its connection at most, in seconds.",
    ),
    mqttSlowDropBytes: limit(
      262_144,
      16_384,
      1_073_741_824,
      "Bytes buffered for one client above which QoS 0 is dropped and QoS 1 and 2 wait in their queue.",
    ),
    mqttSlowCloseBytes: limit(4_194_304, 65_536, 1_073_741_824, "Bytes buffered for one client above which it is disconnected."),
    mqttConnections: limit(100_000, 1, 10_000_000, "MQTT connections of this node at most."),
    mqttConnectTimeoutS: limit(
      10,
      1,
      300,
      "How long a new connection may take for its TLS handshake, and again until its CONNECT has arrived, in seconds.",
    ),
    mqttProxy: Type.String({
      default: "",
      description:
        "Balancers that send the PROXY protocol (v1 or v2) ahead of each MQTT connection: addresses and CIDR ranges separated by commas, or true for loopback and private networks. A connection of theirs without the header is closed.",
    }),
    mqttOrigins: Type.String({
      default: "",
      description:
        "Web origins whose pages may use MQTT over WebSocket besides the hub's own, separated by commas, for example https://app.example; * allows all.",
    }),
    mqttServerReference: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 255,
        description: "Where MQTT 5 clients are sent when this node stops, for example mqtt-2.example:8883.",
      }),
    ),
    shutdownTimeoutMs: Type.Integer({
      default: 10_000,
      minimum: 1000,
      maximum: 120_000,
      description: "How long a stop may take before the process ends anyway, in milliseconds.",
    }),
    logLevel: Type.Enum(["debug", "info", "warn", "error", "silent"], { default: "info", description: "Least level that is logged." }),
    url: Type.Optional(
      Type.String({
        description: "Command line only: the hub to talk to. Without it the one whose operator.json stands in the data folder.",
      }),
    ),
    token: secret({ description: "Command line only: access token for HEXA_URL." }),
  },
  { additionalProperties: false, title: "Settings" },
);
export type Settings = Static<typeof Settings>;
export type SettingKey = keyof Settings;

/** What the broker allows one client, one address and the node. */
export type MqttLimits = Pick<
  Settings,
  | "maxPacketBytes"
  | Exclude<
      Extract<keyof Settings, `mqtt${string}`>,
      keyof typeof LISTENER_SETTINGS | "mqttClientCerts" | "mqttClientCaFile" | "mqttCrlFile" | "mqttProxy" | "mqttOrigins"
    >
> & {
  /** CIDR ranges. */
  readonly mqttProxy: readonly string[];
  /** `https://app.example`, or `*`. */
  readonly mqttOrigins: readonly string[];
};
