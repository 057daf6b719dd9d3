import { canonicalUnit, COLOR_MODES, DEVICE_CLASSES, SENSOR_CLASSES, STATE_CLASSES } from "./home-assistant-classes.ts";

export type Config = Readonly<Record<string, unknown>>;
/** What is wrong with a value, in words that follow its name. */
type Check = (value: unknown) => string | undefined;
export type Fields = Readonly<Record<string, Check>>;

interface Platform {
  readonly required: readonly string[];
  readonly fields: Fields;
  /** What is wrong with fields that are right by themselves. */
  readonly rules?: (config: Config) => string[];
  /** Everything but device triggers has entities. */
  readonly hasEntity: boolean;
}

/** Own keys, each as it shall be, and all that are required. */
export function faultsOfFields(config: Config, fields: Fields, required: readonly string[]): string[] {
  const missing = required.filter((key) => !Object.hasOwn(config, key)).map((key) => `${key} is missing`);
  const wrong = Object.entries(config).flatMap(([key, value]) => {
    const check = Object.hasOwn(fields, key) ? fields[key] : undefined;
    if (!check) return [key === "object_id" ? "object_id is gone since 2026.4" : `${key} is no option here`];
    const fault = check(value);
    return fault === undefined ? [] : [`${key} ${fault}`];
  });
  return [...missing, ...wrong];
}

export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

export const text: Check = (value) => (typeof value === "string" ? undefined : "is no text");
export const filled: Check = (value) => (typeof value === "string" && value.trim() !== "" ? undefined : "is no text with something in it");
const flag: Check = (value) => (typeof value === "boolean" ? undefined : "is neither true nor false");
const wholeFrom =
  (least: number): Check =>
  (value) =>
    Number.isInteger(value) && Number(value) >= least ? undefined : `is no whole number from ${least}`;
const oneOf =
  (values: readonly unknown[]): Check =>
  (value) =>
    values.includes(value) ? undefined : `is none of ${values.join(", ")}`;
const orNull =
  (check: Check): Check =>
  (value) =>
    value === null ? undefined : check(value);
const textsOf: Check = (value) => {
  if (!Array.isArray(value) || value.length === 0) return "is no list with something in it";
  if (value.some((one) => filled(one) !== undefined)) return "has something that is no text";
  return new Set(value).size === value.length ? undefined : "has the same twice";
};
const textOrTexts: Check = (value) => (typeof value === "string" ? filled(value) : textsOf(value));
export const url =
  (...schemes: string[]): Check =>
  (value) =>
    typeof value === "string" && URL.canParse(value) && schemes.includes(new URL(value).protocol.slice(0, -1))
      ? undefined
      : `is no address of ${schemes.join(", ")}`;
const icon: Check = (value) => (typeof value === "string" && /^[a-z0-9-]+:[a-z0-9-]+$/.test(value) ? undefined : "is no prefix:name");

/** Jinja's delimiters come in pairs. */
const template: Check = (value) => {
  if (typeof value !== "string") return "is no template";
  const count = (sign: string): number => value.split(sign).length - 1;
  return count("{{") === count("}}") && count("{%") === count("%}") ? undefined : "has a delimiter without the other";
};

const MAX_TOPIC_BYTES = 65_535;
const LONE_SURROGATE = /\p{Surrogate}/u;

const topicOf: Check = (value) => {
  if (typeof value !== "string" || value === "") return "is no topic";
  if (value.includes("\0") || LONE_SURROGATE.test(value)) return "has a character that topics must not have";
  if (value.startsWith("~") || value.endsWith("~")) return "has ~ without a base";
  return Buffer.byteLength(value) > MAX_TOPIC_BYTES ? "is too long for a topic" : undefined;
};

