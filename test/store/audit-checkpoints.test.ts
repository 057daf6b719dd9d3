import assert from "node:assert/strict";
import { generateKeyPairSync, randomBytes, sign as signWith } from "node:crypto";
import { firstSeqOf, keyIdOf, MOST_ROWS, signatureFault, type SignedCheckpoint, statementHash } from "../../core/audit-statement.ts";
import { canonicalJson } from "../../core/canonical-json.ts";
import { PLATFORM, type Scope } from "../../core/principal.ts";
import { CHECKPOINTS_BEGAN, headSeal } from "../../store/audit-chain.ts";
import { listCheckpoints, signChains } from "../../store/audit-checkpoints.ts";
import { startCheckpoints } from "../../store/audit-checkpointing.ts";
import { createAuditKeys } from "../../store/audit-keys.ts";
import type { ChainFault } from "../../store/audit-links.ts";
import type { Db } from "../../store/open.ts";
import { until } from "../support/wait.ts";
import { sealAll, testChainKey, verify, writeAudit } from "./audit-rows.ts";
import { A, B, checkpointAt, checkpointsOfA, rowAt, type Scene, scene } from "./audit-scene.ts";
import { forEachEngine } from "./engines.ts";
import { OWN_DUTIES } from "./fixtures.ts";

const HOUR_MS = 3_600_000;
const scopeOf = (organizationId: string): Scope => ({ kind: "organization", organizationId });

/** What the hub itself would do, by somebody who has got hold of the key of its chains. */
async function sealAnew({ db, key }: Scene, organizationId = A): Promise<void> {
  const head = { chain: organizationId, last_seq: 0, last_hash: "", broken_seq: null };
  await db("audit_outbox").where({ organization_id: organizationId }).update({ chain_seq: null, chain_hash: null });
  await db("audit_chains")
    .where({ chain: organizationId })
    .update({ ...head, seal: headSeal(key, head) });
  await sealAll(db, key);
}

async function copyOf(db: Db, seq: number): Promise<Record<string, unknown>> {
  const copy = (await rowAt(db, seq).first()) as { details: unknown };
  return { ...copy, details: typeof copy.details === "string" ? copy.details : JSON.stringify(copy.details) };
}

/** Signed by somebody with a key of his own, each going on from the one before. */
async function forgeCheckpoints(db: Db, change: (statement: SignedCheckpoint["statement"]) => void): Promise<void> {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  let previous: string | null = null;
  for (const { statement } of await checkpointsOfA(db)) {
    const forged = { ...statement, previous, key_id: keyIdOf(publicKey) };
    change(forged);
    const signature = signWith(null, Buffer.from(canonicalJson(forged)), privateKey).toString("base64url");
    await checkpointAt(db, statement.number).update({ statement: canonicalJson(forged), signature });
    previous = statementHash(forged);
  }
  const pem = publicKey.export({ type: "spki", format: "pem" }).toString();
  await db("audit_keys").update({ key_id: keyIdOf(publicKey), public_key: pem });
}

