import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import pg from "pg";
import { newId } from "../../core/id.ts";
import type { Cast, DeviceOf } from "./matrix-cast.ts";
import type { Ids, Row } from "./matrix-row.ts";

const ANALYTICS = "/api/v1/analytics";
const of = (name: string): Row => ({ isOnDevice: true, path: ({ device }: Ids) => `${ANALYTICS}/${name}device=${device.uid}` });

/** Of the routes about what devices amount to, and what stands out. */
export const ANALYTICS_ROWS: Readonly<Record<string, Row>> = {
  [`GET ${ANALYTICS}/commands`]: of("commands?"),
  [`GET ${ANALYTICS}/tasks`]: of("tasks?"),
  [`GET ${ANALYTICS}/devices`]: of("devices?"),
  [`GET ${ANALYTICS}/devices/:id/health`]: { isOnDevice: true },
  [`GET ${ANALYTICS}/usage`]: of("usage?"),
  [`GET ${ANALYTICS}/insights`]: of("insights?"),
  [`POST ${ANALYTICS}/insights/:id/dismiss`]: { isOnDevice: true, path: ({ insight }) => `${ANALYTICS}/insights/${insight}/dismiss` },
  [`GET ${ANALYTICS}/metrics`]: {},
  [`GET ${ANALYTICS}/metrics/series`]: of("metrics/series?type=command.latency&"),
};

/** About the device: beside the hub, which finds one only after weeks. */
export async function addInsight({ hub, databaseUrl, ours, theirs }: Cast, isOurs: boolean, device: DeviceOf): Promise<string> {
  const [id, now] = [newId(), new Date().toISOString()];
  const row = {
    id,
    organization_id: isOurs ? ours : theirs,
    device_id: device.id,
    uid: device.uid,
    kind: "sensor_stuck",
    subject: "t",
    severity: "info",
    message: "t is stuck",
    evidence: "{}",
    since: now,
    found_at: now,
    seen_at: now,
    correlation_id: id,
  };
  const insert = (places: readonly string[]): string => `insert into insights (${Object.keys(row).join()}) values (${places.join()})`;
  if (databaseUrl === undefined) {
    const db = new DatabaseSync(join(hub.dataDir, "hexahub.db"), { timeout: 5_000 });
    db.prepare(insert(Object.keys(row).map(() => "?"))).run(...Object.values(row));
    db.close();
    return id;
  }
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  await client.query(insert(Object.keys(row).map((_, index) => `$${index + 1}`)), Object.values(row));
  await client.end();
  return id;
}
