import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { createIngest, type IngestMessage } from "../../broker/ingest.ts";
import type { Log } from "../../core/bus.ts";
import { newEvent } from "../../core/event.ts";
import { SYSTEM } from "../../core/principal.ts";
import { saveBrokerState } from "../../store/broker-state.ts";
import { loadDeviceDirectory } from "../../store/device-directory.ts";
import { insertEvents } from "../../store/events.ts";
import { type Db, openStore, openStoreForMigration } from "../../store/open.ts";
import { rowsOf } from "../../store/sql.ts";
import { writeState } from "../../store/state.ts";
import { blockCommits, databases } from "../support/databases.ts";
import { startHub, type TestHub } from "../support/hub.ts";
import { openRawClient, type RawClient, type ReceivedOf, type Version } from "../support/raw-client.ts";
import { temporaryFolder, until } from "../support/wait.ts";
import { serialize } from "node:v8";

const log: Log = { debug() {}, info() {}, warn() {}, error() {} };

async function rawTo(hub: TestHub, version: Version, acknowledges = true): Promise<RawClient> {
  return openRawClient({ host: "127.0.0.1", port: Number(new URL(hub.mqtt).port) }, { version, acknowledges });
}

interface Account {
  readonly clientId: string;
  readonly username: string;
  readonly password: string;
}

/** Connected with a session that stays. */
async function connected(
  hub: TestHub,
  account: Account,
  { version = 5, acknowledges = true }: { version?: Version; acknowledges?: boolean } = {},
): Promise<RawClient> {
  const client = await rawTo(hub, version, acknowledges);
  const connack = await client.connect({
    cmd: "connect",
    protocolId: "MQTT",
    protocolVersion: version,
    clean: false,
    keepalive: 60,
    ...account,
    password: Buffer.from(account.password),
    ...(version === 5 ? { properties: { sessionExpiryInterval: 3_600 } } : {}),
  });
  assert.equal(connack.reasonCode ?? connack.returnCode, 0);
  return client;
}

