import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { type Contact, createContact, listContacts, openContact } from "../../store/contacts.ts";
import { createEncryption } from "../../store/encryption.ts";
import { readProgress } from "../../store/encryption-rotation.ts";
import { openStore, type Store } from "../../store/open.ts";
import { homeOrganization } from "../../store/organizations.ts";
import { inTransaction } from "../../store/transaction.ts";
import { databases } from "../support/databases.ts";
import { type HubProcess, spawnHub, startHub } from "../support/hub.ts";
import { temporaryFolder, until } from "../support/wait.ts";

const MASTER_KEY = "cd".repeat(32);
const CONTACTS = 3_000;
const AT_ONCE = 250;
const MAX_KILLS = 8;

const phoneOf = (index: number): string => `+4930${5_550_000 + index}`;
const emailOf = (index: number): string => `nobody-${index}@private.example`;
const encryption = createEncryption(Buffer.from(MASTER_KEY, "hex"));

async function fill(store: Store): Promise<void> {
  const { id } = await homeOrganization(store.db);
  for (let from = 0; from < CONTACTS; from += AT_ONCE)
    await inTransaction(store.db, async (trx) => {
      for (let index = from; index < from + AT_ONCE; index++)
        await createContact(trx, encryption, id, { name: `c${index}`, phone: phoneOf(index), email: emailOf(index) }, Date.now());
    });
}

async function contactsOf({ db }: Store): Promise<Contact[]> {
  return (await listContacts(db, (await homeOrganization(db)).id, { limit: 10_000 })).items;
}

const log = { debug() {}, info() {}, warn() {}, error() {} };

for (const { name, skip, open } of databases())
  describe(`${name}: the key of contacts changes`, { skip }, () => {
    test("through deaths of the hub, with writes meanwhile, and no text is ever readable in the database", {
      timeout: 300_000,
    }, async (context) => {
      await using database = await open();
      await using folder = temporaryFolder();
      const options = { dataDir: folder.path, databaseUrl: database.url, env: { HEXA_MASTER_KEY: MASTER_KEY } };
      const openDatabase = () => openStore({ dataDir: folder.path, databaseUrl: database.url });
      {
        await using store = await openDatabase();
        await fill(store);
      }
      let kills = 0;
      let written = 0;
      let isInTheMiddle = false;
      // A round whose hub was quicker than its death changes the key once more.
      for (let round = 0; round < MAX_KILLS && !isInTheMiddle; round++) {
        await using hub = await spawnHub(options);
        await hub.api.login();
        await until(async () => (await hub.api.call("GET", "/api/v1/encryption")).body["state"] === "idle", {
          what: "the one before",
          timeoutMs: 60_000,
        });
        assert.equal((await hub.api.call("POST", "/api/v1/encryption/rotate")).status, 202);
        const index = CONTACTS + round;
        const made = await hub.api.call("POST", "/api/v1/contacts", { name: `c${index}`, phone: phoneOf(index), email: emailOf(index) });
        assert.equal(made.status, 201);
        written++;
        await killInTheMiddle(hub);
        kills++;
        await using store = await openDatabase();
        const progress = await readProgress(store.db);
        isInTheMiddle = progress.state === "rotating" && progress.done > 4 && progress.done < progress.total;
        assert.equal(progress.total, 2 * (CONTACTS + written));
        await assertAllReadable(store, CONTACTS + written);
      }
      assert.ok(isInTheMiddle, "no hub died in the middle of its work");
      {
        await using hub = await spawnHub(options);
        await hub.api.login();
        await until(async () => (await hub.api.call("GET", "/api/v1/encryption")).body["state"] === "idle", {
          what: "the end",
          timeoutMs: 60_000,
        });
      }
      await using store = await openDatabase();
      const { done, total, unreadable } = await readProgress(store.db);
      assert.deepEqual({ done, total, unreadable }, { done: 2 * (CONTACTS + written), total: 2 * (CONTACTS + written), unreadable: 0 });
      assert.equal((await store.db("encryption_keys").select("id")).length, 1);
      await assertAllReadable(store, CONTACTS + written);
      await assertNothingReadable(store, folder.path);
      context.diagnostic(`${kills} deaths`);
    });
  });

async function killInTheMiddle(hub: HubProcess): Promise<void> {
  await until(
    async () => {
      const { body } = await hub.api.call<{ state: string; done: number }>("GET", "/api/v1/encryption");
      return body.done > 4 || body.state === "idle";
    },
    { what: "the first batches" },
  );
  await hub.kill9();
}

async function assertAllReadable(store: Store, count: number): Promise<void> {
  const contacts = await contactsOf(store);
  assert.equal(contacts.length, count);
  for (const contact of contacts) {
    const index = Number(contact.name.slice(1));
    const opened = await openContact({ db: store.db, encryption, log }, contact);
    assert.deepEqual(opened, { phone: phoneOf(index), email: emailOf(index), isUnreadable: false });
  }
}

/** Neither in the rows of any table nor, on SQLite, in any file of the data folder. */
async function assertNothingReadable({ db, engine }: Store, dataDir: string): Promise<void> {
  const texts: string[] = [];
  for (const table of ["contacts", "audit_outbox", "events", "idempotency_keys", "encryption_keys"])
    texts.push(JSON.stringify(await db(table)));
  if (engine === "sqlite") {
    const files = (await readdir(dataDir)).filter((file) => file.startsWith("hexahub.db"));
    assert.ok(files.length > 0);
    for (const file of files) texts.push((await readFile(join(dataDir, file))).toString("latin1"));
  }
  for (const text of texts) assert.ok(!/4930555\d{4}|private\.example/.test(text));
}

test("a hub on one node changes the key when it is asked to, and tells how far it is", async () => {
  await using hub = await startHub();
  await hub.api.login();
  for (let index = 0; index < 5; index++)
    assert.equal((await hub.api.call("POST", "/api/v1/contacts", { name: `c${index}`, phone: phoneOf(index) })).status, 201);
  const before = (await hub.api.call("GET", "/api/v1/encryption")).body;
  assert.equal((await hub.api.call("POST", "/api/v1/encryption/rotate")).status, 202);
  const after = await until(
    async () => {
      const { body } = await hub.api.call("GET", "/api/v1/encryption");
      return body["state"] === "idle" && body;
    },
    { what: "the change of the key", timeoutMs: 10_000 },
  );
  assert.deepEqual([after["done"], after["total"]], [5, 5]);
  assert.notEqual(after["key_id"], before["key_id"]);
  const { data } = (await hub.api.call<{ data: { phone: string }[] }>("GET", "/api/v1/contacts")).body;
  assert.deepEqual(
    data.map(({ phone }) => phone),
    [0, 1, 2, 3, 4].map(phoneOf),
  );
});