/** What somebody with the database, and with the key of its chains where `sealAnew` is used, can do to A; what is found of it first. */
const ATTACKS: readonly { readonly what: string; readonly act: (place: Scene) => Promise<unknown>; readonly found: Partial<ChainFault> }[] =
  [
    {
      what: "a row is changed",
      act: ({ db }) => rowAt(db, 6).update({ actor_id: "somebody" }),
      found: { kind: "changed", seq: 6 },
    },
    {
      what: "a row is changed and the chain sealed anew",
      async act(place) {
        await rowAt(place.db, 6).update({ actor_id: "somebody" });
        await sealAnew(place);
      },
      found: { kind: "rewritten", seq: 7 },
    },
    {
      what: "a row is removed and the chain sealed anew",
      async act(place) {
        await rowAt(place.db, 2).del();
        await sealAnew(place);
      },
      found: { kind: "rewritten", seq: 4 },
    },
    {
      what: "a row is put in between and the chain sealed anew",
      async act(place) {
        const copy = await copyOf(place.db, 8);
        await place.db("audit_outbox").insert({ ...copy, id: `${copy["id"] as string}x`, chain_seq: null, chain_hash: null });
        await sealAnew(place);
      },
      found: { kind: "rewritten", seq: 9 },
    },
    {
      what: "two rows change places and the chain is sealed anew",
      async act(place) {
        const [one, other] = [await copyOf(place.db, 2), await copyOf(place.db, 3)];
        await rowAt(place.db, 2).update({ actor_id: other["actor_id"], action: other["action"] });
        await rowAt(place.db, 3).update({ actor_id: one["actor_id"], action: one["action"] });
        await sealAnew(place);
      },
      found: { kind: "rewritten", seq: 4 },
    },
    {
      what: "all rows are replaced by others with a chain of their own",
      async act(place) {
        await place.db("audit_outbox").where({ organization_id: A }).del();
        await writeAudit(place.db, A, 11);
        await sealAnew(place);
      },
      found: { kind: "rewritten", seq: 4 },
    },
    {
      what: "rows are cut off that a checkpoint tells of, and the chain is sealed anew",
      async act(place) {
        await place.db("audit_outbox").where({ organization_id: A }).where("chain_seq", ">", 8).del();
        await sealAnew(place);
      },
      found: { kind: "cut_off", seq: 9 },
    },
    {
      what: "all rows are removed and the chain's end is set back",
      async act(place) {
        await place.db("audit_outbox").where({ organization_id: A }).del();
        await sealAnew(place);
      },
      found: { kind: "head", seq: 1 },
    },
    { what: "a checkpoint in the middle is removed", act: ({ db }) => checkpointAt(db, 2).del(), found: { kind: "checkpoint", seq: 5 } },
    { what: "the first checkpoint is removed", act: ({ db }) => checkpointAt(db, 1).del(), found: { kind: "checkpoint", seq: 1 } },
    { what: "the last checkpoint is removed", act: ({ db }) => checkpointAt(db, 3).del(), found: { kind: "checkpoint", seq: 8 } },
    {
      what: "all checkpoints are removed with the note of their end",
      async act({ db }) {
        await db("audit_checkpoints").where({ organization_id: A }).del();
        await db("audit_checkpoint_ends").where({ chain: A }).del();
      },
      found: { kind: "checkpoint", seq: 1 },
    },
    {
      what: "the note of their end is removed",
      act: ({ db }) => db("audit_checkpoint_ends").where({ chain: A }).del(),
      found: { kind: "checkpoint", seq: 10 },
    },
    {
      what: "the last checkpoint is removed and the note of their end set back",
      async act({ db }) {
        await checkpointAt(db, 3).del();
        await db("audit_checkpoint_ends").where({ chain: A }).update({ number: 2, seq: 7 });
      },
      found: { kind: "checkpoint", seq: 8 },
    },
    {
      what: "a checkpoint is there twice",
      async act({ db }) {
        const copy = (await checkpointAt(db, 3).first()) as object;
        await db("audit_checkpoints").insert({ ...copy, id: "zz", number: 4 });
      },
      found: { kind: "checkpoint", seq: 10 },
    },
    {
      what: "a checkpoint is put before the first one",
      async act({ db }) {
        const copy = (await checkpointAt(db, 1).first()) as object;
        await db("audit_checkpoints").insert({ ...copy, id: "zz", number: 0 });
      },
      found: { kind: "checkpoint", seq: 1 },
    },
    {
      what: "a statement is changed",
      async act({ db }) {
        const { statement } = (await checkpointAt(db, 2).first("statement")) as { statement: string };
        await checkpointAt(db, 2).update({ statement: statement.replace(/"ts":"20/, '"ts":"19') });
      },
      found: { kind: "checkpoint", seq: 5 },
    },
    {
      what: "a statement is no statement any more",
      act: ({ db }) => checkpointAt(db, 2).update({ statement: "{" }),
      found: { kind: "checkpoint", seq: 5 },
    },
    {
      what: "a checkpoint stands for another organisation's",
      act: ({ db }) => checkpointAt(db, 3).update({ organization_id: B }),
      found: { kind: "checkpoint", seq: 8 },
    },
    {
      what: "the key is swapped for another one, which has signed all checkpoints",
      act: ({ db }) => forgeCheckpoints(db, () => undefined),
      found: { kind: "key", seq: 1 },
    },
    {
      what: "the chain is made anew and signed with another key",
      async act(place) {
        await rowAt(place.db, 2).update({ actor_id: "somebody" });
        await sealAnew(place);
        const { chain_hash } = (await rowAt(place.db, 4).first("chain_hash")) as { chain_hash: string };
        await forgeCheckpoints(place.db, (statement) => {
          if (statement.number === 1) statement.hash = chain_hash;
        });
      },
      found: { kind: "key", seq: 1 },
    },
    { what: "the keys are removed", act: ({ db }) => db("audit_keys").del(), found: { kind: "key", seq: 1 } },
  ];

forEachEngine(({ test }) => {
  test("each chain's checkpoints go on from each other, are signed, and say what the rows amount to", async (db) => {
    const { key, keys, sign } = await scene(db);
    const checkpoints = await checkpointsOfA(db);
    assert.deepEqual(
      checkpoints.map(({ statement }) => [statement.number, firstSeqOf(statement), statement.seq]),
      [
        [1, 1, 4],
        [2, 5, 7],
        [3, 8, 9],
      ],
    );
    const trusted = await keys.trusted();
    assert.ok(checkpoints.every((one) => signatureFault(one, trusted) === undefined));
    assert.deepEqual(
      checkpoints.map(({ statement }) => statement.previous),
      [null, ...checkpoints.slice(0, 2).map(({ statement }) => statementHash(statement))],
    );
    const [hub, a, b] = await verify(db, key, PLATFORM, keys);
    assert.deepEqual([hub?.fault, a?.fault, b?.fault], [null, null, null]);
    assert.deepEqual([a?.checked, a?.checkpoint?.number, a?.checkpoint?.seq, b?.checkpoint], [11, 3, 9, null]);
    await sign();
    const [, later, other] = await verify(db, key, PLATFORM, keys);
    assert.deepEqual([later?.checkpoint?.seq, other?.checkpoint?.seq, other?.fault], [11, 3, null]);
    const begun = await db("audit_outbox").where({ action: CHECKPOINTS_BEGAN }).orderBy("resource_id").pluck("resource_id");
    assert.deepEqual(begun, ["", A, B]);
  });

  test("an organisation is shown its own, newest first and page by page, and single devices show none", async (db) => {
    await scene(db);
    const first = await listCheckpoints(db, scopeOf(A), { limit: 2 });
    assert.deepEqual(
      first.items.map(({ statement }) => [statement.organization_id, statement.number]),
      [
        [A, 3],
        [A, 2],
      ],
    );
    const rest = await listCheckpoints(db, scopeOf(A), { limit: 2, after: first.next ?? "" });
    assert.deepEqual([rest.items.map(({ statement }) => statement.number), rest.next], [[1], null]);
    assert.deepEqual((await listCheckpoints(db, scopeOf(A), { organizationId: null, limit: 2 })).items, []);
    const devices: Scope = { kind: "devices", organizationId: A, deviceIds: ["d-1"] };
    assert.deepEqual((await listCheckpoints(db, devices, { limit: 2 })).items, []);
  });

  for (const { what, act, found } of ATTACKS)
    test(`${what}: found, and still found when the hub has gone on`, async (db) => {
      const attacked = await scene(db);
      await act(attacked);
      const fault = await attacked.faultOfA();
      assert.deepEqual(fault && { kind: fault.kind, seq: fault.seq }, found);
      await writeAudit(db, A, 2);
      await sealAll(db, attacked.key);
      await attacked.sign().catch(() => undefined);
      assert.ok(await attacked.faultOfA(), "the hub has covered it up");
      assert.equal((await verify(db, attacked.key, scopeOf(B), attacked.keys))[0]?.checked, 3);
    });

  test("rows behind the last checkpoint are held by the chain's key alone", async (db) => {
    const attacked = await scene(db);
    await rowAt(db, 11).del();
    await sealAnew(attacked);
    assert.equal(await attacked.faultOfA(), null);
  });

  test("a chain that is not right is not signed, and the others are", async (db) => {
    const { key, keys } = await scene(db);
    await rowAt(db, 10).update({ actor_id: "somebody" });
    const context = { db, chainKey: key, keys, clock: Date.now };
    const { bad } = await signChains(context, 0);
    assert.deepEqual(bad, [A]);
    assert.equal((await checkpointsOfA(db)).length, 3);
    assert.equal((await verify(db, key, scopeOf(B), keys))[0]?.checkpoint?.seq, 3);
    await db("audit_outbox").where({ organization_id: A }).where("chain_seq", ">", 9).del();
    assert.deepEqual(await signChains(context, HOUR_MS), { count: 0, bad: [A] });
  });

  test("what waits for an hour is signed, and ten thousand rows sooner", async (db) => {
    const masterKey = randomBytes(32);
    const key = await testChainKey(db, masterKey);
    const keys = createAuditKeys(db, masterKey);
    await keys.ensure(Date.now());
    const signAt = (now: number) => signChains({ db, chainKey: key, keys, clock: () => now }, HOUR_MS);
    const now = Date.now();
    await writeAudit(db, A, 3);
    await sealAll(db, key);
    assert.equal((await signAt(now + HOUR_MS / 2)).count, 0);
    assert.deepEqual(await signAt(now + HOUR_MS + 60_000), { count: 2, bad: [] });
    assert.deepEqual(await signAt(now + HOUR_MS / 2), { count: 0, bad: [] });
    for (let count = 0; count < 5; count++) await writeAudit(db, A, 2_001);
    await sealAll(db, key);
    assert.equal((await signAt(now + HOUR_MS / 2)).count, 1);
    const { statement } = (await checkpointsOfA(db)).at(-1) ?? assert.fail();
    assert.deepEqual([statement.number, statement.count, statement.seq], [2, MOST_ROWS, MOST_ROWS + 3]);
  });

  test("nodes that sign at once, while rows are written and sealed, leave one line of checkpoints", async (db) => {
    const { key, keys, sign } = await scene(db);
    for (let round = 0; round < 6; round++) {
      await Promise.all([writeAudit(db, A, 30), sealAll(db, key), sign(), sign(), sign(), verify(db, key, PLATFORM, keys)]);
      const chains = await verify(db, key, PLATFORM, keys);
      assert.ok(
        chains.every(({ fault }) => fault === null),
        JSON.stringify(chains),
      );
    }
    const numbers = (await checkpointsOfA(db)).map(({ statement }) => statement.number);
    assert.deepEqual(
      numbers,
      numbers.map((_, index) => index + 1),
    );
    assert.ok(numbers.length > 3);
  });

  test("it goes on by itself, also after the database had failed it, and says once what it cannot sign", async (db) => {
    const { key, keys } = await scene(db);
    await db("audit_outbox").where({ organization_id: B, chain_seq: 1 }).update({ actor_id: "somebody" });
    const errors: string[] = [];
    const log = { debug() {}, info() {}, warn() {}, error: (_data: object, message: string) => void errors.push(message) };
    await db.raw("alter table audit_checkpoint_ends rename to away");
    await using _signing = startCheckpoints({ db, chainKey: key, keys, clock: Date.now, duties: OWN_DUTIES, log, everyMs: 5, waitMs: 0 });
    await until(() => errors.length > 0, { what: "a failure" });
    await db.raw("alter table away rename to audit_checkpoint_ends");
    await until(async () => (await checkpointsOfA(db)).length === 4, { what: "the checkpoint" });
    await writeAudit(db, A, 1);
    await sealAll(db, key);
    await until(async () => (await checkpointsOfA(db)).length === 5, { what: "the next checkpoint" });
    assert.equal(errors.filter((message) => message.startsWith("the audit is not")).length, 1);
  });
});
