import assert from "node:assert/strict";
import { prepareFirstStart } from "../../store/first-administrator.ts";
import { createPasswords } from "../../store/passwords.ts";
import { firstOrganization } from "../../store/organizations.ts";
import { listUsers } from "../../store/users.ts";
import { PLATFORM } from "../../core/principal.ts";
import { forEachEngine } from "./engines.ts";

forEachEngine(({ test }) => {
  test("several first starts at the same instant make one organisation and one administrator", async (db) => {
    await using passwords = createPasswords(10);
    const admin = { email: "ada@example.org", password: "correct horse" };
    await Promise.all(Array.from({ length: 8 }, () => prepareFirstStart({ db, passwords }, admin)));
    assert.equal((await db("organizations").select("id")).length, 1);
    const { items: users } = await listUsers(db, PLATFORM, { limit: 9 });
    assert.deepEqual(
      users.map(({ email, role, organizationId, isEmailVerified }) => ({ email, role, organizationId, isEmailVerified })),
      [{ email: admin.email, role: "admin", organizationId: (await firstOrganization(db))?.id, isEmailVerified: true }],
    );
    await prepareFirstStart({ db, passwords }, { email: "other@example.org", password: "correct horse" });
    assert.equal((await listUsers(db, PLATFORM, { limit: 9 })).items.length, 1, "somebody is there already");
  });
});
