import assert from "node:assert/strict";
import { randomBytes, X509Certificate } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { ensureCertificates } from "../../broker/certificates.ts";
import { shareAuthority } from "../../broker/shared-authority.ts";
import { forEachEngine } from "../store/engines.ts";
import { temporaryFolder } from "../support/wait.ts";

const YEARS_MS = 366 * 86_400_000;

forEachEngine(({ test }) => {
  test("nodes that start at once have one authority, and each a server certificate of it", async (db) => {
    const masterKey = randomBytes(32);
    await using folder = temporaryFolder();
    const dirs = Array.from({ length: 4 }, (_, node) => join(folder.path, `node-${node}`));
    // One of them was a hub of its own before.
    await ensureCertificates({ dir: dirs[3] as string, hostnames: ["old.test"] });
    await Promise.all(dirs.map((dir) => shareAuthority({ db, masterKey, dir, clock: Date.now })));
    const authorities = new Set<string>();
    for (const dir of dirs) {
      const { cert, caFile } = await ensureCertificates({ dir, hostnames: ["node.test"] });
      const ca = await readFile(caFile, "utf8");
      authorities.add(ca);
      assert.ok(new X509Certificate(cert).verify(new X509Certificate(ca).publicKey));
    }
    assert.equal(authorities.size, 1);
  });

  test("an authority that another one replaces stays beside it", async (db) => {
    const masterKey = randomBytes(32);
    await using folder = temporaryFolder();
    const [first, second] = [join(folder.path, "first"), join(folder.path, "second")];
    await shareAuthority({ db, masterKey, dir: first, clock: Date.now });
    await ensureCertificates({ dir: second, hostnames: ["old.test"] });
    const old = await readFile(join(second, "ca.pem"), "utf8");
    await shareAuthority({ db, masterKey, dir: second, clock: Date.now });
    await shareAuthority({ db, masterKey, dir: second, clock: Date.now });
    assert.equal(await readFile(join(second, "ca.pem"), "utf8"), await readFile(join(first, "ca.pem"), "utf8"));
    const kept = (await readdir(second)).filter((name) => name.startsWith("ca.pem.replaced-"));
    assert.equal(kept.length, 1);
    assert.equal(await readFile(join(second, kept[0] as string), "utf8"), old);
  });

  test("an expired authority is followed by a node's new one", async (db) => {
    const masterKey = randomBytes(32);
    await using folder = temporaryFolder();
    const [first, second] = [join(folder.path, "first"), join(folder.path, "second")];
    await shareAuthority({ db, masterKey, dir: first, clock: () => Date.now() - 11 * YEARS_MS });
    await shareAuthority({ db, masterKey, dir: second, clock: Date.now });
    assert.notEqual(await readFile(join(second, "ca.pem"), "utf8"), await readFile(join(first, "ca.pem"), "utf8"));
    await shareAuthority({ db, masterKey, dir: first, clock: Date.now });
    assert.equal(await readFile(join(second, "ca.pem"), "utf8"), await readFile(join(first, "ca.pem"), "utf8"));
  });
});