describe("a message that is sent again after a lost acknowledgement", () => {
  let hub: TestHub;
  let organizationId: string;
  let person: Account;
  before(async () => {
    hub = await startHub();
    await hub.api.login();
    ({ organizationId, person } = await accounts(hub));
  });
  after(() => hub[Symbol.asyncDispose]());

  const addDevice = async (): Promise<Account> => {
    const { uid, token } = await hub.api.addDevice();
    return { clientId: uid, username: uid, password: token };
  };
  const events = async (uid: string, type: string): Promise<Record<string, unknown>[]> => {
    const { body } = await hub.api.call<{ data: { data: Record<string, unknown> }[] }>("GET", `/api/v1/events?type=${type}&limit=200`);
    return body.data.map(({ data }) => data).filter((data) => data["uid"] === uid);
  };
  const press = (uid: string): [string, string] => [`hexa/${uid}/up/input_event`, JSON.stringify({ input: 1, event: "click" })];

  for (const qos of [1, 2] as const) {
    for (const version of [4, 5] as const) {
      test(`happens once: an event at QoS ${qos}, MQTT ${version}`, async () => {
        const device = await addDevice();
        const [topic, payload] = press(device.clientId);
        for (const dup of [false, true, true]) {
          const client = await connected(hub, device, { version });
          client.send({ cmd: "publish", topic, payload, qos, dup, retain: false, messageId: 7 });
          const answer = await client.take(qos === 1 ? "puback" : "pubrec");
          assert.equal(answer.messageId, 7);
          assert.equal(answer.reasonCode ?? 0, 0);
          // The client does not live to read it.
          await client.drop();
        }
        assert.equal((await events(device.clientId, "device.input_event")).length, 1);
      });
    }
  }

  test("is another message without DUP, with another payload, and under another packet id", async () => {
    const device = await addDevice();
    const [topic, payload] = press(device.clientId);
    const client = await connected(hub, device);
    await client.publish(topic, payload, { qos: 1, messageId: 1 });
    await client.publish(topic, payload, { qos: 1, messageId: 1 });
    await client.publish(topic, payload, { qos: 1, messageId: 2, dup: true });
    await client.publish(topic, payload.replace("click", "press"), { qos: 1, messageId: 1, dup: true });
    assert.equal((await events(device.clientId, "device.input_event")).length, 4);
    await client.drop();
  });

  test("reaches its subscribers again, who may not have it", async () => {
    const device = await addDevice();
    const [topic, payload] = press(device.clientId);
    const watcher = await connected(hub, { ...person, clientId: "again" });
    await watcher.subscribe({ topic, qos: 1 });
    const client = await connected(hub, device);
    await client.publish(topic, payload, { qos: 1, messageId: 3 });
    await watcher.pick("publish");
    await client.publish(topic, payload, { qos: 1, messageId: 3, dup: true });
    assert.equal((await watcher.pick("publish")).topic, topic);
    await Promise.all([watcher.drop(), client.drop()]);
  });

  test("stores a reading without a time of its own once, and a report of an older state changes nothing", async () => {
    const device = await addDevice();
    const client = await connected(hub, device);
    const up = (type: string): string => `hexa/${device.clientId}/up/${type}`;
    const report = (state: string): string => JSON.stringify({ relays: [{ index: 0, state }] });
    await client.publish(up("telemetry"), JSON.stringify({ values: { t: 1 } }), { qos: 1, messageId: 1 });
    await client.publish(up("state_report"), report("ON"), { qos: 1, messageId: 2 });
    await client.publish(up("state_report"), report("OFF"), { qos: 1, messageId: 3 });
    await client.publish(up("telemetry"), JSON.stringify({ values: { t: 1 } }), { qos: 1, messageId: 1, dup: true });
    await client.publish(up("state_report"), report("ON"), { qos: 1, messageId: 2, dup: true });
    const readings = await hub.api.call<{ data: unknown[] }>("GET", `/api/v1/readings?device=${device.clientId}&key=t`);
    assert.equal(readings.body.data.length, 1);
    assert.equal((await events(device.clientId, "device.state_changed")).length, 2);
    await client.drop();
  });

  test("toggles once, and is answered as before when the device has gone meanwhile", async () => {
    const device = await addDevice();
    const relay = await connected(hub, device);
    await relay.subscribe({ topic: `hexa/${device.clientId}/down/#`, qos: 1 });
    const toggle = [`hexa/${device.clientId}/relay/0/set`, "TOGGLE"] as const;
    const first = await connected(hub, { ...person, clientId: "toggler" });
    assert.equal((await first.publish(...toggle, { qos: 1, messageId: 9 }))?.reasonCode ?? 0, 0);
    await relay.pick("publish", ({ topic }) => topic.endsWith("/down/command"));
    await first.drop();
    const second = await connected(hub, { ...person, clientId: "toggler" });
    assert.equal((await second.publish(...toggle, { qos: 1, messageId: 9, dup: true }))?.reasonCode ?? 0, 0);
    await relay.drop();
    const isOffline = async () => ((await second.publish(...toggle, { qos: 1, messageId: 10 }))?.reasonCode ?? 0) >= 0x80;
    await until(isOffline, { what: "the device to be offline" });
    assert.equal((await second.publish(...toggle, { qos: 1, messageId: 9, dup: true }))?.reasonCode ?? 0, 0);
    const { body } = await hub.api.call<{ data: unknown[] }>("GET", `/api/v1/devices/${device.clientId}/commands`);
    assert.equal(body.data.length, 1);
    await second.drop();
  });

  test("is passed on among clients: nothing of the hub's follows from it", async () => {
    const topic = `hexa-app/${organizationId}/bus/x`;
    const client = await connected(hub, { ...person, clientId: "bus" });
    await client.subscribe({ topic, qos: 0 });
    await client.publish(topic, "1", { qos: 1, messageId: 4 });
    await client.publish(topic, "1", { qos: 1, messageId: 4, dup: true });
    assert.deepEqual([(await client.pick("publish")).topic, (await client.pick("publish")).topic], [topic, topic]);
    await client.drop();
  });
});

const postgres = databases().at(-1) ?? assert.fail("no PostgreSQL");

