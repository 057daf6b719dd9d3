import { connect, type IClientOptions, type MqttClient } from "mqtt";
import { RepeatingStore } from "../../firmware/virtual/repeating-store.ts";
import { until } from "../support/wait.ts";

export interface Account {
  readonly url: string;
  /** Where it goes in turn when it loses its connection: every hub of a cluster, `url` first. */
  readonly urls?: readonly string[];
  readonly username: string;
  readonly password: string;
  readonly clientId: string;
}

const SESSION_EXPIRY_S = 3_600;
const RECONNECT_MS = 50;
const CONNECT_MS = 10_000;

export interface StubbornOptions extends IClientOptions {
  /** What waits for the session comes right behind the CONNACK. */
  readonly onMessage?: (topic: string, payload: Buffer) => void;
}

/** A client with a session that outlives everything: it comes back by itself, and sends again what was not acknowledged. */
export async function connectStubborn(
  { url, urls = [url], ...account }: Account,
  { onMessage, ...options }: StubbornOptions = {},
): Promise<MqttClient> {
  const outgoingStore = new RepeatingStore();
  const client = connect(url, {
    ...account,
    servers: urls.map((one) => ({ host: new URL(one).hostname, port: Number(new URL(one).port), protocol: "mqtt" })),
    protocolVersion: 5,
    clean: false,
    properties: { sessionExpiryInterval: SESSION_EXPIRY_S },
    reconnectPeriod: RECONNECT_MS,
    reconnectOnConnackError: true,
    resubscribe: false,
    outgoingStore,
    ...options,
  });
  outgoingStore.follow(client);
  client.on("error", () => undefined);
  if (onMessage) client.on("message", onMessage);
  await until(() => client.connected, { what: `the connection of ${account.clientId}`, timeoutMs: CONNECT_MS });
  return client;
}

/** Resolves when the message is acknowledged, over however many connections; false when the hub refused it. */
export async function deliver(client: MqttClient, topic: string, payload: string, options: { qos: 1 | 2; retain?: boolean }) {
  for (;;) {
    try {
      await client.publishAsync(topic, payload, options);
      return true;
    } catch (error) {
      // The reason code of a hub that answers.
      if (typeof (error as { code?: unknown }).code === "number") return false;
      // MQTT.js sends nothing new while it sends again, and gives that up with the connection: it never went out.
      if ((error as Error).message !== "Connection closed") throw error;
    }
  }
}

/** A subscriber that keeps what it got, over its absences too. */
export class DurableSubscriber implements AsyncDisposable {
  readonly #account: Account;
  readonly #received = new Map<string, Set<string>>();
  #client: MqttClient | undefined;

  constructor(account: Account) {
    this.#account = account;
  }

  get isAway(): boolean {
    return this.#client === undefined;
  }

  /** What came below the topic that ends so. */
  received(ending: string): ReadonlySet<string> {
    return new Set([...this.#received].filter(([topic]) => topic.endsWith(ending)).flatMap(([, payloads]) => [...payloads]));
  }

  /** `urls`: where it is this time. */
  async come(urls = this.#account.urls): Promise<MqttClient> {
    if (this.#client) return this.#client;
    this.#client = await connectStubborn(
      { ...this.#account, ...(urls ? { urls } : {}) },
      { onMessage: (topic, payload) => this.#note(topic, payload.toString()) },
    );
    return this.#client;
  }

  async go(): Promise<void> {
    const client = this.#client;
    this.#client = undefined;
    await client?.endAsync(true);
  }

  async has(ending: string, wanted: readonly string[]): Promise<void> {
    const missing = (): string[] => {
      const received = this.received(ending);
      return wanted.filter((one) => !received.has(one));
    };
    await until(() => missing().length === 0, { what: `what ${ending} was acknowledged`, timeoutMs: 15_000 }).catch((cause: unknown) => {
      throw new Error(`${missing().length} of ${wanted.length} acknowledged ${ending} never came: ${missing().slice(0, 20).join(" ")}`, {
        cause,
      });
    });
  }

  #note(topic: string, payload: string): void {
    const payloads = this.#received.get(topic);
    if (payloads) payloads.add(payload);
    else this.#received.set(topic, new Set([payload]));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.go();
  }
}
