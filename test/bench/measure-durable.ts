import { generate, startGenerator } from "./child.ts";
import type { DurableResult, DurableSpec } from "./durable.ts";
import { type HubProcess, startHubProcess } from "./hub-process.ts";
import { natsMissing, natsVersion, startNats } from "./peers.ts";
import { median, type Row } from "./report.ts";
import type { Plan } from "./stage.ts";
import type { Target } from "./wire.ts";

const HOUR_MS = 3_600_000;
const RATE_PER_S = 20_000;
const MAX_P99_MS = 20;
/** As many as come back, and at the rate that must be held with a short answer. */
const LOADS = [{ inFlight: 20 }, { inFlight: 100, ratePerS: RATE_PER_S }] as const;

/** PUBACK after the commit on the hub. NATS, which stores in files and does not wait for them, takes its turns in the same run. */
export async function measureDurable({ runs, span }: Plan): Promise<Row[]> {
  await using hub = await startHubProcess();
  await using nats = await natsIfInstalled();
  const devices = await hub.addDevices("sensor_hub", 50);
  const publishers = devices.map((device) => ({ ...device, topic: `hexa/${device.clientId}/up/telemetry` }));
  const bare = publishers.map(({ clientId, topic }) => ({ clientId, topic }));
  const seen = LOADS.map(() => ({ hub: [] as DurableResult[], nats: [] as DurableResult[] }));
  let lost = 0;
  let hour = Math.floor(Date.now() / HOUR_MS) - 2;
  for (let run = 0; run < runs; run++)
    for (const [index, load] of LOADS.entries()) {
      const spec = { kind: "durable", ...span, ...load, firstTs: hour-- * HOUR_MS } as const;
      const result = await generate<DurableResult>({ ...spec, ...hub.targets.tcp, publishers });
      seen[index]?.hub.push(result);
      lost += await countLost(hub, result, { ...spec, ...hub.targets.tcp, publishers });
      if (nats) seen[index]?.nats.push(await generate<DurableResult>({ ...spec, ...nats.target, publishers: bare }));
    }
  const [full, steady] = seen;
  const of = (results: readonly DurableResult[] = [], pick: (result: DurableResult) => number) => median(results.map(pick));
  return [
    {
      name: "durable telemetry, 50 devices × 20 in flight, QoS 1",
      unit: "PUBACK/s",
      hub: of(full?.hub, (result) => result.ackedPerS),
      goal: { atLeast: RATE_PER_S },
      generator: { hub: of(full?.hub, (result) => result.cpuShare) },
    },
    { name: "  p50", unit: "ms", hub: of(full?.hub, (result) => result.latency.p50Ms) },
    { name: "  p99", unit: "ms", hub: of(full?.hub, (result) => result.latency.p99Ms) },
    {
      name: `  at ${RATE_PER_S.toLocaleString("en")}/s: acknowledged`,
      unit: "PUBACK/s",
      hub: of(steady?.hub, (result) => result.ackedPerS),
      generator: { hub: of(steady?.hub, (result) => result.cpuShare) },
    },
    { name: "    p50", unit: "ms", hub: of(steady?.hub, (result) => result.latency.p50Ms) },
    { name: "    p99", unit: "ms", hub: of(steady?.hub, (result) => result.latency.p99Ms), goal: { atMost: MAX_P99_MS } },
    { name: "  acknowledged and not stored", unit: "messages", hub: lost, goal: { atMost: 0 } },
    ...(nats
      ? [
          {
            name: `  the same on NATS ${natsVersion()} (JetStream)`,
            unit: "PUBACK/s",
            other: of(full?.nats, (result) => result.ackedPerS),
          },
          { name: "    p99", unit: "ms", other: of(full?.nats, (result) => result.latency.p99Ms) },
          {
            name: `    p99 at ${RATE_PER_S.toLocaleString("en")}/s`,
            unit: "ms",
            other: of(steady?.nats, (result) => result.latency.p99Ms),
          },
        ]
      : []),
  ];
}

/** How many readings that were acknowledged the store does not have. */
async function countLost(hub: HubProcess, { acked }: DurableResult, { publishers, firstTs }: DurableSpec): Promise<number> {
  let lost = 0;
  for (const [index, { clientId }] of publishers.entries()) {
    const count = acked[index] ?? 0;
    lost += count - (await countReadings(hub, clientId, { from: firstTs, to: firstTs + count }));
  }
  return lost;
}

/** What the store has of this time, `to` excluded. */
async function countReadings(hub: HubProcess, uid: string, { from, to }: { from: number; to: number }): Promise<number> {
  const query = new URLSearchParams({
    device: uid,
    key: "temperature",
    from: new Date(from).toISOString(),
    to: new Date(to).toISOString(),
    bucket: "1h",
    agg: "count",
  });
  const { data } = (await hub.get(`/api/v1/readings?${query.toString()}`)) as { data: { value: number }[] };
  return data.reduce((sum, { value }) => sum + value, 0);
}

/** With a stored session that wants everything: without one JetStream has a reason to keep nothing. */
async function natsIfInstalled(): Promise<({ readonly target: Target } & AsyncDisposable) | undefined> {
  const missing = natsMissing();
  if (missing !== undefined) {
    process.stderr.write(`${missing}: no comparison of durable messages\n`);
    return undefined;
  }
  await using stack = new AsyncDisposableStack();
  const nats = stack.use(await startNats());
  const target = nats.targets.tcp;
  if (!target) throw new Error("NATS has no MQTT listener");
  const clients = [{ clientId: "bench-reader", filter: "hexa/+/up/telemetry" }];
  const session = await startGenerator<object>({ kind: "idle", ...target, clients, clean: false, qos: 1 });
  await session[Symbol.asyncDispose]();
  const running = stack.move();
  return { target, [Symbol.asyncDispose]: () => running.disposeAsync() };
}
