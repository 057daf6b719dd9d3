import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import type { Log } from "../../core/bus.ts";
import { newId } from "../../core/id.ts";
import { type Contact, createContact, deleteContact, getContact, listContacts, openContact, updateContact } from "../../store/contacts.ts";
import { createEncryption, type Encryption, UnreadableText } from "../../store/encryption.ts";
import { readProgress, reencryptAll } from "../../store/encryption-rotation.ts";
import type { Db } from "../../store/open.ts";
import { createOrganization } from "../../store/organizations.ts";
import { inTransaction } from "../../store/transaction.ts";
import { until } from "../support/wait.ts";
import { forEachEngine } from "./engines.ts";

const NEVER = new AbortController().signal;

function recorder() {
  const errors: Record<string, unknown>[] = [];
  const log: Log = { debug() {}, info() {}, warn() {}, error: (data) => void errors.push(data as Record<string, unknown>) };
  return { log, errors };
}

async function scene(db: Db) {
  const encryption = createEncryption(randomBytes(32));
  const { id: organizationId } = await createOrganization(db, { name: "acme" });
  const { log, errors } = recorder();
  const context = { db, encryption, log };
  const phoneOf = (index: number) => `+4930${1_000_000 + index}`;
  return {
    ...context,
    context,
    organizationId,
    errors,
    phoneOf,
    add: (index: number): Promise<Contact> =>
      inTransaction(db, (trx) =>
        createContact(
          trx,
          encryption,
          organizationId,
          { name: `c${index}`, phone: phoneOf(index), email: `c${index}@example.org` },
          Date.now(),
        ),
      ),
    rotate: () => inTransaction(db, (trx) => encryption.rotateKey(trx, Date.now())),
  };
}

async function allContacts(db: Db, organizationId: string): Promise<Contact[]> {
  return (await listContacts(db, organizationId, { limit: 10_000 })).items;
}

const keysOf = async (db: Db): Promise<{ id: string; state: string }[]> => await db("encryption_keys").orderBy("id").select("id", "state");

