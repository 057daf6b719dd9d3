import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { describe, mock, test } from "node:test";
import { inspect } from "node:util";
import { Worker } from "node:worker_threads";
import { SetupError } from "../../core/errors.ts";
import { isUniqueViolation } from "../../store/database-errors.ts";
import { migrate, migrationStatus } from "../../store/migrate.ts";
import { type Db, openStore, openStoreForMigration } from "../../store/open.ts";
import { rowsOf } from "../../store/sql.ts";
import { afterCommit, inOrder, believe, inTransaction } from "../../store/transaction.ts";
import { startFaultProxy } from "../support/fault-proxy.ts";
import { freePort } from "../support/services.ts";
import { temporaryFolder, until } from "../support/wait.ts";
import { forEachEngine, type Place } from "./engines.ts";

const child = (name: string, ...args: string[]) =>
  spawn(process.execPath, [join(import.meta.dirname, name), ...args], { stdio: ["ignore", "pipe", "inherit"] });
const entity = (id: string) => ({
  id,
  entity_type: "project",
  name: id,
  properties: "{}",
  created_at: new Date().toISOString(),
  last_updated: new Date().toISOString(),
});
const isSetupError = (pattern: RegExp) => (error: unknown) => error instanceof SetupError && pattern.test(error.message);

