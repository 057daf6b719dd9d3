import assert from "node:assert/strict";
import { Socket } from "node:net";
import { isDeepStrictEqual } from "node:util";
import mqtt from "mqtt";
import { PLATFORMS } from "./home-assistant-classes.ts";
import { type Component, type Discovery, parseDiscovery, uniqueIds } from "./home-assistant-discovery.ts";
import { Entity, textOf } from "./home-assistant-entity.ts";
import { type Config, isRecord } from "./home-assistant-platforms.ts";
import { render } from "./home-assistant-template.ts";
import { until } from "./wait.ts";

export interface HomeAssistantOptions {
  readonly url: string;
  readonly username?: string;
  readonly password?: string;
  readonly clientId?: string;
  /** PEM; for mqtts. */
  readonly ca?: string;
  readonly protocolVersion?: 4 | 5;
}

/** What has an entity id, also where its entity is not there now; what a removal took away gets the same id when it comes back. */
interface Registered {
  readonly entityId: string;
  removed: boolean;
}

interface Fault {
  readonly topic: string;
  readonly fault: string;
}

/**
 * As much of Home Assistant as its broker sees: it says when it comes and goes, takes discovery messages by the published rules, keeps
 * entities under their ids, follows their topics and sends their commands. Whatever is wrong with a message is in `faults`.
 */
export interface HomeAssistant extends AsyncDisposable {
  readonly connected: boolean;
  /** Of the connection that there is. */
  readonly client: mqtt.MqttClient;
  /** By entity id. */
  readonly entities: ReadonlyMap<string, Entity>;
  /** Name, area and the rest of each device, by its first identifier. */
  readonly devices: ReadonlyMap<string, Config>;
  readonly faults: readonly Fault[];
  /** Filters that the broker has refused. */
  readonly refused: readonly string[];
  /** Every discovery message, in the order in which they came. */
  readonly heard: readonly { readonly topic: string; readonly payload: string }[];
  /** Entity ids by platform and unique id, without those that were removed. */
  registry(): Record<string, string>;
  /** Ids of the registry whose thing is not discovered now: what people see as "no longer provided". */
  ghosts(): string[];
  find(uniqueId: string): Entity | undefined;
  /** Which topic the entity was discovered by. */
  topicOf(uniqueId: string): string | undefined;
  /** Resolves when there are entities with these unique ids, and no others; nothing that came before may be wrong. */
  has(uniqueIds: Iterable<string>): Promise<void>;
  /** Resolves when an entity shows it. */
  shows(entityId: string, state: string, timeoutMs?: number): Promise<Entity>;
  turn(entityId: string, state: "on" | "off"): Promise<void>;
  /** Of 255. */
  setBrightness(entityId: string, brightness: number): Promise<void>;
  press(entityId: string): Promise<void>;
  install(entityId: string): Promise<void>;
  sendInfrared(entityId: string, command: { timings: readonly number[]; modulation: number; repeat_count: number }): Promise<void>;
  /** The connection breaks, and comes back by itself. */
  cut(): void;
  stop(): Promise<void>;
  /** Comes back with its registries and nothing else. */
  start(): Promise<void>;
  restart(): Promise<void>;
  /** Discovery topics that the broker keeps whose device has none of the identifiers. */
  orphans(identifiers: Iterable<string>): Promise<string[]>;
}

export async function startHomeAssistant(options: HomeAssistantOptions): Promise<HomeAssistant> {
  const home = new Home(options);
  await home.start();
  return home;
}

const STATUS = "homeassistant/status";
/** Each of them is subscribed to by itself, devices last. */
const FILTERS = [...PLATFORMS, "device"].flatMap((name) => [`homeassistant/${name}/+/config`, `homeassistant/${name}/+/+/config`]);
const FILTERS_A_PACKET = 500;
/** What is to be followed is gathered for so long. */
const COOLDOWN_MS = 100;
const RECONNECT_MS = 200;
const CONNECT_TIMEOUT_MS = 10_000;

