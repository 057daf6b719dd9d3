import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ConfigError, type ConfigProblem, describeConfig, readConfig } from "../../core/config.ts";
import { SetupError } from "../../core/errors.ts";
import { settingsReference } from "../../core/setting-names.ts";

const noFile = (path: string): string => assert.fail(`${path} was read`);
const MASTER_KEY = Buffer.alloc(32, 7).toString("base64");

function problemsOf(env: Record<string, string>, readFile = noFile): readonly ConfigProblem[] {
  try {
    readConfig(env, readFile);
  } catch (error) {
    assert.ok(error instanceof ConfigError && error instanceof SetupError);
    return error.problems;
  }
  assert.fail(`${JSON.stringify(env)} was accepted`);
}

test("without an environment every setting has its default", () => {
  const config = readConfig({}, noFile);
  assert.deepEqual(
    { ...config },
    {
      dataDir: "./data",
      host: "127.0.0.1",
      httpPort: 8080,
      mqttPort: 1883,
      mqttsPort: 8883,
      mqttPlain: "loopback",
      mqttTls: "lan",
      mqttWebsocket: "on",
      topicRoot: "hexa",
      tlsPollMs: 10_000,
      mqttClientCerts: "optional",
      enforceHttps: false,
      trustProxy: [],
      nodeEnv: "production",
      presenceTtlS: 120,
      presenceGraceS: 60,
      accessTokenTtlS: 3600,
      apiRate: 1_200,
      loginTtlS: 2_592_000,
      signingKeyRotationDays: 90,
      readingRetentionDays: 0,
      eventRetentionDays: 90,
      alexaRegion: "na",
      clickhouseOutboxMaxBytes: 1_073_741_824,
      clickhouseReadingRetentionDays: 0,
      clickhouseEventRetentionDays: 0,
      importMaxBytes: 1_073_741_824,
      commandTimeoutMs: 5000,
      maxPacketBytes: 262_144,
      mqttConnectBytes: 16_384,
      mqttTopicLevels: 32,
      mqttPublishRate: 100,
      mqttPublishBurst: 200,
      mqttConnectRate: 300,
      mqttConnectBurst: 500,
      mqttAddressRate: 20,
      mqttLoginFailures: 10,
      mqttHomeSubscriptions: 20_000,
      mqttFlappingCount: 15,
      mqttFlappingBanS: 60,
      mqttReceiveMaximum: 100,
      mqttInflight: 1_000,
      mqttQueueMessages: 1_000,
      mqttQueueBytes: 1_048_576,
      mqttSubscriptions: 50,
      mqttServiceSubscriptions: 1_000,
      mqttSessionsPerAccount: 100,
      mqttServiceSessionsPerAccount: 1_000,
      mqttRetainedTopics: 200,
      mqttRetainedBytes: 262_144,
      mqttKeepaliveMinS: 10,
      mqttKeepaliveMaxS: 1_200,
      mqttSessionExpiryS: 86_400,
      mqttServiceSessionExpiryS: 604_800,
      mqttSlowDropBytes: 262_144,
      mqttSlowCloseBytes: 4_194_304,
      mqttConnections: 100_000,
      mqttConnectTimeoutS: 10,
      mqttProxy: [],
      mqttOrigins: [],
      apiOrigins: [],
      outboundAllow: [],
      outboundPorts: [80, 443, 8080, 8443],
      haMqttConnectTimeoutMs: 30_000,
      haMqttEnabled: false,
      haMqttForm: "device",
      haMqttKeepaliveS: 60,
      haMqttRejectUnauthorized: true,
      hookRate: 120,
      homekit: "off",
      homekitAnnounce: "",
      shutdownTimeoutMs: 10_000,
      logLevel: "info",
      loginFailures: 10,
      registration: "invited",
      mailAddressRate: 5,
      mailCallerRate: 20,
      passwordCost: 12,
    },
  );
});

test("the settings are frozen, lists included", () => {
  const config = readConfig({ TRUST_PROXY: "10.0.0.1" }, noFile);
  assert.ok(Object.isFrozen(config) && Object.isFrozen(config.trustProxy));
});

test("an empty variable counts as not set", () => {
  const empty = Object.fromEntries(settingsReference().map(({ name }) => [name, ""]));
  assert.deepEqual(readConfig({ ...empty, REDIS_URL: "", HEXA_TYPO: "", JWT_SECRET_FILE: "" }, noFile), readConfig({}, noFile));
});

