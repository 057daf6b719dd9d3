import { freshDatabase, startPostgres, startRedis } from "../support/services.ts";
import { generate } from "./child.ts";
import { type HubProcess, startHubProcess } from "./hub-process.ts";
import { median, type Row } from "./report.ts";
import { pairs, type Place, type Shape } from "./scenarios.ts";
import type { Plan } from "./stage.ts";
import type { StreamResult } from "./stream.ts";

const CROSSING_GOAL = 40_000;

/** Two nodes over PostgreSQL and Redis: what stays on one of them, and what crosses over. */
export async function measureNodes({ runs, span }: Plan): Promise<Row[]> {
  await using postgres = await startPostgres();
  await using redis = await startRedis();
  const settings = { DATABASE_URL: await freshDatabase(postgres), REDIS_URL: redis.url, HEXA_MASTER_KEY: "5a".repeat(32) };
  await using here = await startHubProcess(undefined, settings);
  await using there = await startHubProcess(undefined, settings);
  const login = await here.addService("bench-service");
  const { data } = (await here.get("/api/v1/organizations")) as { data: { id: string }[] };
  const prefix = `hexa-app/${data[0]?.id}/bus`;
  const place: Place = { target: here.targets.tcp, login };
  const rows: Row[] = [];
  for (const qos of [0, 1] as const) {
    const shape: Shape = { prefix, qos, version: 4, ...span };
    rows.push(
      { name: `two nodes, pairs 50 × 50 on one of them, QoS ${qos}`, ...(await rate(runs, place, shape)) },
      { name: `two nodes, pairs 50 × 50 across, QoS ${qos}`, ...(await rate(runs, place, shape, there)), goal: { atLeast: CROSSING_GOAL } },
    );
  }
  return rows;
}

async function rate(runs: number, place: Place, shape: Shape, readers?: HubProcess): Promise<Pick<Row, "unit" | "hub">> {
  const seen: number[] = [];
  for (let run = 0; run < runs; run++)
    seen.push((await generate<StreamResult>({ ...pairs(place, shape), readAt: readers?.targets.tcp })).deliveredPerS);
  return { unit: "messages/s", hub: median(seen) };
}
