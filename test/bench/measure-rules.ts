import { readFileSync } from "node:fs";
import type { AnswersResult, AnswersSpec } from "./answers.ts";
import { generate } from "./child.ts";
import { type HubProcess, startHubProcess } from "./hub-process.ts";
import { installNodeRed, startNodeRed } from "./node-red.ts";
import { startMosquittoPeer } from "./peers.ts";
import { median, type Row } from "./report.ts";
import type { Plan } from "./stage.ts";

const RATE_PER_S = 5_000;
const SHARE_GOAL = 0.25;
const LATENCY_GOAL_MS = 10;
const UNDER_WAY = 200;
const TICKS_PER_S = 100;
const WARM_UP_MS = 8_000;

interface Seen extends AnswersResult {
  /** Of one core, by the process that answers. */
  readonly share: number;
}

/** Automations of the hub that answer messages, with many that do not match beside them; and one beside Node-RED's. */
export async function measureRules(plan: Plan): Promise<Row[]> {
  return [...(await measureMany(plan)), ...(await measureBesideNodeRed(plan))];
}

async function measureMany({ runs, span }: Plan): Promise<Row[]> {
  const rows: Row[] = [];
  for (const count of [1_000, 10_000]) {
    await using hub = await startHubProcess();
    const place = await placeOf(hub);
    await addRules(hub, place.prefix, count);
    const seen: Seen[] = [];
    const spec: AnswersSpec = {
      ...place.spec,
      ...span,
      ask: `${place.prefix}/in`,
      answer: `${place.prefix}/out`,
      topics: count,
      ratePerS: RATE_PER_S,
      underWay: 20_000,
    };
    // What is asked for is the share of a hub that runs, not of one that has just been given all these and is compiled on the way.
    await measured(hub.pid, { ...spec, measureMs: WARM_UP_MS });
    for (let run = 0; run < runs; run++) seen.push(await measured(hub.pid, spec));
    const of = (pick: (one: Seen) => number) => median(seen.map(pick));
    const isFirst = count === 1_000;
    rows.push(
      {
        name: `${count.toLocaleString("en")} automations, 5,000 messages/s: answered`,
        unit: "messages/s",
        hub: of(({ answeredPerS }) => answeredPerS),
      },
      {
        name: "  share of a core, the broker's work included",
        unit: "cores",
        hub: of(({ share }) => share),
        ...(isFirst ? { goal: { atMost: SHARE_GOAL } } : {}),
      },
      {
        name: "  p99 from message to answer",
        unit: "ms",
        hub: of(({ latency }) => latency.p99Ms),
        ...(isFirst ? { goal: { atMost: LATENCY_GOAL_MS } } : {}),
      },
    );
  }
  return rows;
}

async function measureBesideNodeRed({ runs, span }: Plan): Promise<Row[]> {
  await installNodeRed();
  await using hub = await startHubProcess();
  const place = await placeOf(hub);
  await addRule(hub, "one", `${place.prefix}/in/+`);
  await using mosquitto = await startMosquittoPeer(hub.certificate, undefined);
  const target = mosquitto.targets.tcp;
  if (!target) throw new Error("mosquitto has no plain listener");
  const topics = { ask: "bench/in", answer: "bench/out" };
  await using nodeRed = await startNodeRed(target, topics);
  const most = { ...span, topics: 50, underWay: UNDER_WAY };
  const seen = { hub: [] as Seen[], other: [] as Seen[], hubSteady: [] as Seen[], otherSteady: [] as Seen[] };
  for (let run = 0; run < runs; run++)
    for (const ratePerS of [undefined, RATE_PER_S]) {
      const ours = { ...place.spec, ...most, ask: `${place.prefix}/in`, answer: `${place.prefix}/out`, ratePerS };
      const theirs: AnswersSpec = { kind: "answers", ...target, login: {}, ...most, ...topics, ratePerS };
      seen[ratePerS === undefined ? "hub" : "hubSteady"].push(await measured(hub.pid, ours));
      seen[ratePerS === undefined ? "other" : "otherSteady"].push(await measured(nodeRed.pid, theirs));
    }
  const of = (list: readonly Seen[], pick: (one: Seen) => number) => median(list.map(pick));
  const both = (hubs: readonly Seen[], others: readonly Seen[], pick: (one: Seen) => number) => ({
    hub: of(hubs, pick),
    other: of(others, pick),
  });
  return [
    {
      name: "one rule, 200 messages under way (other: Node-RED on mosquitto)",
      unit: "messages/s",
      ...both(seen.hub, seen.other, ({ answeredPerS }) => answeredPerS),
    },
    { name: "  p99", unit: "ms", ...both(seen.hub, seen.other, ({ latency }) => latency.p99Ms) },
    {
      name: "the same at 5,000 messages/s: answered",
      unit: "messages/s",
      ...both(seen.hubSteady, seen.otherSteady, ({ answeredPerS }) => answeredPerS),
    },
    { name: "  p99", unit: "ms", ...both(seen.hubSteady, seen.otherSteady, ({ latency }) => latency.p99Ms) },
    {
      name: "  share of a core (other: without the broker)",
      unit: "cores",
      ...both(seen.hubSteady, seen.otherSteady, ({ share }) => share),
    },
  ];
}

async function placeOf(hub: HubProcess) {
  const login = await hub.addService("bench-service");
  const { data } = (await hub.get("/api/v1/organizations")) as { data: { id: string }[] };
  return { prefix: `hexa-app/${data[0]?.id}/bus`, spec: { kind: "answers", ...hub.targets.tcp, login } as const };
}

async function addRules(hub: HubProcess, prefix: string, count: number): Promise<void> {
  let next = 0;
  const add = async (): Promise<void> => {
    while (next < count) {
      const index = next++;
      await addRule(hub, `${index}`, `${prefix}/in/${index}`);
    }
  };
  await Promise.all(Array.from({ length: 10 }, add));
}

async function addRule(hub: HubProcess, name: string, filter: string): Promise<void> {
  await hub.post("/api/v1/automations", {
    name: `bench ${name}`,
    triggers: [{ kind: "topic", filter }],
    condition: { kind: "compare", left: { kind: "var", name: "trigger.payload.at" }, op: "gt", right: { kind: "value", value: 0 } },
    actions: [{ kind: "publish", name: "out/a", from: { kind: "var", name: "trigger.payload" } }],
  });
}

/** While the generator runs, warm-up included; the share is of the whole time that it takes. */
async function measured(pid: number, spec: AnswersSpec): Promise<Seen> {
  const at = performance.now();
  const before = cpuTicks(pid);
  const result = await generate<AnswersResult>(spec);
  const busyS = (cpuTicks(pid) - before) / TICKS_PER_S;
  const workedS = Math.min((performance.now() - at) / 1_000, (spec.warmUpMs + spec.measureMs) / 1_000);
  return { ...result, share: busyS / workedS };
}

function cpuTicks(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  return Number(fields[11]) + Number(fields[12]);
}
