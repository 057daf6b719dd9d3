import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test as plainTest } from "node:test";
import { PLATFORM, type Scope } from "../../core/principal.ts";
import { listAudit } from "../../store/audit.ts";
import { CHAIN_BEGAN, type ChainKey } from "../../store/audit-chain.ts";
import { sealAudit, startAuditSealing } from "../../store/audit-sealing.ts";
import type { ChainFault } from "../../store/audit-links.ts";
import { type Db, openStore } from "../../store/open.ts";
import { loadMasterKey } from "../../store/secrets.ts";
import { until } from "../support/wait.ts";
import { sealAll, testChainKey, verify, writeAudit } from "./audit-rows.ts";
import { forEachEngine } from "./engines.ts";
import { OWN_DUTIES } from "./fixtures.ts";

const A = "org-a";
const B = "org-b";
const scopeOf = (organizationId: string): Scope => ({ kind: "organization", organizationId });

interface Scene {
  readonly db: Db;
  readonly key: ChainKey;
  /** Ids of the rows of A, in their chain's order. */
  readonly ids: readonly string[];
}

async function scene(db: Db): Promise<Scene> {
  const key = await testChainKey(db);
  const ids = await writeAudit(db, A, 7);
  await writeAudit(db, B, 3);
  await sealAll(db, key);
  return { db, key, ids };
}

const rowAt = (db: Db, organizationId: string, seq: number) =>
  db("audit_outbox").where({ organization_id: organizationId, chain_seq: seq });

/** What somebody with the database can do to the rows of A, and what is found of it first. */
const ATTACKS: readonly {
  readonly what: string;
  readonly act: (scene: Scene) => Promise<unknown>;
  readonly found: (scene: Scene) => ChainFault;
}[] = [
  ...Object.entries({
    actor_kind: "system",
    actor_id: "somebody",
    action: "other",
    resource_type: "other",
    resource_id: "other",
    details: '{"z":1}',
    request_id: "other",
    correlation_id: "other",
    before_hash: "other",
    after_hash: null,
    created_at: "2020-01-01T00:00:00.000Z",
    chain_hash: "other",
    id: "0000",
  }).map(([column, value]) => ({
    what: `a row's ${column} is changed`,
    act: ({ db }: Scene) => rowAt(db, A, 4).update({ [column]: value }),
    found: ({ ids }: Scene) => ({ kind: "changed", id: column === "id" ? "0000" : (ids[3] as string), seq: 4 }) as const,
  })),
  {
    what: "a row's details hold a number that is no number any more",
    async act({ db }) {
      const { details } = (await rowAt(db, A, 4).first("details")) as { details: unknown };
      const text = typeof details === "string" ? details : JSON.stringify(details);
      assert.match(text, /null/);
      await rowAt(db, A, 4).update({ details: text.replace("null", "1e999") });
    },
    found: ({ ids }) => ({ kind: "changed", id: ids[3] as string, seq: 4 }),
  },
  {
    what: "a row in the middle is deleted",
    act: ({ db }) => rowAt(db, A, 4).del(),
    found: () => ({ kind: "missing", id: null, seq: 4 }),
  },
  {
    what: "a row in the middle is deleted and those behind it move up",
    async act({ db }) {
      await rowAt(db, A, 4).del();
      for (const seq of [5, 6, 7]) await rowAt(db, A, seq).update({ chain_seq: seq - 1 });
    },
    found: ({ ids }) => ({ kind: "changed", id: ids[4] as string, seq: 4 }),
  },
  {
    what: "a row is put in between",
    async act({ db }) {
      for (const seq of [7, 6, 5, 4]) await rowAt(db, A, seq).update({ chain_seq: seq + 1 });
      const copy = (await rowAt(db, A, 3).first()) as object;
      await db("audit_outbox").insert({ ...copy, ...detailsOf(copy), id: "forged", chain_seq: 4 });
    },
    found: () => ({ kind: "changed", id: "forged", seq: 4 }),
  },
  {
    what: "a row is put before the first one",
    async act({ db }) {
      const copy = (await rowAt(db, A, 3).first()) as object;
      await db("audit_outbox").insert({ ...copy, ...detailsOf(copy), id: "forged", chain_seq: 0 });
    },
    found: () => ({ kind: "inserted", id: "forged", seq: 0 }),
  },
  {
    what: "a row is put behind the end",
    async act({ db }) {
      const copy = (await rowAt(db, A, 7).first()) as object;
      await db("audit_outbox").insert({ ...copy, ...detailsOf(copy), id: "forged", chain_seq: 8 });
    },
    found: () => ({ kind: "changed", id: "forged", seq: 8 }),
  },
  {
    what: "two rows change places",
    async act({ db }) {
      await rowAt(db, A, 3).update({ chain_seq: 100 });
      await rowAt(db, A, 5).update({ chain_seq: 3 });
      await rowAt(db, A, 100).update({ chain_seq: 5 });
    },
    found: ({ ids }) => ({ kind: "changed", id: ids[4] as string, seq: 3 }),
  },
  {
    what: "a row is moved to another organisation",
    act: ({ db }) => rowAt(db, A, 4).update({ organization_id: B }),
    found: () => ({ kind: "missing", id: null, seq: 4 }),
  },
  {
    what: "rows are cut off at the end",
    act: ({ db }) => db("audit_outbox").where({ organization_id: A }).where("chain_seq", ">", 5).del(),
    found: () => ({ kind: "cut_off", id: null, seq: 6 }),
  },
  {
    what: "rows are cut off at the end, and the chain's end is set back to them",
    async act({ db }) {
      await db("audit_outbox").where({ organization_id: A }).where("chain_seq", ">", 5).del();
      const { chain_hash: hash } = (await rowAt(db, A, 5).first("chain_hash")) as { chain_hash: string };
      await db("audit_chains").where({ chain: A }).update({ last_seq: 5, last_hash: hash });
    },
    found: ({ ids }) => ({ kind: "head", id: ids[4] as string, seq: 5 }),
  },
  {
    what: "the chain's end is deleted",
    act: ({ db }) => db("audit_chains").where({ chain: A }).del(),
    found: ({ ids }) => ({ kind: "head", id: ids[6] as string, seq: 7 }),
  },
  {
    what: "all of the organisation's rows are deleted, with the chain's end",
    async act({ db }) {
      await db("audit_outbox").where({ organization_id: A }).del();
      await db("audit_chains").where({ chain: A }).del();
    },
    found: () => ({ kind: "head", id: null, seq: 1 }),
  },
];

