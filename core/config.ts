import { type ConfigProblem, destinationsOf, isBaseUrl, originsOf, portsOf, proxiesOf } from "./config-lists.ts";
import { HubError, SetupError } from "./errors.ts";
import { isSecret, rangeOf, schemaOf, SETTING_KEYS, variableOf } from "./setting-names.ts";
import { type SettingKey, Settings } from "./settings.ts";
import { textParserFor } from "./validate.ts";

/**
 * What the hub was told, checked and complete. `trustProxy` and `mqttProxy` are lists of CIDR ranges, `outboundAllow` also of host
 * names, `mqttOrigins` holds the public URL's origin too, `enforceHttps` is what takes effect.
 */
export type Config = Readonly<
  Omit<Settings, "trustProxy" | "mqttProxy" | "mqttOrigins" | "apiOrigins" | "outboundAllow" | "outboundPorts"> & {
    trustProxy: readonly string[];
    mqttProxy: readonly string[];
    mqttOrigins: readonly string[];
    apiOrigins: readonly string[];
    outboundAllow: readonly string[];
    outboundPorts: readonly number[];
  }
>;

/** Settings of later releases. To accept and ignore one would let somebody believe in a backup that is not made. */
const LATER = /^(OPENAI_API_KEY|BACKUP_.+)$/;
/** Belongs to the test runner, which may start a hub below itself. */
const FOREIGN = /^HEXA_TEST_/;

export type { ConfigProblem };

const parseSettings = textParserFor(Settings);

/** Everything that is wrong with the settings at once; the message has one line a problem. */
export class ConfigError extends SetupError {
  readonly problems: readonly ConfigProblem[];

  constructor(problems: readonly ConfigProblem[]) {
    const [first] = problems;
    const lines = problems.map(({ variable, what, mend }) => `${variable} ${what}: ${mend}`);
    if (problems.length === 1 && first) super(`${first.variable} ${first.what}`, first.variable, first.mend);
    else
      super(
        `${problems.length} settings are wrong\n${lines.join("\n")}`,
        problems.map(({ variable }) => variable).join(", "),
        "correct each; docs/configuration.md lists all settings",
      );
    this.problems = problems;
  }
}

/**
 * The settings out of the environment; an empty variable counts as not set. `readFile` returns a text file's content and
 * is called for secrets given as `<NAME>_FILE`. Throws {@link ConfigError}.
 */
export function readConfig(env: Readonly<Record<string, string | undefined>>, readFile: (path: string) => string): Config {
  const problems: ConfigProblem[] = unknownVariables(env);
  const texts: Partial<Record<SettingKey, string>> = {};
  for (const key of SETTING_KEYS) {
    const text = textOf(key, env, readFile, problems);
    if (text !== undefined) texts[key] = text;
  }
  const settings = settingsOf(texts, problems);
  const trustProxy = settings ? proxiesOf("trustProxy", settings.trustProxy, problems) : [];
  const mqttProxy = settings ? proxiesOf("mqttProxy", settings.mqttProxy, problems) : [];
  const mqttOrigins = settings ? originsOf("mqttOrigins", settings.mqttOrigins, problems) : [];
  const apiOrigins = settings ? originsOf("apiOrigins", settings.apiOrigins, problems) : [];
  const outboundAllow = settings ? destinationsOf(settings.outboundAllow, problems) : [];
  const outboundPorts = settings ? portsOf(settings.outboundPorts, problems) : [];
  const known = new Set(problems.map(({ variable }) => variable));
  // A password whose file cannot be read is not also missing.
  if (settings) problems.push(...contradictions(settings).filter(({ variable }) => !known.has(variable) && !known.has(`${variable}_FILE`)));
  if (!settings || problems.length > 0) throw new ConfigError(problems);
  const enforceHttps = settings.enforceHttps && settings.nodeEnv === "production";
  return Object.freeze({
    ...settings,
    enforceHttps,
    trustProxy: Object.freeze(trustProxy),
    mqttProxy: Object.freeze(mqttProxy),
    mqttOrigins: Object.freeze([...mqttOrigins, ...(settings.publicUrl === undefined ? [] : [new URL(settings.publicUrl).origin])]),
    apiOrigins: Object.freeze(apiOrigins),
    outboundAllow: Object.freeze(outboundAllow),
    outboundPorts: Object.freeze(outboundPorts),
  });
}

