import assert from "node:assert/strict";
import { newClaimCode, newId } from "../../core/id.ts";
import { mayOn } from "../../core/permissions.ts";
import { MOST } from "../../core/place.ts";
import { claimDevice, releaseDevice } from "../../store/ownership.ts";
import { deleteDevice, findDevice, listDevices, updateDevice } from "../../store/devices.ts";
import { addMember, putDeviceGrant, readAccess, removeMember } from "../../store/members.ts";
import type { Db } from "../../store/open.ts";
import { lockOrganization } from "../../store/organizations.ts";
import { createProject, getProject, lockProject, updateProject } from "../../store/projects.ts";
import { createRelationship } from "../../store/relationships.ts";
import { createRoom, deleteRoom, lockRoom, placeDevice } from "../../store/rooms.ts";
import { putSiteGrant } from "../../store/site-grants.ts";
import { createSite, deleteSite, lockSite } from "../../store/sites.ts";
import { rowsOf } from "../../store/sql.ts";
import { inTransaction } from "../../store/transaction.ts";
import { forEachEngine } from "./engines.ts";
import { device, type Tenant, tenant } from "./fixtures.ts";

const SITE = { name: "Villa", description: null, timeZone: "UTC", latitude: null, longitude: null, address: null };
const ROOM = { name: "Kitchen", description: null, floor: null };
const PROJECT = { name: "Heating", description: null, leadId: null, status: "active" } as const;
const ROUNDS = 12;

async function places(db: Db, { organization, scope }: Tenant) {
  const site = await createSite(db, organization.id, SITE);
  const room = await inTransaction(db, async (trx) => createRoom(trx, await lockSite(trx, scope, site.id), ROOM));
  return { site, room };
}

/** The codes of what failed, "done" for what did not. */
async function together(...works: (() => Promise<unknown>)[]): Promise<string[]> {
  const all = await Promise.allSettled(works.map((work) => work()));
  return all.map((one) => (one.status === "fulfilled" ? "done" : String((one.reason as { code?: unknown }).code)));
}

const entityOf = async (db: Db, id: string) =>
  (
    await rowsOf<{ name: string; organization_id: string | null; last_updated: string }>(
      db,
      "select name, organization_id, last_updated from entities where id = ?",
      [id],
    )
  )[0];

