import assert from "node:assert/strict";
import { test } from "node:test";
import { findCertificate, listCredentials, recordCertificate, revokeCredentials } from "../../store/credentials.ts";
import { createDevice } from "../../store/devices.ts";
import { openStore } from "../../store/open.ts";
import { databases } from "../support/databases.ts";
import { temporaryFolder } from "../support/wait.ts";

const NOW = Date.UTC(2026, 0, 1);
const DAY_MS = 86_400_000;
const certificate = (letter: string, days = 30) => ({
  fingerprint: letter.repeat(64),
  serialNumber: "41AA",
  notAfter: NOW + days * DAY_MS,
});

for (const { name, skip, open } of databases())
  test(`${name}: a certificate is one credential of one device however often it is recorded, and expired ones go`, { skip }, async () => {
    await using folder = temporaryFolder();
    await using database = await open();
    await using store = await openStore({ dataDir: folder.path, databaseUrl: database.url });
    const { db } = store;
    const make = () => createDevice(db, { name: "Relay", deviceClass: "relay_controller", organizationId: null, ownerId: null });
    const [one, other] = [await make(), await make()];

    const id = await recordCertificate(db, one.id, certificate("a"), NOW);
    const together = await Promise.all([1, 2, 3].map(() => recordCertificate(db, one.id, certificate("a"), NOW)));
    assert.deepEqual(new Set(together), new Set([id]));
    assert.equal(await recordCertificate(db, other.id, certificate("a"), NOW), id);
    assert.deepEqual(await findCertificate(db, "a".repeat(64)), { credentialId: id, deviceId: one.id, uid: one.uid, isRevoked: false });
    assert.equal(await findCertificate(db, "b".repeat(64)), undefined);

    await revokeCredentials(db, one.id, { only: id }, NOW);
    assert.equal(await recordCertificate(db, one.id, certificate("a"), NOW), id);
    assert.equal((await findCertificate(db, "a".repeat(64)))?.isRevoked, true);

    await recordCertificate(db, one.id, certificate("b", 1), NOW);
    await recordCertificate(db, other.id, certificate("c", 1), NOW);
    await recordCertificate(db, one.id, certificate("d"), NOW + 2 * DAY_MS);
    assert.equal(await findCertificate(db, "b".repeat(64)), undefined);
    assert.ok(await findCertificate(db, "c".repeat(64)));
    assert.deepEqual(
      (await listCredentials(db, one.id)).map(({ kind }) => kind),
      ["certificate", "certificate"],
    );
  });
