import { askRedis, freePort, type Service, startRedis } from "./services.ts";
import { until } from "./wait.ts";

/** A Redis Cluster; `url` has all its servers, separated by commas. */
export interface RedisCluster extends AsyncDisposable {
  readonly url: string;
  readonly masters: readonly Service[];
  /** The replica of the master at the same place. */
  readonly replicas: readonly Service[];
}

/** Three masters, with a replica each if asked so, which takes over within a few seconds. */
export async function startRedisCluster({ replicated = false } = {}): Promise<RedisCluster> {
  await using stack = new AsyncDisposableStack();
  const members: ClusterMember[] = [];
  for (let index = 0; index < (replicated ? 6 : 3); index += 1) {
    // The default (port + 10,000) may lie beyond the last port.
    const busPort = await freePort();
    const args = [
      "--cluster-enabled",
      "yes",
      "--cluster-port",
      String(busPort),
      "--cluster-node-timeout",
      "2000",
      "--repl-diskless-sync-delay",
      "0",
    ];
    members.push({ service: stack.use(await startRedis(args)), busPort });
  }
  const masters = members.slice(0, 3).map(({ service }) => service);
  const replicas = members.slice(3).map(({ service }) => service);
  await bindCluster(members, masters);
  for (const [index, replica] of replicas.entries()) {
    const id = /[0-9a-f]{40}/.exec(await askRedis(masters[index] as Service, "CLUSTER MYID"))?.[0];
    await until(async () => (await askRedis(replica, `CLUSTER REPLICATE ${id}`)).startsWith("+OK"), { what: "the replica to be accepted" });
    await until(async () => (await askRedis(replica, "INFO replication")).includes("master_link_status:up"), {
      what: "the replica to be up to date",
      timeoutMs: 20_000,
    });
  }
  const running = stack.move();
  const url = members.map(({ service }) => service.url).join(",");
  return { url, masters, replicas, [Symbol.asyncDispose]: () => running.disposeAsync() };
}

interface ClusterMember {
  service: Service;
  busPort: number;
}

/** Gives the masters their slots and makes all members known to each other. */
async function bindCluster(members: readonly ClusterMember[], masters: readonly Service[]): Promise<void> {
  const slots = 16_384;
  for (const [index, master] of masters.entries()) {
    const [from, to] = [index, index + 1].map((part) => Math.floor((part * slots) / masters.length)) as [number, number];
    await askRedis(master, `CLUSTER ADDSLOTSRANGE ${from} ${to - 1}`);
    await askRedis(master, `CLUSTER SET-CONFIG-EPOCH ${index + 1}`);
  }
  const [first, ...others] = members;
  for (const { service, busPort } of others) await askRedis(first?.service as Service, `CLUSTER MEET 127.0.0.1 ${service.port} ${busPort}`);
  const whole = isWholeCluster(members.length);
  await until(async () => (await Promise.all(members.map(({ service }) => askRedis(service, "CLUSTER INFO")))).every(whole), {
    what: "the Redis Cluster to be whole",
    timeoutMs: 20_000,
  });
}

const isWholeCluster = (count: number) => (info: string) =>
  info.includes("cluster_state:ok") && info.includes(`cluster_known_nodes:${count}`);