for (const [env, expected] of [
  [
    { HEXA_HTTP_PORT: "0", HEXA_MQTT_PORT: "0", HEXA_MQTTS_PORT: "0" },
    { httpPort: 0, mqttPort: 0, mqttsPort: 0 },
  ],
  [{ HEXA_MQTT_PLAIN: "off", HEXA_MQTT_PORT: "8080" }, { mqttPlain: "off" }],
  [{ HEXA_MQTT_TLS: "off", HEXA_MQTTS_PORT: "8080" }, { mqttTls: "off" }],
  [
    { HEXA_MQTT_PLAIN: "off", HEXA_MQTT_TLS: "loopback", HEXA_MQTT_WEBSOCKET: "off", HEXA_HOMEKIT: "on" },
    { mqttPlain: "off", mqttTls: "loopback", mqttWebsocket: "off" },
  ],
  [{ HEXA_MASTER_KEY: MASTER_KEY }, { masterKey: MASTER_KEY }],
  [{ HEXA_MASTER_KEY: "ab".repeat(32) }, { masterKey: "ab".repeat(32) }],
  [{ HEXA_ADMIN_EMAIL: "ada@example.com", HEXA_ADMIN_PASSWORD: "correct horse" }, { adminEmail: "ada@example.com" }],
  [{ DATABASE_URL: "postgres://u:p@localhost:5432/hub" }, { databaseUrl: "postgres://u:p@localhost:5432/hub" }],
  [
    { DATABASE_URL: "postgres://x", REDIS_URL: "redis://a:1,rediss://b:2" },
    { redisUrl: "redis://a:1,rediss://b:2", presenceTtlS: 120, presenceGraceS: 60 },
  ],
  [{ CLICKHOUSE_URL: "https://u:p%40@h:8443/hub_1" }, { clickhouseUrl: "https://u:p%40@h:8443/hub_1" }],
  [{ HEXA_PUBLIC_URL: "https://hub.example" }, { publicUrl: "https://hub.example" }],
  [{ ENFORCE_HTTPS: "true" }, { enforceHttps: true }],
  [{ ENFORCE_HTTPS: "true", NODE_ENV: "development" }, { enforceHttps: false }],
  [{ TRUST_PROXY: "false" }, { trustProxy: [] }],
  [{ TRUST_PROXY: "10.0.0.5, 192.168.0.0/24,2001:db8::1" }, { trustProxy: ["10.0.0.5/32", "192.168.0.0/24", "2001:db8::1/128"] }],
  [{ HEXA_MQTT_PROXY: "10.0.0.5,fd00::/8" }, { mqttProxy: ["10.0.0.5/32", "fd00::/8"] }],
  [{ HEXA_MQTT_ORIGINS: "https://app.example, http://localhost:5173" }, { mqttOrigins: ["https://app.example", "http://localhost:5173"] }],
  [{ HEXA_API_ORIGINS: "https://app.example", HEXA_PUBLIC_URL: "https://hub.example/" }, { apiOrigins: ["https://app.example"] }],
  [{ HEXA_MQTT_ORIGINS: "*", HEXA_PUBLIC_URL: "https://hub.example/" }, { mqttOrigins: ["*", "https://hub.example"] }],
  [
    { HEXA_SMTP_URL: "smtps://hub:p%40ss@mail.example", HEXA_MAIL_FROM: "Hexahub <hub@mail.example>" },
    { mailFrom: "Hexahub <hub@mail.example>" },
  ],
  [{ HEXA_SMTP_URL: "smtp://[::1]:2525/", HEXA_MAIL_FROM: "hub@mail.example", HEXA_REGISTRATION: "open" }, { registration: "open" }],
  [{ HEXA_TEST_ANYTHING: "1", PATH: "/bin", HEXAGON: "6" }, { httpPort: 8080 }],
] as const) {
  test(`accepts ${JSON.stringify(env)}`, () => {
    assert.partialDeepStrictEqual(readConfig(env, noFile), expected);
  });
}

test("TRUST_PROXY=true trusts loopback and private networks, not the world", () => {
  const { trustProxy } = readConfig({ TRUST_PROXY: "true" }, noFile);
  assert.ok(trustProxy.includes("127.0.0.0/8") && trustProxy.includes("10.0.0.0/8"));
  assert.ok(!trustProxy.some((range) => range.endsWith("/0")));
});

