import assert from "node:assert/strict";
import type { Db } from "../../store/open.ts";
import { engineOf, rowsOf, scannedRows } from "../../store/sql.ts";
import { inTransaction } from "../../store/transaction.ts";
import { forEachEngine } from "./engines.ts";

const names = async (db: Db): Promise<string[]> =>
  (await scannedRows<{ name: string }>(db, "select name from things where name <> ? order by name", ["none"])).map(({ name }) => name);

forEachEngine(({ test }) => {
  test("a scan sees what has been committed, also in a table that is younger than the last scan", async (db) => {
    assert.deepEqual(await scannedRows(db, "select 1 as one", []), [{ one: 1 }]);
    await rowsOf(db, "create table things (name text)");
    await rowsOf(db, "insert into things values ('a')");
    assert.deepEqual(await names(db), ["a"]);
    await inTransaction(db, async (trx) => {
      await rowsOf(trx, "insert into things values ('b')");
      await rowsOf(trx, "alter table things add column size integer");
    });
    assert.deepEqual(await names(db), ["a", "b"]);
    assert.deepEqual(await scannedRows(db, "select * from things where name = ?", ["a"]), [{ name: "a", size: null }]);
  });

  test("a scan that fails takes nothing with it", async (db) => {
    await assert.rejects(scannedRows(db, "select * from nothing", []));
    assert.deepEqual(await scannedRows(db, "select 1 as one", []), [{ one: 1 }]);
    if (engineOf(db) === "postgres") return;
    await assert.rejects(scannedRows(db, "delete from devices returning *", []), /cannot write/);
  });
});
