import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { test } from "node:test";
import { type PersistenceOptions, StoredPersistence } from "../../broker/persistence.ts";
import type { QueuedPacket } from "../../broker/queues.ts";
import type { Principal } from "../../core/principal.ts";
import type { BrokerStateChange } from "../../store/broker-state.ts";

const abstract = createRequire(import.meta.url)("aedes-persistence/abstract.js") as (options: object) => void;

const OWNER: Principal = { kind: "user", id: "u", email: "u@example.test", role: "user", organizationId: "o", credentialId: "password:u" };

/** The rows as a map: what the database does with them is the store's own test. */
function rows() {
  const stored = new Map<string, BrokerStateChange>();
  async function* load() {
    for (const row of [...stored.values()].toSorted((a, b) =>
      `${a.kind}${a.clientId}${a.key}` < `${b.kind}${b.clientId}${b.key}` ? -1 : 1,
    ))
      yield { ...row, value: row.value as Buffer };
  }
  async function save(changes: BrokerStateChange[]): Promise<void> {
    for (const change of changes) {
      const key = `${change.kind}/${change.clientId}/${change.key}`;
      if (change.value === null) stored.delete(key);
      else stored.set(key, change);
    }
  }
  return { stored, load, save };
}

type Rows = Pick<ReturnType<typeof rows>, "load" | "save">;

function persistenceOver({ load, save }: Rows, options: Partial<PersistenceOptions> = {}): StoredPersistence {
  return new StoredPersistence({
    load,
    save,
    storesRetained: () => true,
    storesWill: () => true,
    allowsFilter: () => true,
    allowsDelivery: () => true,
    onError(error) {
      throw error;
    },
    onDrop() {},
    ...options,
  });
}

async function started(over: Rows, options: Partial<PersistenceOptions> = {}): Promise<StoredPersistence> {
  const persistence = persistenceOver(over, options);
  await persistence.setup({ id: "node" });
  return persistence;
}

function packet(n: number, fields: Partial<QueuedPacket> = {}): QueuedPacket {
  return {
    cmd: "publish",
    topic: "a/b",
    payload: Buffer.from(String(n)),
    qos: 1,
    retain: false,
    dup: false,
    brokerId: "before",
    brokerCounter: n,
    ...fields,
  };
}

const queued = async (persistence: StoredPersistence, id: string): Promise<string[]> =>
  (await persistence.outgoingStream({ id }).toArray()).map((one: QueuedPacket) => one.payload.toString());

abstract({ test, testAsync: true, persistence: () => persistenceOver(rows()) });

