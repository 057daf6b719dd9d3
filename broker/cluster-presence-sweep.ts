import { setTimeout as pause } from "node:timers/promises";
import type { Log } from "../core/bus.ts";
import { RedisAway } from "./cluster-connection.ts";
import { ONLINE_KEY, presenceKey } from "./cluster-keys.ts";
import type { RedisLink } from "./cluster-redis.ts";

const SCAN_COUNT = 1_000;
const ROUND = 100;

export interface SweepContext {
  readonly link: RedisLink;
  readonly log: Log;
  readonly sweepMs: number;
  readonly tell: (deviceId: string) => Promise<void>;
}

/** Looks for devices in the online set whose presence has expired, until the signal says stop. */
export async function sweepExpired(context: SweepContext, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await sweep(context, signal).catch((error: unknown) => {
      if (!(error instanceof RedisAway)) context.log.error({ err: error }, "expired presences could not be looked for");
    });
    await pause(context.sweepMs, undefined, { signal, ref: false }).catch(() => {});
  }
}

async function sweep({ link, log, tell }: SweepContext, signal: AbortSignal): Promise<void> {
  async function expire(id: string): Promise<void> {
    // Whoever takes it out of the set is the one to tell, should two sweep at a time.
    if ((await link.command(ONLINE_KEY, "SREM", ONLINE_KEY, id)) !== 1) return;
    try {
      // It may have come back between the two.
      if ((await link.command(presenceKey(id), "EXISTS", presenceKey(id))) === 1) await link.command(ONLINE_KEY, "SADD", ONLINE_KEY, id);
      else await tell(id);
    } catch (error) {
      log.error({ err: error, deviceId: id }, "an expired presence could not be told; it is tried again");
      await link.command(ONLINE_KEY, "SADD", ONLINE_KEY, id);
    }
  }

  let cursor = "0";
  do {
    const reply = await link.command(ONLINE_KEY, "SSCAN", ONLINE_KEY, cursor, "COUNT", `${SCAN_COUNT}`);
    const [next, members] = Array.isArray(reply) ? reply : [];
    cursor = String(next ?? "0");
    const ids = Array.isArray(members) ? members.map(String) : [];
    const alive = await Promise.all(ids.map((id) => link.command(presenceKey(id), "EXISTS", presenceKey(id))));
    const expired = ids.filter((_id, index) => alive[index] === 0);
    // Many at once, so that those who hear of it can store them together: all devices of a dead node expire within a moment.
    for (let at = 0; at < expired.length && !signal.aborted; at += ROUND) await Promise.all(expired.slice(at, at + ROUND).map(expire));
  } while (cursor !== "0" && !signal.aborted);
}
