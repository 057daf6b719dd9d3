import Type, { type Static } from "typebox";
import { HubError } from "./errors.ts";
import { UNIT_SYSTEMS } from "./units.ts";
import { type Parser, parserFor, requireSmall } from "./validate.ts";

/** `<service>.<name>`: settings of what runs on the hub, kept in its database; those of the hub itself are the environment's. */
export const ServiceSettingKey = Type.String({
  pattern: "^[a-z][a-z0-9_-]*(\\.[a-z0-9_-]+)+$",
  maxLength: 128,
  description: "<service>.<name>, for example alerts.quiet_hours",
});

export const ServiceSetting = Type.Object(
  {
    id: Type.String(),
    key: Type.String(),
    value: Type.Unknown({ description: "Any JSON" }),
    version: Type.Integer({ description: "1 for the first value, and one more with each" }),
    updated_at: Type.String(),
    updated_by: Type.Object({ kind: Type.String(), id: Type.String() }),
  },
  { title: "ServiceSetting" },
);
export type ServiceSetting = Static<typeof ServiceSetting>;

/** Whose value it is that holds. */
export const SOURCES = ["organization", "platform"] as const;
export type EffectiveSetting = ServiceSetting & { readonly source: (typeof SOURCES)[number] };

const MAX_VALUE = { maxBytes: 65_536, maxDepth: 32 };
/** Of one organisation, or of the platform. Together they are cached, and read, as one. */
export const MAX_SETTINGS = 200;
export const MAX_SETTINGS_BYTES = 1_048_576;

/** For how many days an organisation keeps its events, where that is less than HEXA_EVENT_RETENTION_DAYS. */
export const RETENTION_SETTING = "events.retention_days";

/** For how many days an organisation keeps its readings, where that is less than HEXA_READING_RETENTION_DAYS. */
export const READING_RETENTION_SETTING = "readings.retention_days";

/** The system of units in which an organisation reads its sensors. */
export const UNIT_SYSTEM_SETTING = "sensors.unit_system";

const days = parserFor(
  Type.Object({ value: Type.Integer({ minimum: 1, maximum: 3_650, description: "days" }) }, { additionalProperties: false }),
);
/** Settings that the hub itself reads have the form that it reads; others are of services that know theirs. */
const READ_BY_THE_HUB: Readonly<Record<string, Parser<unknown>>> = {
  [RETENTION_SETTING]: days,
  [READING_RETENTION_SETTING]: days,
  [UNIT_SYSTEM_SETTING]: parserFor(Type.Object({ value: Type.Enum([...UNIT_SYSTEMS]) }, { additionalProperties: false })),
};

const SECRET_KEY = /password|passphrase|secret|token|key$/i;
/** Inside of a value, where a `key` may be that of a series. */
const SECRET_MEMBER = /password|passphrase|secret|token|(?:api|access|private|signing|encryption)[_-]?key$/i;

export const serviceOf = (key: string): string => key.slice(0, key.indexOf("."));

/** Throws `validation_error` for a value that is too large or not what the hub reads there, and for what looks like a secret: everybody in the organisation reads it. */
export function checkServiceSetting(key: string, value: unknown): void {
  requireSmall(value, "/value", MAX_VALUE);
  if (Object.hasOwn(READ_BY_THE_HUB, key)) READ_BY_THE_HUB[key]?.({ value });
  const found = SECRET_KEY.test(key) ? { path: "/key", name: key } : secretMember(value, "/value");
  if (!found) return;
  throw new HubError(
    "validation_error",
    `${found.name} looks like a secret, and settings are readable: give secrets to the hub in its environment, as a file in <NAME>_FILE (docs/configuration.md)`,
    { details: [{ path: found.path, message: "looks like a secret" }] },
  );
}

function secretMember(value: unknown, path: string): { path: string; name: string } | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  for (const [name, inner] of Object.entries(value)) {
    const below = `${path}/${name}`;
    const found = SECRET_MEMBER.test(name) ? { path: below, name } : secretMember(inner, below);
    if (found) return found;
  }
  return undefined;
}

/** The organisation's value before the platform's; in the order of their keys. */
export function effectiveSettings(own: readonly ServiceSetting[], platform: readonly ServiceSetting[]): EffectiveSetting[] {
  const byKey = new Map<string, EffectiveSetting>();
  for (const setting of platform) byKey.set(setting.key, { ...setting, source: "platform" });
  for (const setting of own) byKey.set(setting.key, { ...setting, source: "organization" });
  return [...byKey.values()].toSorted((a, b) => (a.key < b.key ? -1 : 1));
}
