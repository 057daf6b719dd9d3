import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { PLATFORM } from "../../core/principal.ts";
import { createDevice, deleteDevice } from "../../store/devices.ts";
import { createEncryption } from "../../store/encryption.ts";
import { reencryptAll } from "../../store/encryption-rotation.ts";
import {
  type HomekitBridge,
  putHomekitAccessories,
  putHomekitBridge,
  readHomekitAccessories,
  readHomekitBridges,
  removeHomekit,
} from "../../store/homekit.ts";
import { claimStorage, findForeignStorage, saveStorage } from "../../store/homekit-storage.ts";
import { createOrganization } from "../../store/organizations.ts";
import { inTransaction } from "../../store/transaction.ts";
import { forEachEngine } from "./engines.ts";

const bridgeOf = (number: number): HomekitBridge => ({
  number,
  username: `02:00:00:00:00:0${number}`,
  port: 51_000 + number,
  setupId: "ABCD",
  tokenId: `token-${number}`,
  secrets: { pin: "620-27-120", accountName: `homekit-${number}`, token: "hxs_secret" },
});
const log = { debug() {}, info() {}, warn() {}, error: (data: object) => assert.fail(JSON.stringify(data)) };

forEachEngine(({ test }) => {
  test("bridges are read as they were put, are not readable in the database, and outlive their key", async (db) => {
    const context = { db, encryption: createEncryption(randomBytes(32)), log };
    const { id: ours } = await createOrganization(db, { name: "ours" });
    const { id: theirs } = await createOrganization(db, { name: "theirs" });
    for (const number of [1, 0]) await putHomekitBridge(context, ours, bridgeOf(number), Date.now());
    await putHomekitBridge(context, theirs, bridgeOf(0), Date.now());
    assert.deepEqual(await readHomekitBridges(context, ours), [bridgeOf(0), bridgeOf(1)]);
    assert.ok(!JSON.stringify(await db("homekit_bridges")).includes("620-27-120"));

    const moved = { ...bridgeOf(1), port: 52_000, tokenId: "another" };
    await putHomekitBridge(context, ours, moved, Date.now());
    await inTransaction(db, (trx) => context.encryption.rotateKey(trx, Date.now()));
    await reencryptAll(context, new AbortController().signal);
    assert.deepEqual(await readHomekitBridges(context, ours), [bridgeOf(0), moved]);

    await removeHomekit(db, ours);
    assert.deepEqual(await readHomekitBridges(context, ours), []);
    assert.equal((await readHomekitBridges(context, theirs)).length, 1);
  });

  test("what Homebridge keeps goes from folder to folder: the one before saves nothing more, and nobody reads it in the database", async (db) => {
    const context = { db, encryption: createEncryption(randomBytes(32)), log };
    const { id: organizationId } = await createOrganization(db, { name: "ours" });
    const { id: theirs } = await createOrganization(db, { name: "theirs" });
    for (const id of [organizationId, theirs]) await putHomekitBridge(context, id, bridgeOf(0), Date.now());
    const placeOf = (folderId: string) => ({ organizationId, number: 0, folderId });
    assert.deepEqual(await findForeignStorage(context, placeOf("a")), { isAnybodys: true, text: null });
    assert.equal(await saveStorage(context, placeOf("a"), "not claimed"), false);
    await claimStorage(db, placeOf("a"));
    assert.equal(await saveStorage(context, placeOf("a"), "paired by A"), true);
    assert.equal(await findForeignStorage(context, placeOf("a")), undefined);
    assert.ok(!JSON.stringify(await db("homekit_bridges")).includes("paired by A"));

    await inTransaction(db, (trx) => context.encryption.rotateKey(trx, Date.now()));
    await reencryptAll(context, new AbortController().signal);
    assert.deepEqual(await findForeignStorage(context, placeOf("b")), { isAnybodys: false, text: "paired by A" });
    await claimStorage(db, placeOf("b"));
    assert.equal(await saveStorage(context, placeOf("a"), "too late"), false);
    assert.deepEqual(await findForeignStorage(context, placeOf("a")), { isAnybodys: false, text: "paired by A" });
    assert.deepEqual(await findForeignStorage(context, { ...placeOf("a"), organizationId: theirs }), { isAnybodys: true, text: null });
    // Its identity, which is put anew with another port, is another thing.
    await putHomekitBridge(context, organizationId, { ...bridgeOf(0), port: 52_000 }, Date.now());
    assert.equal(await findForeignStorage(context, placeOf("b")), undefined);
    await removeHomekit(db, organizationId);
    assert.equal(await saveStorage(context, placeOf("b"), "of a bridge that is gone"), false);
  });

  test("devices are on their bridges by the hundred; of one that was removed meanwhile nothing is kept", async (db) => {
    const { id: organizationId } = await createOrganization(db, { name: "ours" });
    const ids: string[] = [];
    for (let index = 0; index < 300; index++)
      ids.push((await createDevice(db, { name: "Relay", deviceClass: "relay_controller", organizationId, ownerId: null })).id);
    const added = new Map([...ids, "removed-meanwhile"].map((id, index) => [id, Math.floor(index / 149)]));
    await putHomekitAccessories(db, organizationId, { added, gone: [] });
    const known = await readHomekitAccessories(db, organizationId);
    assert.deepEqual([known.size, known.get(ids[299] as string)], [300, 2]);
    await putHomekitAccessories(db, organizationId, { added: new Map([[ids[0] as string, 7]]), gone: ids.slice(1) });
    assert.deepEqual([...(await readHomekitAccessories(db, organizationId))], [[ids[0], 7]]);
    await deleteDevice(db, PLATFORM, ids[0] as string);
    assert.equal((await readHomekitAccessories(db, organizationId)).size, 0);
  });
});
