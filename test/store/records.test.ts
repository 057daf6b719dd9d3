import assert from "node:assert/strict";
import { type AuditEntry, newAudit, newEvent } from "../../core/event.ts";
import { newId } from "../../core/id.ts";
import { PLATFORM, SYSTEM } from "../../core/principal.ts";
import { insertAudit, listAudit } from "../../store/audit.ts";
import { type BrokerStateChange, loadBrokerState, saveBrokerState } from "../../store/broker-state.ts";
import { insertEvents, listEvents } from "../../store/events.ts";
import { abandonIdempotent, beginIdempotent, finishIdempotent, purgeIdempotencyKeys, releaseIdempotent } from "../../store/idempotency.ts";
import type { Db } from "../../store/open.ts";
import { forEachEngine } from "./engines.ts";
import { tenant } from "./fixtures.ts";

const NOW = Date.parse("2026-11-21T05:22:10.123Z");
const MINUTE = 60_000;

async function brokerRows(db: Db): Promise<string[]> {
  const rows: string[] = [];
  for await (const { kind, clientId, key, value } of loadBrokerState(db)) {
    assert.ok(Buffer.isBuffer(value));
    rows.push(`${kind} ${clientId} ${key} ${value.toString("hex")}`);
  }
  return rows;
}

forEachEngine(({ test }) => {
  test("events come back as they were, newest first, filtered and paged, to their organisation only", async (db) => {
    const [a, b] = [await tenant(db, "a"), await tenant(db, "b")];
    // Ids are made now, and a time is looked for among those of its hour.
    const now = Date.now();
    const about = { organizationId: a.organization.id, entityId: "d-1", actor: SYSTEM };
    const first = newEvent("device.online", { ...about, now }, { uid: "relay-1", nested: { list: [1, "zwei", null] } });
    const second = newEvent(
      "device.offline",
      { ...about, entityId: null, now: now + 1, correlationId: first.id, causationId: first.id },
      {},
    );
    const third = newEvent("device.online", { ...about, now: now + 2 }, { text: "a\0b" });
    const foreign = newEvent("device.online", { ...about, organizationId: b.organization.id, now }, {});
    const nobodys = newEvent("device.registered", { ...about, organizationId: null, now }, {});
    await insertEvents(db, [first, second, foreign, nobodys]);
    await insertEvents(db, [first, third]);
    await insertEvents(db, []);
    const list = async (filter: object, scope = a.scope) => (await listEvents(db, scope, { limit: 10, ...filter })).items;
    const stored = { ...third, data: { text: "a\uFFFDb" } };
    assert.deepEqual(await list({}), [stored, second, first]);
    assert.deepEqual(await list({}, PLATFORM), [nobodys, foreign, stored, second, first]);
    assert.deepEqual(await list({ types: ["device.offline"] }), [second]);
    assert.deepEqual(await list({ entityId: "d-1" }), [stored, first]);
    assert.deepEqual(await list({ correlationId: first.id }), [second, first]);
    assert.deepEqual(await list({ from: now + 1, to: now + 2 }), [second]);
    const page = await listEvents(db, a.scope, { limit: 2 });
    assert.deepEqual([page.items, page.next], [[stored, second], second.id]);
    assert.deepEqual(await listEvents(db, a.scope, { limit: 2, after: second.id }), { items: [first], next: null });
  });

  test("audit entries come back as they were, newest first, filtered and paged, to their organisation only", async (db) => {
    const [a, b] = [await tenant(db, "a"), await tenant(db, "b")];
    const entry = (action: string, organizationId: string | null, actorId: string, resourceId: string | null) =>
      newAudit({
        organizationId,
        actor: { kind: "user", id: actorId },
        action,
        resourceType: "device",
        resourceId,
        details: { before: { on: true } },
        requestId: "req-1",
        correlationId: newId(),
        now: NOW,
      });
    const stored = (one: AuditEntry) => ({ ...one, chainSeq: null, chainHash: null });
    const [claim, release] = [
      entry("device.claim", a.organization.id, "u-1", "d-1"),
      entry("device.release", a.organization.id, "u-2", null),
    ];
    const foreign = entry("device.claim", b.organization.id, "u-1", "d-1");
    await insertAudit(db, [claim, release, foreign]);
    const list = async (filter: object, scope = a.scope) => (await listAudit(db, scope, { limit: 10, ...filter })).items;
    assert.deepEqual(await list({}), [release, claim].map(stored));
    assert.deepEqual(await list({}, PLATFORM), [foreign, release, claim].map(stored));
    assert.deepEqual(await list({ action: "device.claim" }), [claim].map(stored));
    assert.deepEqual(await list({ resourceId: "d-1" }), [claim].map(stored));
    assert.deepEqual(await list({ actorId: "u-2" }), [release].map(stored));
    assert.deepEqual(await listAudit(db, a.scope, { limit: 1 }), { items: [release].map(stored), next: release.id });
    assert.deepEqual(await listAudit(db, a.scope, { limit: 1, after: release.id }), { items: [claim].map(stored), next: null });
  });

  test("of two first requests with one key at once one is first, and the answer is replayed", async (db) => {
    const name = { principalId: "u-1", endpoint: "POST /x", key: "k" };
    const attempt = { ...name, bodyHash: "h", now: NOW };
    const kinds = (await Promise.all([1, 2, 3].map(() => beginIdempotent(db, attempt)))).map((answer) => answer.kind);
    assert.deepEqual(kinds.toSorted(), ["first", "in_progress", "in_progress"]);
    assert.deepEqual(await beginIdempotent(db, { ...attempt, bodyHash: "other" }), { kind: "conflict" });
    for (const other of [{ principalId: "u-2" }, { endpoint: "POST /y" }, { key: "l" }])
      assert.deepEqual(await beginIdempotent(db, { ...attempt, ...other }), { kind: "first" });
    await finishIdempotent(db, name, { status: 201, body: '{"id":1}', headers: { etag: "1" }, now: NOW });
    assert.deepEqual(await beginIdempotent(db, { ...attempt, now: NOW + 23 * 60 * MINUTE }), {
      kind: "replay",
      status: 201,
      body: '{"id":1}',
      headers: { etag: "1" },
    });
    assert.deepEqual(await beginIdempotent(db, { ...attempt, bodyHash: "other" }), { kind: "conflict" });
    assert.deepEqual(await beginIdempotent(db, { ...attempt, bodyHash: "other", now: NOW + 25 * 60 * MINUTE }), { kind: "first" });
    assert.deepEqual(await beginIdempotent(db, { ...attempt, bodyHash: "other", now: NOW + 25 * 60 * MINUTE }), { kind: "in_progress" });
  });

  test("an abandoned key is free at once, one that a dead process left is free after a minute", async (db) => {
    const name = { principalId: "u-1", endpoint: "POST /x", key: "k" };
    const attempt = { ...name, bodyHash: "h", now: NOW };
    assert.deepEqual(await beginIdempotent(db, attempt), { kind: "first" });
    assert.deepEqual(await beginIdempotent(db, { ...attempt, now: NOW + 10 * MINUTE }), { kind: "in_progress" });
    await abandonIdempotent(db, name);
    assert.deepEqual(await beginIdempotent(db, attempt), { kind: "first" });
    await db("idempotency_keys").update({ owner: "a process that was killed" });
    assert.deepEqual(await beginIdempotent(db, { ...attempt, now: NOW + MINUTE - 1 }), { kind: "in_progress" });
    assert.deepEqual(await beginIdempotent(db, { ...attempt, bodyHash: "other", now: NOW + MINUTE }), { kind: "conflict" });
    const takers = await Promise.all([1, 2].map(() => beginIdempotent(db, { ...attempt, now: NOW + MINUTE })));
    assert.deepEqual(takers.map((answer) => answer.kind).toSorted(), ["first", "in_progress"]);
    await finishIdempotent(db, name, { status: 200, body: "", now: NOW });
    await abandonIdempotent(db, name);
    assert.deepEqual(await beginIdempotent(db, attempt), { kind: "replay", status: 200, body: "", headers: {} });
    assert.equal(await purgeIdempotencyKeys(db, NOW + 24 * 60 * MINUTE), 0);
    assert.equal(await purgeIdempotencyKeys(db, NOW + 24 * 60 * MINUTE + MINUTE), 1);
  });

  test("a key that this process left unfinished is free at once, to one repetition of the same request", async (db) => {
    const name = { principalId: "u-1", endpoint: "POST /x", key: newId() };
    const attempt = { ...name, bodyHash: "h", now: NOW };
    const kindsOfThree = async (): Promise<string[]> =>
      (await Promise.all([1, 2, 3].map(() => beginIdempotent(db, attempt)))).map(({ kind }) => kind).toSorted();
    assert.deepEqual(await kindsOfThree(), ["first", "in_progress", "in_progress"]);
    releaseIdempotent(name);
    assert.deepEqual(await beginIdempotent(db, { ...attempt, bodyHash: "other" }), { kind: "conflict" });
    assert.deepEqual(await kindsOfThree(), ["first", "in_progress", "in_progress"]);
    await finishIdempotent(db, name, { status: 200, body: "", now: NOW });
    releaseIdempotent(name);
    assert.deepEqual(await kindsOfThree(), ["replay", "replay", "replay"]);
  });

  test("the broker's rows come back in order, the last change of each, as bytes", async (db) => {
    const put = (kind: BrokerStateChange["kind"], clientId: string, key: string, value: string | null): BrokerStateChange => ({
      kind,
      clientId,
      key,
      value: value === null ? null : Buffer.from(value, "hex"),
    });
    await saveBrokerState(db, []);
    await saveBrokerState(db, [
      put("will", "ü", "", "00ff"),
      put("outgoing", "b", "2", ""),
      put("outgoing", "b", "10", "02"),
      put("outgoing", "B", "1", "03"),
      put("retained", "", "a/é", "04"),
      put("retained", "", "gone", "05"),
    ]);
    await saveBrokerState(db, [
      put("retained", "", "gone", null),
      put("retained", "", "never", null),
      put("will", "ü", "", "01"),
      put("will", "ü", "", "02"),
      put("outgoing", "b", "3", "aa"),
      put("outgoing", "b", "3", null),
    ]);
    assert.deepEqual(await brokerRows(db), ["outgoing B 1 03", "outgoing b 10 02", "outgoing b 2 ", "retained  a/é 04", "will ü  02"]);
  });

  test("thousands of broker rows are saved and loaded in pages, and several writers do not lock each other out", async (db) => {
    const rows = Array.from(
      { length: 1_777 },
      (_, index): BrokerStateChange => ({
        kind: "outgoing",
        clientId: `c${index % 7}`,
        key: String(index).padStart(5, "0"),
        value: Buffer.from([index & 255]),
      }),
    );
    await Promise.all(
      [
        rows,
        rows.toReversed(),
        rows.toSorted((x, y) => (x.key.split("").toReversed().join("") < y.key.split("").toReversed().join("") ? -1 : 1)),
      ].map((changes) => saveBrokerState(db, changes)),
    );
    const expected = rows.map(({ kind, clientId, key, value }) => `${kind} ${clientId} ${key} ${value?.toString("hex")}`).toSorted();
    assert.deepEqual(await brokerRows(db), expected);
    await saveBrokerState(
      db,
      rows.slice(3).map((row) => ({ ...row, value: null })),
    );
    assert.equal((await brokerRows(db)).length, 3);
  });
});