for (const [env, variable, what, mend] of [
  [{ HEXA_HTP_PORT: "1" }, "HEXA_HTP_PORT", /not a setting/, /HEXA_HTTP_PORT/],
  [{ HEXA_PROVISION_KEY: "x".repeat(20) }, "HEXA_PROVISION_KEY", /not a setting/, /./],
  [{ HEXA_JWT_SECRET_FIL: "x" }, "HEXA_JWT_SECRET_FIL", /not a setting/, /./],
  [{ HEXA_SOMETHING_ELSE_ENTIRELY: "x" }, "HEXA_SOMETHING_ELSE_ENTIRELY", /not a setting/, /docs\/configuration\.md/],
  [{ HEXA_HTTP_PORT_FILE: "/x" }, "HEXA_HTTP_PORT_FILE", /not a setting/, /./],
  [{ HEXA_HTTP_PORT: "65536" }, "HEXA_HTTP_PORT", /"65536"/, /0 to 65535/],
  [{ HEXA_HTTP_PORT: "-1" }, "HEXA_HTTP_PORT", /"-1"/, /0 to 65535/],
  [{ HEXA_HTTP_PORT: "80.5" }, "HEXA_HTTP_PORT", /"80.5"/, /0 to 65535/],
  [{ HEXA_MQTTS_PORT: "8080" }, "HEXA_MQTTS_PORT", /like HEXA_HTTP_PORT/, /its own port/],
  [{ HEXA_MQTT_PROXY: "balancer" }, "HEXA_MQTT_PROXY", /no address or range/, /true/],
  [{ HEXA_MQTT_ORIGINS: "app.example" }, "HEXA_MQTT_ORIGINS", /no origin/, /https:/],
  [{ HEXA_MQTT_ORIGINS: "https://app.example/" }, "HEXA_MQTT_ORIGINS", /no origin/, /https:/],
  [{ HEXA_API_ORIGINS: "https://*.example" }, "HEXA_API_ORIGINS", /no origin/, /https:/],
  [{ HEXA_MQTT_PLAIN: "yes" }, "HEXA_MQTT_PLAIN", /"yes"/, /loopback, lan or off/],
  [{ HEXA_MQTT_TLS: "on" }, "HEXA_MQTT_TLS", /"on"/, /loopback, lan or off/],
  [{ HEXA_MQTT_WEBSOCKET: "lan" }, "HEXA_MQTT_WEBSOCKET", /"lan"/, /on or off/],
  [{ HEXA_MQTT_PLAIN: "off", HEXA_MQTT_TLS: "off", HEXA_HOMEKIT: "on" }, "HEXA_HOMEKIT", /listens for no MQTT/, /HEXA_MQTT_TLS/],
  [{ HEXA_TOPIC_ROOT: "a/b" }, "HEXA_TOPIC_ROOT", /"a\/b"/, /one level/],
  [{ HEXA_TOPIC_ROOT: "homeassistant" }, "HEXA_TOPIC_ROOT", /homeassistant/, /./],
  [{ HEXA_PUBLIC_URL: "hub.example" }, "HEXA_PUBLIC_URL", /base URL/, /https:/],
  [{ HEXA_PUBLIC_URL: "https://hub.example/path" }, "HEXA_PUBLIC_URL", /base URL/, /https:/],
  [{ HEXA_TLS_CERT_FILE: "/c" }, "HEXA_TLS_KEY_FILE", /missing beside HEXA_TLS_CERT_FILE/, /both or neither/],
  [{ HEXA_ADMIN_PASSWORD: "long enough" }, "HEXA_ADMIN_EMAIL", /missing/, /both or neither/],
  [{ HEXA_ADMIN_EMAIL: "ada@example.com", HEXA_ADMIN_PASSWORD: "ü".repeat(37) }, "HEXA_ADMIN_PASSWORD", /72 bytes/, /shorten/],
  [{ HEXA_SMTP_URL: "smtp://mail.example" }, "HEXA_MAIL_FROM", /missing beside HEXA_SMTP_URL/, /both or neither/],
  [{ HEXA_MAIL_FROM: "hub@mail.example" }, "HEXA_SMTP_URL", /missing beside HEXA_MAIL_FROM/, /both or neither/],
  [{ HEXA_SMTP_URL: "http://x", HEXA_MAIL_FROM: "a@b.example" }, "HEXA_SMTP_URL", /cannot be used$/, /smtps:/],
  [{ HEXA_SMTP_URL: "smtp://hub@mail.example", HEXA_MAIL_FROM: "a@b.example" }, "HEXA_SMTP_URL", /not the URL/, /percent-encode/],
  [{ HEXA_SMTP_URL: "smtp://h/path", HEXA_MAIL_FROM: "a@b.example" }, "HEXA_SMTP_URL", /not the URL/, /smtps:/],
  [{ HEXA_SMTP_URL: "smtp://%ff:x@h", HEXA_MAIL_FROM: "a@b.example" }, "HEXA_SMTP_URL", /not the URL/, /percent-encode/],
  [{ HEXA_SMTP_URL: "smtp://h", HEXA_MAIL_FROM: "a@b.example\r\nBcc: c@d.example" }, "HEXA_MAIL_FROM", /cannot be used/, /hub@example.org/],
  [{ HEXA_PASSWORD_COST: "9" }, "HEXA_PASSWORD_COST", /"9"/, /10 to 15/],
  [{ HEXA_REGISTRATION: "closed" }, "HEXA_REGISTRATION", /"closed"/, /invited or open/],
  [{ DEVICE_PROVISION_KEY: "short" }, "DEVICE_PROVISION_KEY", /cannot be used$/, /16 characters/],
  [{ JWT_SECRET: "short" }, "JWT_SECRET", /cannot be used$/, /32 characters/],
  [{ DATABASE_URL: "mysql://x" }, "DATABASE_URL", /cannot be used$/, /PostgreSQL/],
  [{ ENFORCE_HTTPS: "yes" }, "ENFORCE_HTTPS", /"yes"/, /true or false/],
  [{ TRUST_PROXY: "1.2.3.4/33" }, "TRUST_PROXY", /1\.2\.3\.4\/33/, /192\.168\.0\.0\/24/],
  [{ NODE_ENV: "staging" }, "NODE_ENV", /"staging"/, /production/],
  [{ REDIS_URL: "redis://x" }, "REDIS_URL", /without DATABASE_URL/, /same PostgreSQL database/],
  [{ REDIS_URL: "http://x", DATABASE_URL: "postgres://x" }, "REDIS_URL", /cannot be used$/, /Redis/],
  [{ REDIS_URL: "redis://a,b:6379", DATABASE_URL: "postgres://x" }, "REDIS_URL", /not a URL, or a list/, /rediss:/],
  [{ CLICKHOUSE_URL: "tcp://h:9000" }, "CLICKHOUSE_URL", /cannot be used$/, /http:/],
  [{ CLICKHOUSE_URL: "http://h/a-b" }, "CLICKHOUSE_URL", /is not the URL/, /host:8123/],
  [{ CLICKHOUSE_URL: "http://h/a?b=1" }, "CLICKHOUSE_URL", /is not the URL/, /nothing behind/],
  [{ CLICKHOUSE_URL: "http://%zz:p@h/a" }, "CLICKHOUSE_URL", /is not the URL/, /percent-encode/],
  [{ HEXA_PRESENCE_TTL_S: "1" }, "HEXA_PRESENCE_TTL_S", /"1"/, /2 to 86400/],
  [{ HA_MQTT_ENABLED: "true" }, "HA_MQTT_URL", /is missing/, /mqtts:/],
  [{ HA_MQTT_URL: "http://broker.example" }, "HA_MQTT_URL", /cannot be used/, /mqtts:/],
  [{ HA_MQTT_CERT_FILE: "hub.crt" }, "HA_MQTT_KEY_FILE", /is missing beside HA_MQTT_CERT_FILE/, /both/],
  [{ HA_MQTT_URI: "mqtts://broker.example" }, "HA_MQTT_URI", /./, /HA_MQTT_URL/],
  [{ BACKUP_ENCRYPTION_KEY: "x" }, "BACKUP_ENCRYPTION_KEY", /not part of this release/, /remove/],
] as const) {
  test(`refuses ${JSON.stringify(env)} and says how to mend it`, () => {
    const problems = problemsOf(env);
    assert.deepEqual(
      problems.map((problem) => problem.variable),
      [variable],
    );
    assert.match(problems[0]?.what ?? "", what);
    assert.match(problems[0]?.mend ?? "", mend);
  });
}

