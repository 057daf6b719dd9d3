import assert from "node:assert/strict";
import { test as check } from "node:test";
import { levelOf } from "../../store/clickhouse-shipping.ts";
import { SYSTEM } from "../../core/principal.ts";
import { READING_RETENTION_SETTING } from "../../core/service-settings.ts";
import { deleteDevice } from "../../store/devices.ts";
import { insertEvents } from "../../store/events.ts";
import type { Db, Store } from "../../store/open.ts";
import { purgeReadings } from "../../store/reading-retention.ts";
import { putSetting } from "../../store/service-settings.ts";
import { rowsOf } from "../../store/sql.ts";
import { createTelemetryStore, queryReadings } from "../../store/telemetry.ts";
import { inTransaction } from "../../store/transaction.ts";
import { startClickhouseReceiver } from "../support/clickhouse-receiver.ts";
import { startFaultProxy } from "../support/fault-proxy.ts";
import { freePort } from "../support/services.ts";
import { until } from "../support/wait.ts";
import { sealAll, testChainKey, writeAudit } from "./audit-rows.ts";
import { isShipped, openSink } from "./clickhouse-sink.ts";
import { forEachEngine } from "./engines.ts";
import { eventAt } from "./event-rows.ts";
import { device, tenant, type Tenant } from "./fixtures.ts";

const START = Date.now() - 5 * 3_600_000;
const LIMIT = { timeoutMs: 30_000 };

interface Sensor {
  readonly owner: Tenant;
  readonly deviceId: string;
  /** Values that are numbered; their times are 40 s apart. */
  readonly insert: (from: number, count: number) => Promise<void>;
}

async function sensor(db: Db, store: Store): Promise<Sensor> {
  const owner = await tenant(db, "a");
  const { id: deviceId } = await device(db, owner);
  const telemetry = createTelemetryStore(store);
  return {
    owner,
    deviceId,
    async insert(from, count) {
      const numbers = Array.from({ length: count }, (_, index) => from + index);
      await telemetry.insert(
        db,
        numbers.map((n) => ({
          deviceId,
          organizationId: owner.organization.id,
          key: "t",
          ts: START + n * 40_000,
          value: n % 5 === 0 ? `text ${n}` : n / 7,
        })),
      );
    },
  };
}

const put = (db: Db, ats: readonly number[]): Promise<void> =>
  inTransaction(db, (trx) =>
    insertEvents(
      trx,
      ats.map((at) => eventAt(at)),
    ),
  );

const numberOf = ([, , , , ts]: readonly unknown[]): number => (Date.parse(String(ts)) - START) / 40_000;
const numbers = (count: number): number[] => Array.from({ length: count }, (_, n) => n);
const inOrder = (values: Iterable<number>): number[] => [...values].toSorted((a, b) => a - b);