/** The settings by variable, secrets masked; null for what is not set. */
export function describeConfig(config: Config): Record<string, string | number | boolean | null> {
  return Object.fromEntries(
    SETTING_KEYS.map((key) => {
      const value = config[key];
      if (value === undefined) return [variableOf(key), null];
      if (key === "databaseUrl" || key === "redisUrl" || key === "clickhouseUrl")
        return [variableOf(key), String(value).split(",").map(withoutCredentials).join(",")];
      if (isSecret(key)) return [variableOf(key), "********"];
      return [variableOf(key), typeof value === "object" ? value.join(",") : value];
    }),
  );
}

function withoutCredentials(url: string): string {
  const { protocol, host, pathname } = new URL(url);
  return `${protocol}//********@${host}${pathname}`;
}

function textOf(
  key: SettingKey,
  env: Readonly<Record<string, string | undefined>>,
  readFile: (path: string) => string,
  problems: ConfigProblem[],
): string | undefined {
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
    if (text === "")
      problems.push({ variable: `${variable}_FILE`, what: `names an empty file (${path})`, mend: "write the secret into it" });
    return text || undefined;
  } catch (error) {
    problems.push({
      variable: `${variable}_FILE`,
      what: `cannot be read: ${error instanceof Error ? error.message : String(error)}`,
      mend: "name a file that the hub may read",
    });
    return undefined;
  }
}

function settingsOf(texts: Partial<Record<SettingKey, string>>, problems: ConfigProblem[]): Settings | undefined {
  try {
    return parseSettings(texts);
  } catch (error) {
    if (!(error instanceof HubError)) throw error;
    const details = error.details as { path: string }[];
    for (const key of new Set(details.map(({ path }) => path.slice(1) as SettingKey))) {
      const schema = schemaOf(key);
      const got = isSecret(key) ? "" : `: ${JSON.stringify(texts[key])}`;
      const range = rangeOf(schema);
      problems.push({
        variable: variableOf(key),
        what: `has a value that cannot be used${got}`,
        mend: range ? `give it ${range}` : (schema.description ?? "see docs/configuration.md"),
      });
    }
    return undefined;
  }
}

function unknownVariables(env: Readonly<Record<string, string | undefined>>): ConfigProblem[] {
  const known = new Set(SETTING_KEYS.flatMap((key) => (isSecret(key) ? [variableOf(key), `${variableOf(key)}_FILE`] : [variableOf(key)])));
  return Object.keys(env)
    .filter((name) => env[name])
    .flatMap((variable): ConfigProblem[] => {
      if (LATER.test(variable))
        return [{ variable, what: "is not part of this release", mend: "remove it; the hub would not do what it asks for" }];
      if (!/^(HEXA|HA_MQTT)_/.test(variable) || known.has(variable) || FOREIGN.test(variable)) return [];
      const nearest = nearestOf(variable, [...known]);
      return [
        {
          variable,
          what: "is not a setting",
          mend: nearest ? `did you mean ${nearest}?` : "remove it; docs/configuration.md lists all settings",
        },
      ];
    });
}

function listenerProblems(settings: Settings): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  const { mqttPlain, mqttTls, homekit } = settings;
  const ports: SettingKey[] = [
    "httpPort",
    ...(mqttPlain === "off" ? [] : (["mqttPort"] as const)),
    ...(mqttTls === "off" ? [] : (["mqttsPort"] as const)),
  ];
  for (const [index, key] of ports.entries()) {
    const twin = ports.slice(0, index).find((other) => settings[other] !== 0 && settings[other] === settings[key]);
    if (twin)
      problems.push({
        variable: variableOf(key),
        what: `is ${String(settings[key])}, like ${variableOf(twin)}`,
        mend: "give each listener its own port",
      });
  }
  if (homekit !== "off" && mqttPlain === "off" && mqttTls === "off")
    problems.push({
      variable: variableOf("homekit"),
      what: `is ${homekit}, and the hub listens for no MQTT`,
      mend: `set ${variableOf("mqttPlain")} or ${variableOf("mqttTls")} to loopback: bridges of HomeKit are MQTT clients`,
    });
  return problems;
}