test("reports everything at once, one line a problem", () => {
  const env = { HEXA_HTP_PORT: "1", HEXA_MQTT_PLAIN: "x", REDIS_URL: "x", HEXA_LOG_LEVEL: "loud" };
  assert.deepEqual(
    problemsOf(env)
      .map(({ variable }) => variable)
      .toSorted(),
    Object.keys(env).toSorted(),
  );
  assert.throws(
    () => readConfig(env, noFile),
    (error: Error) => error.message.split("\n").length === 5,
  );
});

test("reads a secret from a file and cuts one line break", () => {
  const { jwtSecret, databaseUrl } = readConfig({ JWT_SECRET_FILE: "/run/jwt", DATABASE_URL_FILE: "/run/db" }, (path) =>
    path === "/run/jwt" ? `${"s".repeat(32)}\n\n` : "postgres://h/d\r\n",
  );
  assert.equal(jwtSecret, `${"s".repeat(32)}\n`);
  assert.equal(databaseUrl, "postgres://h/d");
});

test("a secret given twice, in an empty file or in none is an error", () => {
  const cases = [
    problemsOf({ JWT_SECRET: "s".repeat(32), JWT_SECRET_FILE: "/run/jwt" }),
    problemsOf({ JWT_SECRET_FILE: "/run/jwt" }, () => "\n"),
    problemsOf({ JWT_SECRET_FILE: "/run/jwt" }, () => {
      throw new Error("ENOENT");
    }),
  ];
  assert.deepEqual(
    cases.map(([first]) => first?.what),
    ["and JWT_SECRET_FILE are both set", "names an empty file (/run/jwt)", "cannot be read: ENOENT"],
  );
});

