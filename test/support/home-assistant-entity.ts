import { SENSOR_CLASSES } from "./home-assistant-classes.ts";
import { type Config, isRecord } from "./home-assistant-platforms.ts";
import { render } from "./home-assistant-template.ts";

/** A message as an entity sees it. */
export interface Received {
  readonly payload: string;
  /** The broker kept it for whoever subscribes. */
  readonly isRetained: boolean;
}

export interface EntityEvent {
  readonly type: string;
  readonly attributes: Readonly<Record<string, unknown>>;
}

interface Watched {
  readonly topic: string;
  readonly yes: string;
  readonly no: string;
  readonly template: string | undefined;
}

export const textOf = (value: unknown, otherwise: string): string => (typeof value === "string" ? value : otherwise);
const templateOf = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined);

const NOTHING = ["", "{}", "None"];

/** What Home Assistant makes of one component: its state, and whether it is there. */
export class Entity {
  readonly key: string;
  readonly platform: string;
  readonly entityId: string;
  config: Config = {};
  attributes: Record<string, unknown> = {};
  /** Those of event entities and of device triggers. */
  readonly events: EntityEvent[] = [];
  #value = "unknown";
  #watched: readonly Watched[] = [];
  readonly #availability = new Map<string, boolean>();
  #latest = false;
  readonly #isConnected: () => boolean;

  constructor(about: { key: string; platform: string; entityId: string }, config: Config, isConnected: () => boolean) {
    this.key = about.key;
    this.platform = about.platform;
    this.entityId = about.entityId;
    this.#isConnected = isConnected;
    this.update(config);
  }

