import assert from "node:assert/strict";
import fc from "fast-check";
import type { MessageIdentity } from "../../core/message-identity.ts";
import { deleteDevice } from "../../store/devices.ts";
import type { Db } from "../../store/open.ts";
import { findEffect, noteReceived, purgeReceived, type Received } from "../../store/received-messages.ts";
import { inTransaction } from "../../store/transaction.ts";
import { PLATFORM } from "../../core/principal.ts";
import { forEachEngine } from "./engines.ts";
import { device, tenant } from "./fixtures.ts";

const HOUR_MS = 3_600_000;

const message = (packetId: number, digest: string, isRepeated = false, clientId = "client"): MessageIdentity => ({
  clientId,
  packetId,
  digest,
  isRepeated,
});

/** Which of the messages had their effect before, when they come in one transaction. */
async function known(db: Db, identities: readonly MessageIdentity[], now = 0): Promise<boolean[]> {
  const received: Received[] = identities.map((identity) => ({ identity }));
  return inTransaction(db, async (trx) => {
    const repeated = await noteReceived(trx, received, now);
    return received.map((one) => repeated.has(one));
  });
}

const rowCount = async (db: Db): Promise<number> =>
  Number(((await db("received_messages").count({ count: "*" }).first()) as { count: number | string }).count);

forEachEngine(({ test }) => {
  test("a copy that says so is known, whether it comes alone or with the first one", async (db) => {
    assert.deepEqual(await known(db, [message(1, "a"), message(1, "a", true)]), [false, true]);
    assert.deepEqual(await known(db, [message(1, "a", true)]), [true]);
    assert.deepEqual(await known(db, [message(1, "a", true), message(1, "a", true)]), [true, true]);
  });

  test("a first copy that was lost is done with the second, and once", async (db) => {
    assert.deepEqual(await known(db, [message(7, "a", true), message(7, "a", true)]), [false, true]);
    assert.deepEqual(await known(db, [message(7, "a", true)]), [true]);
  });

  test("the same packet id is another message without DUP, with another content, and of another client", async (db) => {
    await known(db, [message(1, "a")]);
    assert.deepEqual(await known(db, [message(1, "a")]), [false]);
    assert.deepEqual(await known(db, [message(1, "b", true)]), [false]);
    assert.deepEqual(await known(db, [message(1, "b", true, "other")]), [false]);
  });

  test("what is rolled back was never received", async (db) => {
    const failed = inTransaction(db, async (trx) => {
      await noteReceived(trx, [{ identity: message(1, "a") }], 0);
      throw new Error("the effect failed");
    });
    await assert.rejects(failed);
    assert.deepEqual(await known(db, [message(1, "a", true)]), [false]);
  });

  test("256 messages of a client are remembered, and no more", async (db) => {
    const many = Array.from({ length: 1_000 }, (_, index) => message(index + 1, "a"));
    await known(db, many.slice(0, 500));
    await known(db, many.slice(500));
    assert.equal(await rowCount(db), 256);
    const last = many.slice(-256).map((one) => ({ ...one, isRepeated: true }));
    assert.deepEqual(new Set(await known(db, last)), new Set([true]));
  });

  test("a message is known for 24 h, and then its row goes", async (db) => {
    await known(db, [message(1, "a"), message(2, "a")], 0);
    assert.deepEqual(await known(db, [message(1, "a", true)], 24 * HOUR_MS - 1), [true]);
    assert.deepEqual(await known(db, [message(1, "a", true)], 24 * HOUR_MS), [false]);
    assert.equal(await purgeReceived(db, 24 * HOUR_MS), 1);
    assert.equal(await rowCount(db), 1);
  });

  test("what a message made is found by its copy alone", async (db) => {
    const first = message(3, "a");
    await inTransaction(db, (trx) => noteReceived(trx, [{ identity: first, effectId: "command-1" }], 0));
    assert.equal(await findEffect(db, { ...first, isRepeated: true }, 1), "command-1");
    assert.equal(await findEffect(db, message(3, "b", true), 1), undefined);
    assert.equal(await findEffect(db, message(259, "a", true), 1), undefined);
    assert.equal(await findEffect(db, first, 24 * HOUR_MS), undefined);
  });

  test("a message that was answered says nothing about a copy that was never here", async (db) => {
    await known(db, [message(1, "a"), message(2, "a")], 1_000);
    const answered = (packetId: number, from: number, until: number) => ({ ...message(packetId, "a", true), answered: { from, until } });
    assert.deepEqual(await known(db, [answered(1, 1_001, 5_000), answered(2, 0, 999)], 6_000), [true, true]);
    assert.deepEqual(await known(db, [answered(1, 0, 5_000), answered(1, 0, 5_000)], 6_000), [false, true]);
    assert.deepEqual(await known(db, [answered(1, 0, 5_000)], 7_000), [true]);
    const toggle = answered(3, 0, 5_000);
    await inTransaction(db, (trx) => noteReceived(trx, [{ identity: message(3, "a"), effectId: "command-1" }], 1_000));
    assert.equal(await findEffect(db, toggle, 6_000), undefined);
    assert.equal(await findEffect(db, answered(3, 1_001, 5_000), 6_000), "command-1");
  });

  test("a device that is removed leaves nothing behind", async (db) => {
    const { id, uid } = await device(db, await tenant(db, "acme"));
    await known(db, [message(1, "a", false, uid), message(1, "a", false, "somebody")]);
    assert.equal(await deleteDevice(db, PLATFORM, id), true);
    assert.equal(await rowCount(db), 1);
  });

  test("however messages are grouped, they are known as if each had come alone", async (db) => {
    const one = fc.record({
      clientId: fc.constantFrom("a", "b"),
      packetId: fc.constantFrom(1, 2, 257),
      digest: fc.constantFrom("x", "y"),
      isRepeated: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(one, { maxLength: 5 }), { maxLength: 5 }), async (groups) => {
        await db("received_messages").del();
        const slots = new Map<string, string>();
        for (const group of groups) {
          const expected = group.map(({ clientId, packetId, digest, isRepeated }) => {
            const slot = `${clientId} ${packetId % 256}`;
            const content = `${packetId} ${digest}`;
            const isKnown = isRepeated && slots.get(slot) === content;
            slots.set(slot, content);
            return isKnown;
          });
          const found = await known(db, group);
          assert.deepEqual(found, expected);
        }
      }),
      { numRuns: 60 },
    );
  });
});