test("no secret is printed, neither in force nor in an error", () => {
  const secrets = settingsReference().filter(({ isSecret }) => isSecret);
  assert.ok(secrets.length >= 6);
  fc.assert(
    fc.property(fc.constantFrom(...secrets), fc.stringMatching(/^[g-z]{70}$/), ({ name }, secret) => {
      const urls: Record<string, string> = {
        DATABASE_URL: `postgres://user:${secret}@h/d`,
        REDIS_URL: `redis://user:${secret}@h,redis://:${secret}@i`,
        CLICKHOUSE_URL: `http://user:${secret}@h/d`,
        HEXA_SMTP_URL: `smtp://user:${secret}@h`,
      };
      const others: Record<string, object> = {
        HEXA_ADMIN_PASSWORD: { HEXA_ADMIN_EMAIL: "a@b.example" },
        REDIS_URL: { DATABASE_URL: "postgres://h/d" },
        HEXA_SMTP_URL: { HEXA_MAIL_FROM: "a@b.example" },
        HEXA_ALEXA_CLIENT_SECRET: { HEXA_ALEXA_CLIENT_ID: "a client" },
      };
      const env = { [name]: urls[name] ?? secret, ...others[name] };
      const shown = name === "HEXA_MASTER_KEY" ? JSON.stringify(problemsOf(env)) : JSON.stringify(describeConfig(readConfig(env, noFile)));
      assert.ok(shown.includes(name) && !shown.includes(secret));
    }),
  );
});

test("a name with up to three wrong letters finds the one that was meant", () => {
  const names = settingsReference()
    .map(({ name }) => name)
    .filter((name) => name.startsWith("HEXA_") && name.length > 14);
  fc.assert(
    fc.property(fc.constantFrom(...names), fc.nat(), fc.constantFrom("X", "Q", "7"), (name, at, letter) => {
      const position = 5 + (at % (name.length - 5));
      const typo = `${name.slice(0, position)}${letter}${letter}${name.slice(position)}`;
      assert.equal(problemsOf({ [typo]: "1" })[0]?.mend, `did you mean ${name}?`);
    }),
  );
});

test("any environment is accepted or refused with a ConfigError, never anything else", () => {
  const names = settingsReference().map(({ name }) => name);
  fc.assert(
    fc.property(
      fc.dictionary(
        fc.constantFrom(...names, "HEXA_X", "REDIS_URL"),
        fc.oneof(
          fc.string(),
          fc.integer().map(String),
          fc.constantFrom("true", "off", "postgres://", "https://x", "1.1.1.1/99", "postgres://["),
        ),
        { maxKeys: 5 },
      ),
      (env) => {
        try {
          describeConfig(readConfig(env, noFile));
        } catch (error) {
          assert.ok(error instanceof ConfigError, String(error));
          assert.ok(error.problems.length > 0);
        }
      },
    ),
  );
});
