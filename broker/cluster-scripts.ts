import type { SharedScripts } from "../core/bus.ts";
import { RedisAway } from "./cluster-connection.ts";
import { type RedisLink, type RedisScript, redisScript } from "./cluster-redis.ts";
import { orElse } from "./time-limit.ts";

/** Nobody's request waits longer for a slow Redis. */
const LIMIT_MS = 250;

export function createSharedScripts(link: RedisLink): SharedScripts {
  const known = new Map<string, RedisScript>();
  return {
    async run(source, key, args) {
      let script = known.get(source);
      if (!script) known.set(source, (script = redisScript(source)));
      const answer = await orElse(
        link.run(script, key, ...args).then((reply) => ({ reply })),
        LIMIT_MS,
        undefined,
      );
      if (!answer) throw new RedisAway("no answer in time");
      return answer.reply;
    },
  };
}
