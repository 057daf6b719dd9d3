import { presenceKey, routeKey } from "./cluster-keys.ts";
import { type RedisLink, redisScript } from "./cluster-redis.ts";

/** A device's connection, as it is noted in Redis. */
export interface Noted {
  readonly deviceId: string;
  readonly connectionId: string;
  readonly nodeId: string;
  /** JSON */
  readonly capabilities: string;
  /** ms since 1970 */
  readonly seenAt: number;
}

/** Extends the route when it is this connection's: 1; 0 when there is none, -1 when it is another's. */
const EXTEND = redisScript(`
local route = redis.call('HMGET', KEYS[1], 'connection_id', 'node_id')
if not route[1] then return 0 end
if route[1] ~= ARGV[1] or route[2] ~= ARGV[2] then return -1 end
redis.call('HSET', KEYS[1], 'updated_at', ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 1`);
const END_ROUTE = redisScript(`
local route = redis.call('HMGET', KEYS[1], 'connection_id', 'node_id')
if route[1] ~= ARGV[1] or route[2] ~= ARGV[2] then return 0 end
return redis.call('DEL', KEYS[1])`);
const END_PRESENCE = redisScript(`
local presence = redis.call('HMGET', KEYS[1], 'connection_id', 'node_id')
if presence[1] ~= ARGV[1] or presence[2] ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], 'status', 'offline', 'last_seen', ARGV[3])
return 1`);

export type Extended = "extended" | "missing" | "elsewhere";

export async function extendRoute(link: RedisLink, noted: Noted, ttlMs: number): Promise<Extended> {
  const { deviceId, connectionId, nodeId } = noted;
  const answer = await link.run(EXTEND, routeKey(deviceId), connectionId, nodeId, iso(noted.seenAt), `${ttlMs}`);
  return answer === 1 ? "extended" : answer === 0 ? "missing" : "elsewhere";
}

export async function writeRoute(link: RedisLink, { deviceId, connectionId, nodeId, seenAt }: Noted, ttlMs: number): Promise<void> {
  const key = routeKey(deviceId);
  await Promise.all([
    link.command(key, "HSET", key, "connection_id", connectionId, "node_id", nodeId, "updated_at", iso(seenAt)),
    link.command(key, "PEXPIRE", key, `${ttlMs}`),
  ]);
}

export async function writePresence(link: RedisLink, noted: Noted, ttlMs: number): Promise<void> {
  const key = presenceKey(noted.deviceId);
  const fields = {
    device_id: noted.deviceId,
    connection_id: noted.connectionId,
    node_id: noted.nodeId,
    status: "online",
    last_seen: iso(noted.seenAt),
    capabilities: noted.capabilities,
  };
  await Promise.all([link.command(key, "HSET", key, ...Object.entries(fields).flat()), link.command(key, "PEXPIRE", key, `${ttlMs}`)]);
}

/** Only what is this connection's; resolves to whether the device is offline now. */
export async function writeOffline(link: RedisLink, { deviceId, connectionId, nodeId, seenAt }: Noted): Promise<boolean> {
  const [, ended] = await Promise.all([
    link.run(END_ROUTE, routeKey(deviceId), connectionId, nodeId),
    link.run(END_PRESENCE, presenceKey(deviceId), connectionId, nodeId, iso(seenAt)),
  ]);
  return ended === 1;
}

const iso = (ms: number): string => new Date(ms).toISOString();
