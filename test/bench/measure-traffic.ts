import { generate } from "./child.ts";
import type { LatencyResult } from "./latency.ts";
import type { QoS, Version } from "./packets.ts";
import { type Goal, median, type Row } from "./report.ts";
import { fanIn, fanOut, pairs, type Place, type Shape, steadyPairs } from "./scenarios.ts";
import { openSink, openStage, type Plan, type Stage } from "./stage.ts";
import type { StreamResult } from "./stream.ts";
import type { Transport } from "./wire.ts";

/** Ratios to mosquitto. */
const PATTERNS = {
  "fan-in": { title: "fan-in 50 → 1", scenario: fanIn, goals: [3, 2] },
  "fan-out": { title: "fan-out 1 → 200", scenario: fanOut, goals: [8, 3] },
  pairs: { title: "pairs 50 × 50", scenario: pairs, goals: [3, 2] },
} as const;
type Pattern = keyof typeof PATTERNS;

const TITLES = { tcp: "", tls: ", TLS", websocket: ", WebSocket" } as const;
const SINK_MS = { warmUpMs: 300, measureMs: 700 };
const LATENCY_RATIO = 2;

export function measurePattern(pattern: Pattern): (plan: Plan) => Promise<Row[]> {
  return (plan) =>
    compareAll(plan, [
      { pattern, qos: 0 },
      { pattern, qos: 1 },
    ]);
}

/** All patterns at QoS 0. */
export function measureTransport(transport: Transport): (plan: Plan) => Promise<Row[]> {
  return (plan) =>
    compareAll(
      plan,
      (Object.keys(PATTERNS) as Pattern[]).map((pattern) => ({ pattern, qos: 0, transport })),
    );
}

export function measureMqtt5(plan: Plan): Promise<Row[]> {
  return compareAll(plan, [{ pattern: "fan-in", qos: 0, version: 5 }]);
}

export async function measureLatency(plan: Plan): Promise<Row[]> {
  await using stage = await openStage(plan);
  const rows: Row[] = [];
  for (const ratePerS of [5_000, 20_000])
    for (const qos of [0, 1] as const) {
      const shape: Shape = { prefix: stage.prefix, qos, version: 4, ...plan.span };
      const run = (place: Place, over: Partial<Shape> = {}) => generate<LatencyResult>(steadyPairs(place, { ...shape, ...over }, ratePerS));
      await using sink = await openSink(stage, "tcp");
      const bare = await run(sink.place, SINK_MS);
      const seen = await takeTurns(plan, { hub: stage.hubPlace("tcp"), other: stage.otherPlace("tcp") }, run);
      const of = (pick: (result: LatencyResult) => number) => medians(seen, pick);
      const goal: Goal | undefined = ratePerS === 5_000 ? { atMostRatio: LATENCY_RATIO } : undefined;
      rows.push(
        {
          name: `latency at ${ratePerS.toLocaleString("en")} messages/s, QoS ${qos}, p50`,
          unit: "ms",
          ...of(({ latency }) => latency.p50Ms),
          sink: bare.latency.p50Ms,
          generator: of(({ cpuShare }) => cpuShare),
        },
        { name: "  p99", unit: "ms", ...of(({ latency }) => latency.p99Ms), sink: bare.latency.p99Ms, goal },
        { name: "  delivered", unit: "messages/s", ...of(({ deliveredPerS }) => deliveredPerS), sink: bare.deliveredPerS },
      );
    }
  return rows;
}

interface Case {
  readonly pattern: Pattern;
  readonly qos: QoS;
  readonly transport?: Transport;
  readonly version?: Version;
}

async function compareAll(plan: Plan, cases: readonly Case[]): Promise<Row[]> {
  await using stage = await openStage(plan);
  const rows: Row[] = [];
  for (const one of cases) rows.push(...(await compare(plan, stage, one)));
  return rows;
}

/** The sink's figure is the generator's own ceiling. */
async function compare(plan: Plan, stage: Stage, { pattern, qos, transport = "tcp", version = 4 }: Case): Promise<Row[]> {
  const { title, scenario, goals } = PATTERNS[pattern];
  const shape: Shape = { prefix: stage.prefix, qos, version, ...plan.span };
  await using sink = await openSink(stage, transport);
  const ceiling = await generate<StreamResult>(scenario(sink.place, { ...shape, ...SINK_MS }));
  const seen = await takeTurns(plan, { hub: stage.hubPlace(transport), other: stage.otherPlace(transport) }, (place) =>
    generate<StreamResult>(scenario(place, shape)),
  );
  const lost = medians(seen, (result) => result.lost);
  return [
    {
      name: `${title}, QoS ${qos}${TITLES[transport]}${version === 5 ? ", MQTT 5" : ""}`,
      unit: "messages/s",
      ...medians(seen, (result) => result.deliveredPerS),
      goal: { atLeastRatio: goals[qos] },
      sink: ceiling.deliveredPerS,
      generator: medians(seen, (result) => result.cpuShare),
    },
    ...((lost.hub ?? 0) + (lost.other ?? 0) > 0 ? [{ name: "  lost", unit: "messages", ...lost }] : []),
  ];
}

interface Turns<T> {
  readonly hub: readonly T[];
  readonly other: readonly T[];
}

/** Hub, other, hub, other …: what the machine does beside it meets both. */
async function takeTurns<T>(
  { runs }: Plan,
  places: { hub: Place; other: Place | undefined },
  run: (place: Place) => Promise<T>,
): Promise<Turns<T>> {
  const seen = { hub: [] as T[], other: [] as T[] };
  for (let turn = 0; turn < runs; turn++) {
    seen.hub.push(await run(places.hub).catch(failedAgainst("the hub")));
    if (places.other) seen.other.push(await run(places.other).catch(failedAgainst("the other broker")));
  }
  return seen;
}

function failedAgainst(whom: string): (cause: unknown) => never {
  return (cause) => {
    throw new Error(`a turn against ${whom} failed: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  };
}

function medians<T>({ hub, other }: Turns<T>, pick: (result: T) => number): { hub: number | undefined; other: number | undefined } {
  return { hub: median(hub.map(pick)), other: median(other.map(pick)) };
}