forEachEngine(({ test }) => {
  test("a device's entity says what the device says, from its making over its claim, rename and release to its end", async (db) => {
    const a = await tenant(db, "a");
    const code = newClaimCode();
    const { id } = await device(db, null, { claimCode: code });
    let last = await entityOf(db, id);
    async function follows(work: () => Promise<unknown>, expected: { name: string; organization_id: string | null }): Promise<void> {
      await work();
      const now = await entityOf(db, id);
      assert.deepEqual({ name: now?.name, organization_id: now?.organization_id }, expected);
      assert.ok((now?.last_updated ?? "") >= (last?.last_updated ?? ""));
      const found = await findDevice(db, { kind: "platform" }, id);
      assert.deepEqual([found?.name, found?.organizationId], [expected.name, expected.organization_id]);
      last = now;
    }
    const mine = a.organization.id;
    await follows(() => claimDevice(db, { claimCode: code, organizationId: mine, userId: a.user.id, now: Date.now() }), {
      name: "Cellar",
      organization_id: mine,
    });
    await follows(() => updateDevice(db, a.scope, id, { name: "Größe" }), { name: "Größe", organization_id: mine });
    await follows(() => releaseDevice(db, a.scope, id, newClaimCode()), { name: "Größe", organization_id: null });
    assert.equal(await deleteDevice(db, { kind: "platform" }, id), true);
    assert.equal(await entityOf(db, id), undefined);
  });

  test("a device that is released and placed at once ends in no room of the organisation that it left", async (db) => {
    const a = await tenant(db, "a");
    const b = await tenant(db, "b");
    const { room } = await places(db, a);
    const outcomes = new Set<string>();
    for (let round = 0; round < ROUNDS; round++) {
      const code = newClaimCode();
      const { id } = await device(db, a);
      const place = () => inTransaction(db, (trx) => placeDevice(trx, { id, organizationId: a.organization.id }, room.id));
      const pass = () =>
        inTransaction(db, async (trx) => {
          await lockOrganization(trx, a.organization.id);
          await releaseDevice(trx, a.scope, id, code);
        });
      const claim = () => claimDevice(db, { claimCode: code, organizationId: b.organization.id, userId: null, now: Date.now() });
      outcomes.add((await together(...(round % 2 === 0 ? [place, pass] : [pass, place]), claim)).toSorted().join());
      await claim();
      const found = await findDevice(db, b.scope, id);
      assert.deepEqual([found?.roomId, found?.siteId], [null, null]);
      await assert.rejects(place, { code: "not_found" });
    }
    assert.ok(
      [...outcomes].every((outcome) => /^(done|not_found)(,(done|not_found))*$/.test(outcome)),
      [...outcomes].join("; "),
    );
  });

  test("a device that is placed while its room or the whole site goes is in a room that is there, or in none", async (db) => {
    const a = await tenant(db, "a");
    const { id } = await device(db, a);
    for (let round = 0; round < ROUNDS; round++) {
      const { site, room } = await places(db, a);
      const other = await places(db, a);
      const place = (roomId: string) => () =>
        inTransaction(db, (trx) => placeDevice(trx, { id, organizationId: a.organization.id }, roomId));
      await place(other.room.id)();
      const remove = () =>
        inTransaction(db, async (trx) =>
          round % 2 === 0
            ? await deleteRoom(trx, (await lockRoom(trx, a.scope, room.id)).id)
            : await deleteSite(trx, (await lockSite(trx, a.scope, site.id)).id),
        );
      const codes = await together(place(room.id), remove, place(other.room.id), remove, place(room.id));
      assert.ok(
        codes.every((code) => code === "done" || code === "not_found"),
        codes.join(),
      );
      const found = await findDevice(db, a.scope, id);
      assert.ok(found?.roomId === null || found?.roomId === other.room.id, String(found?.roomId));
      await assert.rejects(place(room.id), { code: "not_found" });
    }
  });

  test("of two who take the last place one gets it, and then none is left", async (db) => {
    const a = await tenant(db, "a");
    const now = new Date().toISOString();
    const organizationId = a.organization.id;
    for (let made = 0; made < MOST.sites - 1; made += 111) {
      const ids = Array.from({ length: 111 }, () => newId());
      await db("entities").insert(
        ids.map((id) => ({
          id,
          entity_type: "site",
          name: "x",
          organization_id: organizationId,
          properties: "{}",
          created_at: now,
          last_updated: now,
        })),
      );
      await db("sites").insert(ids.map((id) => ({ id, organization_id: organizationId, time_zone: "UTC" })));
    }
    const make = () => createSite(db, organizationId, SITE);
    const codes = await together(...Array.from({ length: 8 }, () => make));
    assert.deepEqual(codes.toSorted(), ["done", ...Array.from({ length: 7 }, () => "quota_exceeded")]);
    await assert.rejects(make, { code: "quota_exceeded" });
    const b = await tenant(db, "b");
    await createSite(db, b.organization.id, SITE);
  });

  test("whoever leaves the organisation leads no project and is in none, also when both happen at once", async (db) => {
    const a = await tenant(db, "a");
    const b = await tenant(db, "b");
    const project = await createProject(db, a.organization.id, PROJECT);
    const userId = b.user.id;
    for (let round = 0; round < ROUNDS; round++) {
      await addMember(db, a.organization.id, userId, "viewer");
      const join = () => createRelationship(db, a.organization.id, { from: userId, to: project.id, type: "member_of", properties: {} });
      const lead = () =>
        inTransaction(db, async (trx) => updateProject(trx, await lockProject(trx, a.scope, project.id), { ...PROJECT, leadId: userId }));
      const codes = await together(join, lead, () => removeMember(db, a.organization.id, userId, Date.now()), join, lead);
      assert.ok(
        codes.every((code) => ["done", "not_found", "conflict"].includes(code)),
        codes.join(),
      );
      assert.equal((await getProject(db, a.scope, project.id)).leadId, null);
      assert.deepEqual(await rowsOf(db, "select id from relationships where from_entity = ?", [userId]), []);
    }
  });

  test("a grant on a site is one on each device there, and adds to one on the device itself", async (db) => {
    const a = await tenant(db, "a");
    const guest = await tenant(db, "guest");
    const { site, room } = await places(db, a);
    const [inside, outside, both] = [await device(db, a), await device(db, a), await device(db, a)];
    const organizationId = a.organization.id;
    const userId = guest.user.id;
    await addMember(db, organizationId, userId, null);
    await inTransaction(db, async (trx) => {
      await putSiteGrant(trx, organizationId, { userId, siteId: site.id, role: "admin" });
      await putSiteGrant(trx, organizationId, { userId, siteId: site.id, role: "viewer" });
      for (const { id } of [inside, both]) await placeDevice(trx, { id, organizationId }, room.id);
      await putDeviceGrant(trx, organizationId, { userId, deviceId: both.id, role: "operator" });
    });
    const everybody = await readAccess(db);
    for (const access of [everybody, await readAccess(db, [userId])]) {
      const own = access.get(userId)?.get(organizationId);
      assert.ok(own);
      const may = (permission: "device.read" | "device.control" | "device.manage") =>
        [inside, outside, both].map(({ id }) => mayOn(own, permission, { id, organizationId }));
      assert.deepEqual(
        [may("device.read"), may("device.control"), may("device.manage")],
        [
          [true, false, true],
          [false, false, true],
          [false, false, false],
        ],
      );
    }
    assert.ok(everybody.get(a.user.id)?.get(organizationId), "whoever has a role has it still");
  });

  test("a scope of more devices than a statement takes parameters is asked for at once", async (db) => {
    const a = await tenant(db, "a");
    const { id } = await device(db, a);
    const deviceIds = [...Array.from({ length: 70_000 }, () => newId()), id];
    const { items } = await listDevices(db, { kind: "devices", organizationId: a.organization.id, deviceIds }, { limit: 10 });
    assert.deepEqual(
      items.map((one) => one.id),
      [id],
    );
  });

  test("small letters are the same on every engine", async (db) => {
    const [row] = await rowsOf<{ text: string; none: string | null }>(db, "select hub_lower(?) as text, hub_lower(null) as none", [
      "ÄÖÜ ÉÇ ΑΒΓ ЛАМПА Ñ 家",
    ]);
    assert.deepEqual({ ...row }, { text: "äöü éç αβγ лампа ñ 家", none: null });
  });
});
