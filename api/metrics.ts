import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import type { Metrics } from "../core/bus.ts";

/** The hub's metrics and their Prometheus text. Made before everything else, since every room counts. */
export interface MetricsRegistry extends Metrics {
  /** A value, or one a set of labels, that is read whenever somebody looks. `labelNames` are needed where there may be none yet. */
  gauge(name: string, help: string, read: Read, labelNames?: readonly string[]): void;
  /** The same for what only grows. */
  counter(name: string, help: string, read: Read, labelNames?: readonly string[]): void;
  text(): Promise<string>;
  /** All values as they are now; of a histogram its sum and count alone. */
  snapshot(): Promise<readonly Measured[]>;
  readonly contentType: string;
}

type Read = () => number | readonly LabelledValue[];

export interface Measured {
  readonly name: string;
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
}

export interface LabelledValue {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

const HELP: Readonly<Record<string, string>> = {
  hexahub_http_requests_total: "HTTP requests answered, by method, route pattern and status",
  hexahub_http_request_duration_seconds: "Seconds from the request's arrival to its answer",
  hexahub_webhook_deliveries_total: "Messages to webhooks by what became of them: delivered, retried, dead, dropped, or overflow",
  hexahub_webhook_delivery_seconds: "Seconds from sending a message to a webhook until its answer, or until none came",
  hexahub_bridge_messages_total: "What smart homes were told, by bridge and what became of it: sent, retried, or refused",
  hexahub_readings_refused_total: "Values of devices that were not stored, by reason: out_of_range, or virtual_sensor",
  hexahub_alerts_raised_total: "Alerts that were raised, by rules and by hand",
  hexahub_clickhouse_rows_total: "Rows that were shipped to ClickHouse",
  hexahub_clickhouse_reads_total: "Times that ClickHouse was asked for readings, by whether it answered in time",
  hexahub_clickhouse_failures_total: "Times that ClickHouse did not take what was sent",
  hexahub_clickhouse_lost_hours_total: "Hours of readings that had gone before they were sent to ClickHouse",
  hexahub_cache_reads_total: "Reads of cached documents by where they were found: memory, shared (Redis) or database",
  hexahub_cache_shared_failures_total: "Times that Redis did not answer for the cache, which then did without it for a second",
};
const BUCKETS = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60];

/** A metric comes into being with its first use; its label names are those of that use. */
export function createMetrics(): MetricsRegistry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const counters = new Map<string, Counter>();
  const histograms = new Map<string, Histogram>();
  const base = (name: string, labels: object) => ({
    name,
    help: HELP[name] ?? name.replaceAll("_", " "),
    labelNames: Object.keys(labels),
    registers: [registry],
  });
  return {
    count(name, labels = {}, by = 1) {
      let counter = counters.get(name);
      if (!counter) counters.set(name, (counter = new Counter(base(name, labels))));
      counter.inc({ ...labels }, by);
    },
    observe(name, seconds, labels = {}) {
      let histogram = histograms.get(name);
      if (!histogram) histograms.set(name, (histogram = new Histogram({ ...base(name, labels), buckets: BUCKETS })));
      histogram.observe({ ...labels }, seconds);
    },
    gauge(name, help, read, labelNames) {
      registry.registerMetric(
        new Gauge({
          ...onDemand({ name, help, read, labelNames }),
          collect() {
            this.reset();
            for (const { labels, value } of valuesOf(read())) this.set({ ...labels }, value);
          },
        }),
      );
    },
    counter(name, help, read, labelNames) {
      registry.registerMetric(
        new Counter({
          ...onDemand({ name, help, read, labelNames }),
          collect() {
            this.reset();
            for (const { labels, value } of valuesOf(read())) this.inc({ ...labels }, value);
          },
        }),
      );
    },
    text: () => registry.metrics(),
    async snapshot() {
      const all = await registry.getMetricsAsJSON();
      return all.flatMap((metric) =>
        (metric.values as { metricName?: string; labels: Measured["labels"]; value: number }[])
          .map(({ metricName = metric.name, labels, value }) => ({ name: metricName, labels, value }))
          .filter(({ name }) => !name.endsWith("_bucket")),
      );
    },
    contentType: registry.contentType,
  };
}

interface OnDemand {
  readonly name: string;
  readonly help: string;
  readonly read: Read;
  readonly labelNames: readonly string[] | undefined;
}

const onDemand = ({ name, help, read, labelNames }: OnDemand) => ({
  name,
  help,
  labelNames: [...(labelNames ?? labelNamesOf(read()))],
  registers: [],
});

const valuesOf = (value: ReturnType<Read>): readonly LabelledValue[] => (typeof value === "number" ? [{ labels: {}, value }] : value);

const labelNamesOf = (value: ReturnType<Read>): string[] => Object.keys(valuesOf(value)[0]?.labels ?? {});
