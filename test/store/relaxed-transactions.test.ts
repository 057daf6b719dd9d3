import assert from "node:assert/strict";
import type { Db } from "../../store/open.ts";
import { engineOf, rowsOf } from "../../store/sql.ts";
import { inRelaxedTransaction, inTransaction } from "../../store/transaction.ts";
import { forEachEngine } from "./engines.ts";

/** As the engine names them. */
const NAMES = {
  sqlite: { sql: "pragma synchronous", full: 2, relaxed: 1 },
  postgres: { sql: "show synchronous_commit", full: "on", relaxed: "off" },
};

async function durabilityOf(db: Db): Promise<unknown> {
  const [row] = await rowsOf<Record<string, unknown>>(db, NAMES[engineOf(db)].sql);
  return Object.values(row ?? {})[0];
}

forEachEngine(({ engine, test }) => {
  const { full, relaxed } = NAMES[engine];
  // The server of the tests waits for no disk at all. One after the other they have the same connection.
  const strictly = (name: string, work: (db: Db) => Promise<void>): void =>
    test(name, async (db) => {
      if (engine === "postgres") await rowsOf(db, "set synchronous_commit = on");
      await work(db);
    });

  strictly("what is done again anyway waits for no disk, and what is promised does, before it and after it", async (db) => {
    const inFull = (): Promise<unknown> => inTransaction(db, durabilityOf);
    assert.equal(await inFull(), full);
    assert.equal(await inRelaxedTransaction(db, durabilityOf), relaxed);
    assert.equal(await inFull(), full);
    assert.equal(await durabilityOf(db), full);
  });

  strictly("a failure leaves no relaxed commit behind", async (db) => {
    const broken = inRelaxedTransaction(db, (trx) => rowsOf(trx, "insert into nothing values (1)"));
    await assert.rejects(broken);
    assert.equal(await inTransaction(db, durabilityOf), full);
    const thrown = new Error("of the work");
    await assert.rejects(
      inRelaxedTransaction(db, async (trx) => {
        await rowsOf(trx, "update devices set model = null");
        throw thrown;
      }),
      thrown,
    );
    assert.equal(await inTransaction(db, durabilityOf), full);
  });

  strictly("inside another transaction it is a part of that one", async (db) => {
    assert.equal(await inTransaction(db, (trx) => inRelaxedTransaction(trx, durabilityOf)), full);
  });
});