class Home implements HomeAssistant {
  readonly entities = new Map<string, Entity>();
  readonly devices = new Map<string, Config>();
  readonly faults: Fault[] = [];
  readonly refused: string[] = [];
  readonly heard: { readonly topic: string; readonly payload: string }[] = [];
  readonly #options: HomeAssistantOptions;
  readonly #registry = new Map<string, Registered>();
  readonly #byUniqueId = new Map<string, Entity>();
  /** Entity ids of the registry, and of entities without a unique id. */
  readonly #taken = new Set<string>();
  /** By what a component's messages have in common. */
  readonly #discovered = new Map<string, { readonly topic: string; readonly entity: Entity }>();
  readonly #listeners = new Map<string, Set<Entity>>();
  readonly #asked = new Map<string, 0 | 1 | 2>();
  readonly #unasked = new Set<string>();
  #asking: NodeJS.Timeout | undefined;
  /** Discovery topics that have something, as far as it was seen. */
  readonly #kept = new Set<string>();
  #client: mqtt.MqttClient | undefined;

  constructor(options: HomeAssistantOptions) {
    this.#options = options;
  }

  get connected(): boolean {
    return this.#client?.connected ?? false;
  }

  get client(): mqtt.MqttClient {
    if (!this.#client) throw new Error("it was stopped");
    return this.#client;
  }

  registry(): Record<string, string> {
    const present = [...this.#registry].filter(([, { removed }]) => !removed);
    return Object.fromEntries(present.map(([key, { entityId }]): [string, string] => [key, entityId]));
  }

  ghosts(): string[] {
    return Object.values(this.registry()).filter((entityId) => !this.entities.has(entityId));
  }

  find(uniqueId: string): Entity | undefined {
    return this.#byUniqueId.get(uniqueId);
  }

  topicOf(uniqueId: string): string | undefined {
    const entity = this.find(uniqueId);
    return entity && this.#discovered.get(entity.key)?.topic;
  }

  async has(ids: Iterable<string>): Promise<void> {
    const wanted = [...ids].toSorted();
    const there = (): string[] => [...this.#byUniqueId.keys()].toSorted();
    await until(() => isDeepStrictEqual(there(), wanted), { what: `Home Assistant to have ${wanted.length} entities` }).catch(
      (cause: unknown) => {
        assert.deepEqual(there(), wanted);
        throw cause;
      },
    );
    assert.deepEqual(this.faults, []);
  }

  shows(entityId: string, state: string, timeoutMs = 10_000): Promise<Entity> {
    const seen = (): Entity | undefined => {
      const entity = this.entities.get(entityId);
      if (entity?.state !== state) throw new Error(`it is ${entity?.state ?? "not there"}`);
      return entity;
    };
    return until(seen, { what: `${entityId} to be ${state}`, timeoutMs });
  }

  async turn(entityId: string, state: "on" | "off"): Promise<void> {
    const { entity, config } = this.#reach(entityId);
    const word = state.toUpperCase();
    const payload = entity.platform === "light" ? JSON.stringify({ state: word }) : textOf(config[`payload_${state}`], word);
    await this.#command(entity, payload);
    entity.assume(state);
  }

  async setBrightness(entityId: string, brightness: number): Promise<void> {
    const { entity, config } = this.#reach(entityId);
    const scale = Number(config.brightness_scale ?? 255);
    const scaled = Math.max(1, Math.min(scale, Math.round((brightness / 255) * scale)));
    await this.#command(entity, JSON.stringify({ state: "ON", brightness: scaled }));
    entity.assume("on");
  }

  async press(entityId: string): Promise<void> {
    const { entity, config } = this.#reach(entityId);
    await this.#command(entity, textOf(config.payload_press, "PRESS"));
  }

  async install(entityId: string): Promise<void> {
    const { entity, config } = this.#reach(entityId);
    await this.#command(entity, textOf(config.payload_install, ""));
  }

  async sendInfrared(entityId: string, command: { timings: readonly number[]; modulation: number; repeat_count: number }): Promise<void> {
    await this.#command(this.#reach(entityId).entity, JSON.stringify(command), command);
  }

  cut(): void {
    this.#client?.stream.destroy();
  }

  async stop(): Promise<void> {
    const client = this.#client;
    clearTimeout(this.#asking);
    this.#asking = undefined;
    this.#unasked.clear();
    if (client?.connected) await client.publishAsync(STATUS, "offline");
    this.#client = undefined;
    // Without a connection there is nothing to say good-bye to.
    await client?.endAsync(!client.connected);
    for (const { uniqueId, entityId } of this.entities.values()) if (uniqueId === "") this.#taken.delete(entityId);
    this.entities.clear();
    this.#byUniqueId.clear();
    this.#discovered.clear();
    this.#listeners.clear();
    this.#asked.clear();
    this.#kept.clear();
  }

  async start(): Promise<void> {
    const client = this.#open(this.#options.clientId, { topic: STATUS, payload: Buffer.from("offline"), qos: 0, retain: false });
    this.#client = client;
    client.on("message", (topic, payload, { retain }) => this.#receive(topic, payload, retain));
    const welcome = Promise.withResolvers<void>();
    client.on("connect", () => void this.#welcome(client).then(welcome.resolve, welcome.reject));
    client.on("error", welcome.reject);
    try {
      await welcome.promise;
    } catch (error) {
      await client.endAsync(true);
      throw error;
    }
  }

  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  async orphans(identifiers: Iterable<string>): Promise<string[]> {
    const expected = new Set(identifiers);
    const found = new Map<string, Discovery>();
    const client = this.#open(this.#options.clientId && `${this.#options.clientId}-2`);
    try {
      client.on("message", (topic, payload, { retain }) => retain && found.set(topic, parseDiscovery(topic, payload)));
      await until(() => client.connected, { what: "another connection" });
      await this.#subscribe(client, new Map(FILTERS.map((filter) => [filter, 0])));
      // What was seen is there, or it is not kept; an answer to something later comes after it.
      const all = () => [...this.#kept].every((topic) => found.has(topic));
      await until(all, { what: "the discovery topics", timeoutMs: 2_000 }).catch(() => undefined);
      await client.unsubscribeAsync(FILTERS);
    } finally {
      await client.endAsync();
    }
    return [...found].filter(([, { device }]) => !identifiersOf(device).some((id) => expected.has(id))).map(([topic]) => topic);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #open(clientId: string | undefined, will?: mqtt.IClientOptions["will"]): mqtt.MqttClient {
    const { url, username, password, ca, protocolVersion = 5 } = this.#options;
    const client = mqtt.connect(url, {
      protocolVersion,
      ...(username === undefined ? {} : { username }),
      ...(password === undefined ? {} : { password }),
      ...(ca === undefined ? {} : { ca }),
      ...(clientId === undefined ? {} : { clientId }),
      ...(will === undefined ? {} : { will }),
      clean: true,
      resubscribe: false,
      reconnectPeriod: RECONNECT_MS,
      connectTimeout: CONNECT_TIMEOUT_MS,
    });
    // MQTT.js leaves Nagle's algorithm on: a command behind an acknowledgement waits for the hub's own, 40 ms.
    client.on("connect", () => {
      if (client.stream instanceof Socket) client.stream.setNoDelay(true);
    });
    return client;
  }

  /** First what it follows, then the word that it is there: whoever hears that may answer at once. */
  async #welcome(client: mqtt.MqttClient): Promise<void> {
    await this.#subscribe(client, new Map(FILTERS.map((filter) => [filter, 0])));
    await this.#subscribe(client, this.#asked);
    await client.publishAsync(STATUS, "online");
  }

  async #subscribe(client: mqtt.MqttClient, filters: ReadonlyMap<string, 0 | 1 | 2>): Promise<void> {
    const list = [...filters];
    for (let at = 0; at < list.length; at += FILTERS_A_PACKET) {
      const part = list.slice(at, at + FILTERS_A_PACKET);
      const granted = await new Promise<readonly number[]>((resolve, reject) => {
        client.subscribe(Object.fromEntries(part.map(([filter, qos]) => [filter, { qos }])), (error, _granted, packet) => {
          const codes = (packet as { granted?: number[]; reasonCodes?: number[] } | undefined)?.granted;
          if (codes) resolve(codes);
          else if (error) reject(error);
          else resolve([]);
        });
      });
      part.forEach(([filter], index) => (granted[index] ?? 0) >= 128 && this.refused.push(filter));
    }
  }

  #receive(topic: string, payload: Buffer, isRetained: boolean): void {
    if (topic.startsWith("homeassistant/") && topic.endsWith("/config")) this.#discover(topic, payload);
    for (const entity of this.#listeners.get(topic) ?? [])
      for (const fault of entity.receive(topic, { payload: payload.toString("utf8"), isRetained })) this.faults.push({ topic, fault });
  }

  #discover(topic: string, payload: Buffer): void {
    this.heard.push({ topic, payload: payload.toString() });
    const here = uniqueIds();
    const claim = (uniqueId: string, key: string): string | undefined => {
      const other = this.find(uniqueId);
      return other && other.key !== key ? `unique_id ${uniqueId} is that of ${other.key}` : here(uniqueId, key);
    };
    const { faults, components, kind, device } = parseDiscovery(topic, payload, claim);
    if (payload.length === 0) this.#kept.delete(topic);
    else this.#kept.add(topic);
    this.faults.push(...faults.map((fault) => ({ topic, fault })));
    if (faults.length > 0) return;
    if (kind !== "config") {
      const leaving = [...this.#discovered].filter(([, one]) => one.topic === topic);
      for (const [key] of leaving) this.#remove(key, { forGood: kind === "empty" });
      return;
    }
    const [id] = identifiersOf(device);
    // An area is suggested once; after that it is the user's.
    if (id !== undefined) this.devices.set(id, { ...device, suggested_area: (this.devices.get(id) ?? device)?.suggested_area });
    for (const component of components) this.#take(topic, component, device);
  }

  #take(topic: string, { key, platform, config, faults }: Component, device: Config | undefined): void {
    this.faults.push(...faults.map((fault) => ({ topic, fault: `${key}: ${fault}` })));
    if (faults.length > 0) return;
    if (config === undefined) return this.#remove(key, { forGood: true });
    const known = this.#discovered.get(key)?.entity;
    if (known && known.uniqueId !== (config.unique_id ?? "")) this.faults.push({ topic, fault: `${key}: unique_id has changed` });
    const before = new Set(known?.topics);
    known?.update(config);
    const entity = known ?? this.#add({ key, platform, config, device });
    this.#discovered.set(key, { topic, entity });
    const topics = new Set(entity.topics);
    for (const old of before) if (!topics.has(old)) this.#unlisten(old, entity);
    this.#listen(
      [...topics].filter((one) => !before.has(one)),
      entity,
    );
  }

  #add({ key, platform, config, device }: { key: string; platform: string; config: Config; device: Config | undefined }): Entity {
    const entityId = this.#register(platform, config, device);
    const entity = new Entity({ key, platform, entityId }, config, () => this.connected);
    this.entities.set(entityId, entity);
    if (entity.uniqueId !== "") this.#byUniqueId.set(entity.uniqueId, entity);
    return entity;
  }

  /** An id once given stays; a new one that somebody else has gets a number. */
  #register(platform: string, config: Config, device: Config | undefined): string {
    const uniqueId = typeof config.unique_id === "string" ? config.unique_id : undefined;
    const key = `${platform} ${uniqueId ?? ""}`;
    const known = uniqueId === undefined ? undefined : this.#registry.get(key);
    if (known && (!known.removed || !this.#taken.has(known.entityId))) {
      known.removed = false;
      this.#taken.add(known.entityId);
      return known.entityId;
    }
    const wanted = typeof config.default_entity_id === "string" ? config.default_entity_id : `${platform}.${objectIdOf(config, device)}`;
    let entityId = wanted;
    for (let number = 2; this.#taken.has(entityId); number++) entityId = `${wanted}_${number}`;
    this.#taken.add(entityId);
    if (uniqueId !== undefined) this.#registry.set(key, { entityId, removed: false });
    return entityId;
  }

  #remove(key: string, { forGood }: { forGood: boolean }): void {
    const entity = this.#discovered.get(key)?.entity;
    if (!entity) return;
    this.#discovered.delete(key);
    this.entities.delete(entity.entityId);
    this.#byUniqueId.delete(entity.uniqueId);
    const registered = this.#registry.get(`${entity.platform} ${entity.uniqueId}`);
    if (registered && forGood) registered.removed = true;
    if (!registered || forGood) this.#taken.delete(entity.entityId);
    for (const topic of entity.topics) this.#unlisten(topic, entity);
  }

  #listen(topics: readonly string[], entity: Entity): void {
    const { qos } = entity;
    for (const topic of topics) {
      const listeners = this.#listeners.get(topic) ?? new Set();
      this.#listeners.set(topic, listeners.add(entity));
      this.#asked.set(topic, Math.max(qos, this.#asked.get(topic) ?? 0) as 0 | 1 | 2);
    }
    // What others follow, too, is asked for again, since the broker then says again what it keeps.
    for (const topic of topics) this.#unasked.add(topic);
    this.#asking ??= setTimeout(() => this.#ask(), COOLDOWN_MS);
  }

  #ask(): void {
    const topics = [...this.#unasked].filter((topic) => this.#asked.has(topic));
    this.#unasked.clear();
    this.#asking = undefined;
    const client = this.#client;
    // A loss of the connection is followed by asking for everything.
    if (client?.connected)
      this.#subscribe(client, new Map(topics.map((topic) => [topic, this.#asked.get(topic) ?? 0]))).catch(() => undefined);
  }

  #unlisten(topic: string, entity: Entity): void {
    const listeners = this.#listeners.get(topic);
    listeners?.delete(entity);
    if (!listeners || listeners.size > 0) return;
    this.#listeners.delete(topic);
    this.#asked.delete(topic);
    if (this.#client?.connected) this.#client.unsubscribe(topic);
  }

  /** Nobody can do anything with an entity that is unavailable. */
  #reach(entityId: string): { entity: Entity; config: Config } {
    const entity = this.entities.get(entityId);
    if (!entity?.available) throw new Error(`${entityId} is ${entity ? "unavailable" : "not there"}`);
    return { entity, config: entity.config };
  }

