import type { SharedCache } from "../core/bus.ts";
import { RedisAway, type RedisReply } from "./cluster-connection.ts";
import { cacheKey } from "./cluster-keys.ts";
import { type RedisLink, redisScript } from "./cluster-redis.ts";
import { orElse } from "./time-limit.ts";

/** Nobody's request waits longer for a slow Redis. */
const LIMIT_MS = 250;

/** The fields are `revision` and, where there is a value and not only word of a change, `text`. */
const PUT = redisScript(`
local known = tonumber(redis.call('HGET', KEYS[1], 'revision'))
if known and known > tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'revision', ARGV[1], 'text', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1`);
const OUTDATE = redisScript(`
local known = tonumber(redis.call('HGET', KEYS[1], 'revision'))
if known and known >= tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'revision', ARGV[1])
redis.call('HDEL', KEYS[1], 'text')
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1`);

export function createSharedCache(link: RedisLink): SharedCache {
  async function inTime(work: Promise<RedisReply>): Promise<RedisReply> {
    const answer = await orElse(
      work.then((reply) => ({ reply })),
      LIMIT_MS,
      undefined,
    );
    if (!answer) throw new RedisAway("no answer in time");
    return answer.reply;
  }
  return {
    async find(key) {
      const name = cacheKey(key);
      const [revision, text] = (await inTime(link.command(name, "HMGET", name, "revision", "text"))) as (Buffer | null)[];
      return revision && text ? { revision: Number(revision.toString()), text: text.toString() } : undefined;
    },
    async put(key, { revision, text }, ttlMs) {
      await inTime(link.run(PUT, cacheKey(key), String(revision), text, String(ttlMs)));
    },
    async outdate(key, revision, ttlMs) {
      await inTime(link.run(OUTDATE, cacheKey(key), String(revision), String(ttlMs)));
    },
  };
}