  /** A later discovery message; what is known of the state stays. */
  update(config: Config): void {
    this.config = config;
    this.#watched = watchedOf(config);
    const topics = new Set(this.#watched.map(({ topic }) => topic));
    for (const topic of this.#availability.keys()) if (!topics.has(topic)) this.#availability.delete(topic);
  }

  get uniqueId(): string {
    return textOf(this.config.unique_id, "");
  }

  /** As the state machine shows it; `unavailable` and `unknown` are states. */
  get state(): string {
    return this.available ? this.#value : "unavailable";
  }

  get available(): boolean {
    if (!this.#isConnected()) return false;
    if (this.#watched.length === 0) return true;
    const mode = this.config.availability_mode ?? "latest";
    const known = this.#watched.map(({ topic }) => this.#availability.get(topic) === true);
    if (mode === "all") return known.every(Boolean);
    return mode === "any" ? known.some(Boolean) : this.#latest;
  }

  /** Everything that it subscribes to. */
  get topics(): string[] {
    const { state_topic, latest_version_topic, json_attributes_topic, topic } = this.config;
    const own = [state_topic, latest_version_topic, json_attributes_topic, topic].filter((one) => typeof one === "string");
    return [...new Set([...own, ...this.#watched.map((watched) => watched.topic)])];
  }

  /** How the broker is asked for them. */
  get qos(): 0 | 1 | 2 {
    return (this.config.qos ?? 0) as 0 | 1 | 2;
  }

  /** Without a state topic it believes what it has sent. */
  assume(value: string): void {
    const isAssumed = this.config.optimistic ?? this.config.state_topic === undefined;
    if (isAssumed === true) this.#value = value;
  }

  /** The faults of the message, each of which Home Assistant would have logged and passed over. */
  receive(topic: string, message: Received): string[] {
    const faults: string[] = [];
    const attempt = (work: () => string | undefined): void => {
      try {
        const fault = work();
        if (fault !== undefined) faults.push(`${this.entityId} on ${topic}: ${fault}`);
      } catch (error) {
        faults.push(`${this.entityId} on ${topic}: ${(error as Error).message}`);
      }
    };
    for (const watched of this.#watched) if (watched.topic === topic) attempt(() => this.#hearAvailability(watched, message));
    if (this.config.state_topic === topic) attempt(() => this.#hearState(message));
    if (this.config.latest_version_topic === topic) attempt(() => this.#hearVersion(message));
    if (this.config.json_attributes_topic === topic) attempt(() => this.#hearAttributes(message));
    if (this.config.topic === topic) attempt(() => this.#hearTrigger(message));
    return faults;
  }

  #hearAvailability({ topic, yes, no, template }: Watched, { payload }: Received): string | undefined {
    const said = template === undefined ? payload : render(template, payload);
    if (said !== yes && said !== no) return `${said} says nothing about availability`;
    this.#availability.set(topic, said === yes);
    this.#latest = said === yes;
    return undefined;
  }

  #hearState(message: Received): string | undefined {
    const template = templateOf(this.config.value_template);
    const said = template === undefined ? message.payload : render(template, message.payload);
    switch (this.platform) {
      case "light":
        return this.#hearLight(said);
      case "sensor":
        return this.#hearSensor(said);
      case "event":
        return message.isRetained ? undefined : this.#hearEvent(said);
      case "update":
        return this.#hearUpdate(said);
      case "infrared":
        return undefined;
      default:
        return this.#hearOnOff(said);
    }
  }

  #hearOnOff(said: string): string | undefined {
    const { payload_on, payload_off, state_on = payload_on, state_off = payload_off } = this.config;
    if (said === "") return undefined;
    if (said === textOf(state_on, "ON")) this.#value = "on";
    else if (said === textOf(state_off, "OFF")) this.#value = "off";
    else if (said === "None") this.#value = "unknown";
    else return `${said} is no state`;
    return undefined;
  }

  #hearLight(said: string): string | undefined {
    const values: unknown = JSON.parse(said);
    if (!isRecord(values)) return "the state is no object";
    const { state, brightness } = values;
    if (state === "ON" || state === "OFF") this.#value = state.toLowerCase();
    else if (state === null) this.#value = "unknown";
    else if (state !== undefined) return `${JSON.stringify(state)} is no state`;
    if (brightness == null || brightness === 0) return undefined;
    const scale = Number(this.config.brightness_scale ?? 255);
    if (typeof brightness !== "number" || brightness < 0 || brightness > scale) return `${JSON.stringify(brightness)} is no brightness`;
    this.attributes = { ...this.attributes, brightness: Math.max(1, Math.round((brightness / scale) * 255)) };
    return undefined;
  }

  #hearSensor(said: string): string | undefined {
    const { device_class: deviceClass, unit_of_measurement: unit, state_class: stateClass, options } = this.config;
    const known = typeof deviceClass === "string" ? SENSOR_CLASSES[deviceClass] : undefined;
    const isNumber = Boolean(unit) || Boolean(stateClass) || (known?.stateClasses.length ?? 0) > 0;
    if (said === "None" || (isNumber && said === "null")) this.#value = "unknown";
    else if (isNumber && said === "") return undefined;
    else if (isNumber && (said.trim() === "" || !Number.isFinite(Number(said)))) return `${said} is no number`;
    else if (Array.isArray(options) && !options.includes(said)) return `${said} is none of the options`;
    else if ((deviceClass === "timestamp" || deviceClass === "uptime") && !isTimestamp(said)) return `${said} is no time with its zone`;
    else this.#value = said;
    return undefined;
  }

  #hearEvent(said: string): string | undefined {
    if (NOTHING.includes(said)) return undefined;
    const parsed: unknown = JSON.parse(said);
    if (!isRecord(parsed) || typeof parsed.event_type !== "string") return "event_type is missing";
    const { event_type: type, ...attributes } = parsed;
    if (!(this.config.event_types as string[]).includes(type)) return `${type} is none of its types`;
    this.events.push({ type, attributes });
    this.#value = new Date().toISOString();
    return undefined;
  }

  #hearUpdate(said: string): string | undefined {
    if (NOTHING.includes(said)) return undefined;
    let parsed: unknown = said;
    try {
      parsed = JSON.parse(said);
    } catch {
      // A version by itself.
    }
    const values = isRecord(parsed) ? parsed : { installed_version: said };
    if (typeof (values.installed_version ?? "") !== "string" || typeof (values.latest_version ?? "") !== "string")
      return "a version is no text";
    this.attributes = { ...this.attributes, ...values };
    this.#compareVersions();
    return undefined;
  }

  #hearVersion({ payload }: Received): string | undefined {
    const template = templateOf(this.config.latest_version_template);
    const said = template === undefined ? payload : render(template, payload);
    if (said !== "") this.attributes = { ...this.attributes, latest_version: said };
    this.#compareVersions();
    return undefined;
  }

  #compareVersions(): void {
    const { installed_version: installed, latest_version: latest } = this.attributes;
    if (installed == null || latest == null) this.#value = "unknown";
    else this.#value = installed === latest ? "off" : "on";
  }

  #hearAttributes({ payload }: Received): string | undefined {
    const template = templateOf(this.config.json_attributes_template);
    const parsed: unknown = JSON.parse(template === undefined ? payload : render(template, payload));
    if (!isRecord(parsed)) return "the attributes are no object";
    this.attributes = { ...this.attributes, ...parsed };
    return undefined;
  }

  #hearTrigger({ payload }: Received): string | undefined {
    const template = templateOf(this.config.value_template);
    const said = template === undefined ? payload : render(template, payload);
    const wanted = this.config.payload;
    if (wanted === undefined || wanted === said) this.events.push({ type: textOf(this.config.type, ""), attributes: { payload: said } });
    return undefined;
  }
}

function watchedOf({
  availability,
  availability_topic,
  availability_template,
  payload_available,
  payload_not_available,
}: Config): Watched[] {
  const words = { yes: textOf(payload_available, "online"), no: textOf(payload_not_available, "offline") };
  if (typeof availability_topic === "string") return [{ topic: availability_topic, ...words, template: templateOf(availability_template) }];
  const list = Array.isArray(availability) ? availability.filter((one) => isRecord(one)) : [];
  return list.map((one) => ({
    topic: textOf(one.topic, ""),
    yes: textOf(one.payload_available, "online"),
    no: textOf(one.payload_not_available, "offline"),
    template: templateOf(one.value_template),
  }));
}

const isTimestamp = (text: string): boolean => /(?:Z|[+-]\d\d:?\d\d)$/.test(text) && !Number.isNaN(Date.parse(text));
