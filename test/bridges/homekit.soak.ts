import assert from "node:assert/strict";
import { test } from "node:test";
import { startVirtualDevice } from "../../firmware/virtual/device.ts";
import { type Code, HomeController, idOf } from "../support/home-controller.ts";
import { codesOf, HOMEKIT, stateOf } from "../support/homekit-hub.ts";
import { spawnHub } from "../support/hub.ts";
import { temporaryFolder, until } from "../support/wait.ts";

const ROUNDS = 20;

test(`one pairing goes through ${ROUNDS} deaths of the bridge, ${ROUNDS} of the hub, and as many stops`, { timeout: 900_000 }, async () => {
  await using folder = temporaryFolder();
  const options = { dataDir: folder.path, env: HOMEKIT };
  let home: HomeController | undefined;
  let made: { uid: string; token: string } | undefined;
  let id: string | undefined;
  for (let round = 0; round < 2 * ROUNDS; round++) {
    await using hub = await spawnHub(options);
    await hub.api.login();
    made ??= await hub.api.addDevice({ name: "Hall" });
    await using device = await startVirtualDevice({ url: hub.mqtt, uid: made.uid, password: made.token, deviceClass: "relay_controller" });
    const [code] = await codesOf(hub.api, 1);
    home = home ? await home.again(code as Code) : await HomeController.pair(code as Code);
    const use = async (wanted: boolean): Promise<void> => {
      const [seen] = (await home?.accessoriesOnce(1)) ?? [];
      const on = seen && idOf(seen, "Switch", "On");
      id ??= on;
      assert.equal(on, id, `round ${round}`);
      await until(async () => (await home?.write({ [id as string]: wanted }))?.length === 0, { what: "a write that is taken" });
      await until(() => device.state.relays[0]?.state === (wanted ? "ON" : "OFF"), { what: "the relay" });
    };
    await use(round % 2 === 0);
    if (round < ROUNDS) {
      process.kill((await stateOf(hub.api)).details.bridges[0]?.pid ?? 0, "SIGKILL");
      await until(async () => (await stateOf(hub.api)).details.bridges[0]?.restarts === 1, { what: "the restart" });
      await codesOf(hub.api, 1);
      home = await home.again(code as Code);
      await use(round % 2 !== 0);
    } else await hub.kill9();
  }
  await home?.[Symbol.asyncDispose]();
});
