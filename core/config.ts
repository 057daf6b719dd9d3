import { isIP } from "node:net";
import Type, { type Static } from "typebox";
import { HubError, SetupError } from "./errors.ts";
import { textParserFor } from "./validate.ts";

const port = (fallback: number, description: string) => Type.Integer({ default: fallback, minimum: 0, maximum: 65_535, description: `${description} 0 takes any free port.` });
const secret = (options: { minLength?: number; pattern?: string; description: string }) => Type.Optional(Type.String({ ...options, writeOnly: true }));

/**
 * Every setting there is: default, range and description. The names of the variables follow from the keys
 * ({@link variableOf}), docs/configuration.md and .env.example from the whole. `writeOnly` marks a secret: it is
 * never printed, and it may also be given as the path of a file in `<NAME>_FILE`.
 */
const Settings = Type.Object(
  {
    dataDir: Type.String({ default: "./data", description: "Folder of the database, the keys, the certificates and operator.json. Whoever can read it owns the hub." }),
    host: Type.String({ default: "127.0.0.1", minLength: 1, description: "Address that HTTP and MQTT over TLS listen on. 0.0.0.0 opens them to the network." }),
    httpPort: port(8080, "REST API, documentation and MQTT over WebSocket (/mqtt)."),
    mqttPort: port(1883, "Plain MQTT; see HEXA_MQTT_PLAIN."),
    mqttsPort: port(8883, "MQTT over TLS."),
    mqttPlain: Type.Enum(["loopback", "lan", "off"], {
      default: "loopback",
      description: "Where plain MQTT listens: on 127.0.0.1 whatever HEXA_HOST says, on HEXA_HOST (passwords then cross the network readable), or nowhere.",
    }),
    topicRoot: Type.String({ default: "hexa", pattern: "^(?!homeassistant$)[a-z0-9][a-z0-9_-]{0,31}$", description: "First level of every device topic; one level of small letters, digits, - and _." }),
    publicUrl: Type.Optional(Type.String({ description: "How the outside reaches the hub, for example https://hub.example. Its host name also goes into the MQTT URLs and the certificate." })),
    tlsCertFile: Type.Optional(Type.String({ description: "PEM certificate (with its chain) for MQTT over TLS. Without it the hub makes its own authority and certificate in the data folder." })),
    tlsKeyFile: Type.Optional(Type.String({ description: "PEM private key that belongs to HEXA_TLS_CERT_FILE." })),
    adminEmail: Type.Optional(Type.String({ format: "email", description: "With HEXA_ADMIN_PASSWORD: creates the first administrator and skips the set-up page. Ignored once there is one." })),
    adminPassword: secret({ minLength: 8, description: "Password of the first administrator: at least 8 characters, at most 72 bytes." }),
    masterKey: secret({ pattern: "^([0-9a-fA-F]{64}|[A-Za-z0-9+/]{43}=)$", description: "32 bytes in hexadecimal or base64 that encrypt the secrets in the database. Without it the hub makes master.key in the data folder." }),
    jwtSecret: secret({ minLength: 32, description: "Fixed signing secret for the access tokens of people. Without it the hub makes its own and keeps it encrypted." }),
    provisionKey: secret({ minLength: 16, description: "What a device sends as x-provision-key to enrol itself. Without it only signed-in people can enrol devices." }),
    databaseUrl: secret({ pattern: "^postgres(ql)?://", description: "PostgreSQL connection. Without it the hub keeps its data in SQLite in the data folder." }),
    enforceHttps: Type.Boolean({ default: false, description: "Answers plain HTTP with 426 https_required, except from the hub's own machine. Takes effect when NODE_ENV is production." }),
    trustProxy: Type.String({
      default: "",
      description: "Whose x-forwarded-* headers count: addresses and CIDR ranges separated by commas, or true for loopback and private networks.",
    }),
    nodeEnv: Type.Enum(["production", "development", "test"], { default: "production", description: "ENFORCE_HTTPS takes effect in production only." }),
    accessTokenTtlS: Type.Integer({ default: 3600, minimum: 60, maximum: 2_592_000, description: "How long a login is valid, in seconds." }),
    commandTimeoutMs: Type.Integer({ default: 5000, minimum: 100, maximum: 60_000, description: "How long a command waits for the device's acknowledgement, in milliseconds." }),
    maxPacketBytes: Type.Integer({ default: 262_144, minimum: 16_384, maximum: 16_777_216, description: "Largest MQTT packet of a connected client, in bytes." }),
    shutdownTimeoutMs: Type.Integer({ default: 10_000, minimum: 1000, maximum: 120_000, description: "How long a stop may take before the process ends anyway, in milliseconds." }),
    logLevel: Type.Enum(["debug", "info", "warn", "error", "silent"], { default: "info", description: "Least level that is logged." }),
    url: Type.Optional(Type.String({ description: "Command line only: the hub to talk to. Without it the one whose operator.json stands in the data folder." })),
    token: secret({ description: "Command line only: access token for HEXA_URL." }),
  },
  { additionalProperties: false, title: "Settings" },
);
type Settings = Static<typeof Settings>;
type Key = keyof Settings;

