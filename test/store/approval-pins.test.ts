import assert from "node:assert/strict";
import { HubError } from "../../core/errors.ts";
import { newId } from "../../core/id.ts";
import { checkPin, hashPin, PIN_LOCK_MS, PIN_TRIES, type PinContext, removePin, setPin } from "../../store/approval-pins.ts";
import type { Db } from "../../store/open.ts";
import { createPasswords } from "../../store/passwords.ts";
import { inTransaction } from "../../store/transaction.ts";
import { forEachEngine } from "./engines.ts";
import { signingKeys, tenant } from "./fixtures.ts";

const NOW = Date.UTC(2026, 6, 1, 12);

interface Scene {
  readonly context: PinContext;
  readonly time: { now: number };
  readonly userId: string;
  readonly set: (pin: string, userId?: string) => Promise<void>;
  /** What comes of a try: the code of its error, or "right". */
  readonly attempt: (pin: string, userId?: string) => Promise<string>;
  /** How often bcrypt was asked for. */
  readonly work: { count: number };
}

async function inScene(db: Db, use: (scene: Scene) => Promise<void>): Promise<void> {
  await using passwords = createPasswords(10);
  const { user } = await tenant(db, "ada");
  const time = { now: NOW };
  const work = { count: 0 };
  const context: PinContext = {
    db,
    passwords: {
      hash: (plain) => passwords.hash(plain),
      async verify(plain, hash) {
        work.count++;
        return await passwords.verify(plain, hash);
      },
      async spendTime() {
        work.count++;
        await passwords.spendTime();
      },
    },
    keys: await signingKeys(db),
    clock: () => time.now,
  };
  await use({
    context,
    time,
    work,
    userId: user.id,
    async set(pin, userId = user.id) {
      await setPin(db, userId, await hashPin(context, userId, pin), time.now);
    },
    attempt: (pin, userId = user.id) =>
      checkPin(context, userId, pin).then(
        () => "right",
        (error: unknown) => (error instanceof HubError ? error.code : assert.fail(String(error))),
      ),
  });
}

forEachEngine(({ test }) => {
  test("the PIN is right, another one is not, and what is kept shows neither", async (db) => {
    await inScene(db, async ({ set, attempt, userId }) => {
      await set("4711");
      assert.deepEqual([await attempt("4711"), await attempt("4712"), await attempt("4711")], ["right", "pin_wrong", "right"]);
      const other = await tenant(db, "bob");
      await set("4711", other.user.id);
      const rows = (await db("approval_pins").select("user_id", "pin_hash", "failures")) as { pin_hash: string; failures: number }[];
      assert.equal(new Set(rows.map(({ pin_hash }) => pin_hash)).size, 2);
      assert.ok(rows.every(({ pin_hash, failures }) => /^\S+ \$2b\$10\$\S{53}$/.test(pin_hash) && failures === 0));
      await set("123456789012");
      assert.deepEqual([await attempt("4711"), await attempt("123456789012")], ["pin_wrong", "right"]);
      assert.equal(await inTransaction(db, (trx) => removePin(trx, userId)), true);
      assert.equal(await removePin(db, userId), false);
      assert.equal(await attempt("123456789012"), "pin_wrong");
      assert.equal(await attempt("4711", other.user.id), "right");
    });
  });

  test("five wrong ones in a row lock it for 15 minutes, whether there is one or not", async (db) => {
    await inScene(db, async ({ set, attempt, time, work }) => {
      for (const hasPin of [false, true]) {
        if (hasPin) await set("4711");
        for (const start of [NOW, NOW + PIN_LOCK_MS]) {
          time.now = start;
          const before = work.count;
          for (let count = 0; count < PIN_TRIES; count++) assert.equal(await attempt("0000"), "pin_wrong");
          time.now = start + PIN_LOCK_MS - 1;
          assert.equal(await attempt(hasPin ? "4711" : "0000"), "pin_locked");
          // Nobody can tell by the time that it takes.
          assert.equal(work.count - before, PIN_TRIES);
        }
      }
      time.now += 1;
      assert.equal(await attempt("4711"), "right");
      for (let count = 1; count < PIN_TRIES; count++) assert.equal(await attempt("0000"), "pin_wrong");
      assert.equal(await attempt("4711"), "right");
      for (let count = 0; count < PIN_TRIES; count++) assert.equal(await attempt("0000"), "pin_wrong");
      assert.equal(await attempt("4711"), "pin_locked");
      await set("0815");
      assert.equal(await attempt("0815"), "right");
    });
  });

  test("of many tries at once five come through", async (db) => {
    await inScene(db, async ({ set, attempt, work }) => {
      await set("4711");
      const codes = await Promise.all(Array.from({ length: 20 }, (_, index) => attempt(`10${String(index).padStart(2, "0")}`)));
      assert.deepEqual(codes.toSorted(), [...Array<string>(15).fill("pin_locked"), ...Array<string>(5).fill("pin_wrong")]);
      assert.equal(work.count, PIN_TRIES);
      assert.equal(await attempt("4711"), "pin_locked");
    });
  });

  test("says how many tries are left, and how long it is locked", async (db) => {
    await inScene(db, async ({ context, userId, time }) => {
      const details = () =>
        checkPin(context, userId, "0000").then(
          () => assert.fail("it was right"),
          (error: unknown) => (error as HubError).details,
        );
      const told: unknown[] = [];
      for (let count = 0; count < PIN_TRIES; count++) told.push(await details());
      assert.deepEqual(
        told,
        [4, 3, 2, 1, 0].map((left) => ({ tries_left: left })),
      );
      time.now += 60_000;
      assert.deepEqual(await details(), { retry_after_s: 840 });
    });
  });

  test("one that could not be looked at does not count, and one that is changed meanwhile is not right any more", async (db) => {
    await inScene(db, async ({ context, userId, set, attempt }) => {
      await set("4711");
      const busy = { ...context.passwords, verify: () => Promise.reject(new HubError("rate_limited", "too many at once")) };
      for (let count = 0; count <= PIN_TRIES; count++)
        await assert.rejects(checkPin({ ...context, passwords: busy }, userId, "4711"), { code: "rate_limited" });
      assert.equal(await attempt("4711"), "right");
      const changing = {
        ...context.passwords,
        async verify(plain: string, hash: string) {
          const isRight = await context.passwords.verify(plain, hash);
          await set("0815");
          return isRight;
        },
      };
      await assert.rejects(checkPin({ ...context, passwords: changing }, userId, "4711"), { code: "pin_wrong" });
      assert.equal(await attempt("0815"), "right");
    });
  });

  test("is no part of a transaction, and goes with the person", async (db) => {
    await inScene(db, async ({ context, userId, set, attempt }) => {
      await set("4711");
      await assert.rejects(
        inTransaction(db, (trx) => checkPin({ ...context, db: trx }, userId, "4711")),
        /must not be rolled back/,
      );
      assert.equal(await attempt("4711", newId()), "unauthorized");
      await db("entities").where({ id: userId }).del();
      assert.deepEqual(await db("approval_pins").select("user_id"), []);
    });
  });
});