forEachEngine((under) => {
  test("a new place gets the whole schema, and opening it again changes nothing", async () => {
    await using place = await under.emptyPlace();
    await using empty = await openStoreForMigration(place.options);
    const before = await migrationStatus(empty.db);
    assert.deepEqual(before.done, []);
    assert.ok(before.pending.length > 0);
    await empty[Symbol.asyncDispose]();

    await using first = await openStore(place.options);
    const status = await migrationStatus(first.db);
    assert.deepEqual(status, { done: before.pending, pending: [] });
    await first.db("entities").insert(entity("kept"));
    await first[Symbol.asyncDispose]();

    await using second = await openStore(place.options);
    assert.deepEqual(await migrationStatus(second.db), status);
    assert.deepEqual(await second.db("entities").pluck("id"), ["kept"]);
  });

  for (const statement of [3, 12, 40, 60]) {
    test(`a migration killed before its statement ${statement} is done by the next start`, async () => {
      await using place = await under.emptyPlace();
      const { dataDir, databaseUrl } = place.options;
      const killed = child("killed-migration-child.ts", dataDir, String(statement), ...(databaseUrl === undefined ? [] : [databaseUrl]));
      assert.deepEqual(await once(killed, "exit"), [null, "SIGKILL"]);
      await using store = await openStore(place.options);
      assert.deepEqual((await migrationStatus(store.db)).pending, []);
      assert.equal((await store.db("broker_state").count({ rows: "*" }).first())?.["rows"], 0);
    });
  }

  under.test("a transaction that took something for true is run again when it fails, once, and leaves nothing of the first", async (db) => {
    await db.raw("create table believed (n integer)");
    let known = "what was";
    const run = (truth: string) => {
      let runs = 0;
      const done = inTransaction(db, async (trx) => {
        await trx("believed").insert({ n: ++runs });
        if (known !== "") believe(trx, () => (known = truth === "nothing" ? "wrong again" : ""));
        if (known !== "" && known !== truth) throw new Error(`not ${known}`);
        return runs;
      });
      return done;
    };
    assert.equal(await run("what is"), 2);
    assert.deepEqual(await db("believed").pluck("n"), [2]);
    known = "what was";
    await assert.rejects(run("nothing"), /not wrong again/);
    assert.deepEqual(await db("believed").pluck("n"), [2]);
    known = "";
    await assert.rejects(
      inTransaction(db, () => Promise.reject(new Error("no belief"))),
      /no belief/,
    );
  });

  under.test(
    "transactions that wait for each other in a ring all come to their end, and each does its work once",
    async (db, { engine }) => {
      await db.raw("create table rings (id integer primary key, n integer not null)");
      const places = [0, 1, 2, 3];
      await db("rings").insert(places.map((id) => ({ id, n: 0 })));
      const sees = Promise.withResolvers<void>();
      let begun = 0;
      let runs = 0;
      await Promise.all(
        places.map((place) =>
          inTransaction(db, async (trx) => {
            runs++;
            await trx("rings").where({ id: place }).increment("n", 1);
            // Each has a row that another one wants next. SQLite lets one in at a time.
            if (engine === "postgres" && ++begun === places.length) sees.resolve();
            if (engine === "postgres") await sees.promise;
            await trx("rings")
              .where({ id: (place + 1) % places.length })
              .increment("n", 1);
          }),
        ),
      );
      assert.deepEqual(await db("rings").orderBy("id").pluck("n"), [2, 2, 2, 2]);
      assert.equal(runs > places.length, engine === "postgres", `${runs}`);
    },
  );

  test("a schema of a newer build is refused", async () => {
    await using place = await under.emptyPlace();
    await using store = await openStore(place.options);
    await store.db("hub_migrations").insert({ name: "999_of_the_future", batch: 9, migration_time: new Date().toISOString() });
    await store[Symbol.asyncDispose]();
    await assert.rejects(openStore(place.options), isSetupError(/newer than this build/));
  });

  under.test("migrating an up-to-date database takes less than 30 ms", async (db, { engine }) => {
    const times: number[] = [];
    for (let round = 0; round < 5; round++) {
      const start = performance.now();
      await migrate(db, engine);
      times.push(performance.now() - start);
    }
    assert.ok(Math.min(...times) < 30, `${times.join(", ")} ms`);
  });

  under.test("a transaction that throws leaves nothing behind, and a nested one belongs to it", async (db) => {
    const failure = new Error("on purpose");
    const work = inTransaction(db, async (trx) => {
      await trx("entities").insert(entity("outer"));
      await inTransaction(trx, async (same) => {
        assert.equal(same, trx);
        await same("entities").insert(entity("inner"));
      });
      throw failure;
    });
    await assert.rejects(work, failure);
    assert.deepEqual(await db("entities").pluck("id"), []);
  });

  under.test("a statement that fails ends its transaction, whether or not anybody looks at the error", async (db) => {
    const work = inTransaction(db, async (trx) => {
      await trx("entities").insert(entity("one"));
      await assert.rejects(trx("entities").insert(entity("one")), isUniqueViolation);
      await trx("entities")
        .insert(entity("two"))
        .catch(() => undefined);
    });
    await assert.rejects(work);
    assert.deepEqual(await db("entities").pluck("id"), []);
    await inTransaction(db, async (trx) => await trx("entities").insert(entity("three")));
    assert.deepEqual(await db("entities").pluck("id"), ["three"]);
  });

  under.test("what is kept of a transaction does nothing after its end", async (db) => {
    let kept: Db | undefined;
    let done = 0;
    await inTransaction(db, async (trx) => {
      kept = trx;
      afterCommit(trx, () => done++);
      await trx("entities").insert(entity("one"));
      assert.equal(done, 0);
    });
    assert.equal(done, 1);
    const failed = inTransaction(db, (trx) => {
      afterCommit(trx, () => done++);
      return Promise.reject(new Error("on purpose"));
    });
    await assert.rejects(failed, /on purpose/);
    assert.equal(done, 1);
    const late = kept as Db;
    await assert.rejects(Promise.resolve(late("entities").insert(entity("two"))), /is over/);
    await assert.rejects(rowsOf(late, "delete from entities"), /is over/);
    await assert.rejects(inOrder(late, [{ sql: "delete from entities", bindings: [] }]), /is over/);
    assert.deepEqual(await db("entities").pluck("id"), ["one"]);
  });

  under.test("statements sent in order are done in that order, all of them or none", async (db) => {
    const move = (name: string, id: string) => ({ sql: "update entities set name = ? where id = ?", bindings: [name, id] });
    await db("entities").insert([entity("one"), entity("two")]);
    await inTransaction(db, (trx) => inOrder(trx, [move("first", "one"), move("second", "one"), move("third", "two")]));
    const names = () => db("entities").orderBy("id").pluck("name");
    assert.deepEqual(await names(), ["second", "third"]);
    const failed = inTransaction(db, async (trx) => {
      await inOrder(trx, [move("lost", "one"), { sql: "update entities set id = ? where id = ?", bindings: ["one", "two"] }]);
      await inOrder(trx, [move("lost", "two")]);
    });
    await assert.rejects(failed, isUniqueViolation);
    assert.deepEqual(await names(), ["second", "third"]);
  });

  under.test("a repeated key is recognised as a unique violation, a missing parent is not", async (db) => {
    await db("entities").insert(entity("one"));
    await assert.rejects(db("entities").insert(entity("one")), isUniqueViolation);
    await assert.rejects(
      db("organizations").insert({ id: "nobody", created_at: new Date().toISOString() }),
      (error) => !isUniqueViolation(error),
    );
  });

  under.test("errors never show the values of a statement", async (db) => {
    await assert.rejects(db("no_such_table").insert({ secret: "hxd_swordfish" }), (error: Error) => !error.message.includes("swordfish"));
  });
});

