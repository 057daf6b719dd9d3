import { type ApiClient, type HubProcess, spawnHub } from "../support/hub.ts";
import { freePort, freshDatabase, postgresMissing, redisMissing, startRedis } from "../support/services.ts";
import { sharedPostgres } from "../support/tables.ts";
import { temporaryFolder } from "../support/wait.ts";

/** Everybody's queue holds what comes while he is away, however long that is. */
const SETTINGS = {
  HEXA_COMMAND_TIMEOUT_MS: "2000",
  HEXA_MQTT_QUEUE_MESSAGES: "1000000",
  HEXA_MQTT_QUEUE_BYTES: "1000000000",
};

/** What hubs are killed in: one that is alone, or several that share a database and a Redis. */
export interface Place extends AsyncDisposable {
  /** Where MQTT clients find each hub, over all its deaths. */
  readonly urls: readonly string[];
  /** The API of a hub that lives; the token of the last login. */
  readonly api: ApiClient;
  /** SIGKILL for the hub that the number picks, then the same hub again. */
  killOne(pick: number): Promise<void>;
  /** Ends all hubs in good order. */
  stop(): Promise<void>;
  /** For whoever reads the database when they have stopped. */
  readonly store: { readonly dataDir: string; readonly databaseUrl: string | undefined };
}

export interface PlaceKind {
  readonly name: string;
  /** Why it cannot be here. */
  readonly skip: string | undefined;
  /** `env` adds to the settings of its hubs. */
  readonly open: (env?: Readonly<Record<string, string>>) => Promise<Place>;
}

/** SQLite, PostgreSQL, and two nodes. */
export function places(): readonly [PlaceKind, PlaceKind, PlaceKind] {
  const database = async (): Promise<string> => freshDatabase(await sharedPostgres());
  return [
    { name: "SQLite", skip: undefined, open: (env) => startPlace({ hubs: 1, env }) },
    { name: "PostgreSQL", skip: postgresMissing(), open: async (env) => startPlace({ hubs: 1, databaseUrl: await database(), env }) },
    {
      name: "two nodes",
      skip: postgresMissing() ?? redisMissing(),
      async open(env) {
        await using stack = new AsyncDisposableStack();
        const { url: redisUrl } = stack.use(await startRedis());
        const place = stack.use(await startPlace({ hubs: 2, databaseUrl: await database(), redisUrl, env }));
        const running = stack.move();
        return { ...place, [Symbol.asyncDispose]: () => running.disposeAsync() };
      },
    },
  ];
}

interface PlaceOptions {
  readonly hubs: number;
  readonly databaseUrl?: string;
  readonly redisUrl?: string;
  readonly env?: Readonly<Record<string, string>> | undefined;
}

async function startPlace({ hubs: count, databaseUrl, redisUrl, env: more }: PlaceOptions): Promise<Place> {
  await using stack = new AsyncDisposableStack();
  const starts = await Promise.all(
    Array.from({ length: count }, async () => {
      const folder = stack.use(temporaryFolder());
      const env = { ...SETTINGS, HEXA_MQTT_PORT: String(await freePort()), ...more };
      return { dataDir: folder.path, start: () => spawnHub({ dataDir: folder.path, databaseUrl, redisUrl, env }) };
    }),
  );
  const hubs: HubProcess[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(hubs.map((hub) => hub[Symbol.asyncDispose]()));
  };
  stack.defer(stop);
  // One after the other: the first makes the tables.
  for (const { start } of starts) hubs.push(await start());
  const { api } = hubs[0] as HubProcess;
  await api.login();
  const running = stack.move();
  return {
    urls: hubs.map(({ mqtt }) => mqtt),
    api,
    async killOne(pick) {
      const index = pick % count;
      await hubs[index]?.kill9();
      hubs[index] = (await starts[index]?.start()) as HubProcess;
      api.base = hubs[index].http;
    },
    stop,
    store: { dataDir: starts[0]?.dataDir ?? "", databaseUrl },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}
