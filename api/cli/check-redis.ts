import type { RedisServer } from "../../core/redis-server.ts";
import type { Check } from "./checks.ts";

type Described = Extract<RedisServer, { version: string }>;

/** The oldest with every command that the nodes use. */
const MIN_VERSION = [6, 2] as const;
const name = "redis";

/** What the servers of REDIS_URL say about themselves, as one finding: the worst of them. */
export function checkRedis(servers: readonly RedisServer[]): Check {
  const present = servers.filter((server) => isDescribed(server));
  const away = servers.flatMap((server) => (isDescribed(server) ? [] : [`${server.address} (${server.fault})`]));
  if (present.length === 0)
    return failed(
      `no answer from ${away.join(", ")}`,
      "start it, or correct REDIS_URL; until then each hub serves its own clients and knows of no other",
    );
  return faultOf(present) ?? warningOf(present, away) ?? { name, result: "ok", detail: describe(present) };
}

function faultOf(present: readonly Described[]): Check | undefined {
  const [first] = present;
  const old = present.find(({ version }) => !isRecent(version));
  if (old) return failed(`${old.address} is version ${old.version}`, `the nodes need Redis ${MIN_VERSION.join(".")} or later, or Valkey`);
  if (present.some(({ isCluster }) => isCluster !== first?.isCluster) || (present.length > 1 && !first?.isCluster))
    return failed("the servers are not those of one Redis Cluster", "name one server in REDIS_URL, or the seeds of one cluster");
  const replica = present.find(({ isReplica, isCluster }) => isReplica && !isCluster);
  if (replica) return failed(`${replica.address} is a replica and takes no writes`, "name its master in REDIS_URL");
  const broken = present.find(({ isWhole }) => !isWhole);
  if (broken)
    return failed(
      `the Redis Cluster of ${broken.address} does not serve all keys`,
      "`redis-cli cluster nodes` shows which master is missing",
    );
  return undefined;
}

function warningOf(present: readonly Described[], away: readonly string[]): Check | undefined {
  const evicting = present.find(({ evictionPolicy }) => evictionPolicy !== "noeviction");
  if (evicting)
    return {
      name,
      result: "warning",
      detail: `${evicting.address} may throw away what the nodes need (maxmemory-policy ${evicting.evictionPolicy})`,
      mend: "set maxmemory-policy to noeviction",
    };
  if (away.length === 0) return undefined;
  return {
    name,
    result: "warning",
    detail: `no answer from ${away.join(", ")}; ${describe(present)}`,
    mend: "start it, or correct REDIS_URL",
  };
}

const failed = (detail: string, mend: string): Check => ({ name, result: "failed", detail, mend });

const isDescribed = (server: RedisServer): server is Described => server.fault === undefined;

function describe(present: readonly Described[]): string {
  const versions = [...new Set(present.map(({ version }) => version))].join(" and ");
  return `version ${versions}, ${present[0]?.isCluster ? "a Redis Cluster" : "one server"}`;
}

function isRecent(version: string): boolean {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  return major > MIN_VERSION[0] || (major === MIN_VERSION[0] && minor >= MIN_VERSION[1]);
}