describe("on SQLite", () => {
  test("a second hub on the same folder is refused with the process that holds it", async () => {
    await using folder = temporaryFolder();
    const holder = child("writer-child.ts", folder.path);
    await once(createInterface(holder.stdout), "line");
    await assert.rejects(
      openStore({ dataDir: folder.path }),
      isSetupError(new RegExp(`in use by another hub \\(process ${holder.pid}\\)`)),
    );
    holder.kill("SIGKILL");
    await once(holder, "exit");
    await using store = await openStore({ dataDir: folder.path });
    assert.equal(store.engine, "sqlite");
  });

  test("the folder is refused twice in one process too, and free after the store is closed", async () => {
    await using folder = temporaryFolder();
    await using first = await openStore({ dataDir: folder.path });
    await assert.rejects(openStore({ dataDir: folder.path }), isSetupError(/in use/));
    await first[Symbol.asyncDispose]();
    await using second = await openStore({ dataDir: folder.path });
    assert.equal(second.engine, "sqlite");
  });

  test("a new data folder is open to its owner alone", async () => {
    await using folder = temporaryFolder();
    const dataDir = join(folder.path, "deep", "data");
    await using store = await openStore({ dataDir });
    assert.equal(store.engine, "sqlite");
    assert.equal(statSync(dataDir).mode & 0o777, 0o700);
  });

  test("a folder that cannot be made is a reason not to start", async () => {
    await using folder = temporaryFolder();
    const file = join(folder.path, "file");
    writeFileSync(file, "");
    await assert.rejects(
      openStore({ dataDir: join(file, "data") }),
      (error) => isSetupError(/cannot be written/)(error) && (error as SetupError).where.startsWith(file),
    );
  });

  test("a file that is no database is a reason not to start, and stays as it is", async () => {
    await using folder = temporaryFolder();
    const file = join(folder.path, "hexahub.db");
    writeFileSync(file, "not a database, but somebody's file".repeat(100));
    await assert.rejects(openStore({ dataDir: folder.path }), isSetupError(/cannot be opened/));
    assert.match(readFileSync(file, "utf8"), /^not a database/);
  });

  test("every committed transaction survives kill -9", async () => {
    await using folder = temporaryFolder();
    for (let round = 0; round < 3; round++) {
      const writer = child("writer-child.ts", folder.path);
      let last = 0;
      for await (const line of createInterface(writer.stdout)) {
        last = Number(line);
        if (last === 40 + round * 17) writer.kill("SIGKILL");
      }
      await using store = await openStore({ dataDir: folder.path });
      const rows = new Set(await store.db("entities").pluck("id"));
      for (let number = 1; number <= last; number++) assert.ok(rows.has(`row-${number}`), `row ${number} of ${last} is gone`);
      assert.ok(last >= 40 + round * 17);
      await store.db("entities").del();
    }
  });

  test("a full disk is told as such, loses the transaction and nothing else", async () => {
    await using folder = temporaryFolder();
    await using store = await openStore({ dataDir: folder.path });
    await store.db("entities").insert(entity("before"));
    await store.db.raw("pragma max_page_count = 1");
    const work = inTransaction(store.db, async (trx) => {
      for (let index = 0; index < 50; index++) await trx("entities").insert({ ...entity(`row-${index}`), description: "x".repeat(8_000) });
    });
    await assert.rejects(work, { code: "storage_full" });
    await store.db.raw("pragma max_page_count = 1000000");
    await store.db("entities").insert(entity("after"));
    assert.deepEqual(await store.db("entities").orderBy("id").pluck("id"), ["after", "before"]);
  });

  test("what was sent behind a statement that rolled the transaction back is not done without it", async () => {
    await using folder = temporaryFolder();
    await using store = await openStore({ dataDir: folder.path });
    // SQLite itself rolls back here, as it does when the disk is full.
    const sql =
      "insert or rollback into entities (id, entity_type, name, properties, created_at, last_updated) values (?, 'project', '', '{}', '', '')";
    const all = (ids: string[]) =>
      inTransaction(store.db, (trx) =>
        inOrder(
          trx,
          ids.map((id) => ({ sql, bindings: [id] })),
        ),
      );
    await all(["one", "two"]);
    await assert.rejects(all(["three", "two", "four"]), isUniqueViolation);
    await inTransaction(store.db, () => Promise.resolve());
    await all(["five"]);
    const rows = await rowsOf<{ id: string }>(store.db, "select id from entities order by id");
    assert.deepEqual(
      rows.map(({ id }) => id),
      ["five", "one", "two"],
    );
  });

  test("when the database thread dies, its queries fail as unavailable and the next ones get a new thread", async () => {
    await using folder = temporaryFolder();
    const post = mock.method(Worker.prototype, "postMessage");
    await using store = await openStore({ dataDir: folder.path });
    const thread = post.mock.calls.at(-1)?.this;
    assert.ok(thread instanceof Worker);
    post.mock.restore();
    const endless = store.db.raw("with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n");
    const failed = assert.rejects(Promise.resolve(endless), { code: "unavailable" });
    await thread.terminate();
    await failed;
    await store.db("entities").insert(entity("after"));
    assert.deepEqual(await store.db("entities").pluck("id"), ["after"]);
  });
});

