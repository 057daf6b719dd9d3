import assert from "node:assert/strict";
import type { HubEvent } from "../../core/event.ts";
import { newId } from "../../core/id.ts";
import { PLATFORM, type Scope, SYSTEM } from "../../core/principal.ts";
import { readChain } from "../../store/event-chain.ts";
import { BUCKETS, type Bucket, countEvents } from "../../store/event-metrics.ts";
import { recentEvents } from "../../store/event-patterns.ts";
import { type EventFilter, eventQueries } from "../../store/event-query.ts";
import { getEvent, insertEvents, listEvents } from "../../store/events.ts";
import type { Db } from "../../store/open.ts";
import { rowsOf } from "../../store/sql.ts";
import { inTransaction } from "../../store/transaction.ts";
import { forEachEngine } from "./engines.ts";
import { eventAt } from "./event-rows.ts";
import { tenant } from "./fixtures.ts";

const HOUR = BUCKETS.hour;
/** Ten minutes before a day of UTC ends. */
const START = Date.parse("2026-03-28T23:50:00.000Z");
const ENTITIES = [null, ...Array.from({ length: 4 }, newId)];
const PERSON = newId();
const TYPES = ["device.online", "device.offline", "command.completed", "custom.door", "custom.acme.order", "custom.acmes"] as const;
const SOURCES = ["/hexahub", "/hexahub/users/u", "/elsewhere"];

/** The same 400 for every run, of two organisations and of none, twenty seconds apart: over two days, in a few chains. */
function history(organizations: readonly string[]): HubEvent[] {
  const owners = [...organizations, null];
  const events: HubEvent[] = [];
  for (let index = 0; index < 400; index++) {
    const entityId = ENTITIES[(index * 7) % ENTITIES.length] as string | null;
    const cause = index % 3 === 0 ? undefined : events[Math.floor(index / 2)];
    const event = eventAt(START + index * 20_000 + (index > 200 ? 20 * HOUR : 0), {
      type: TYPES[(index * 5 + Math.floor(index / 11)) % TYPES.length] as HubEvent["type"],
      source: SOURCES[index % 13 === 0 ? 1 : index % 17 === 0 ? 2 : 0] as string,
      organizationId: owners[index % 10 === 0 ? 2 : index % 3 === 0 ? 1 : 0] as string | null,
      entityId,
      actor: index % 4 === 0 ? { kind: "user", id: PERSON } : index % 4 === 1 || !entityId ? SYSTEM : { kind: "device", id: entityId },
    });
    events.push(cause ? { ...event, correlationId: cause.correlationId, causationId: cause.id } : event);
  }
  return events;
}

/** What the filter says, without an index. */
function matches(event: HubEvent, scope: Scope, filter: EventFilter): boolean {
  const ms = Date.parse(event.timestamp);
  const isOfType = (selector: string) => (selector.endsWith(".*") ? event.type.startsWith(selector.slice(0, -1)) : event.type === selector);
  return (
    (scope.kind === "platform" || event.organizationId === scope.organizationId) &&
    (scope.kind !== "devices" || scope.deviceIds.includes(String(event.entityId))) &&
    (filter.types?.some(isOfType) ?? true) &&
    (filter.source ?? event.source) === event.source &&
    (filter.entityId ?? event.entityId) === event.entityId &&
    (filter.actorId ?? event.actor.id) === event.actor.id &&
    (filter.correlationId ?? event.correlationId) === event.correlationId &&
    (filter.causationId ?? event.causationId) === event.causationId &&
    ms >= (filter.from ?? 0) &&
    ms < (filter.to ?? Number.POSITIVE_INFINITY)
  );
}

async function pages(db: Db, scope: Scope, filter: EventFilter, limit: number): Promise<string[]> {
  const found: string[] = [];
  for (let after: string | undefined; ; ) {
    const page = await listEvents(db, scope, { ...filter, limit, after });
    found.push(...page.items.map(({ id }) => id));
    if (page.next === null) return found;
    assert.equal(page.items.length, limit);
    after = page.next;
  }
}

