import assert from "node:assert/strict";
import { prepareFirstStart } from "../../store/first-administrator.ts";
import { firstOrganization } from "../../store/organizations.ts";
import { listUsers } from "../../store/users.ts";
import { PLATFORM } from "../../core/principal.ts";
import { forEachEngine } from "./engines.ts";

forEachEngine(({ test }) => {
  test("several first starts at the same instant make one organisation and one administrator", async (db) => {
    const admin = { email: "ada@example.org", password: "correct horse" };
    await Promise.all(Array.from({ length: 8 }, () => prepareFirstStart(db, admin)));
    assert.equal((await db("organizations").select("id")).length, 1);
    const users = await listUsers(db, PLATFORM);
    assert.deepEqual(
      users.map(({ email, role, organizationId }) => ({ email, role, organizationId })),
      [{ email: admin.email, role: "admin", organizationId: (await firstOrganization(db))?.id }],
    );
    await prepareFirstStart(db, { email: "other@example.org", password: "correct horse" });
    assert.equal((await listUsers(db, PLATFORM)).length, 1, "somebody is there already");
  });
});
