import mqtt, { type IClientOptions, type MqttClient } from "mqtt";
import type { TestHub } from "../support/hub.ts";
import { ApiClient } from "../support/hub.ts";
import { freshDatabase, type Service, startRedis } from "../support/services.ts";
import { sharedPostgres } from "../support/tables.ts";
import { until } from "../support/wait.ts";

/** A key that all nodes of one cluster have. */
const MASTER_KEY = "5a".repeat(32);

export interface Ground extends AsyncDisposable {
  readonly databaseUrl: string;
  readonly redis: Service;
  /** What every node is started with. */
  readonly env: Readonly<Record<string, string>>;
}

/** A Redis of its own, and an empty database. */
export async function startGround(): Promise<Ground> {
  await using stack = new AsyncDisposableStack();
  const redis = stack.use(await startRedis());
  const databaseUrl = await freshDatabase(await sharedPostgres());
  const running = stack.move();
  const env = { REDIS_URL: redis.url, HEXA_MASTER_KEY: MASTER_KEY };
  return { databaseUrl, redis, env, [Symbol.asyncDispose]: () => running.disposeAsync() };
}

export interface Account {
  readonly username: string;
  readonly password: string;
  /** Below which the account may publish anything. */
  readonly prefix: string;
}

/** A service account, and the organisation's own topics. */
export async function addAccount(hub: { readonly http: string }, name = "nodes"): Promise<Account> {
  const api = await new ApiClient(hub.http).login();
  const { body } = await api.call<{ token: string }>("POST", "/api/v1/access-tokens", { kind: "service", name });
  const organizations = await api.call<{ data: { id: string }[] }>("GET", "/api/v1/organizations");
  return { username: name, password: body.token, prefix: `hexa-app/${organizations.body.data[0]?.id}/bus` };
}

export interface Seen {
  readonly topic: string;
  readonly text: string;
  readonly retain: boolean;
}
export interface NodeClient {
  readonly client: MqttClient;
  readonly seen: readonly Seen[];
  readonly sessionPresent: boolean;
  /** Polls until the texts that came are these, in any order. */
  has(...texts: string[]): Promise<void>;
  /** Resolves when the hub has answered a packet sent after this call. */
  synced(): Promise<void>;
}

/** A client at one node, MQTT 5, that keeps what it gets. */
export async function connectTo(
  hub: Pick<TestHub, "mqtt">,
  { username, password, prefix }: Account,
  options: IClientOptions = {},
): Promise<NodeClient> {
  const client = mqtt.connect(hub.mqtt, { username, password, protocolVersion: 5, reconnectPeriod: 0, ...options });
  const seen: Seen[] = [];
  client.on("message", (topic, payload, { retain }) => seen.push({ topic, text: payload.toString(), retain }));
  const { sessionPresent } = await new Promise<{ sessionPresent: boolean }>((resolve, reject) => {
    client.once("connect", resolve);
    client.once("error", reject);
  });
  return {
    client,
    seen,
    sessionPresent,
    async has(...texts) {
      const wanted = texts.toSorted().join();
      await until(
        () =>
          seen
            .map(({ text }) => text)
            .toSorted()
            .join() === wanted,
        { what: `to get ${wanted}` },
      );
    },
    async synced() {
      await client.unsubscribeAsync(`${prefix}/nothing`);
    },
  };
}

/** A session that stays an hour. */
export const LASTING: IClientOptions = { clean: false, properties: { sessionExpiryInterval: 3_600 } };
