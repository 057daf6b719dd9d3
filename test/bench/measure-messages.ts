import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { callbackify } from "node:util";
import type { Knex } from "knex";
import { connectAsync, type IPublishPacket, type MqttClient } from "mqtt";
import { HOUR_MS } from "../../core/durations.ts";
import { DURABLE_POSTGRES, freshDatabase, mosquittoMissing, postgresMissing, startMosquitto, startPostgres } from "../support/services.ts";
import { temporaryFolder } from "../support/wait.ts";
import { generate } from "./child.ts";
import type { DurableResult } from "./durable.ts";
import { createHistogram } from "./histogram.ts";
import { startHubProcess } from "./hub-process.ts";
import { createPlainReadings, openPlainPostgres, openPlainSqlite, PLAIN, plainRow } from "./plain.ts";
import { median, type Row } from "./report.ts";
import type { Plan } from "./stage.ts";

const DEVICES = 50;
/** Of each device: one at a time, as a simple device sends, and as many as come back. */
const IN_FLIGHT = [1, 20] as const;
const GOAL = 8_000;

interface Result {
  readonly perS: number;
  readonly p99Ms: number;
}

interface Measured {
  readonly hub: readonly Result[];
  readonly plain: readonly Result[] | undefined;
}

/**
 * A message, a reading, a row: telemetry at QoS 1, acknowledged when it is stored. Beside it the script that somebody would write
 * instead, which takes each message off mosquitto with mqtt.js and inserts it with knex before it acknowledges it.
 */
export async function measureMessages(plan: Plan): Promise<Row[]> {
  await using folder = temporaryFolder();
  const onSqlite = await measureBoth(plan, {}, () => openPlainSqlite(join(folder.path, "plain.db")));
  const rows = rowsFor("SQLite", onSqlite, GOAL);
  const missing = postgresMissing();
  if (missing !== undefined) {
    process.stderr.write(`${missing}: SQLite alone\n`);
    return rows;
  }
  await using server = await startPostgres(DURABLE_POSTGRES);
  const plainUrl = await freshDatabase(server);
  const settings = { DATABASE_URL: await freshDatabase(server), HEXA_MASTER_KEY: "5a".repeat(32) };
  return [...rows, ...rowsFor("PostgreSQL", await measureBoth(plan, settings, () => openPlainPostgres(plainUrl)))];
}

const rowsFor = (store: string, measured: readonly Measured[], goal?: number): Row[] =>
  measured.flatMap(({ hub, plain }, index) => {
    const of = (pick: (result: Result) => number) => ({ hub: median(hub.map(pick)), other: plain && median(plain.map(pick)) });
    return [
      {
        name: `single messages, ${DEVICES} devices × ${IN_FLIGHT[index]} in flight, ${store} (the other: mqtt.js and knex)`,
        unit: "messages/s",
        ...of(({ perS }) => perS),
        goal: goal === undefined ? undefined : { atLeast: goal },
      },
      { name: "  p99 until it is stored and acknowledged", unit: "ms", ...of(({ p99Ms }) => p99Ms) },
    ];
  });

/** In turns, for each number of messages in flight. */
async function measureBoth(plan: Plan, settings: Readonly<Record<string, string>>, openPlain: () => Knex): Promise<Measured[]> {
  await using hub = await startHubProcess(undefined, settings);
  await using script = await scriptIfPossible(openPlain);
  const devices = await hub.addDevices("sensor_hub", DEVICES);
  const publishers = devices.map((device) => ({ ...device, topic: `hexa/${device.clientId}/up/telemetry` }));
  const results = IN_FLIGHT.map(() => ({ hub: [] as Result[], plain: script && ([] as Result[]) }));
  let hour = Math.floor(Date.now() / HOUR_MS) - 2;
  for (let run = 0; run < plan.runs; run++)
    for (const [index, inFlight] of IN_FLIGHT.entries()) {
      const spec = { kind: "durable", ...plan.span, inFlight, firstTs: hour-- * HOUR_MS, ...hub.targets.tcp, publishers } as const;
      const { ackedPerS, latency } = await generate<DurableResult>(spec);
      results[index]?.hub.push({ perS: ackedPerS, p99Ms: latency.p99Ms });
      if (script) results[index]?.plain?.push(await script.measure(plan, inFlight * DEVICES));
    }
  return results;
}

interface Script extends AsyncDisposable {
  /** `inFlight` of all devices together. */
  measure(plan: Plan, inFlight: number): Promise<Result>;
}

async function scriptIfPossible(openPlain: () => Knex): Promise<Script | undefined> {
  const missing = mosquittoMissing();
  if (missing !== undefined) {
    process.stderr.write(`${missing}: no comparison\n`);
    return undefined;
  }
  await using stack = new AsyncDisposableStack();
  const db = openPlain();
  stack.defer(() => db.destroy());
  await createPlainReadings(db);
  const broker = stack.use(await startMosquitto(["max_queued_messages 100000", "max_inflight_messages 1000", "set_tcp_nodelay true"]));
  const connect = async (): Promise<MqttClient> => {
    const client = await connectAsync(broker.url);
    stack.defer(() => client.endAsync(true));
    return client;
  };
  const reader = await connect();
  const sender = await connect();
  let onStored: (at: number, sentAt: number) => void = () => {};
  // The acknowledgement goes out when it is done.
  reader.handleMessage = callbackify(async ({ topic, payload }: IPublishPacket) => {
    const { ts, values } = JSON.parse(payload.toString()) as { ts: number; values: Record<string, number> };
    const [key = "", value = 0] = Object.entries(values)[0] ?? [];
    await db(PLAIN).insert(plainRow(db, { device: topic.split("/")[1] ?? "", key, ts: Math.floor(ts), value }));
    onStored(performance.now(), ts - performance.timeOrigin);
  });
  await reader.subscribeAsync("hexa/+/up/telemetry", { qos: 1 });
  const devices = Array.from({ length: DEVICES }, () => crypto.randomUUID());
  let sent = 0;
  const send = (): void => {
    const payload = JSON.stringify({ ts: performance.timeOrigin + performance.now(), values: { temperature: 21.5 } });
    sender.publish(`hexa/${devices[sent++ % DEVICES]}/up/telemetry`, payload, { qos: 1 });
  };
  const running = stack.move();
  return {
    async measure({ span }, inFlight) {
      let histogram = createHistogram();
      let stored = 0;
      let open = inFlight;
      let isOver = false;
      const drained = Promise.withResolvers<void>();
      onStored = (at, sentAt) => {
        stored++;
        histogram.add(at - sentAt);
        if (!isOver) send();
        else if (--open === 0) drained.resolve();
      };
      for (let count = 0; count < inFlight; count++) send();
      await pause(span.warmUpMs);
      [histogram, stored] = [createHistogram(), 0];
      const began = performance.now();
      await pause(span.measureMs);
      const perS = (stored * 1_000) / (performance.now() - began);
      isOver = true;
      await drained.promise;
      return { perS, p99Ms: histogram.summary().p99Ms };
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}
