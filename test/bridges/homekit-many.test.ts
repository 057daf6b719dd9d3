import assert from "node:assert/strict";
import { test } from "node:test";
import { HomeController } from "../support/home-controller.ts";
import { codesOf, startHome, stateOf } from "../support/homekit-hub.ts";

const DEVICES = 152;

test("152 devices are on two bridges, each of them reachable, and stay where they are", { timeout: 150_000 }, async () => {
  await using hub = await startHome();
  const made = await Promise.all(Array.from({ length: DEVICES }, (_, index) => hub.api.addDevice({ name: `Device ${index}` })));
  const codes = await codesOf(hub.api, DEVICES, 120_000);
  assert.equal(codes.length, 2);
  const homes = await Promise.all(codes.map((code) => HomeController.pair(code)));
  const seen = await Promise.all([homes[0]?.accessoriesOnce(149), homes[1]?.accessoriesOnce(3)]);
  const uids = seen.flatMap((list = []) => list.map(({ uid }) => uid));
  assert.deepEqual(uids.toSorted(), made.map(({ uid }) => uid).toSorted());
  assert.equal((await stateOf(hub.api)).counts["left_out"], 0);

  // One that leaves makes room on the first bridge, which nobody from the second moves to.
  const leaver = made.find(({ uid }) => seen[0]?.some((one) => one.uid === uid));
  await hub.api.call("DELETE", `/api/v1/devices/${leaver?.uid}`);
  await homes[0]?.accessoriesOnce(148);
  assert.equal((await homes[1]?.accessories())?.length, 3);
  await hub.api.addDevice({ name: "New" });
  await homes[0]?.accessoriesOnce(149);
  for (const home of homes) await home[Symbol.asyncDispose]();
});
