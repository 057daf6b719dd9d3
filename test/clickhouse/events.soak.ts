import assert from "node:assert/strict";
import { before } from "node:test";
import { DAY_MS } from "../../core/durations.ts";
import { SYSTEM } from "../../core/principal.ts";
import { RETENTION_SETTING } from "../../core/service-settings.ts";
import { openClickhouseClient } from "../../store/clickhouse-client.ts";
import { purgeEvents } from "../../store/event-retention.ts";
import { insertEvents } from "../../store/events.ts";
import { putSetting } from "../../store/service-settings.ts";
import { rowsOf } from "../../store/sql.ts";
import { inTransaction } from "../../store/transaction.ts";
import { isShipped, openSink } from "../store/clickhouse-sink.ts";
import { forEachEngine } from "../store/engines.ts";
import { eventAt } from "../store/event-rows.ts";
import { tenant } from "../store/fixtures.ts";
import { temporaryFolder, until } from "../support/wait.ts";
import { installEngine, startEngine } from "./engine.ts";

const NOW = Date.parse("2026-06-30T12:00:00.000Z");
const AGES = [0, 6, 7, 8, 40, 400];

before(installEngine, { timeout: 20 * 60_000 });

forEachEngine(({ test }) => {
  test("events that an organisation keeps for less than the hub are removed, and nobody else's", async (db) => {
    await using data = temporaryFolder();
    await using engine = await startEngine(data.path);
    const url = `${engine.url}/hexahub`;
    await using sink = await openSink(db, url, { limitMs: 30_000 });
    const [a, b] = [(await tenant(db, "a")).organization.id, (await tenant(db, "b")).organization.id];
    const events = [a, b, null].flatMap((organizationId) => AGES.map((days) => eventAt(NOW - days * DAY_MS, { organizationId })));
    await inTransaction(db, (trx) => insertEvents(trx, events));
    await putSetting(db, a, { key: RETENTION_SETTING, value: 7, actor: SYSTEM, now: NOW }, () => undefined);
    await purgeEvents(db, { days: 90, now: NOW });
    await using _shipping = sink.ship();
    await until(async () => (await isShipped(db)) && (await rowsOf(db, "select id from clickhouse_outbox")).length === 0, {
      what: "everything to arrive",
      timeoutMs: 60_000,
    });
    await using clickhouse = openClickhouseClient(url);
    const left = await clickhouse.rows<{ organization_id: string; at: number }>(
      `select organization_id, toUnixTimestamp64Milli(timestamp) as at from ${clickhouse.database}.events final`,
      {},
    );
    const agesOf = (id: string): number[] =>
      left
        .filter(({ organization_id }) => organization_id === id)
        .map(({ at }) => (NOW - at) / DAY_MS)
        .toSorted((x, y) => x - y);
    assert.deepEqual([agesOf(a), agesOf(b), agesOf("")], [[0, 6, 7], AGES, AGES]);
    assert.deepEqual(sink.errors, []);
  });
});