forEachEngine(({ test }) => {
  test("readings, events and the sealed audit arrive once each, whichever answers are lost", async (db, store) => {
    await using server = await startClickhouseReceiver();
    await using sink = await openSink(db, server.url);
    const { insert, deviceId, owner } = await sensor(db, store);
    let inserts = 0;
    server.behave = () => (++inserts % 3 === 0 ? "take" : "lose");
    const key = await testChainKey(db);
    {
      await using _shipping = sink.ship();
      for (let n = 0; n < 40; n++) {
        await insert(n * 5, 5);
        await put(db, [Date.now(), Date.now()]);
      }
      await writeAudit(db, owner.organization.id, 30);
      const sealed = await sealAll(db, key);
      await until(() => isShipped(db), { what: "everything to arrive", ...LIMIT });
      assert.equal(server.rows("audit").length, sealed);
    }
    assert.deepEqual(inOrder(server.rows("telemetry").map(numberOf)), numbers(200));
    assert.deepEqual(
      server
        .rows("telemetry")
        .find((row) => numberOf(row) === 3)
        ?.slice(0, 3),
      [owner.organization.id, deviceId, "t"],
    );
    assert.deepEqual(
      server
        .rows("telemetry")
        .find((row) => numberOf(row) === 3)
        ?.slice(5, 7),
      [3 / 7, null],
    );
    assert.deepEqual(
      server
        .rows("telemetry")
        .find((row) => numberOf(row) === 5)
        ?.slice(5, 7),
      [null, '"text 5"'],
    );
    const events = await rowsOf<{ id: string }>(db, "select id from events order by id");
    assert.deepEqual(
      server
        .rows("events")
        .map(([id]) => String(id))
        .toSorted((a, b) => (a < b ? -1 : 1)),
      events.map(({ id }) => id),
    );
    const chain = await rowsOf<{ id: string }>(db, "select id from audit_outbox where organization_id = ? order by chain_seq", [
      owner.organization.id,
    ]);
    assert.deepEqual(
      server
        .rows("audit")
        .filter(([, organization]) => organization === owner.organization.id)
        .map(([id]) => id),
      chain.map(({ id }) => id),
    );
    for (const token of new Set(server.inserts.map((one) => one.token))) {
      const same = server.inserts.filter((one) => one.token === token).map(({ rows }) => JSON.stringify(rows));
      assert.equal(new Set(same).size, 1, "a segment that was sent again was another one");
    }
    assert.deepEqual(await rowsOf(db, "select id from clickhouse_outbox"), []);
    assert.deepEqual(sink.errors, []);
  });

  test("two who ship at once, as when a node wakes up that had lost its lease, send the same segments", async (db, store) => {
    await using server = await startClickhouseReceiver();
    const { insert, owner } = await sensor(db, store);
    await using sink = await openSink(db, server.url);
    let inserts = 0;
    server.behave = () => (++inserts % 4 === 0 ? "lose" : "take");
    await using _one = sink.ship();
    await using _other = sink.ship();
    for (let n = 0; n < 30; n++) {
      await insert(n * 5, 5);
      await put(db, [Date.now()]);
      if (n % 10 === 0) await writeAudit(db, owner.organization.id, 5);
    }
    const sealed = await sealAll(db, await testChainKey(db));
    await until(() => isShipped(db), { what: "everything to arrive", ...LIMIT });
    assert.deepEqual(inOrder(server.rows("telemetry").map(numberOf)), numbers(150));
    assert.equal(server.rows("events").length, 30);
    assert.equal(server.rows("audit").length, sealed);
    assert.deepEqual(sink.errors, []);
  });

  test("what is rolled back is not shipped, and of two values of one moment the one that is kept comes first", async (db, store) => {
    await using server = await startClickhouseReceiver();
    await using sink = await openSink(db, server.url);
    const { insert, deviceId, owner } = await sensor(db, store);
    const telemetry = createTelemetryStore(store);
    await assert.rejects(
      inTransaction(db, async (trx) => {
        await telemetry.insert(trx, [{ deviceId, organizationId: owner.organization.id, key: "t", ts: START, value: 1 }]);
        await insertEvents(trx, [eventAt(START)]);
        throw new Error("no");
      }),
      /no/,
    );
    await insert(0, 2);
    const other = { deviceId, organizationId: owner.organization.id, key: "t", ts: START + 40_000, value: "other" };
    await telemetry.insert(db, [other, { ...other, ts: START + 80_000, value: 1 }, { ...other, ts: START + 80_000, value: 2 }]);
    await using _shipping = sink.ship();
    await until(() => isShipped(db), { what: "everything to arrive", ...LIMIT });
    const best = new Map<number, readonly unknown[]>();
    for (const row of server.rows("telemetry"))
      if (Number(row[7]) > Number(best.get(numberOf(row))?.[7] ?? -1)) best.set(numberOf(row), row);
    assert.deepEqual(
      [...best].map(([n, row]) => [n, row[5] ?? row[6]]),
      [
        [0, '"text 0"'],
        [1, 1 / 7],
        [2, 1],
      ],
    );
    assert.deepEqual(server.rows("events"), []);
  });

  test("a server that is away, or does not answer, delays everything and holds up nobody", async (db, store) => {
    const port = await freePort();
    const { insert } = await sensor(db, store);
    await using sink = await openSink(db, `http://127.0.0.1:${port}/hexahub`, { limitMs: 300 });
    await using _shipping = sink.ship();
    await insert(0, 10);
    await until(() => (sink.values()["hexahub_clickhouse_waiting_rows telemetry"] ?? 0) === 10, { what: "the rows that wait to be told" });
    await until(() => (sink.values()["hexahub_clickhouse_lag_seconds telemetry"] ?? 0) > 0, { what: "a lag" });
    await using server = await startClickhouseReceiver(port);
    await until(() => isShipped(db), { what: "what waited for the server", ...LIMIT });
    server.behave = () => "hang";
    await insert(10, 10);
    await until(() => server.inserts.length >= 3, { what: "a second try after the time limit", ...LIMIT });
    await insert(20, 10);
    server.behave = () => "take";
    await until(() => isShipped(db), { what: "the rest", ...LIMIT });
    assert.deepEqual(inOrder(server.rows("telemetry").map(numberOf)), numbers(30));
    await until(() => sink.values()["hexahub_clickhouse_lag_seconds telemetry"] === 0, { what: "no lag" });
  });

  test("what was on its way when the line froze is sent again as the same", async (db, store) => {
    await using server = await startClickhouseReceiver();
    await using proxy = await startFaultProxy({ port: server.port });
    const { insert } = await sensor(db, store);
    await using sink = await openSink(db, `http://127.0.0.1:${proxy.port}/hexahub`, { limitMs: 300 });
    await using _shipping = sink.ship();
    await insert(0, 5);
    await until(() => isShipped(db), { what: "the first rows", ...LIMIT });
    proxy.freeze();
    await insert(5, 5);
    await until(async () => (await rowsOf(db, "select id from clickhouse_segments")).length === 1, {
      what: "a segment that is open",
      ...LIMIT,
    });
    await insert(10, 5);
    proxy.thaw();
    await until(() => isShipped(db), { what: "the rest", ...LIMIT });
    assert.deepEqual(inOrder(server.rows("telemetry").map(numberOf)), numbers(15));
  });

  test("beyond its room hours are noted, told once, and sent from the tables", async (db, store) => {
    await using server = await startClickhouseReceiver();
    server.behave = () => "hang";
    const { insert } = await sensor(db, store);
    await using sink = await openSink(db, server.url, { maxBytes: 3_000, limitMs: 500 });
    await using _shipping = sink.ship();
    for (let n = 0; n < 30; n++) {
      await insert(n * 10, 10);
      await put(db, [START + n * 100_000]);
    }
    const [{ bytes } = { bytes: 0 }] = await rowsOf<{ bytes: number }>(
      db,
      "select cast(sum(bytes) as bigint) as bytes from clickhouse_outbox",
    );
    assert.ok(bytes >= 3_000 && bytes < 4_500, `${bytes} bytes wait`);
    await until(() => sink.told.some(({ type }) => type === "clickhouse.outbox_full"), { what: "the alarm" });
    assert.ok((await rowsOf(db, "select hour from clickhouse_missing")).length > 0);
    server.behave = () => "take";
    await until(() => isShipped(db), { what: "everything to arrive", ...LIMIT });
    assert.deepEqual(inOrder(new Set(server.rows("telemetry").map(numberOf))), numbers(300));
    const events = await rowsOf<{ id: string }>(db, "select id from events order by id");
    assert.deepEqual(
      [...new Set(server.rows("events").map(([id]) => String(id)))].toSorted((a, b) => (a < b ? -1 : 1)),
      events.map(({ id }) => id),
    );
    await until(() => sink.told.at(-1)?.type === "clickhouse.outbox_drained", { what: "the end of the alarm" });
    assert.ok(sink.told.length <= 3);
  });

  test("data that is refused is set aside row by row, told, and tried again at the next start", async (db, store) => {
    await using server = await startClickhouseReceiver();
    const { insert } = await sensor(db, store);
    server.behave = ({ rows }) => (rows.some((row) => numberOf(row) === 13) ? "refuse" : "take");
    await using sink = await openSink(db, server.url);
    for (let n = 0; n < 8; n++) await insert(n * 5, 5);
    {
      await using _shipping = sink.ship();
      await until(() => isShipped(db), { what: "all that is taken", ...LIMIT });
      assert.deepEqual(
        inOrder(server.rows("telemetry").map(numberOf)),
        numbers(40).filter((n) => n < 10 || n > 14),
      );
      await until(() => sink.told.map(({ type }) => type).includes("clickhouse.refused"), { what: "the event" });
      await until(() => sink.values()["hexahub_clickhouse_refused_segments"] === 1, { what: "the gauge" });
      assert.equal(sink.errors.length, 1);
      await insert(40, 5);
      await until(() => server.rows("telemetry").length === 40, { what: "what comes afterwards", ...LIMIT });
    }
    server.behave = () => "take";
    await using _again = sink.ship();
    await until(() => server.rows("telemetry").length === 45, { what: "what had been refused", ...LIMIT });
    await until(async () => (await rowsOf(db, "select id from clickhouse_outbox")).length === 0, { what: "an empty outbox" });
  });

  test("what was there before, and in between, is sent from the tables", async (db, store) => {
    await using server = await startClickhouseReceiver();
    const { insert, owner } = await sensor(db, store);
    await insert(0, 400);
    await put(db, [START, START + 1]);
    await writeAudit(db, owner.organization.id, 3);
    await sealAll(db, await testChainKey(db));
    await using sink = await openSink(db, server.url);
    await insert(400, 1);
    await using _shipping = sink.ship();
    await until(() => isShipped(db), { what: "everything to arrive", ...LIMIT });
    assert.deepEqual(inOrder(new Set(server.rows("telemetry").map(numberOf))), numbers(401));
    assert.equal(new Set(server.rows("events").map(([id]) => id)).size, 2);
    assert.ok(server.rows("audit").length >= 3);
  });

  test("the readings of a removed device are removed there, behind what was sent of it", async (db, store) => {
    await using server = await startClickhouseReceiver();
    const { insert, owner, deviceId } = await sensor(db, store);
    await using sink = await openSink(db, server.url);
    await insert(0, 5);
    {
      await using _shipping = sink.ship();
      await until(() => isShipped(db), { what: "the readings", ...LIMIT });
    }
    await insert(5, 5);
    assert.ok(await deleteDevice(db, owner.scope, deviceId));
    await using _shipping = sink.ship();
    await until(() => server.statements.some((sql) => sql.startsWith("delete from `hexahub`.telemetry")), {
      what: "the removal",
      ...LIMIT,
    });
    await until(async () => (await rowsOf(db, "select id from clickhouse_outbox")).length === 0, { what: "an empty outbox", ...LIMIT });
    assert.deepEqual(inOrder(server.rows("telemetry").map(numberOf)), numbers(5));
    assert.deepEqual((await queryReadings(db, owner.scope, { deviceId, key: "t", from: 0, to: Date.now(), limit: 5 })).items, []);
  });

  test("what an organisation keeps for fewer days than the hub is removed there once a day, and what the hub removes stays", async (db, store) => {
    await using server = await startClickhouseReceiver();
    const { insert, owner } = await sensor(db, store);
    await using sink = await openSink(db, server.url);
    await insert(0, 5);
    const setting = { key: READING_RETENTION_SETTING, value: 2, actor: SYSTEM, now: START };
    await putSetting(db, owner.organization.id, setting, () => undefined);
    for (const days of [1, 3, 3, 4]) await purgeReadings(db, { days: 0, now: START + days * 86_400_000 });
    await purgeReadings(db, { days: 1, now: START + 9 * 86_400_000 });
    await using _shipping = sink.ship();
    await until(async () => (await rowsOf(db, "select id from clickhouse_outbox")).length === 0, { what: "an empty outbox", ...LIMIT });
    assert.equal(server.statements.filter((sql) => sql.startsWith("delete from")).length, 2);
    assert.equal(server.rows("telemetry").length, 5);
  });

  test("readings that have had their days are asked for in vain when ClickHouse does not answer: the hub gives what it has", async (db, store) => {
    await using server = await startClickhouseReceiver();
    await using proxy = await startFaultProxy({ port: server.port });
    const { insert, owner, deviceId } = await sensor(db, store);
    await insert(0, 200);
    await using _sink = await openSink(db, `http://127.0.0.1:${proxy.port}/hexahub`, { limitMs: 200 });
    const keptFrom = START + 100 * 40_000;
    await rowsOf(db, "update series set kept_from = ?", [keptFrom]);
    const query = { deviceId, key: "t", from: START, to: START + 200 * 40_000, limit: 1_000 };
    const counted = async () => (await queryReadings(db, owner.scope, { ...query, bucketMs: 80_000, agg: "count" })).items;
    const read = async () => (await queryReadings(db, owner.scope, query)).items;
    // It says that it has nothing of them: what the tables have before that time is not read.
    assert.ok((await read()).length === 100 && (await counted()).every(({ ts }) => ts >= keptFrom - 80_000));
    proxy.freeze();
    assert.equal((await read()).length, 200);
    // Nobody waits a second time.
    const began = performance.now();
    assert.ok((await counted()).length >= 100);
    assert.ok(performance.now() - began < 10_000);
  });
});

check("the alarm is raised once for each level and ends when half of the room is free", () => {
  const shares = [0.1, 0.79, 0.8, 0.9, 0.7, 0.85, 1, 0.99, 0.8, 1.2, 0.5, 0.49, 0.6, 1];
  const levels: string[] = [];
  shares.reduce<ReturnType<typeof levelOf>>((before, share) => {
    const level = levelOf(share, before);
    levels.push(level);
    return level;
  }, "low");
  assert.deepEqual(levels, [
    "low",
    "low",
    "filling",
    "filling",
    "filling",
    "filling",
    "full",
    "full",
    "full",
    "full",
    "full",
    "low",
    "low",
    "full",
  ]);
});
