import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, test } from "node:test";
import fc from "fast-check";
import knex from "knex";
import mqtt from "mqtt";
import { type Db, openStore } from "../../store/open.ts";
import { rollUp } from "../../store/rollups.ts";
import { rowsOf } from "../../store/sql.ts";
import { SqliteClient } from "../../store/sqlite.ts";
import { databases } from "../support/databases.ts";
import { startHub, type TestHub } from "../support/hub.ts";
import { deviceUrl, openSocket } from "./json-device.ts";

const HOUR_MS = 3_600_000;
const KEYS = ["temperature", "state", "power"] as const;

interface Sample {
  readonly ts: number;
  readonly values: Readonly<Record<string, number | string | boolean>>;
}
type Credentials = Awaited<ReturnType<TestHub["api"]["addDevice"]>>;
type Door = (hub: TestHub, device: Credentials, samples: readonly Sample[]) => Promise<void>;

async function overMqtt(url: string, { uid, token }: Credentials, samples: readonly Sample[]): Promise<void> {
  const client = await mqtt.connectAsync(url, { clientId: uid, username: uid, password: token, reconnectPeriod: 0 });
  await Promise.all(samples.map((sample) => client.publishAsync(`hexa/${uid}/up/telemetry`, JSON.stringify(sample), { qos: 1 })));
  await client.endAsync();
}

/** Each resolves when the hub has said that it has them. */
const DOORS: readonly Door[] = [
  ({ mqtt: url }, device, samples) => overMqtt(url, device, samples),
  ({ ws }, device, samples) => overMqtt(ws, device, samples),
  async ({ http }, { uid, token }, samples) => {
    const headers = { "content-type": "application/json", "x-device-uid": uid, "x-device-token": token };
    const body = JSON.stringify(samples);
    const response = await fetch(new URL("/api/v1/devices/sensor-report", http), { method: "POST", headers, body });
    assert.equal(response.status, 202, await response.text());
  },
  async (hub, device, samples) => {
    await using socket = await openSocket(deviceUrl(hub, device));
    for (const { ts, values } of samples) assert.equal((await socket.ask({ type: "telemetry", ts, values })).type, "ok");
  },
];

/** Values that add up to the same in any order. */
const samplesOf = (end: number) =>
  fc.array(
    fc.record({
      ts: fc.integer({ min: 1, max: 20_000 }).map((step) => end - step * 1_000),
      values: fc.dictionary(
        fc.constantFrom(...KEYS),
        fc.oneof(
          fc.integer({ min: -800, max: 800 }).map((n) => n / 8),
          fc.constantFrom("idle", "busy", true),
        ),
        {
          minKeys: 1,
        },
      ),
    }),
    { minLength: 20, maxLength: 150 },
  );

/** One value at one moment: which of two would stay depends on their order. */
function withoutContradictions(samples: readonly Sample[]): Sample[] {
  return [...new Map(samples.map((sample) => [sample.ts, sample])).values()];
}

/** What is known of a device, however it came to be. */
async function known(db: Db, deviceId: string): Promise<unknown[]> {
  const of = "from series s join devices d on d.id = s.device_id";
  return await Promise.all([
    rowsOf(db, "select sensor_key, ts, v, cast(json as text) as json from device_sensor_state where device_id = ? order by sensor_key", [
      deviceId,
    ]),
    rowsOf(db, "select sensor_key, first_ts from series where device_id = ? order by sensor_key", [deviceId]),
    rowsOf(
      db,
      `select s.sensor_key, t.ts, t.v, cast(t.json as text) as json ${of} join telemetry t on t.series_id = s.id where d.id = ? order by 1, 2`,
      [deviceId],
    ),
    rowsOf(db, `select s.sensor_key, r.ts, r.body ${of} join telemetry_chunks r on r.series_id = s.id where d.id = ? order by 1, 2`, [
      deviceId,
    ]),
    ...["telemetry_hours", "telemetry_days"].map((table) =>
      rowsOf(
        db,
        `select s.sensor_key, r.ts, n, v_n, v_min, v_max, v_sum, first_v, first_json, last_v, last_json ${of} join ${table} r on r.series_id = s.id where d.id = ? order by 1, 2`,
        [deviceId],
      ),
    ),
  ]);
}

/** The hub's database, while the hub has it. */
async function openBeside({ dataDir }: TestHub, databaseUrl: string | undefined): Promise<{ readonly db: Db } & AsyncDisposable> {
  if (databaseUrl !== undefined) return await openStore({ dataDir, databaseUrl });
  const connection = { filename: join(dataDir, "hexahub.db") };
  const db = knex({ client: SqliteClient as unknown as typeof knex.Client, connection, useNullAsDefault: true, pool: { min: 0, max: 1 } });
  return { db, [Symbol.asyncDispose]: () => db.destroy() };
}

for (const { name, skip, open } of databases()) {
  describe(`${name}: readings in any order`, { skip }, () => {
    test("with repetitions, over any requests and protocols, leave the same as one after the other", { timeout: 300_000 }, async () => {
      await using database = await open();
      await using hub = await startHub({ databaseUrl: database.url });
      await hub.api.login();
      await using store = await openBeside(hub, database.url);
      const { db } = store;
      const end = Math.floor(Date.now() / HOUR_MS) * HOUR_MS - HOUR_MS;
      const rollAll = async () => {
        while ((await rollUp(db, end + 2 * HOUR_MS)) > 0);
      };
      await fc.assert(
        fc.asyncProperty(samplesOf(end).map(withoutContradictions), fc.infiniteStream(fc.nat()), async (samples, random) => {
          const next = (below: number): number => (random.next().value as number) % below;
          const [shuffled, plain] = [await hub.api.addDevice(), await hub.api.addDevice()];
          const repeated = [...samples, ...samples.filter(() => next(5) === 0)];
          const left = repeated.map((sample) => ({ sample, place: next(1_000_000) })).toSorted((a, b) => a.place - b.place);
          while (left.length > 0) {
            const some = left.splice(0, 1 + next(40)).map(({ sample }) => sample);
            await (DOORS[next(DOORS.length)] as Door)(hub, shuffled, some);
            if (next(4) === 0) await rollUp(db, end + 2 * HOUR_MS, 1 + next(5));
          }
          const inOrder = samples.toSorted((a, b) => a.ts - b.ts);
          await (DOORS[2] as Door)(hub, plain, inOrder);
          await rollAll();
          const [actual, expected] = [await known(db, shuffled.id), await known(db, plain.id)];
          assert.deepEqual(actual, expected);
          assert.ok([3, 4, 5].every((place) => (expected[place] as unknown[]).length > 0));
        }),
        { numRuns: 8, endOnFailure: true },
      );
    });
  });
}