/** Where Home Assistant publishes. */
export const publishTopic: Check = (value) => topicOf(value) ?? (/[+#]/.test(String(value)) ? "has a wildcard" : undefined);

/** What Home Assistant subscribes to. */
export const subscribeTopic: Check = (value) => {
  const levels = String(value).split("/");
  const isFilter = levels.every((level, index) => !/[+#]/.test(level) || level === "+" || (level === "#" && index === levels.length - 1));
  return topicOf(value) ?? (isFilter ? undefined : "has a wildcard where none may be");
};

const EXPIRY_UNITS = ["days", "hours", "minutes", "seconds", "milliseconds"];
export const expiry: Check = (value) => {
  if (!isRecord(value)) return wholeFrom(0)(value);
  const isFine = Object.entries(value).every(([unit, amount]) => EXPIRY_UNITS.includes(unit) && Number(amount) >= 0);
  return isFine && Object.keys(value).length > 0 ? undefined : "is no time";
};

const availabilityList: Check = (value) => {
  const list = Array.isArray(value) ? value : [value];
  if (list.length === 0) return "is an empty list";
  const fields = { topic: subscribeTopic, payload_available: text, payload_not_available: text, value_template: template };
  const faults = list.flatMap((one) => (isRecord(one) ? faultsOfFields(one, fields, ["topic"]) : ["one is no object"]));
  return faults.length === 0 ? undefined : `is wrong: ${faults.join("; ")}`;
};

export const AVAILABILITY: Fields = {
  availability: availabilityList,
  availability_mode: oneOf(["all", "any", "latest"]),
  availability_template: template,
  availability_topic: subscribeTopic,
  payload_available: text,
  payload_not_available: text,
};

export const DEVICE: Fields = {
  identifiers: textOrTexts,
  connections: (value) =>
    Array.isArray(value) &&
    value.every((pair) => Array.isArray(pair) && pair.length === 2 && pair.every((one) => filled(one) === undefined))
      ? undefined
      : "is no list of pairs",
  configuration_url: url("http", "https", "homeassistant"),
  hw_version: text,
  manufacturer: text,
  model: text,
  model_id: text,
  name: filled,
  serial_number: text,
  suggested_area: filled,
  sw_version: text,
  via_device: filled,
};

const ENTITY_ID = /^(?!.+__)(?!_)[\da-z_]+(?<!_)\.(?!_)[\da-z_]+(?<!_)$/;

const MESSAGES: Fields = { qos: oneOf([0, 1, 2]), encoding: text };
const COMMON: Fields = {
  ...AVAILABILITY,
  ...MESSAGES,
  default_entity_id: (value) => (ENTITY_ID.test(String(value)) ? undefined : "is no id of an entity"),
  enabled_by_default: flag,
  entity_category: oneOf(["config", "diagnostic"]),
  entity_picture: url("http", "https"),
  icon,
  json_attributes_template: template,
  json_attributes_topic: subscribeTopic,
  message_expiry_interval: expiry,
  name: orNull(filled),
  unique_id: filled,
  visible_by_default: flag,
};
/** Home Assistant adds no sensor that says it is a setting. */
const SENSOR_COMMON: Fields = { ...COMMON, entity_category: oneOf(["diagnostic"]), expire_after: wholeFrom(0), force_update: flag };
const COMMAND: Fields = { command_topic: publishTopic, command_template: template, retain: flag };
const STATE: Fields = { state_topic: subscribeTopic, value_template: template };
const ON_OFF: Fields = { payload_on: text, payload_off: text };
const classOf = (platform: string): Fields => ({ device_class: orNull(oneOf(DEVICE_CLASSES[platform] ?? [])) });

const different = (config: Config, [one, other]: readonly [string, string]): string[] =>
  config[one] !== undefined && config[one] === config[other] ? [`${one} and ${other} are the same`] : [];

function sensorRules(config: Config): string[] {
  const { device_class: deviceClass, state_class: stateClass, unit_of_measurement: given, options } = config;
  const unit = typeof given === "string" ? canonicalUnit(given.trim()) : "";
  const faults: string[] = [];
  if (config.last_reset_value_template !== undefined && stateClass !== "total")
    faults.push("last_reset_value_template needs state_class total");
  if (options !== undefined && (stateClass !== undefined || unit !== "")) faults.push("options go with neither state_class nor unit");
  if (options !== undefined && deviceClass !== "enum") faults.push("options need device_class enum");
  if (stateClass === "measurement_angle" && unit !== "°") faults.push("state_class measurement_angle needs the unit °");
  const known = typeof deviceClass === "string" ? SENSOR_CLASSES[deviceClass] : undefined;
  if (!known) return faults;
  const hasUnit = deviceClass === "monetary" ? /^[A-Z]{3}$/.test(unit) : known.units.includes(unit);
  if (!hasUnit) faults.push(`device_class ${String(deviceClass)} does not have the unit ${unit === "" ? "of nothing" : unit}`);
  if (typeof stateClass === "string" && !known.stateClasses.includes(stateClass))
    faults.push(`device_class ${String(deviceClass)} does not have state_class ${stateClass}`);
  return faults;
}

const ALONE = ["onoff", "brightness"];
const COLORS = ["hs", "xy", "rgb", "rgbw", "rgbww"];

const colorModes: Check = (value) => {
  const fault = textsOf(value);
  if (fault !== undefined) return fault;
  const modes = value as string[];
  if (modes.some((mode) => !COLOR_MODES.includes(mode))) return `is not made of ${COLOR_MODES.join(", ")}`;
  if (modes.length > 1 && modes.some((mode) => ALONE.includes(mode))) return "has onoff or brightness beside others";
  return modes.includes("white") && !modes.some((mode) => COLORS.includes(mode)) ? "has white without a colour" : undefined;
};

/** Fields of a light of the JSON schema; the other schemas are not the hub's. */
const LIGHT: Fields = {
  ...COMMON,
  schema: oneOf(["json"]),
  command_topic: publishTopic,
  state_topic: subscribeTopic,
  retain: flag,
  optimistic: flag,
  brightness: flag,
  brightness_scale: wholeFrom(1),
  color_temp_kelvin: flag,
  effect: flag,
  effect_list: textOrTexts,
  flash: flag,
  flash_time_long: wholeFrom(0),
  flash_time_short: wholeFrom(0),
  max_kelvin: wholeFrom(1),
  min_kelvin: wholeFrom(1),
  max_mireds: wholeFrom(1),
  min_mireds: wholeFrom(1),
  supported_color_modes: colorModes,
  transition: flag,
  white_scale: wholeFrom(1),
};

const UPDATE: Fields = {
  ...COMMON,
  ...STATE,
  ...classOf("update"),
  command_topic: publishTopic,
  display_precision: wholeFrom(0),
  latest_version_template: template,
  latest_version_topic: subscribeTopic,
  payload_install: filled,
  release_summary: (value) => (typeof value === "string" && value.length <= 255 ? undefined : "is no text of up to 255 characters"),
  release_url: url("http", "https"),
  retain: flag,
  title: text,
};

const SENSOR: Fields = {
  ...SENSOR_COMMON,
  ...STATE,
  device_class: orNull(oneOf(Object.keys(SENSOR_CLASSES))),
  last_reset_value_template: template,
  options: textsOf,
  state_class: orNull(oneOf(STATE_CLASSES)),
  suggested_display_precision: wholeFrom(0),
  unit_of_measurement: orNull(text),
};

const TRIGGER: Fields = {
  ...MESSAGES,
  automation_type: oneOf(["trigger"]),
  payload: text,
  subtype: filled,
  topic: subscribeTopic,
  type: filled,
  value_template: template,
};

const INFRARED: Fields = { ...COMMON, ...COMMAND, ...STATE, schema: oneOf(["emitter", "receiver"]) };

function infraredRules({ schema, command_topic, state_topic }: Config): string[] {
  if (schema === "emitter") return command_topic === undefined ? ["command_topic is missing"] : [];
  return state_topic === undefined ? ["state_topic is missing"] : [];
}

/** Without `payload_install` there would be nothing to send. */
const updateRules = (config: Config): string[] =>
  (config.command_topic === undefined) === (config.payload_install === undefined) ? [] : ["command_topic and payload_install go together"];

/** The platforms whose options are known here, as www.home-assistant.io/integrations/<platform>.mqtt has them. */
export const KNOWN: Readonly<Record<string, Platform>> = {
  switch: {
    required: ["command_topic"],
    fields: { ...COMMON, ...COMMAND, ...STATE, ...ON_OFF, ...classOf("switch"), optimistic: flag, state_on: text, state_off: text },
    rules: (config) => [...different(config, ["payload_on", "payload_off"]), ...different(config, ["state_on", "state_off"])],
    hasEntity: true,
  },
  light: { required: ["schema", "command_topic"], fields: LIGHT, hasEntity: true },
  binary_sensor: {
    required: ["state_topic"],
    fields: { ...SENSOR_COMMON, ...STATE, ...ON_OFF, ...classOf("binary_sensor"), off_delay: wholeFrom(0) },
    rules: (config) => different(config, ["payload_on", "payload_off"]),
    hasEntity: true,
  },
  sensor: { required: ["state_topic"], fields: SENSOR, rules: sensorRules, hasEntity: true },
  event: {
    required: ["state_topic", "event_types"],
    fields: { ...COMMON, ...STATE, ...classOf("event"), event_types: textsOf },
    hasEntity: true,
  },
  button: { required: ["command_topic"], fields: { ...COMMON, ...COMMAND, ...classOf("button"), payload_press: text }, hasEntity: true },
  update: { required: [], fields: UPDATE, rules: updateRules, hasEntity: true },
  infrared: { required: ["schema"], fields: INFRARED, rules: infraredRules, hasEntity: true },
  device_automation: { required: ["automation_type", "topic", "type", "subtype"], fields: TRIGGER, hasEntity: false },
};