test("PostgreSQL: a command that a dying node was still committing is answered as what it is, though the device has gone", {
  skip: postgres.skip,
}, async () => {
  await using folder = temporaryFolder();
  await using other = temporaryFolder();
  await using database = await postgres.open();
  await using hub = await startHub({ dataDir: folder.path, databaseUrl: database.url });
  await hub.api.login();
  const { person } = await accounts(hub);
  const { uid, token } = await hub.api.addDevice();
  const relay = await connected(hub, { clientId: uid, username: uid, password: token });
  await relay.subscribe({ topic: `hexa/${uid}/down/#`, qos: 1 });
  const toggle = [`hexa/${uid}/relay/0/set`, "TOGGLE"] as const;
  const client = await connected(hub, person);
  assert.equal((await client.publish(...toggle, { qos: 1, messageId: 9 }))?.reasonCode ?? 0, 0);
  await relay.drop();
  const codeOf = async (messageId: number, dup: boolean) => (await client.publish(...toggle, { qos: 1, messageId, dup }))?.reasonCode ?? 0;
  await until(async () => (await codeOf(10, false)) >= 0x80, { what: "the device to be offline" });

  await using store = await openStoreForMigration({ dataDir: other.path, databaseUrl: database.url });
  const tables = ["commands", "received_messages"] as const;
  const rows = await Promise.all(tables.map((table) => store.db(table).select()));
  for (const table of tables) await store.db(table).del();
  assert.ok((await codeOf(11, true)) >= 0x80, "a copy of nothing is refused");
  assert.equal((await store.db("received_messages").select()).length, 0, "and not noted");
  const dying = await store.db.transaction();
  await using stack = new AsyncDisposableStack();
  stack.defer(async () => void (dying.isCompleted() || (await dying.rollback())));
  for (const [index, table] of tables.entries()) await dying(table).insert(rows[index]);
  const answer = codeOf(9, true);
  const waits = "select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
  await until(async () => (await rowsOf(store.db, waits)).length > 0, { what: "the hub to wait for the other transaction" });
  await dying.commit();
  assert.equal(await answer, 0);
  await client.drop();
});

test("a packet id is free for another message of QoS 2 when no crash can bring it back: PUBCOMP waits for the commit", async () => {
  await using hub = await startHub();
  await hub.api.login();
  const { organizationId, person } = await accounts(hub);
  const client = await connected(hub, person, { acknowledges: false });
  const topic = `hexa-app/${organizationId}/bus/once`;
  client.send({ cmd: "publish", topic, payload: "x", qos: 2, messageId: 7, dup: false, retain: false });
  assert.equal((await client.take("pubrec")).messageId, 7);
  {
    using _blocked = await blockCommits(hub.dataDir);
    client.send({ cmd: "pubrel", messageId: 7 });
    await client.ping();
    assert.deepEqual(client.takeAll(), []);
  }
  const codeOf = async (one: RawClient): Promise<number | undefined> => {
    const { messageId, reasonCode = 0 } = await one.take("pubcomp");
    return messageId === 7 ? reasonCode : undefined;
  };
  assert.equal(await codeOf(client), 0);
  client.send({ cmd: "pubrel", messageId: 7 });
  assert.equal(await codeOf(client), 0x92);
  await client.drop();
  // It may not have read the first one.
  const again = await connected(hub, person, { acknowledges: false });
  again.send({ cmd: "pubrel", messageId: 7 });
  assert.equal(await codeOf(again), 0);
  await again.drop();
});

async function accounts(hub: TestHub): Promise<{ organizationId: string; person: Account }> {
  const made = await hub.api.call<{ token: string }>("POST", "/api/v1/access-tokens", { kind: "personal", name: "durability" });
  const { body } = await hub.api.call<{ data: { id: string }[] }>("GET", "/api/v1/organizations");
  const organizationId = body.data[0]?.id ?? assert.fail("no organization");
  return { organizationId, person: { clientId: "watcher", username: "admin@example.test", password: made.body.token } };
}

/** What a hub may leave that ended between a commit and the queues: an event and a state. */
async function leaveUnannounced(db: Db, device: { id: string; organizationId: string }, now: number): Promise<string> {
  const about = { organizationId: device.organizationId, entityId: device.id, actor: SYSTEM, now };
  const event = newEvent("device.input_event", about, { uid: "x", input: 1 });
  await insertEvents(db, [event]);
  await writeState(
    db,
    device.id,
    { relays: [{ index: 1, state: "ON" }], lights: [{ index: 0, state: "ON", brightness: 7 }] },
    { now, actor: SYSTEM, source: "device", commandId: null, correlationId: null },
  );
  return event.id;
}

const markOf = async (db: Db): Promise<unknown[]> => rowsOf(db, "select kind from broker_state where kind = 'replay'");