forEachEngine(({ engine, test }) => {
  test("what is encrypted is read in its place, and in no other", async (db) => {
    const { encryption, organizationId } = await scene(db);
    const place = { table: "contacts", column: "phone_encrypted", rowId: newId(), organizationId };
    const one = await encryption.encrypt(db, "+49301234567", place);
    const again = await encryption.encrypt(db, "+49301234567", place);
    assert.notEqual(one.sealed, again.sealed);
    assert.ok(!one.sealed.includes("1234567"));
    assert.equal(await encryption.decrypt(db, one, place), "+49301234567");
    for (const elsewhere of [
      { ...place, rowId: newId() },
      { ...place, column: "email_encrypted" },
      { ...place, table: "users" },
      { ...place, organizationId: newId() },
    ])
      await assert.rejects(encryption.decrypt(db, one, elsewhere), UnreadableText);
    const parts = one.sealed.split(".");
    const text = Buffer.from(parts[4] as string, "base64url");
    text[0] = (text[0] as number) ^ 1;
    await assert.rejects(
      encryption.decrypt(db, { ...one, sealed: [...parts.slice(0, 4), text.toString("base64url")].join(".") }, place),
      UnreadableText,
    );
    await assert.rejects(encryption.decrypt(db, { ...one, sealed: "" }, place), UnreadableText);
    await assert.rejects(encryption.decrypt(db, { ...one, keyId: newId() }, place), UnreadableText);
  });

  test("many who need the first key at once have the same one", async (db) => {
    const { add, organizationId, context } = await scene(db);
    await Promise.all(Array.from({ length: 8 }, (_, index) => add(index)));
    assert.deepEqual(
      (await keysOf(db)).map(({ state }) => state),
      ["active"],
    );
    for (const contact of await allContacts(db, organizationId)) assert.match((await openContact(context, contact)).phone ?? "", /^\+4930/);
  });

  test("of two who change the key at once, one does, and not again before all is under the new one", async (db) => {
    const { add, rotate, context } = await scene(db);
    await add(1);
    const both = await Promise.allSettled([rotate(), rotate()]);
    assert.deepEqual(both.map(({ status }) => status).toSorted(), ["fulfilled", "rejected"]);
    await assert.rejects(rotate(), { code: "conflict" });
    await reencryptAll(context, NEVER);
    await rotate();
  });

  test("after a change everything is under the new key, can be read, and the former key is gone", async (db) => {
    const { add, rotate, context, organizationId, phoneOf } = await scene(db);
    for (let index = 0; index < 230; index++) await add(index);
    const [former] = await keysOf(db);
    await rotate();
    assert.deepEqual(
      { ...(await readProgress(db)), keyId: "", keyCreatedAt: "" },
      {
        state: "rotating",
        keyId: "",
        keyCreatedAt: "",
        total: 460,
        done: 0,
        unreadable: 0,
      },
    );
    const versions = (await allContacts(db, organizationId)).map(({ version, updatedAt }) => ({ version, updatedAt }));
    await reencryptAll(context, NEVER);
    const { state, done, total } = await readProgress(db);
    assert.deepEqual({ state, done, total }, { state: "idle", done: 460, total: 460 });
    const contacts = await allContacts(db, organizationId);
    for (const [index, contact] of contacts.entries())
      assert.deepEqual(await openContact(context, contact), { phone: phoneOf(index), email: `c${index}@example.org`, isUnreadable: false });
    assert.deepEqual(
      contacts.map(({ version, updatedAt }) => ({ version, updatedAt })),
      versions,
    );
    const keys = await keysOf(db);
    assert.equal(keys.length, 1);
    assert.notEqual(keys[0]?.id, former?.id);
  });

  test("a key is not retired under the hands of somebody who writes with it", async (db) => {
    const { add, rotate, context, encryption, organizationId } = await scene(db);
    await add(1);
    let rotating: Promise<unknown> | undefined;
    await inTransaction(db, async (trx) => {
      const details = { name: "c2", phone: "+49301234567", email: null };
      await createContact(trx, encryption, organizationId, details, Date.now());
      rotating = rotate();
      if (engine === "postgres")
        await until(
          async () => (await db("pg_stat_activity").where({ wait_event_type: "Lock", datname: db.raw("current_database()") })).length > 0,
          {
            what: "the change of the key to wait",
          },
        );
    });
    await rotating;
    await reencryptAll(context, NEVER);
    assert.deepEqual(
      (await keysOf(db)).map(({ state }) => state),
      ["active"],
    );
    for (const contact of await allContacts(db, organizationId)) assert.equal((await openContact(context, contact)).isUnreadable, false);
  });

  test("one that was interrupted goes on where it was", async (db) => {
    const { add, rotate, context, organizationId } = await scene(db);
    for (let index = 0; index < 250; index++) await add(index);
    await rotate();
    const interrupted = new AbortController();
    // As of a hub that ends behind its first batch.
    const encryption: Encryption = {
      ...context.encryption,
      encrypt: (...asked) => {
        interrupted.abort();
        return context.encryption.encrypt(...asked);
      },
    };
    await reencryptAll({ ...context, encryption }, interrupted.signal);
    const between = await readProgress(db);
    assert.deepEqual([between.state, between.done, between.total], ["rotating", 100, 500]);
    for (const contact of await allContacts(db, organizationId)) assert.equal((await openContact(context, contact)).isUnreadable, false);
    await reencryptAll(context, NEVER);
    const after = await readProgress(db);
    assert.deepEqual([after.state, after.done, after.total], ["idle", 500, 500]);
  });

  test("what is written while the key changes is under one that stays, and nothing is lost", async (db) => {
    const { add, rotate, context, encryption, organizationId, phoneOf } = await scene(db);
    for (let index = 0; index < 150; index++) await add(index);
    const changed = (await allContacts(db, organizationId)).slice(0, 40);
    const writing = (async () => {
      for (const [index, { id }] of changed.entries()) {
        await inTransaction(db, async (trx) => {
          const contact = await getContact(trx, organizationId, id);
          await updateContact(trx, encryption, contact, index % 2 === 0 ? { phone: phoneOf(5_000 + index) } : { email: null }, Date.now());
        });
        await add(1_000 + index);
      }
    })();
    for (let round = 0; round < 4; round++) {
      await rotate();
      await reencryptAll(context, NEVER);
    }
    await writing;
    await rotate();
    await reencryptAll(context, NEVER);
    const contacts = await allContacts(db, organizationId);
    assert.equal(contacts.length, 190);
    const opened = new Map<string, Awaited<ReturnType<typeof openContact>>>();
    for (const contact of contacts) opened.set(contact.id, await openContact(context, contact));
    assert.ok([...opened.values()].every(({ isUnreadable }) => !isUnreadable));
    for (const [index, { id }] of changed.entries())
      assert.deepEqual(
        opened.get(id),
        index % 2 === 0
          ? { phone: phoneOf(5_000 + index), email: `c${index}@example.org`, isUnreadable: false }
          : { phone: phoneOf(index), email: null, isUnreadable: false },
      );
    assert.deepEqual(
      (await keysOf(db)).map(({ state }) => state),
      ["active"],
    );
  });

  test("what cannot be read stays as it is under its key, is told, and goes with the next change once it is removed", async (db) => {
    const { add, rotate, context, errors, organizationId } = await scene(db);
    const [one, other] = [await add(1), await add(2)];
    await db("contacts").where({ id: one.id }).update({ phone_encrypted: other.phone?.sealed });
    const broken = await getContact(db, organizationId, one.id);
    assert.deepEqual(await openContact(context, broken), { phone: null, email: "c1@example.org", isUnreadable: true });
    assert.deepEqual([errors[0]?.["contact_id"], errors[0]?.["column"]], [one.id, "phone"]);
    await rotate();
    await reencryptAll(context, NEVER);
    const { state, total, done, unreadable } = await readProgress(db);
    assert.deepEqual({ state, total, done, unreadable }, { state: "idle", total: 4, done: 3, unreadable: 1 });
    assert.deepEqual((await keysOf(db)).map((key) => key.state).toSorted(), ["active", "retired"]);
    await deleteContact(db, broken);
    await rotate();
    await reencryptAll(context, NEVER);
    assert.deepEqual(
      (await keysOf(db)).map((key) => key.state),
      ["active"],
    );
    assert.equal((await openContact(context, await getContact(db, organizationId, other.id))).phone, "+49301000002");
  });
});
