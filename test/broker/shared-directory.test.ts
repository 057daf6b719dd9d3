import assert from "node:assert/strict";
import { test } from "node:test";
import { loadDeviceDirectory } from "../../store/device-directory.ts";
import { deleteDevice } from "../../store/devices.ts";
import { PLATFORM } from "../../core/principal.ts";
import type { DeviceRef } from "../../core/bus.ts";
import { device, tenant } from "../store/fixtures.ts";
import { until } from "../support/wait.ts";
import { openRealBus, type RealBus } from "./real-bus.ts";

/** Two more directories of the same database and bus, as two nodes have them. */
async function twoNodes(real: RealBus) {
  const changed: string[] = [];
  const nodes = await Promise.all(
    [0, 1].map(async () => {
      const directory = await loadDeviceDirectory(real.store.db);
      const sharing = directory.share({ bus: real.bus, log: real.log, onChanged: ({ uid }) => changed.push(uid) });
      return { directory, sharing };
    }),
  );
  return {
    nodes: nodes as [(typeof nodes)[0], (typeof nodes)[0]],
    changed,
    async [Symbol.asyncDispose]() {
      for (const { sharing } of nodes) await sharing[Symbol.asyncDispose]();
    },
  };
}

test("what one node puts or removes the other has from the database, and both decide again", async () => {
  await using real = await openRealBus();
  const { db } = real.store;
  const owner = await tenant(db, "acme");
  await using two = await twoNodes(real);
  const [a, b] = two.nodes.map(({ directory }) => directory);
  assert.ok(a && b);
  const { id, uid } = await device(db, owner);
  const before = b.version;
  a.put({ id, uid, organizationId: owner.organization.id });
  await until(() => b.find(uid)?.organizationId === owner.organization.id, { what: "the device at the other node" });
  assert.ok(b.version > before);
  await deleteDevice(db, PLATFORM, id);
  b.remove(uid);
  await until(() => a.find(uid) === undefined, { what: "its removal at the other node" });
  assert.deepEqual(two.changed, [uid, uid]);
});

test("changes of two nodes in any order end with what the database says", async () => {
  await using real = await openRealBus();
  const { db } = real.store;
  const owners = [await tenant(db, "a"), await tenant(db, "b")];
  const devices = await Promise.all(Array.from({ length: 5 }, () => device(db, null)));
  await using two = await twoNodes(real);
  const organizations = [null, ...owners.map(({ organization }) => organization.id)];
  let state = 7;
  const random = (below: number): number => {
    state = (state * 48_271) % 2_147_483_647;
    return state % below;
  };
  for (let round = 0; round < 200; round++) {
    const one = devices[random(devices.length)] as DeviceRef;
    const organizationId = organizations[random(organizations.length)] as string | null;
    // As the API does it: first the row, then the directory of the node that was asked. Nobody waits for the other one.
    const changing = db("devices").where({ id: one.id }).update({ organization_id: organizationId });
    const put = async (): Promise<void> => {
      await changing;
      two.nodes[random(2)]?.directory.put({ id: one.id, uid: one.uid, organizationId });
    };
    if (random(3) > 0) await put();
    else void put();
  }
  const rows = (await db("devices").select("uid", "organization_id")) as { uid: string; organization_id: string | null }[];
  for (const { directory } of two.nodes)
    await until(() => rows.every(({ uid, organization_id }) => directory.find(uid)?.organizationId === organization_id), {
      what: "the directory to say what the database says",
    });
});

test("after a loss of messages the whole directory is what the database says", async () => {
  await using real = await openRealBus();
  const { db } = real.store;
  const [kept, gone] = [await device(db, null), await device(db, null)];
  await using two = await twoNodes(real);
  const [{ directory, sharing }] = two.nodes;
  await deleteDevice(db, PLATFORM, gone.id);
  const owner = await tenant(db, "acme");
  const made = await device(db, owner);
  await db("devices").where({ id: kept.id }).update({ organization_id: owner.organization.id });
  const { version } = directory;
  sharing.reload();
  await until(() => directory.find(made.uid), { what: "the device that nobody spoke of" });
  assert.equal(directory.find(gone.uid), undefined);
  assert.equal(directory.find(kept.uid)?.organizationId, owner.organization.id);
  assert.ok(directory.version > version);
});

test("a device that logs in is known, though nobody has told this node of it yet", async () => {
  await using real = await openRealBus();
  const { db } = real.store;
  await using two = await twoNodes(real);
  const [{ directory }] = two.nodes;
  const made = await device(db, await tenant(db, "acme"));
  assert.equal(directory.find(made.uid), undefined);
  await directory.know(made.uid);
  assert.equal(directory.find(made.uid)?.id, made.id);
});