test("a restart brings back subscriptions, the queue in its order, packet ids, retained messages with their properties, and owners", async () => {
  const over = rows();
  const before = await started(over);
  await before.addSubscriptions({ id: "c" }, [
    { topic: "a/#", qos: 1 },
    { topic: "z", qos: 0 },
  ]);
  await before.claimSession("c", OWNER);
  for (let n = 1; n <= 12; n++) await before.outgoingEnqueue({ clientId: "c" }, packet(n));
  await before.outgoingUpdate({ id: "c" }, packet(3, { messageId: 77 }));
  await before.incomingStorePacket({ id: "c" }, packet(5, { qos: 2, messageId: 9 }));
  await before.storeRetained(
    packet(8, { retain: true, properties: { correlationData: Buffer.from("x"), userProperties: { a: ["1", "2"] } } }),
  );
  await before.destroy();

  const after = await started(over);
  assert.deepEqual(
    (await after.subscriptionsByClient({ id: "c" })).map(({ topic, qos }) => [topic, qos]),
    [
      ["a/#", 1],
      ["z", 0],
    ],
  );
  assert.deepEqual(
    (await after.subscriptionsByTopic("a/b")).map(({ clientId }) => clientId),
    ["c"],
  );
  assert.deepEqual(await queued(after, "c"), ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12"]);
  assert.deepEqual(after.ownerOf("c"), OWNER);
  assert.equal((await after.outgoingClearMessageId({ id: "c" }, packet(0, { messageId: 77 })))?.brokerCounter, 3);
  assert.equal((await after.incomingGetPacket({ id: "c" }, packet(0, { messageId: 9 }))).payload.toString(), "5");
  const [retained] = (await after.createRetainedStream("a/+").toArray()) as QueuedPacket[];
  assert.ok(Buffer.isBuffer(retained?.properties?.correlationData));
  assert.deepEqual({ ...retained?.properties?.userProperties }, { a: ["1", "2"] });
});

test("client ids that begin alike keep their queues and subscriptions apart", async () => {
  const over = rows();
  const before = await started(over);
  await before.addSubscriptions({ id: "client10" }, [{ topic: "a", qos: 1 }]);
  await before.outgoingEnqueue({ clientId: "client10" }, packet(1));
  await before.destroy();
  const after = await started(over);
  assert.deepEqual(await after.subscriptionsByClient({ id: "client1" }), []);
  assert.deepEqual(await queued(after, "client1"), []);
  assert.deepEqual(await queued(after, "client10"), ["1"]);
});

test("a message that is acknowledged before its commit never becomes a row", async () => {
  const over = rows();
  let written = 0;
  const persistence = await started({
    load: over.load,
    save: async (changes) => {
      written += changes.length;
      await over.save(changes);
    },
  });
  for (let n = 1; n <= 100; n++) {
    await persistence.outgoingEnqueue({ clientId: "c" }, packet(n));
    await persistence.outgoingUpdate({ id: "c" }, packet(n, { messageId: n }));
    await persistence.outgoingClearMessageId({ id: "c" }, packet(n, { messageId: n }));
  }
  await persistence.flushed();
  assert.equal(written, 0);
  assert.deepEqual(await queued(persistence, "c"), []);
});

test("a message whose delivery is refused takes no other message of the queue with it", async () => {
  const persistence = await started(rows());
  await persistence.outgoingEnqueue({ clientId: "c" }, packet(1));
  await persistence.outgoingEnqueue({ clientId: "c" }, packet(2));
  await persistence.outgoingClearMessageId({ id: "c" }, packet(2));
  assert.deepEqual(await queued(persistence, "c"), ["1"]);
});

test("nothing is queued for a session that may not see the topic, and nothing stored for a filter it may not have", async () => {
  const persistence = await started(rows(), {
    allowsDelivery: (clientId) => clientId === "friend",
    allowsFilter: (_client, filter) => filter !== "secret",
  });
  for (const id of ["friend", "stranger"])
    await persistence.addSubscriptions({ id }, [
      { topic: "a/b", qos: 1 },
      { topic: "secret", qos: 1 },
    ]);
  assert.deepEqual(
    (await persistence.subscriptionsByTopic("a/b")).map(({ clientId }) => clientId),
    ["friend"],
  );
  assert.deepEqual(
    (await persistence.subscriptionsByClient({ id: "friend" })).map(({ topic }) => topic),
    ["a/b"],
  );
});

test("a queue keeps its oldest 1,000 messages and counts what it drops", async () => {
  let dropped = 0;
  const persistence = await started(rows(), { onDrop: () => dropped++ });
  for (let n = 1; n <= 1_010; n++) await persistence.outgoingEnqueue({ clientId: "c" }, packet(n));
  assert.equal((await queued(persistence, "c")).length, 1_000);
  assert.equal(dropped, 10);
});

test("rows that could not be written are written once the database takes them again", async () => {
  const over = rows();
  let isFull = true;
  const errors: unknown[] = [];
  const persistence = await started(
    {
      load: over.load,
      save: async (changes) => {
        if (isFull) throw new Error("disk full");
        await over.save(changes);
      },
    },
    { onError: (error) => errors.push(error) },
  );
  await assert.rejects(persistence.addSubscriptions({ id: "c" }, [{ topic: "a", qos: 1 }]), /disk full/);
  isFull = false;
  await persistence.storeRetained(packet(1, { retain: true }));
  assert.equal(errors.length, 1);
  assert.deepEqual([...over.stored.values()].map(({ kind }) => kind).toSorted(), ["retained", "subscription"]);
});

test("a message that is acknowledged while its row is being written leaves no row behind", async () => {
  const over = rows();
  const saving = Promise.withResolvers<void>();
  const saved = Promise.withResolvers<void>();
  const persistence = await started({
    load: over.load,
    save: async (changes) => {
      saving.resolve();
      await saved.promise;
      await over.save(changes);
    },
  });
  await persistence.outgoingEnqueue({ clientId: "c" }, packet(1));
  await saving.promise;
  await persistence.outgoingClearMessageId({ id: "c" }, packet(1));
  saved.resolve();
  await persistence.flushed();
  assert.deepEqual([...over.stored.keys()], []);
});

test("a new clean session does not take a fresh QoS 2 message for the half-finished one of the session before [MQTT-3.1.2-6]", async () => {
  const over = rows();
  const persistence = await started(over);
  await persistence.incomingStorePacket({ id: "c" }, packet(1, { qos: 2, messageId: 1 }));
  await persistence.cleanSubscriptions({ id: "c" });
  await assert.rejects(persistence.incomingGetPacket({ id: "c" }, packet(2, { qos: 2, messageId: 1 })));
  await persistence.flushed();
  assert.deepEqual([...over.stored.keys()], []);
});
