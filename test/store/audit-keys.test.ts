import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { PLATFORM } from "../../core/principal.ts";
import { createAuditKeys } from "../../store/audit-keys.ts";
import { isoOf } from "../../store/sql.ts";
import { inTransaction } from "../../store/transaction.ts";
import { verify } from "./audit-rows.ts";
import { checkpointsOfA, scene } from "./audit-scene.ts";
import { forEachEngine } from "./engines.ts";

forEachEngine(({ test }) => {
  test("a new key signs, and what the one before it has signed still verifies, though nobody can sign with it", async (db) => {
    const { key, keys, sign } = await scene(db);
    const [first] = await keys.list();
    const second = await inTransaction(db, (trx) => keys.rotate(trx, Date.now()));
    await sign();
    const checkpoints = await checkpointsOfA(db);
    assert.deepEqual([...new Set(checkpoints.map(({ statement }) => statement.key_id))], [first?.keyId, second.keyId]);
    assert.deepEqual(
      (await verify(db, key, PLATFORM, keys)).map(({ fault }) => fault),
      [null, null, null],
    );
    assert.deepEqual(
      (await keys.list()).map(({ keyId, retiredAt }) => [keyId, retiredAt === null]),
      [
        [first?.keyId, false],
        [second.keyId, true],
      ],
    );
    await db("audit_keys").where({ key_id: second.keyId }).del();
    await db("audit_keys").where({ key_id: first?.keyId }).update({ retired_at: null });
    await assert.rejects(keys.signer(db), /no key to sign with/);
  });

  test("nodes that start at once have one key, and of two that rotate at once one does", async (db) => {
    const masterKey = randomBytes(32);
    const nodes = [1, 2, 3].map(() => createAuditKeys(db, masterKey));
    await Promise.all(nodes.map((keys) => keys.ensure(Date.now())));
    const [keys] = nodes;
    assert.ok(keys);
    assert.equal((await keys.list()).length, 1);
    const turns = await Promise.allSettled(nodes.map((node) => inTransaction(db, (trx) => node.rotate(trx, Date.now()))));
    const made = turns.filter(({ status }) => status === "fulfilled").length;
    for (const turn of turns) if (turn.status === "rejected") assert.equal((turn.reason as { code: string }).code, "conflict");
    assert.ok(made >= 1);
    assert.equal((await keys.list()).length, 1 + made);
    assert.equal((await keys.list()).filter(({ retiredAt }) => retiredAt === null).length, 1);
  });

  test("the private key stands in no row as it is", async (db) => {
    const { keys } = await scene(db);
    await keys.signer(db);
    const rows = JSON.stringify(await db("audit_keys"));
    assert.doesNotMatch(rows, /PRIVATE KEY|private_key/);
    assert.match(rows, /BEGIN PUBLIC KEY/);
    await db("audit_keys").insert({ key_id: "other", public_key: "x", sealed: "v1.x.y.z.a", created_at: isoOf(0), retired_at: isoOf(0) });
    assert.deepEqual([...(await keys.trusted()).keys()], [(await keys.list()).at(-1)?.keyId]);
  });
});
