import assert from "node:assert/strict";
import { hkdfSync } from "node:crypto";
import { newId } from "../../core/id.ts";
import { createTaskKeys } from "../../store/task-keys.ts";
import { inTransaction } from "../../store/transaction.ts";
import { forEachEngine } from "./engines.ts";
import { device, tenant } from "./fixtures.ts";

const MASTER = Buffer.alloc(32, 9);
const NOW = Date.UTC(2026, 10, 22, 12);
const DAY_MS = 86_400_000;

forEachEngine((under) => {
  under.test("a device's key is made of the master key, its id and how often it was changed", async (db) => {
    const keys = createTaskKeys(MASTER);
    const { id } = await device(db, null);
    const key = await keys.taskKeyOf(db, id);
    assert.deepEqual(key, { id: "1", secret: Buffer.from(hkdfSync("sha256", MASTER, id, "hexahub task key 1", 32)) });
    const second = await device(db, null);
    assert.notDeepEqual((await keys.taskKeyOf(db, second.id)).secret, key.secret);
    assert.notDeepEqual((await createTaskKeys(Buffer.alloc(32, 8)).taskKeyOf(db, id)).secret, key.secret);
    const { key: next } = await keys.rotateTaskKey(db, id, NOW);
    assert.deepEqual(next, { id: "2", secret: Buffer.from(hkdfSync("sha256", MASTER, id, "hexahub task key 2", 32)) });
    assert.equal((await keys.taskKeyOf(db, second.id)).id, "1");
  });

  under.test("every node signs with the next key as soon as it is committed, and not before", async (db) => {
    const [one, other] = [createTaskKeys(MASTER), createTaskKeys(MASTER)];
    const { id } = await device(db, await tenant(db, "acme"));
    const before = await other.taskKeyOf(db, id);
    await assert.rejects(
      inTransaction(db, async (trx) => {
        assert.equal((await one.rotateTaskKey(trx, id, NOW)).key.id, "2");
        throw new Error("something else fails");
      }),
      /something else/,
    );
    assert.deepEqual(await other.taskKeyOf(db, id), before);
    const { key } = await inTransaction(db, (trx) => one.rotateTaskKey(trx, id, NOW));
    assert.deepEqual(await other.taskKeyOf(db, id), key);
  });

  under.test("results are taken under the key before for a day, and under no older or later one", async (db) => {
    const keys = createTaskKeys(MASTER);
    const { id } = await device(db, null);
    const find = async (keyId: string, now: number) => (await keys.findResultKey(db, { deviceId: id, keyId, now }))?.id;
    assert.deepEqual([await find("1", NOW), await find("0", NOW), await find("2", NOW)], ["1", undefined, undefined]);
    const first = await keys.taskKeyOf(db, id);
    const { formerUntil } = await keys.rotateTaskKey(db, id, NOW);
    assert.equal(Date.parse(formerUntil), NOW + DAY_MS);
    assert.deepEqual(await keys.findResultKey(db, { deviceId: id, keyId: "1", now: NOW + DAY_MS - 1 }), first);
    assert.deepEqual([await find("1", NOW + DAY_MS), await find("2", NOW + DAY_MS)], [undefined, "2"]);
    await keys.rotateTaskKey(db, id, NOW + 1);
    assert.deepEqual([await find("1", NOW + 2), await find("2", NOW + DAY_MS), await find("3", NOW)], [undefined, "2", "3"]);
    assert.deepEqual([await find("2", NOW + DAY_MS + 1), await find("02", NOW), await find("3 ", NOW)], [undefined, undefined, undefined]);
  });

  under.test("of changes at once each has a key of its own", async (db) => {
    const keys = createTaskKeys(MASTER);
    const { id } = await device(db, null);
    const made = await Promise.all([0, 1, 2, 3].map(() => inTransaction(db, (trx) => keys.rotateTaskKey(trx, id, NOW))));
    assert.deepEqual(made.map(({ key }) => key.id).toSorted(), ["2", "3", "4", "5"]);
    assert.equal((await keys.taskKeyOf(db, id)).id, "5");
  });

  under.test("of a device that is not there there is no key", async (db) => {
    const keys = createTaskKeys(MASTER);
    const id = newId();
    await assert.rejects(keys.taskKeyOf(db, id), { code: "not_found" });
    await assert.rejects(keys.rotateTaskKey(db, id, NOW), { code: "not_found" });
    assert.equal(await keys.findResultKey(db, { deviceId: id, keyId: "1", now: NOW }), undefined);
  });
});
