import { createHash } from "node:crypto";
import { createRequire } from "node:module";
import { isIPv6 } from "node:net";
import type { IRateLimiterOptions, RateLimiterAbstract, RateLimiterRes } from "rate-limiter-flexible";
import type { SharedScripts } from "../core/bus.ts";
import { HubError } from "../core/errors.ts";
import type { MailKind } from "../core/mail.ts";

// One or two of its thirty limiters: the index loads them all, and they stay in memory.
const require = createRequire(import.meta.url);
const Memory = require("rate-limiter-flexible/lib/RateLimiterMemory.js") as new (options: IRateLimiterOptions) => RateLimiterAbstract;
type Shared = new (
  options: IRateLimiterOptions & { storeClient: object; useRedisPackage: boolean; insuranceLimiter: RateLimiterAbstract },
) => RateLimiterAbstract;

export interface RateLimitSettings {
  /** Requests a minute of one account, or of one address that shows none; 0 is no limit. */
  readonly apiRate: number;
  /** Log-in attempts that failed, in 15 minutes, of one address for one account; ten times as many for all accounts. 0 is no limit. */
  readonly loginFailures: number;
  /** Mails of one kind an hour to one recipient; 0 is no limit. */
  readonly mailAddressRate: number;
  /** Mails an hour that one address causes; 0 is no limit. */
  readonly mailCallerRate: number;
  /** Calls a minute of one inbound webhook by one address, ten times as many by all; 0 is no limit. */
  readonly hookRate: number;
}

export interface RateLimits {
  /** Counts a request of `key`. */
  spend(key: string): Promise<Spent>;
  /** Counts an attempt before it is looked at, so that many at once count too. Throws `rate_limited`. */
  tryLogin(email: string, address: string): Promise<LoginAttempt>;
  /** Counts a mail that this address asks for. Throws `rate_limited`. */
  askForMail(address: string): Promise<void>;
  /** Counts a mail of that kind; whether the recipient may still get it. */
  mayWriteTo(email: string, kind: MailKind): Promise<boolean>;
  /** Counts a call of an inbound webhook; all that are not there count as one. Throws `rate_limited`. */
  callHook(hookId: string | undefined, address: string): Promise<void>;
}
export interface Spent {
  /** How many are left (draft-ietf-httpapi-ratelimit-headers-10). */
  readonly headers: Readonly<Record<string, string>>;
  /** None was left. */
  readonly refusal?: HubError;
}
export interface LoginAttempt {
  /** It was right: it does not count, nor do those for this account before it. */
  succeeded(): Promise<void>;
}

const MINUTE_S = 60;
const LOGIN_WINDOW_S = 900;
const HOUR_S = 3_600;
const ADDRESS_FACTOR = 10;
const UNLIMITED: LoginAttempt = { succeeded: async () => {} };

/** With `shared` all nodes count together, and each by itself while that does not answer. */
export function createRateLimits(settings: RateLimitSettings, shared: SharedScripts | undefined): RateLimits {
  const { apiRate, loginFailures, mailAddressRate, mailCallerRate, hookRate } = settings;
  const api = limiter("api", apiRate, MINUTE_S, shared);
  const pairs = limiter("login", loginFailures, LOGIN_WINDOW_S, shared);
  const addresses = limiter("login-address", loginFailures * ADDRESS_FACTOR, LOGIN_WINDOW_S, shared);
  const mailCallers = limiter("mail-caller", mailCallerRate, HOUR_S, shared);
  const hookCallers = limiter("hook-caller", hookRate, MINUTE_S, shared);
  const hooks = limiter("hook", hookRate * ADDRESS_FACTOR, MINUTE_S, shared);
  const mailRecipients = limiter("mail", mailAddressRate, HOUR_S, shared);
  const policy = { "ratelimit-policy": `"api";q=${apiRate};w=${MINUTE_S}` };
  return {
    async spend(key) {
      if (apiRate === 0) return { headers: {} };
      const { res, refusal } = await consume(api, key);
      const headers = { ...policy, ratelimit: `"api";r=${res.remainingPoints};t=${secondsOf(res.msBeforeNext)}` };
      return refusal ? { headers, refusal } : { headers };
    },
    async tryLogin(email, address) {
      if (loginFailures === 0) return UNLIMITED;
      const from = addressKey(address);
      // Nobody is locked out by what others try from elsewhere.
      const pair = digestOf(email, from);
      for (const [counter, key] of [
        [addresses, from],
        [pairs, pair],
      ] as const) {
        const { refusal } = await consume(counter, key);
        if (refusal) throw refusal;
      }
      return {
        async succeeded() {
          await Promise.all([pairs.delete(pair), addresses.reward(from, 1)]);
        },
      };
    },
    async askForMail(address) {
      if (mailCallerRate === 0) return;
      const { refusal } = await consume(mailCallers, addressKey(address));
      if (refusal) throw refusal;
    },
    async callHook(hookId = "none", address) {
      if (hookRate === 0) return;
      // Who calls too often is stopped before he uses up what is there for the others.
      const caller = await consume(hookCallers, `${hookId} ${addressKey(address)}`);
      if (caller.refusal) throw caller.refusal;
      const { refusal } = await consume(hooks, hookId);
      if (refusal) throw refusal;
    },
    async mayWriteTo(email, kind) {
      if (mailAddressRate === 0) return true;
      // Each kind by itself: who asks for accounts in somebody's name must not keep their reset from them.
      return (await consume(mailRecipients, digestOf(email, kind))).refusal === undefined;
    },
  };
}

/** What people type is not kept, nor longer than that. */
function digestOf(email: string, beside: string): string {
  return createHash("sha256").update(`${email.trim().toLowerCase()}\0${beside}`).digest("base64url");
}

/** An IPv6 host has all addresses of its /64. */
export function addressKey(address: string): string {
  if (!isIPv6(address) || address.startsWith("::ffff:")) return address;
  const [head = "", tail] = address.split("::");
  const groups = head === "" ? [] : head.split(":");
  const rest = tail === undefined || tail === "" ? [] : tail.split(":");
  const all = tail === undefined ? groups : [...groups, ...Array<string>(Math.max(0, 8 - groups.length - rest.length)).fill("0"), ...rest];
  return `${all
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(":")}::/64`;
}

function limiter(keyPrefix: string, points: number, duration: number, shared: SharedScripts | undefined): RateLimiterAbstract {
  const options = { keyPrefix: `hexa:rate:${keyPrefix}`, points, duration };
  const alone = new Memory(options);
  if (!shared) return alone;
  // What it asks of a Redis client.
  const storeClient = {
    eval: (script: string, { keys, arguments: args }: { keys: readonly string[]; arguments: readonly string[] }) =>
      shared.run(script, keys[0] as string, args),
    del: (key: string) => shared.run("return redis.call('del', KEYS[1])", key, []),
  };
  const Redis = require("rate-limiter-flexible/lib/RateLimiterRedis.js") as Shared;
  return new Redis({ ...options, storeClient, useRedisPackage: true, insuranceLimiter: alone });
}

async function consume(from: RateLimiterAbstract, key: string): Promise<{ res: RateLimiterRes; refusal?: HubError }> {
  try {
    return { res: await from.consume(key) };
  } catch (refused) {
    if (refused instanceof Error) throw refused;
    const res = refused as RateLimiterRes;
    const details = { retry_after_s: secondsOf(res.msBeforeNext) };
    return { res, refusal: new HubError("rate_limited", "too many requests: wait as long as Retry-After says", { details }) };
  }
}

const secondsOf = (ms: number): number => Math.max(1, Math.ceil(ms / 1_000));