describe("on PostgreSQL", () => {
  test("a server that does not answer is a reason not to start, told without the password", async () => {
    await using folder = temporaryFolder();
    const databaseUrl = `postgres://hub:swordfish@127.0.0.1:${await freePort()}/hub`;
    await assert.rejects(
      openStore({ dataDir: folder.path, databaseUrl }),
      (error) => isSetupError(/cannot be reached/)(error) && !inspect(error, { depth: 9 }).includes("swordfish"),
    );
  });
});

forEachEngine((under) => {
  if (under.engine === "sqlite") return;
  test("a transaction on a line that went silent ends with its own error, and its connection with it", async () => {
    await using place = await under.emptyPlace();
    const { dataDir, databaseUrl = "" } = place.options;
    const url = new URL(databaseUrl);
    await using proxy = await startFaultProxy({ host: url.hostname, port: Number(url.port) });
    url.host = `127.0.0.1:${proxy.port}`;
    await using store = await openStore({ dataDir, databaseUrl: url.href });
    const work = inTransaction(store.db, async (trx) => {
      await trx("entities").insert(entity("lost"));
      proxy.freeze();
      throw new Error("on purpose");
    });
    await assert.rejects(work, /on purpose/);
    proxy.cut();
    proxy.thaw();
    await until(
      () =>
        store
          .db("entities")
          .insert(entity("after"))
          .then(
            () => true,
            () => false,
          ),
      { what: "another connection" },
    );
    assert.deepEqual(await store.db("entities").pluck("id"), ["after"]);
  });

  test("several nodes that start at once on an empty database all succeed", async () => {
    await using place = await under.emptyPlace();
    const places: Place["options"][] = [place.options, place.options, place.options, place.options];
    const stores = await Promise.all(places.map((options) => openStore(options)));
    try {
      for (const { db } of stores) assert.deepEqual((await migrationStatus(db)).pending, []);
      const names = await stores[0]?.db("hub_migrations").pluck("name");
      assert.equal(new Set(names).size, names?.length);
    } finally {
      for (const store of stores) await store[Symbol.asyncDispose]();
    }
  });
});