/** jsonb comes parsed and has to be given as text. */
function detailsOf(row: object): { details?: string } {
  const { details } = row as { details?: unknown };
  return typeof details === "object" ? { details: JSON.stringify(details) } : {};
}

forEachEngine(({ engine, test, emptyPlace }) => {
  test("each organisation's rows, and the hub's, become a chain without a hole, in the order in which they were written", async (db) => {
    const { key, ids } = await scene(db);
    assert.equal(await sealAudit(db, key), 0);
    const later = await writeAudit(db, A, 2);
    await writeAudit(db, null, 1);
    await sealAll(db, key);
    const { items } = await listAudit(db, scopeOf(A), { limit: 100 });
    assert.deepEqual(
      items.toReversed().map(({ id, chainSeq }) => [id, chainSeq]),
      [...ids, ...later].map((id, index) => [id, index + 1]),
    );
    assert.equal(new Set(items.map(({ chainHash }) => chainHash)).size, 9);
    const [hub, a, b] = await verify(db, key);
    assert.deepEqual([hub?.organizationId, hub?.checked, a?.organizationId, a?.checked, b?.checked], [null, 3, A, 9, 3]);
    assert.deepEqual([hub?.fault, a?.fault, b?.fault], [null, null, null]);
    assert.deepEqual([a?.lastSeq, a?.lastHash], [9, items[0]?.chainHash]);
    const begun = await db("audit_outbox").where({ action: CHAIN_BEGAN }).orderBy("resource_id").pluck("resource_id");
    assert.deepEqual(begun, [A, B]);
  });

  test("rows from before there were chains are sealed too, and those that wait are counted", async (db) => {
    const key = await testChainKey(db);
    const [id] = await writeAudit(db, A, 1);
    await db("audit_outbox").where({ id }).update({ before_hash: null, after_hash: null });
    assert.deepEqual(
      (await verify(db, key)).map(({ checked, waiting, fault }) => ({ checked, waiting, fault })),
      [
        { checked: 0, waiting: 0, fault: null },
        { checked: 0, waiting: 1, fault: null },
      ],
    );
    await sealAll(db, key);
    assert.deepEqual(
      (await verify(db, key, scopeOf(A))).map(({ checked, waiting, fault }) => [checked, waiting, fault]),
      [[1, 0, null]],
    );
    assert.deepEqual(await verify(db, key, { kind: "devices", organizationId: A, deviceIds: ["d-1"] }), []);
  });

  for (const { what, act, found } of ATTACKS)
    test(`${what}: found, and still found when the hub has gone on`, async (db) => {
      const attacked = await scene(db);
      const { key } = attacked;
      await act(attacked);
      const faultOfA = async () => (await verify(db, key)).find(({ organizationId }) => organizationId === A)?.fault;
      assert.deepEqual(await faultOfA(), found(attacked));
      await writeAudit(db, A, 2);
      await sealAll(db, key);
      assert.equal(await db("audit_outbox").whereNull("chain_seq").first(), undefined, "rows wait for ever");
      const after = await faultOfA();
      assert.ok(after, "the hub has covered it up");
      const [own] = await verify(db, key, scopeOf(A));
      assert.deepEqual(own?.fault, after);
    });

  test("the hub's own chain is held in the same way, and with another key every chain is wrong", async (db) => {
    const { key } = await scene(db);
    await db("audit_outbox").where({ action: CHAIN_BEGAN, resource_id: B }).del();
    const found = (await verify(db, key))
      .filter(({ fault }) => fault !== null)
      .map(({ organizationId, fault }) => [organizationId, fault?.kind]);
    assert.deepEqual(found, [
      [null, "cut_off"],
      [B, "head"],
    ]);
    await db("hub_secrets").where({ name: "audit_chain" }).del();
    const other = await testChainKey(db);
    assert.ok((await verify(db, other)).every(({ fault }) => fault?.kind === "changed" && fault.seq === 1));
  });

  test("nodes that start at once have the same key, and so has the next start", async (db) => {
    const masterKey = randomBytes(32);
    const keys = await Promise.all([1, 2, 3].map(() => testChainKey(db, masterKey)));
    keys.push(await testChainKey(db, masterKey));
    assert.equal(new Set(keys.map((key) => key.export().toString("hex"))).size, 1);
  });

  test("many sealers at once, while rows are written, leave chains without a hole or a fork", async (db) => {
    const key = await testChainKey(db);
    const writing = { goesOn: true };
    const sealers = [1, 2, 3].map(async () => {
      while (writing.goesOn) await sealAudit(db, key);
    });
    const verifier = (async () => {
      while (writing.goesOn)
        assert.ok(
          (await verify(db, key)).every(({ fault }) => fault === null),
          "a fault where there was none",
        );
    })();
    for (let round = 0; round < 12; round++) await Promise.all([A, B, null].map((organizationId) => writeAudit(db, organizationId, 60)));
    writing.goesOn = false;
    await Promise.all([...sealers, verifier]);
    await sealAll(db, key);
    const chains = await verify(db, key);
    assert.deepEqual(
      chains.map(({ organizationId, checked, waiting, fault }) => [organizationId, checked, waiting, fault]),
      [
        [null, 722, 0, null],
        [A, 720, 0, null],
        [B, 720, 0, null],
      ],
    );
  });

  test("the sealing goes on by itself, also after the database had failed it", async (db) => {
    const key = await testChainKey(db);
    const errors: string[] = [];
    const log = { debug() {}, info() {}, warn() {}, error: (_data: object, message: string) => void errors.push(message) };
    await db.raw("alter table audit_chains rename to away");
    await writeAudit(db, A, 1);
    await using _sealing = startAuditSealing({ db, chainKey: key, duties: OWN_DUTIES, log, everyMs: 5 });
    await until(() => errors.length > 0, { what: "a failure" });
    await db.raw("alter table away rename to audit_chains");
    await until(async () => (await verify(db, key)).at(-1)?.checked === 1, { what: "the sealed row" });
  });

  plainTest("a sealer that is killed again and again leaves chains that are intact", { timeout: 120_000 }, async () => {
    await using place = await emptyPlace();
    const { dataDir, databaseUrl } = place.options;
    await (await openStore(place.options))[Symbol.asyncDispose]();
    for (let round = 0; round < 6; round++) {
      const child = spawn(
        process.execPath,
        [join(import.meta.dirname, "sealing-child.ts"), dataDir, ...(databaseUrl === undefined ? [] : [databaseUrl])],
        { stdio: ["ignore", "pipe", "inherit"] },
      );
      let lines = 0;
      for await (const _line of createInterface(child.stdout)) if (++lines === 2 + round * 3) child.kill("SIGKILL");
      if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
      assert.equal(child.signalCode, "SIGKILL");
      await using store = await openStore(place.options);
      const key = await testChainKey(store.db, await loadMasterKey(dataDir));
      const chains = await verify(store.db, key);
      assert.ok(chains.length === 3 && chains.every(({ fault }) => fault === null), JSON.stringify(chains));
    }
    await using store = await openStore(place.options);
    const key = await testChainKey(store.db, await loadMasterKey(dataDir));
    await sealAll(store.db, key);
    const chains = await verify(store.db, key);
    const [{ count } = { count: 0 }] = (await store.db("audit_outbox").count({ count: "*" })) as { count: number }[];
    assert.equal(
      chains.reduce((sum, { checked }) => sum + checked, 0),
      count,
    );
    assert.ok(chains.every(({ fault, waiting }) => fault === null && waiting === 0));
  });

  if (engine === "postgres")
    plainTest("two nodes that seal at once wait for each other", async () => {
      await using place = await emptyPlace();
      await using first = await openStore(place.options);
      await using second = await openStore(place.options);
      const masterKey = randomBytes(32);
      const [key, same] = [await testChainKey(first.db, masterKey), await testChainKey(second.db, masterKey)];
      const sealed = [0, 0] as [number, number];
      let rounds = 0;
      // A quick one may have done all before the other has looked.
      for (; rounds < 20 && !(sealed[0] > 0 && sealed[1] > 0); rounds++) {
        for (const organizationId of [A, B, null]) await writeAudit(first.db, organizationId, 400);
        const [one, other] = await Promise.all([sealAll(first.db, key), sealAll(second.db, same)]);
        sealed[0] += one;
        sealed[1] += other;
      }
      assert.ok(sealed[0] > 0 && sealed[1] > 0 && sealed[0] + sealed[1] === rounds * 1_200 + 2, String(sealed));
      const chains = await verify(second.db, same, PLATFORM);
      assert.deepEqual(
        chains.map(({ checked, fault }) => [checked, fault]),
        [
          [rounds * 400 + 2, null],
          [rounds * 400, null],
          [rounds * 400, null],
        ],
      );
    });
});
