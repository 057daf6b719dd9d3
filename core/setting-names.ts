import { type SettingKey, Settings } from "./settings.ts";

export const SETTING_KEYS = Object.keys(Settings.properties) as SettingKey[];

/** Names that were fixed before the hub had its prefix. */
const FIXED_NAMES: Partial<Record<SettingKey, string>> = {
  provisionKey: "DEVICE_PROVISION_KEY",
  databaseUrl: "DATABASE_URL",
  redisUrl: "REDIS_URL",
  clickhouseUrl: "CLICKHOUSE_URL",
  jwtSecret: "JWT_SECRET",
  enforceHttps: "ENFORCE_HTTPS",
  trustProxy: "TRUST_PROXY",
  nodeEnv: "NODE_ENV",
};

/** `httpPort` → `HEXA_HTTP_PORT`; Home Assistant's are known by `HA_MQTT_`. */
export function variableOf(key: SettingKey): string {
  const name = key.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase();
  return FIXED_NAMES[key] ?? (name.startsWith("HA_MQTT_") ? name : `HEXA_${name}`);
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
  return SETTING_KEYS.map((key) => {
    const schema = schemaOf(key);
    const { default: fallback, description } = schema;
    return {
      name: variableOf(key),
      isSecret: isSecret(key),
      default: fallback === undefined || fallback === "" ? undefined : `${fallback}`,
      range: rangeOf(schema),
      description: description ?? "",
    };
  });
}

export interface SettingSchema {
  readonly default?: string | number | boolean;
  readonly description?: string;
  readonly type?: string;
  readonly format?: string;
  readonly enum?: readonly string[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly writeOnly?: boolean;
}

export function schemaOf(key: SettingKey): SettingSchema {
  return Settings.properties[key];
}

export function isSecret(key: SettingKey): boolean {
  return schemaOf(key).writeOnly === true;
}

export function rangeOf(schema: SettingSchema): string {
  if (schema.enum) return `${schema.enum.slice(0, -1).join(", ")} or ${schema.enum.at(-1)}`;
  if (schema.type === "boolean") return "true or false";
  if (schema.type === "integer") return `${schema.minimum} to ${schema.maximum}`;
  if (schema.format === "email") return "an e-mail address";
  return schema.minLength !== undefined && schema.minLength > 1 ? `at least ${schema.minLength} characters` : "";
}
