import type { RedisServer } from "../core/redis-server.ts";
import { destroy, within } from "./cluster-connection.ts";

const CONNECT_MS = 3_000;
const LIMIT_MS = 5_000;

/** Asks every server of the setting, as the hub would reach it. Never rejects. */
export function inspectRedis(redisUrl: string): Promise<readonly RedisServer[]> {
  return Promise.all(redisUrl.split(",").map((url) => inspect(url.trim())));
}

async function inspect(url: string): Promise<RedisServer> {
  const address = URL.parse(url)?.host ?? "";
  try {
    const { createClient } = await import("@redis/client");
    const socket = { connectTimeout: CONNECT_MS, reconnectStrategy: false } as const;
    const client = createClient({ url, RESP: 2, disableOfflineQueue: true, socket });
    // What breaks is told by the call that it breaks.
    client.on("error", () => {});
    try {
      await within(client.connect(), LIMIT_MS);
      const ask = async (...args: string[]): Promise<string> => {
        const answer: unknown = await client.sendCommand(args);
        return typeof answer === "string" ? answer : "";
      };
      return { address, ...(await within(describe(ask), LIMIT_MS)) };
    } finally {
      destroy(client);
    }
  } catch (error) {
    return { address, fault: reasonOf(error) };
  }
}

async function describe(ask: (...args: string[]) => Promise<string>) {
  const info = await ask("INFO");
  const field = (name: string): string => new RegExp(`^${name}:(.*?)\\r?$`, "m").exec(info)?.[1] ?? "";
  const isCluster = field("cluster_enabled") === "1";
  return {
    version: field("redis_version"),
    isCluster,
    isWhole: !isCluster || /^cluster_state:ok/m.test(await ask("CLUSTER", "INFO")),
    isReplica: field("role") === "slave",
    evictionPolicy: field("maxmemory_policy"),
  };
}

/** A refused connection to a name with several addresses has no message of its own. */
function reasonOf(error: unknown): string {
  const { message = "", code = "" } = error as { message?: string; code?: string };
  return message || code || String(error);
}