for (const { name, skip, open } of databases()) {
  describe(`${name}: a session that was away when the hub died`, { skip }, () => {
    /** What the session gets from the hub's next start, once `leave` has prepared the database. */
    async function received(leave: (db: Db, device: { id: string; organizationId: string }) => Promise<void>) {
      await using folder = temporaryFolder();
      await using database = await open();
      const options = { dataDir: folder.path, databaseUrl: database.url };
      let uid: string;
      let id: string;
      let found: Awaited<ReturnType<typeof accounts>>;
      {
        await using hub = await startHub(options);
        await hub.api.login();
        found = await accounts(hub);
        ({ uid, id } = await hub.api.addDevice());
        const client = await connected(hub, found.person);
        const filters = [`hexa-app/${found.organizationId}/events/#`, `hexa/${uid}/+/+/state`];
        await client.subscribe(filters.map((topic) => ({ topic, qos: 1 as const })));
        await client.drop();
        await until(async () => (await hub.api.call<{ sessions: number }>("GET", "/health")).body.sessions === 0, { what: "nobody" });
      }
      {
        await using store = await openStore(options);
        assert.deepEqual(await markOf(store.db), [], "a stop in good order leaves no mark");
        await leave(store.db, { id, organizationId: found.organizationId });
      }
      await using hub = await startHub(options);
      await hub.api.login();
      const client = await connected(hub, found.person);
      const end = `hexa-app/${found.organizationId}/bus/end`;
      await client.subscribe({ topic: end, qos: 1 });
      await client.publish(end, "", { qos: 1 });
      const came: ReceivedOf<"publish">[] = [];
      for (;;) {
        const packet = await client.pick("publish");
        if (packet.topic === end) break;
        came.push(packet);
      }
      await client.drop();
      return came.map(
        ({ topic, payload }) => [topic.replace(uid, "uid").replace(found.organizationId, "org"), payload.toString()] as const,
      );
    }

    const mark = (db: Db, ms: number): Promise<void> =>
      saveBrokerState(db, [{ kind: "replay", clientId: "", key: "", value: serialize({ until: ms }) }]);

    test("hears of the events and states that were committed and not queued", async () => {
      const now = Date.now();
      let eventId = "";
      const came = await received(async (db, device) => {
        eventId = await leaveUnannounced(db, device, now);
        await mark(db, now);
      });
      const of = (topic: string): string[] => came.filter(([one]) => one === topic).map(([, payload]) => payload);
      assert.deepEqual(
        of("hexa-app/org/events/device.input_event").map((text) => (JSON.parse(text) as { id: string }).id),
        [eventId],
      );
      assert.deepEqual(of("hexa/uid/relay/1/state"), ["ON"]);
      assert.deepEqual(
        of("hexa/uid/light/0/state").map((text) => (JSON.parse(text) as { brightness: number }).brightness),
        [7],
      );
    });

    test("hears nothing again of what was queued long before", async () => {
      const came = await received(async (db, device) => {
        await leaveUnannounced(db, device, Date.now());
        await mark(db, Date.now() + 60_000);
      });
      assert.deepEqual(came, []);
    });

    test("hears nothing again after a stop in good order", async () => {
      const came = await received(async (db, device) => void (await leaveUnannounced(db, device, Date.now())));
      assert.deepEqual(came, []);
    });
  });
}

test("a running hub keeps the mark, and moves it with what it stores", async () => {
  await using folder = temporaryFolder();
  await using hub = await startHub({ dataDir: folder.path });
  await hub.api.login();
  const { DatabaseSync } = await import("node:sqlite");
  const db = new DatabaseSync(`${folder.path}/hexahub.db`, { readOnly: true });
  const read = (): string | undefined =>
    (db.prepare("select hex(value) as value from broker_state where kind = 'replay'").get() as { value: string } | undefined)?.value;
  const first = read();
  assert.notEqual(first, undefined);
  const { person } = await accounts(hub);
  const client = await connected(hub, person);
  let n = 0;
  await until(async () => (await client.subscribe({ topic: `hexa/+/availability/${n++ % 20}`, qos: 1 })) && read() !== first, {
    what: "a newer mark",
  });
  db.close();
  await client.drop();
});

test("the mark stays before what is on its way into the database", async () => {
  await using folder = temporaryFolder();
  await using store = await openStore({ dataDir: folder.path });
  await using ingest = createIngest({
    store,
    directory: await loadDeviceDirectory(store.db),
    log,
    metrics: { count() {}, observe() {} },
    clock: () => 1_000,
    stored: async () => undefined,
    storage: { failed: () => false },
  });
  const begun = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  const seen: number[] = [];
  ingest.handle("heartbeat", async () => {
    begun.resolve();
    await release.promise;
    return () => void seen.push(ingest.announcedUntil());
  });
  const message = (receivedAt: number): IngestMessage => ({
    device: { id: "d", uid: "sensor-one", organizationId: null },
    type: "heartbeat",
    payload: {},
    receivedAt,
  });
  assert.equal(ingest.announcedUntil(), 1_000);
  const first = ingest.commit(message(500));
  await begun.promise;
  const second = ingest.commit(message(600));
  assert.equal(ingest.announcedUntil(), 500);
  release.resolve();
  await Promise.all([first, second]);
  assert.deepEqual(seen, [500, 600]);
  assert.equal(ingest.announcedUntil(), 1_000);
});