/** What the hub was told, checked and complete. `trustProxy` is a list of CIDR ranges, `enforceHttps` is what takes effect. */
export type Config = Readonly<Omit<Settings, "trustProxy"> & { trustProxy: readonly string[] }>;

/** Names that were fixed before the hub had its prefix. */
const FIXED_NAMES: Partial<Record<Key, string>> = {
  provisionKey: "DEVICE_PROVISION_KEY",
  databaseUrl: "DATABASE_URL",
  jwtSecret: "JWT_SECRET",
  enforceHttps: "ENFORCE_HTTPS",
  trustProxy: "TRUST_PROXY",
  nodeEnv: "NODE_ENV",
};
/** Settings of later releases. To accept and ignore one would let somebody believe in a backup that is not made. */
const LATER = /^(REDIS_URL|CLICKHOUSE_URL|OPENAI_API_KEY|HA_MQTT_.+|BACKUP_.+)$/;
/** Belongs to the test runner, which may start a hub below itself. */
const FOREIGN = /^HEXA_TEST_/;
/** What TRUST_PROXY=true trusts: a proxy on the same machine, container network or LAN. */
const PRIVATE_NETWORKS = ["127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "fe80::/10"];

const KEYS = Object.keys(Settings.properties) as Key[];
const parseSettings = textParserFor(Settings);

/** `httpPort` → `HEXA_HTTP_PORT`. */
export function variableOf(key: Key): string {
  return FIXED_NAMES[key] ?? `HEXA_${key.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`;
}

/** A setting as the documentation shows it. */
export interface SettingReference {
  readonly name: string;
  readonly isSecret: boolean;
  /** undefined when there is none. */
  readonly default: string | undefined;
  /** For example `0 to 65535`, `loopback, lan or off`, `true or false`; empty for free text. */
  readonly range: string;
  readonly description: string;
}

export function settingsReference(): SettingReference[] {
  return KEYS.map((key) => {
    const schema = schemaOf(key);
    const { default: fallback, description } = schema;
    return {
      name: variableOf(key),
      isSecret: isSecret(key),
      default: fallback === undefined || fallback === "" ? undefined : String(fallback),
      range: rangeOf(schema),
      description: description ?? "",
    };
  });
}

export interface ConfigProblem {
  readonly variable: string;
  readonly what: string;
  readonly mend: string;
}

/** Everything that is wrong with the settings at once; the message has one line a problem. */
export class ConfigError extends SetupError {
  readonly problems: readonly ConfigProblem[];

  constructor(problems: readonly ConfigProblem[]) {
    const [first] = problems;
    const lines = problems.map(({ variable, what, mend }) => `${variable} ${what}: ${mend}`);
    if (problems.length === 1 && first) super(`${first.variable} ${first.what}`, first.variable, first.mend);
    else super(`${problems.length} settings are wrong\n${lines.join("\n")}`, problems.map(({ variable }) => variable).join(", "), "correct each; docs/configuration.md lists all settings");
    this.problems = problems;
  }
}

/**
 * The settings out of the environment; an empty variable counts as not set. `readFile` returns a text file's content and
 * is called for secrets given as `<NAME>_FILE`. Throws {@link ConfigError}.
 */
export function readConfig(env: Readonly<Record<string, string | undefined>>, readFile: (path: string) => string): Config {
  const problems: ConfigProblem[] = unknownVariables(env);
  const texts: Partial<Record<Key, string>> = {};
  for (const key of KEYS) {
    const text = textOf(key, env, readFile, problems);
    if (text !== undefined) texts[key] = text;
  }
  const settings = settingsOf(texts, problems);
  const trustProxy = settings ? proxiesOf(settings.trustProxy, problems) : [];
  if (settings) problems.push(...contradictions(settings));
  if (!settings || problems.length > 0) throw new ConfigError(problems);
  const enforceHttps = settings.enforceHttps && settings.nodeEnv === "production";
  return Object.freeze({ ...settings, enforceHttps, trustProxy: Object.freeze(trustProxy) });
}

/** The settings by variable, secrets masked; null for what is not set. */
export function describeConfig(config: Config): Record<string, string | number | boolean | null> {
  return Object.fromEntries(
    KEYS.map((key) => {
      const value = config[key];
      if (value === undefined) return [variableOf(key), null];
      if (key === "databaseUrl") return [variableOf(key), withoutCredentials(String(value))];
      if (isSecret(key)) return [variableOf(key), "********"];
      return [variableOf(key), typeof value === "object" ? value.join(",") : value];
    }),
  );
}

function withoutCredentials(url: string): string {
  const { protocol, host, pathname } = new URL(url);
  return `${protocol}//********@${host}${pathname}`;
}

interface SettingSchema {
  readonly default?: unknown;
  readonly description?: string;
  readonly type?: string;
  readonly enum?: readonly string[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly writeOnly?: boolean;
}

function schemaOf(key: Key): SettingSchema {
  return Settings.properties[key] as SettingSchema;
}

function isSecret(key: Key): boolean {
  return schemaOf(key).writeOnly === true;
}

function rangeOf(schema: SettingSchema): string {
  if (schema.enum) return `${schema.enum.slice(0, -1).join(", ")} or ${schema.enum.at(-1)}`;
  if (schema.type === "boolean") return "true or false";
  if (schema.type === "integer") return `${schema.minimum} to ${schema.maximum}`;
  return schema.minLength !== undefined && schema.minLength > 1 ? `at least ${schema.minLength} characters` : "";
}

function textOf(key: Key, env: Readonly<Record<string, string | undefined>>, readFile: (path: string) => string, problems: ConfigProblem[]): string | undefined {
  const variable = variableOf(key);
  const direct = env[variable] || undefined;
  const path = isSecret(key) ? env[`${variable}_FILE`] || undefined : undefined;
  if (path === undefined) return direct;
  if (direct !== undefined) {
    problems.push({ variable, what: `and ${variable}_FILE are both set`, mend: "keep one of the two" });
    return undefined;
  }
  try {
    const text = readFile(path).replace(/\r?\n$/, "");
    if (text === "") problems.push({ variable: `${variable}_FILE`, what: `names an empty file (${path})`, mend: "write the secret into it" });
    return text || undefined;
  } catch (error) {
    problems.push({ variable: `${variable}_FILE`, what: `cannot be read: ${error instanceof Error ? error.message : String(error)}`, mend: "name a file that the hub may read" });
    return undefined;
  }
}

function settingsOf(texts: Partial<Record<Key, string>>, problems: ConfigProblem[]): Settings | undefined {
  try {
    return parseSettings(texts);
  } catch (error) {
    if (!(error instanceof HubError)) throw error;
    const details = error.details as { path: string }[];
    for (const key of new Set(details.map(({ path }) => path.slice(1) as Key))) {
      const schema = schemaOf(key);
      const got = isSecret(key) ? "" : `: ${JSON.stringify(texts[key])}`;
      const range = rangeOf(schema);
      problems.push({ variable: variableOf(key), what: `has a value that cannot be used${got}`, mend: range ? `give it ${range}` : (schema.description ?? "see docs/configuration.md") });
    }
    return undefined;
  }
}

function unknownVariables(env: Readonly<Record<string, string | undefined>>): ConfigProblem[] {
  const known = new Set(KEYS.flatMap((key) => (isSecret(key) ? [variableOf(key), `${variableOf(key)}_FILE`] : [variableOf(key)])));
  return Object.keys(env)
    .filter((name) => env[name])
    .flatMap((variable): ConfigProblem[] => {
      if (LATER.test(variable)) return [{ variable, what: "is not part of this release", mend: "remove it; the hub would not do what it asks for" }];
      if (!variable.startsWith("HEXA_") || known.has(variable) || FOREIGN.test(variable)) return [];
      const nearest = nearestOf(variable, [...known]);
      return [{ variable, what: "is not a setting", mend: nearest ? `did you mean ${nearest}?` : "remove it; docs/configuration.md lists all settings" }];
    });
}

function contradictions(settings: Settings): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  const ports: Key[] = settings.mqttPlain === "off" ? ["httpPort", "mqttsPort"] : ["httpPort", "mqttPort", "mqttsPort"];
  for (const [index, key] of ports.entries()) {
    const twin = ports.slice(0, index).find((other) => settings[other] !== 0 && settings[other] === settings[key]);
    if (twin) problems.push({ variable: variableOf(key), what: `is ${String(settings[key])}, like ${variableOf(twin)}`, mend: "give each listener its own port" });
  }
  for (const [one, other] of [["tlsCertFile", "tlsKeyFile"], ["adminEmail", "adminPassword"]] as const) {
    if ((settings[one] === undefined) === (settings[other] === undefined)) continue;
    const [set, unset] = settings[one] === undefined ? [other, one] : [one, other];
    problems.push({ variable: variableOf(unset), what: `is missing beside ${variableOf(set)}`, mend: "set both or neither" });
  }
  if (settings.adminPassword !== undefined && Buffer.byteLength(settings.adminPassword) > 72)
    problems.push({ variable: variableOf("adminPassword"), what: "is longer than 72 bytes", mend: "shorten it: bcrypt would ignore the rest" });
  for (const key of ["publicUrl", "url"] as const) {
    const text = settings[key];
    if (text !== undefined && !isBaseUrl(text)) problems.push({ variable: variableOf(key), what: `is not a base URL: ${JSON.stringify(text)}`, mend: "give it scheme, host and port only, for example https://hub.example" });
  }
  if (settings.databaseUrl !== undefined && !URL.canParse(settings.databaseUrl))
    problems.push({ variable: variableOf("databaseUrl"), what: "is not a URL", mend: "write postgres://user:password@host:5432/database and percent-encode special characters" });
  return problems;
}

function isBaseUrl(text: string): boolean {
  const url = URL.parse(text);
  return url !== null && /^https?:$/.test(url.protocol) && url.pathname === "/" && url.search === "" && url.hash === "" && url.username === "";
}

function proxiesOf(text: string, problems: ConfigProblem[]): string[] {
  if (text === "" || text === "false") return [];
  if (text === "true") return PRIVATE_NETWORKS;
  return text.split(",").map((part) => {
    const range = part.trim();
    const [address = "", bits, more] = range.split("/");
    const most = isIP(address) === 6 ? 128 : 32;
    const isRange = isIP(address) !== 0 && more === undefined && (bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= most));
    if (!isRange) problems.push({ variable: variableOf("trustProxy"), what: `holds no address or range: ${JSON.stringify(range)}`, mend: "write true, or for example 10.0.0.5,192.168.0.0/24" });
    return bits === undefined ? `${address}/${most}` : range;
  });
}

function nearestOf(name: string, known: readonly string[]): string | undefined {
  const [best] = known.map((candidate) => ({ candidate, distance: distanceBetween(name, candidate) })).sort((a, b) => a.distance - b.distance);
  return best && best.distance <= 3 ? best.candidate : undefined;
}

/** Levenshtein distance. */
function distanceBetween(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (const [i, letter] of [...a].entries()) {
    const next = [i + 1];
    for (const [j, other] of [...b].entries()) next.push(Math.min((next[j] ?? 0) + 1, (row[j + 1] ?? 0) + 1, (row[j] ?? 0) + (letter === other ? 0 : 1)));
    row = next;
  }
  return row.at(-1) ?? 0;
}
