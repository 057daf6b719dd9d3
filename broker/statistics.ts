import type { Log, StorageState } from "../core/bus.ts";
import { TOPICS, type TopicKind, type Topics } from "../core/topics.ts";
import type { Counters } from "./counters.ts";
import type { Exchange } from "./exchange.ts";
import { Message } from "./message.ts";
import type { Retained } from "./retained.ts";
import type { SessionRegistry } from "./session-registry.ts";

export interface StatisticsContext {
  readonly counters: Counters;
  readonly registry: SessionRegistry;
  readonly retained: Retained;
  /** Network connections that are open, those without a session too. */
  readonly connections: () => number;
  readonly storage: StorageState;
}

/** A number of the broker as Prometheus has it, read when somebody looks. */
export interface Reading {
  readonly type: "counter" | "gauge";
  readonly name: string;
  readonly help: string;
  /** Names of the labels, where there may be nothing to read at first. */
  readonly labelNames?: readonly string[];
  readonly read: () => number | readonly { readonly labels: Readonly<Record<string, string>>; readonly value: number }[];
}

/** Of the certificates that clients are shown, or that sign theirs. */
export const certificateReading = (read: Exclude<Reading["read"], () => number>): Reading => ({
  type: "gauge",
  name: "hexahub_tls_certificate_expires_seconds",
  help: "Seconds until a certificate ends, by name; negative when it has ended",
  labelNames: ["name"],
  read,
});

/** How often the statistics are published. */
const PERIOD_MS = 10_000;
const QOS = ["0", "1", "2"] as const;
const KINDS = Object.keys(TOPICS) as TopicKind[];

/** Everything that the broker counts, for /metrics. */
export function brokerReadings({ counters, registry, retained, connections, storage }: StatisticsContext): readonly Reading[] {
  const byQos = (counts: readonly number[]) => QOS.map((qos, index) => ({ labels: { qos }, value: counts[index] ?? 0 }));
  const by = (label: string, counts: Readonly<Record<string, number>>) =>
    Object.entries(counts).map(([value, count]) => ({ labels: { [label]: value }, value: count }));
  const counter = (name: string, help: string, read: Reading["read"]): Reading => ({ type: "counter", name, help, read });
  const gauge = (name: string, help: string, read: Reading["read"]): Reading => ({ type: "gauge", name, help, read });
  const accepted = () => by("topic", Object.fromEntries(KINDS.map((kind) => [kind, counters.accepted[kind] ?? 0])));
  return [
    counter("hexahub_mqtt_received_total", "PUBLISH packets from clients, by QoS", () => byQos(counters.received)),
    counter("hexahub_mqtt_sent_total", "PUBLISH packets to clients, by QoS", () => byQos(counters.sent)),
    counter("hexahub_mqtt_bytes_received_total", "Bytes from MQTT clients", () => counters.bytesReceived),
    counter("hexahub_mqtt_bytes_sent_total", "Bytes to MQTT clients", () => counters.bytesSent),
    counter("hexahub_mqtt_accepted_total", "Messages of clients that were taken, by the kind of their topic", accepted),
    counter("hexahub_mqtt_dropped_total", "Messages that did not reach a session they were for", () => by("reason", counters.dropped)),
    counter("hexahub_mqtt_throttled_total", "Times a client was read no further since it sent too fast", () => counters.throttled),
    counter("hexahub_mqtt_slow_closed_total", "Clients disconnected because they did not read", () => counters.overflowed),
    gauge("hexahub_mqtt_queued", "QoS 1 and 2 messages that are on their way or wait", () => counters.queued),
    gauge("hexahub_mqtt_connections", "Open MQTT connections, those without a session too", connections),
    gauge("hexahub_mqtt_sessions", "MQTT clients connected to this node", () => registry.connected),
    gauge("hexahub_mqtt_sessions_durable", "MQTT sessions that outlive their connection", () =>
      countOf(registry, ({ isDurable }) => isDurable),
    ),
    gauge("hexahub_mqtt_sessions_away", "MQTT sessions whose client is away", () => registry.size - registry.connected),
    gauge("hexahub_mqtt_subscriptions", "Subscriptions of all MQTT sessions", () => subscriptionsOf(registry)),
    gauge("hexahub_storage_full", "1 while the database's disk has no room: nothing that must be kept is acknowledged", () =>
      Number(storage.isFull),
    ),
    gauge("hexahub_mqtt_retained", "Topics with a retained message", () => retained.size),
  ];
}

/** What `$SYS/broker/…` says, by mosquitto's names where it has one. `uptimeMs` is the hub's. */
export function statistics(context: StatisticsContext, version: string, uptimeMs: number): ReadonlyMap<string, string> {
  const { counters, registry, retained } = context;
  const sum = (counts: readonly number[]): number => counts.reduce((total, count) => total + count, 0);
  const received = sum(counters.received);
  const sent = sum(counters.sent);
  return new Map(
    Object.entries({
      version: `hexahub version ${version}`,
      uptime: `${Math.floor(uptimeMs / 1_000)} seconds`,
      "clients/connected": registry.connected,
      "clients/disconnected": registry.size - registry.connected,
      "clients/total": registry.size,
      "messages/received": received,
      "messages/sent": sent,
      "messages/stored": counters.queued,
      "publish/messages/received": received,
      "publish/messages/sent": sent,
      "publish/messages/dropped": sum(Object.values(counters.dropped)),
      "bytes/received": counters.bytesReceived,
      "bytes/sent": counters.bytesSent,
      "retained messages/count": retained.size,
      "subscriptions/count": subscriptionsOf(registry),
    }).map(([name, value]) => [name, String(value)]),
  );
}

export interface PublishedStatisticsContext extends StatisticsContext {
  readonly exchange: Exchange;
  readonly topics: Topics;
  readonly version: string;
  readonly log: Log;
}

/** Publishes the statistics at once and every 10 s, retained. */
export function startStatistics(context: PublishedStatisticsContext): Disposable {
  const { exchange, topics, version, log } = context;
  const startedAt = performance.now();
  const publish = (): void => {
    try {
      for (const [name, text] of statistics(context, version, performance.now() - startedAt))
        exchange.publish(new Message({ topic: topics.build({ kind: "sys", name }), payload: Buffer.from(text), qos: 0, retain: true }));
    } catch (error) {
      log.error({ err: error }, "the statistics could not be published");
    }
  };
  publish();
  const timer = setInterval(publish, PERIOD_MS).unref();
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

function countOf(registry: SessionRegistry, match: (session: { readonly isDurable: boolean }) => boolean): number {
  let count = 0;
  for (const session of registry.all()) if (match(session)) count++;
  return count;
}

function subscriptionsOf(registry: SessionRegistry): number {
  let count = 0;
  for (const { subscriptions } of registry.all()) count += subscriptions.size;
  return count;
}