function contradictions(settings: Settings): ConfigProblem[] {
  const problems = listenerProblems(settings);
  for (const [one, other] of [
    ["tlsCertFile", "tlsKeyFile"],
    ["adminEmail", "adminPassword"],
    ["smtpUrl", "mailFrom"],
    ["alexaClientId", "alexaClientSecret"],
    ["haMqttCertFile", "haMqttKeyFile"],
  ] as const) {
    if ((settings[one] === undefined) === (settings[other] === undefined)) continue;
    const [set, unset] = settings[one] === undefined ? [other, one] : [one, other];
    problems.push({ variable: variableOf(unset), what: `is missing beside ${variableOf(set)}`, mend: "set both or neither" });
  }
  if (settings.haMqttEnabled && settings.haMqttUrl === undefined)
    problems.push({
      variable: variableOf("haMqttUrl"),
      what: "is missing beside HA_MQTT_ENABLED",
      mend: "name the broker: mqtts://host:8883",
    });
  if (settings.adminPassword !== undefined && Buffer.byteLength(settings.adminPassword) > 72)
    problems.push({
      variable: variableOf("adminPassword"),
      what: "is longer than 72 bytes",
      mend: "shorten it: bcrypt would ignore the rest",
    });
  for (const key of ["publicUrl", "url"] as const) {
    const text = settings[key];
    if (text !== undefined && !isBaseUrl(text))
      problems.push({
        variable: variableOf(key),
        what: `is not a base URL: ${JSON.stringify(text)}`,
        mend: "give it scheme, host and port only, for example https://hub.example",
      });
  }
  if (settings.databaseUrl !== undefined && !URL.canParse(settings.databaseUrl))
    problems.push({
      variable: variableOf("databaseUrl"),
      what: "is not a URL",
      mend: "write postgres://user:password@host:5432/database and percent-encode special characters",
    });
  if (settings.smtpUrl !== undefined && !isSmtpUrl(settings.smtpUrl))
    problems.push({
      variable: variableOf("smtpUrl"),
      what: "is not the URL of a mail server",
      mend: "write smtp://user:password@host:587, or smtps://, and percent-encode special characters",
    });
  if (settings.clickhouseUrl !== undefined && !isClickhouseUrl(settings.clickhouseUrl))
    problems.push({
      variable: variableOf("clickhouseUrl"),
      what: "is not the URL of a ClickHouse server",
      mend: "write http://user:password@host:8123/database, or https://, and percent-encode special characters; nothing behind the database",
    });
  return [...problems, ...redisProblems(settings)];
}

function isClickhouseUrl(text: string): boolean {
  const url = URL.parse(text);
  if (url === null || url.hostname === "" || !/^\/\w*$/.test(url.pathname) || url.search !== "" || url.hash !== "") return false;
  try {
    return [url.username, url.password].every((part) => decodeURIComponent(part).isWellFormed());
  } catch {
    return false;
  }
}

function isSmtpUrl(text: string): boolean {
  const url = URL.parse(text);
  if (url === null || url.hostname === "" || !/^\/?$/.test(url.pathname) || url.search !== "" || url.hash !== "") return false;
  try {
    return (decodeURIComponent(url.username) === "") === (decodeURIComponent(url.password) === "");
  } catch {
    return false;
  }
}

/** Several hubs need one database that all of them reach. */
function redisProblems({ redisUrl, databaseUrl }: Settings): ConfigProblem[] {
  if (redisUrl === undefined) return [];
  const variable = variableOf("redisUrl");
  if (!redisUrl.split(",").every(isRedisUrl))
    return [
      {
        variable,
        what: "is not a URL, or a list of them",
        mend: "write redis://user:password@host:6379, or rediss:// for TLS; the servers of a Redis Cluster separated by commas",
      },
    ];
  if (databaseUrl !== undefined) return [];
  return [
    { variable, what: "is set without DATABASE_URL", mend: "give all hubs the same PostgreSQL database; with SQLite a hub is alone" },
  ];
}

function isRedisUrl(text: string): boolean {
  const url = URL.parse(text.trim());
  return url !== null && /^rediss?:$/.test(url.protocol) && url.hostname !== "";
}

function nearestOf(name: string, known: readonly string[]): string | undefined {
  const [best] = known
    .map((candidate) => ({ candidate, distance: distanceBetween(name, candidate) }))
    .toSorted((a, b) => a.distance - b.distance);
  return best && best.distance <= 3 ? best.candidate : undefined;
}

/** Levenshtein distance. */
function distanceBetween(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (const [i, letter] of a.split("").entries()) {
    const next = [i + 1];
    for (const [j, other] of b.split("").entries())
      next.push(Math.min((next[j] ?? 0) + 1, (row[j + 1] ?? 0) + 1, (row[j] ?? 0) + (letter === other ? 0 : 1)));
    row = next;
  }
  return row.at(-1) ?? 0;
}