  async #command({ config }: Entity, payload: string, variables: Readonly<Record<string, unknown>> = {}): Promise<void> {
    const { command_topic: topic, command_template: template, qos, retain, message_expiry_interval: expiry } = config;
    if (typeof topic !== "string") throw new Error("it takes no commands");
    const properties = this.#options.protocolVersion !== 4 && typeof expiry === "number" ? { messageExpiryInterval: expiry } : undefined;
    await this.#client?.publishAsync(topic, typeof template === "string" ? render(template, payload, variables) : payload, {
      qos: (qos ?? 0) as 0 | 1 | 2,
      retain: retain === true,
      ...(properties ? { properties } : {}),
    });
  }
}

function identifiersOf(device: Config | undefined): string[] {
  const ids = isRecord(device) ? device.identifiers : undefined;
  return (Array.isArray(ids) ? ids : [ids]).filter((id) => typeof id === "string");
}

/** The device's name, and the entity's where it has one. */
function objectIdOf({ name, device_class }: Config, device: Config | undefined): string {
  const own = name === null ? undefined : (name ?? device_class);
  const words = [device?.name, own].filter((word) => typeof word === "string").join(" ");
  const slug = words
    .normalize("NFKD")
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, "_")
    .replaceAll(/^_+|_+$/g, "");
  return slug === "" ? "unknown" : slug;
}
