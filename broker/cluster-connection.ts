export type RedisArg = string | Buffer;
/** What Redis answers under RESP 2: bulk strings are Buffers, status lines are strings. */
export type RedisReply = null | number | string | Buffer | RedisReply[];

/** Redis cannot be asked now: not connected, starting, or its cluster has no master for the key. The command may have been executed. */
export class RedisAway extends Error {
  override readonly name = "RedisAway";
}

/** One life of a connection (of connections, on Redis Cluster). It never reconnects: whoever holds it makes a new one. */
export interface RedisConnection {
  /** Rejects with {@link RedisAway}, or with the error that Redis answered. */
  send(key: string, args: readonly RedisArg[]): Promise<RedisReply>;
  /** Resolves with the reason when the connection is of no use any more. Never rejects. */
  readonly lost: Promise<unknown>;
  close(): void;
}

interface Client {
  connect(): Promise<unknown>;
  destroy(): void;
  on(event: "error", listener: (error: unknown) => void): unknown;
}
interface SingleClient extends Client {
  sendCommand(args: readonly RedisArg[], options: object): Promise<unknown>;
}
interface ClusterClient extends Client {
  sendCommand(key: string, isReadonly: boolean, args: readonly RedisArg[], options: object): Promise<unknown>;
}

const CONNECT_MS = 3_000;
const DISCOVERY_MS = 6_000;
/** Answers that mean "not now", and not "your command is wrong". */
const NOT_NOW = /^(CLUSTERDOWN|LOADING|MASTERDOWN|READONLY|TRYAGAIN|NOREPLICAS|UNBLOCKED)\b/;

/** Connects to the first URL and finds out whether it is a plain Redis or one of a Redis Cluster; `urls` then are its seeds. */
export async function connectRedis(url: string, urls: readonly string[]): Promise<RedisConnection> {
  const { createClient, createCluster, RESP_TYPES } = await import("@redis/client");
  const settings = {
    RESP: 2,
    disableOfflineQueue: true,
    commandOptions: { timeout: 0 },
    socket: { connectTimeout: CONNECT_MS, reconnectStrategy: false },
  } as const;
  const options = { typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer } };
  const single = createClient({ ...settings, url }) as unknown as SingleClient;
  const singleLost = lossOf(single);
  try {
    await within(single.connect(), DISCOVERY_MS);
    if (!(await isCluster(single))) {
      return { send: sender((_key, args) => single.sendCommand(args, options)), lost: singleLost, close: () => destroy(single) };
    }
  } catch (error) {
    destroy(single);
    throw error;
  }
  destroy(single);
  const { username, password, protocol } = new URL(url);
  const credentials = {
    ...(username ? { username: decodeURIComponent(username) } : {}),
    ...(password ? { password: decodeURIComponent(password) } : {}),
  };
  const socket = protocol === "rediss:" ? { ...settings.socket, tls: true as const } : settings.socket;
  const cluster = createCluster({
    rootNodes: urls.map((seed) => ({ url: seed })),
    defaults: { ...settings, ...credentials, socket },
    RESP: 2,
    minimizeConnections: true,
  }) as unknown as ClusterClient;
  const { promise: lost, resolve: lose } = Promise.withResolvers<unknown>();
  // One master away is no reason to give up the others: a command that fails tells.
  cluster.on("error", () => {});
  try {
    await within(cluster.connect(), DISCOVERY_MS);
  } catch (error) {
    destroy(cluster);
    throw error;
  }
  const send = sender((key, args) => cluster.sendCommand(key, false, args, options));
  return {
    async send(key, args) {
      try {
        return await send(key, args);
      } catch (error) {
        if (error instanceof RedisAway) lose(error);
        throw error;
      }
    },
    lost,
    close: () => destroy(cluster),
  };
}

function sender(send: (key: string, args: readonly RedisArg[]) => Promise<unknown>): RedisConnection["send"] {
  return async (key, args) => {
    try {
      return (await send(key, args)) as RedisReply;
    } catch (error) {
      if (isAnswer(error)) throw error;
      throw new RedisAway("Redis is away", { cause: error });
    }
  };
}

/** Redis' own words begin with a code in capitals. */
function isAnswer(error: unknown): boolean {
  return error instanceof Error && /^[A-Z]{2,} /.test(error.message) && !NOT_NOW.test(error.message);
}

async function isCluster(client: SingleClient): Promise<boolean> {
  try {
    return /cluster_enabled:1/.test(String(await client.sendCommand(["INFO", "cluster"], {})));
  } catch (error) {
    // An account that may not ask is used as it is.
    if (isAnswer(error)) return false;
    throw error;
  }
}

function lossOf(client: Client): Promise<unknown> {
  return new Promise((resolve) => void client.on("error", resolve));
}

export function destroy(client: Pick<Client, "destroy">): void {
  try {
    client.destroy();
  } catch {
    // It was closed already.
  }
}

/** Rejects with {@link RedisAway} after the limit. */
export async function within<T>(work: Promise<T>, limitMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new RedisAway(`Redis did not answer within ${limitMs} ms`)), limitMs);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