forEachEngine(({ test, engine }) => {
  async function world(db: Db) {
    const [a, b] = [await tenant(db, "a"), await tenant(db, "b")];
    const events = history([a.organization.id, b.organization.id]);
    for (let at = 0; at < events.length; at += 100) await insertEvents(db, events.slice(at, at + 100));
    const organizationId = a.organization.id;
    const scopes: Scope[] = [
      PLATFORM,
      a.scope,
      { kind: "devices", organizationId, deviceIds: ENTITIES.slice(1, 3) as string[] },
      { kind: "devices", organizationId, deviceIds: [ENTITIES[1] as string, ...Array.from({ length: 60 }, newId)] },
      { kind: "devices", organizationId, deviceIds: [] },
    ];
    return { a, b, events, scopes };
  }

  test("every filter, alone and with every other, finds what it says, in pages, for every scope", async (db) => {
    const { events, scopes } = await world(db);
    const cause = events.find(({ causationId }) => causationId !== null) as HubEvent;
    const singles: EventFilter[] = [
      {},
      { types: ["device.online"] },
      { types: ["device.*", "command.completed"] },
      { types: ["custom.*", "custom.door"] },
      { types: ["custom.acme.*", "device.offline"] },
      ...SOURCES.map((source) => ({ source })),
      { entityId: ENTITIES[1] as string },
      { actorId: PERSON },
      { actorId: ENTITIES[2] as string },
      { actorId: SYSTEM.id },
      { correlationId: cause.correlationId },
      { causationId: cause.causationId as string },
      { from: START + HOUR, to: START + 22 * HOUR },
    ];
    let found = 0;
    for (const scope of scopes)
      for (const [index, one] of singles.entries())
        for (const other of singles.slice(index)) {
          const filter = { ...one, ...other };
          const expected = events.filter((event) => matches(event, scope, filter)).map(({ id }) => id);
          const ids = expected.toSorted().toReversed();
          assert.deepEqual(await pages(db, scope, filter, 67), ids, JSON.stringify([scope.kind, filter]));
          found += ids.length;
        }
    assert.ok(found > 5_000, `${found}`);
    await assert.rejects(listEvents(db, PLATFORM, { limit: 1, types: ["device.nothing"] }), { code: "validation_error" });
    await assert.rejects(listEvents(db, PLATFORM, { limit: 1, types: ["nothing.*"] }), { code: "validation_error" });
  });

  test("every filter walks along an index, in the order of the page", async (db) => {
    const { a } = await world(db);
    const types = ["device.online", "custom.acme.*"];
    const expected: [Scope, EventFilter, string[]][] = [
      [a.scope, {}, ["events_organization"]],
      [a.scope, { types }, ["events_organization_type", "events_custom"]],
      [PLATFORM, { types }, ["events_type", "events_custom_everywhere"]],
      [a.scope, { entityId: newId(), types }, ["events_entity"]],
      [PLATFORM, { actorId: PERSON }, ["events_actor", "events_entity"]],
      [a.scope, { actorId: PERSON }, ["events_actor", "events_entity"]],
      [a.scope, { source: "/elsewhere" }, ["events_source"]],
      [a.scope, { correlationId: newId() }, [engine === "sqlite" ? "sqlite_autoindex_events_1" : "events_pkey", "events_chain"]],
      [PLATFORM, { causationId: newId() }, ["events_cause"]],
      [{ kind: "devices", organizationId: a.organization.id, deviceIds: [newId()] }, { types }, ["events_entity"]],
    ];
    await inTransaction(db, async (trx) => {
      // So few rows are read faster than any index.
      if (engine === "postgres") for (const way of ["seqscan", "sort", "bitmapscan"]) await rowsOf(trx, `set local enable_${way} = off`);
      for (const [scope, filter, indexes] of expected) {
        const plans: string[] = [];
        for (const query of eventQueries(trx, scope, { ...filter, from: START })) {
          const { sql, bindings } = query.orderBy("id", "desc").limit(10).toSQL();
          const rows = await rowsOf(trx, `explain ${engine === "sqlite" ? "query plan " : ""}${sql}`, bindings);
          plans.push(JSON.stringify(rows));
        }
        assert.equal(plans.length, indexes.length);
        for (const [index, plan] of plans.entries()) {
          // PostgreSQL chooses by its statistics, SQLite does as it is told.
          assert.match(plan, engine === "sqlite" ? new RegExp(`\\b${indexes[index]}\\b`) : /Index Scan/, JSON.stringify(filter));
          assert.doesNotMatch(plan, /TEMP B-TREE|SCAN events|Seq Scan on events|Sort Key/, JSON.stringify(filter));
        }
      }
    });
  });

  test("counts are those of the events, by type, entity and the time of UTC", async (db) => {
    const { events, scopes } = await world(db);
    const period = { from: START + 61_234, to: START + 26 * HOUR };
    for (const scope of scopes)
      for (const bucket of Object.keys(BUCKETS) as Bucket[])
        for (const filter of [{}, { types: ["custom.*", "device.online"] }, { actorId: PERSON }, { entityId: ENTITIES[3] as string }]) {
          const inside = events.filter((event) => matches(event, scope, { ...filter, ...period }));
          const counted = await countEvents(db, scope, { ...filter, ...period }, bucket);
          const startOf = ({ timestamp }: HubEvent) => Math.floor(Date.parse(timestamp) / BUCKETS[bucket]) * BUCKETS[bucket];
          const buckets = [...Map.groupBy(inside, startOf)].map(([start, own]) => ({
            start,
            count: own.length,
            types: Object.fromEntries([...Map.groupBy(own, ({ type }) => type)].map(([type, { length }]) => [type, length])),
          }));
          assert.equal(counted.total, inside.length);
          assert.deepEqual(
            counted.buckets,
            buckets.toSorted((one, other) => one.start - other.start),
          );
          assert.deepEqual(
            new Map(counted.types.map(({ type, count }) => [type, count])),
            new Map([...Map.groupBy(inside, ({ type }) => type)].map(([type, { length }]) => [type, length])),
          );
          const things = Map.groupBy(
            inside.filter(({ entityId }) => entityId !== null),
            ({ entityId }) => entityId,
          );
          assert.deepEqual(
            new Map(counted.entities.map(({ entityId, count }) => [entityId, count])),
            new Map([...things].map(([id, { length }]) => [id, length])),
          );
          for (const list of [counted.types, counted.entities])
            assert.deepEqual(
              list.map(({ count }) => count),
              list.map(({ count }) => count).toSorted((one, other) => other - one),
            );
        }
  });

  test("of more types than fit the most frequent are told apart, and all are counted", async (db) => {
    const { organization, scope } = await tenant(db, "a");
    const types = Array.from({ length: 60 }, (_, index) => `custom.t${String(index).padStart(2, "0")}` as const);
    const events = types.flatMap((type, index) =>
      (index < 45 ? [0, 1] : [0]).map((again) =>
        eventAt(START + index * 1_000 + again * 100_000, { organizationId: organization.id, type }),
      ),
    );
    await insertEvents(db, events);
    const counted = await countEvents(db, scope, { from: START, to: START + HOUR }, "hour");
    assert.equal(counted.total, 105);
    assert.deepEqual(
      counted.types,
      types.slice(0, 50).map((type, index) => ({ type, count: index < 45 ? 2 : 1 })),
    );
    assert.equal(
      counted.buckets.reduce((sum, { count }) => sum + count, 0),
      105,
    );
    assert.equal(Object.keys(counted.buckets[0]?.types ?? {}).length, 50);
    assert.deepEqual(await countEvents(db, scope, { from: START - HOUR, to: START }, "hour"), {
      total: 0,
      types: [],
      entities: [],
      buckets: [],
    });
  });

  test("a chain has what the scope may see, and leads past what it may not", async (db) => {
    const [a, b] = [await tenant(db, "a"), await tenant(db, "b")];
    const [lamp, switched] = [newId(), newId()];
    const mine = { organizationId: a.organization.id, entityId: lamp };
    const root = eventAt(START, mine);
    const following = (cause: HubEvent, wanted: Partial<HubEvent>, seconds: number): HubEvent =>
      eventAt(START + seconds * 1_000, { ...mine, ...wanted, correlationId: root.id, causationId: cause.id });
    const foreign = following(root, { organizationId: b.organization.id }, 1);
    const other = following(foreign, { entityId: switched }, 2);
    const last = following(other, {}, 3);
    const lost = following(eventAt(START), {}, 4);
    const unrelated = eventAt(START + 5_000, mine);
    await insertEvents(db, [root, foreign, other, last, lost, unrelated]);
    assert.deepEqual(await readChain(db, a.scope, last.id), {
      correlationId: root.id,
      events: [root, other, last, lost],
      hidden: [{ id: foreign.id, causationId: root.id }],
      isTruncated: false,
    });
    const guest: Scope = { kind: "devices", organizationId: a.organization.id, deviceIds: [lamp] };
    const seen = await readChain(db, guest, root.id);
    assert.deepEqual(seen.events, [root, last, lost]);
    assert.deepEqual(new Set(seen.hidden.map(({ id }) => id)), new Set([other.id, foreign.id]));
    assert.deepEqual((await readChain(db, b.scope, foreign.id)).events, [foreign]);
    for (const [scope, id] of [
      [a.scope, foreign.id],
      [guest, other.id],
      [a.scope, newId()],
    ] as const) {
      await assert.rejects(readChain(db, scope, id), { code: "not_found" });
      await assert.rejects(getEvent(db, scope, id), { code: "not_found" });
    }
    assert.deepEqual(await getEvent(db, guest, last.id), last);
  });

  test("of a chain that is too long there are the oldest, and the one that was asked for", async (db) => {
    const { organization, scope } = await tenant(db, "a");
    const events: HubEvent[] = [];
    for (let index = 0; index < 1_200; index++) {
      const event = eventAt(START + index, { organizationId: organization.id });
      const [root, cause] = [events[0], events.at(-1)];
      events.push(root && cause ? { ...event, correlationId: root.id, causationId: cause.id } : event);
    }
    await insertEvents(db, events);
    const oldest = await readChain(db, scope, events[3]?.id ?? "");
    assert.deepEqual([oldest.isTruncated, oldest.hidden], [true, []]);
    assert.deepEqual(oldest.events, events.slice(0, 1_000));
    const newest = await readChain(db, scope, events[1_199]?.id ?? "");
    assert.deepEqual(newest.events, [...events.slice(0, 999), events[1_199]]);
    assert.equal(newest.hidden.length, 200);
  });

  test("a circle of causes is read once around", async (db) => {
    const { organization, scope } = await tenant(db, "a");
    const [one, other, hidden] = [newId(), newId(), newId()];
    const make = (id: string, causationId: string, organizationId: string | null) =>
      eventAt(START, { id, causationId, correlationId: "circle", organizationId });
    await insertEvents(db, [make(one, other, organization.id), make(other, hidden, null), make(hidden, other, null)]);
    const chain = await readChain(db, scope, one);
    assert.deepEqual(
      chain.events.map(({ id }) => id),
      [one],
    );
    assert.deepEqual(
      chain.hidden.map(({ id }) => id),
      [other, hidden],
    );
  });

  test("patterns are made of the last events of the filter, by time", async (db) => {
    const { events, scopes } = await world(db);
    const own = events.filter((event) => matches(event, scopes[1] as Scope, { types: ["device.*"] }));
    assert.deepEqual(await recentEvents(db, scopes[1] as Scope, { types: ["device.*"] }), {
      events: own.map(({ type, entityId, timestamp }) => ({ type, entityId, at: Date.parse(timestamp) })),
      isTruncated: false,
    });
  });

  test("ten thousand events are as many as are looked at", async (db) => {
    const { organization, scope } = await tenant(db, "a");
    const events = Array.from({ length: 10_001 }, (_, index) => eventAt(START + index, { organizationId: organization.id }));
    for (let at = 0; at < events.length; at += 2_500) await insertEvents(db, events.slice(at, at + 2_500));
    const recent = await recentEvents(db, scope, {});
    assert.deepEqual([recent.events.length, recent.isTruncated, recent.events[0]?.at], [10_000, true, START + 1]);
    assert.equal((await recentEvents(db, scope, { from: START + 1 })).isTruncated, false);
  });
});
