import assert from "node:assert/strict";
import mqtt, { type MqttClient } from "mqtt";
import { until } from "../../support/wait.ts";

export interface Credentials {
  readonly username: string;
  readonly password: string;
}

export interface Home extends AsyncDisposable {
  readonly client: MqttClient;
  /** Every discovery message that came, in its order. */
  readonly heard: { readonly topic: string; readonly payload: string }[];
  /** By `unique_id`: the topic and key that it was made from. */
  readonly entities: Map<string, { readonly topic: string; readonly key: string; readonly config: Record<string, unknown> }>;
  /** What broke the rules of discovery. */
  readonly faults: string[];
  /** Resolves when there are these entities, and no others. */
  has(uniqueIds: Iterable<string>): Promise<void>;
}

/** What Home Assistant does with discovery: it makes entities of components, by the rules of its own documentation. */
export async function connectHome(url: string, { username, password }: Credentials, version: 4 | 5 = 5): Promise<Home> {
  const client = mqtt.connect(url, {
    protocolVersion: version,
    username,
    password,
    reconnectPeriod: 0,
    rejectUnauthorized: false,
    will: { topic: "homeassistant/status", payload: Buffer.from("offline"), qos: 0, retain: false },
  });
  const heard: Home["heard"] = [];
  const entities: Home["entities"] = new Map();
  const faults: string[] = [];
  const drop = (topic: string, key?: string): void => {
    for (const [id, one] of entities) if (one.topic === topic && (key === undefined || one.key === key)) entities.delete(id);
  };
  const add = (topic: string, key: string, config: Record<string, unknown>): void => {
    const id = config["unique_id"] as string;
    const there = entities.get(id);
    if (there && (there.topic !== topic || there.key !== key)) return void faults.push(`${id} is told by ${there.topic} and by ${topic}`);
    entities.set(id, { topic, key, config });
  };
  client.on("message", (topic, bytes) => {
    if (!topic.endsWith("/config")) return;
    const payload = bytes.toString();
    heard.push({ topic, payload });
    if (payload === "") return drop(topic);
    const told = JSON.parse(payload) as Record<string, unknown>;
    if (told["migrate_discovery"] === true) return drop(topic);
    if (told["device"] === undefined || told["origin"] === undefined) faults.push(`${topic} lacks its device or its origin`);
    if (topic.split("/")[1] !== "device") return add(topic, "", told);
    for (const [key, component] of Object.entries(told["components"] as Record<string, Record<string, unknown>>))
      if (Object.keys(component).length === 1) drop(topic, key);
      else add(topic, key, component);
  });
  await new Promise((resolve, reject) => void client.once("connect", resolve).once("error", reject));
  await client.subscribeAsync(["homeassistant/+/+/config", "homeassistant/+/+/+/config"], { qos: 1 });
  await client.publishAsync("homeassistant/status", "online");
  return {
    client,
    heard,
    entities,
    faults,
    async has(uniqueIds) {
      const wanted = [...uniqueIds].toSorted();
      await until(() => JSON.stringify([...entities.keys()].toSorted()) === JSON.stringify(wanted), {
        what: `Home Assistant to have ${wanted.length} entities`,
      }).catch((cause: unknown) => {
        assert.deepEqual([...entities.keys()].toSorted(), wanted);
        throw cause;
      });
      assert.deepEqual(faults, []);
    },
    [Symbol.asyncDispose]: () => client.endAsync(true),
  };
}
