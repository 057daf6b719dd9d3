import type { DeviceRef, Log, TaskSignals } from "../core/bus.ts";
import { destroy } from "./cluster-connection.ts";
import type { RedisLink } from "./cluster-redis.ts";

export interface TaskSignalsOptions {
  /** As of {@link RedisLink}: a channel of one node of a Redis Cluster is heard on all. */
  readonly url: string;
  readonly link: RedisLink;
  readonly log: Log;
}

const PREFIX = "deliver:task:";
const RETRY_MAX_MS = 500;

/**
 * `deliver:task:<device id>` in Redis: a task waits for the device. Other programs may say so too; whoever has the device's session looks
 * at what there is. What nobody hears while Redis is away is found by the next look at what waits.
 */
export function openTaskSignals({ url, link, log }: TaskSignalsOptions): TaskSignals & AsyncDisposable {
  const listeners = new Set<(device: DeviceRef) => void>();
  const hear = (text: string, channel: string): void => {
    const device = deviceIn(text, channel.slice(PREFIX.length));
    if (device) for (const listener of listeners) listener(device);
  };
  const listening = listenTo(url, hear);
  listening.catch((error: unknown) => log.warn({ err: error }, "signals of tasks cannot be heard"));
  return {
    tell({ id, uid, organizationId }) {
      link.command(`${PREFIX}${id}`, "PUBLISH", `${PREFIX}${id}`, JSON.stringify({ uid, organization_id: organizationId })).catch(() => {});
    },
    onTold(listener) {
      listeners.add(listener);
      return { [Symbol.dispose]: () => void listeners.delete(listener) };
    },
    async [Symbol.asyncDispose]() {
      const client = await listening.catch(() => undefined);
      if (client) destroy(client);
    },
  };
}

/** Comes back by itself, with its subscription, for as long as it takes. */
async function listenTo(url: string, hear: (text: string, channel: string) => void) {
  const { createClient } = await import("@redis/client");
  const client = createClient({
    url: url.split(",")[0]?.trim() ?? url,
    socket: { reconnectStrategy: (retries) => Math.min(50 * 2 ** retries, RETRY_MAX_MS) * (0.5 + Math.random() / 2) },
  });
  client.on("error", () => {});
  // It waits for Redis if that has to be.
  void client
    .connect()
    .then(() => client.pSubscribe(`${PREFIX}*`, hear))
    .catch(() => {});
  return client;
}

function deviceIn(text: string, id: string): DeviceRef | undefined {
  try {
    const { uid, organization_id: organizationId } = JSON.parse(text) as { uid?: unknown; organization_id?: unknown };
    return typeof uid === "string" ? { id, uid, organizationId: typeof organizationId === "string" ? organizationId : null } : undefined;
  } catch {
    return undefined;
  }
}
