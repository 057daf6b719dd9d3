import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:net";
import { describe, test } from "node:test";
import { startVirtualDevice } from "../../firmware/virtual/device.ts";
import { type Code, HomeController, idOf, NO_RESPONSE } from "../support/home-controller.ts";
import { codesOf, pairedAt, HOMEKIT, startHome, stateOf } from "../support/homekit-hub.ts";
import { spawnHub } from "../support/hub.ts";
import { temporaryFolder, until } from "../support/wait.ts";

const isThere = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

describe("bridges of HomeKit that end", { timeout: 120_000, concurrency: 3 }, () => {
  test("a bridge that is killed is back with its pairing and its accessories as they were", async () => {
    await using hub = await startHome();
    const made = await hub.api.addDevice({ name: "Hall" });
    await using device = await startVirtualDevice({ url: hub.mqtt, uid: made.uid, password: made.token, deviceClass: "relay_controller" });
    const [code] = await codesOf(hub.api, 1);
    let home = await HomeController.pair(code as Code);
    const [before] = await home.accessoriesOnce(1);
    for (let round = 1; round <= 2; round++) {
      const { pid = 0 } = (await stateOf(hub.api)).details.bridges[0] ?? {};
      process.kill(pid, "SIGKILL");
      await until(async () => (await stateOf(hub.api)).details.bridges[0]?.restarts === round, { what: "the restart" });
      await codesOf(hub.api, 1);
      home = await home.again(code as Code);
      const [seen] = await home.accessoriesOnce(1);
      assert.deepEqual([seen?.aid, seen && idOf(seen, "Switch", "On")], [before?.aid, before && idOf(before, "Switch", "On")]);
      const on = idOf(seen as NonNullable<typeof seen>, "Switch", "On");
      const wanted = round % 2 === 1 ? "ON" : "OFF";
      assert.deepEqual(await home.write({ [on]: wanted === "ON" }), []);
      await until(() => device.state.relays[0]?.state === wanted, { what: "the relay" });
    }
    await home[Symbol.asyncDispose]();
  });

  test("a bridge that hangs is said to, and is back with its pairing; one that hangs when the hub stops is not left behind", async () => {
    let frozen = 0;
    {
      await using hub = await startHome({ pace: { homekitSilenceMs: 14_000 } });
      await hub.api.addDevice({ name: "Hall" });
      const [code] = await codesOf(hub.api, 1);
      const paired = await HomeController.pair(code as Code);
      const [before] = await paired.accessoriesOnce(1);
      const { pid = 0 } = (await stateOf(hub.api)).details.bridges[0] ?? {};
      process.kill(pid, "SIGSTOP");
      const silent = await until(async () => (await stateOf(hub.api)).status === "failed" && (await stateOf(hub.api)), {
        what: "the hub to notice",
        timeoutMs: 9_000,
      });
      assert.equal(silent.last_error?.code, "homekit_bridge_silent");
      assert.deepEqual([silent.details.bridges[0]?.connected, silent.details.bridges[0]?.pid], [false, pid]);
      const ended = await until(async () => (await stateOf(hub.api)).counts["restarts"] === 1 && (await stateOf(hub.api)), {
        what: "the end of the one that hangs",
        timeoutMs: 9_000,
      });
      assert.match(ended.details.bridges[0]?.last_error ?? "", /nothing was heard of it for 14 s/);
      assert.equal(isThere(pid), false);
      await codesOf(hub.api, 1);
      await until(async () => (await stateOf(hub.api)).last_error === null, { what: "that all is well", timeoutMs: 5_000 });
      await using home = await paired.again(code as Code);
      assert.equal((await home.accessoriesOnce(1))[0]?.aid, before?.aid);
      frozen = (await stateOf(hub.api)).details.bridges[0]?.pid ?? 0;
      process.kill(frozen, "SIGSTOP");
    }
    assert.equal(isThere(frozen), false);
  });

  test("a hub that is killed leaves no bridge behind; the next one has the same, and removes no accessory", async () => {
    await using folder = temporaryFolder();
    const options = { dataDir: folder.path, env: HOMEKIT };
    let home: HomeController | undefined;
    let aid: number | undefined;
    for (let round = 0; round < 2; round++) {
      await using hub = await spawnHub(options);
      await hub.api.login();
      if (round === 0) await hub.api.addDevice({ name: "Hall" });
      const [code] = await codesOf(hub.api, 1);
      home = home ? await home.again(code as Code) : await HomeController.pair(code as Code);
      const [seen] = await home.accessoriesOnce(1);
      aid ??= seen?.aid;
      assert.equal(seen?.aid, aid);
      await until(
        async () => (await home?.read(`${aid}.${idOf(seen as NonNullable<typeof seen>, "Switch", "On").split(".")[1]}`)) === NO_RESPONSE,
        {
          what: "No Response of a device that never came",
        },
      );
      const { pid = 0 } = (await stateOf(hub.api)).details.bridges[0] ?? {};
      assert.ok(isThere(pid));
      await hub.kill9();
      await until(() => !isThere(pid), { what: "the end of the bridge", timeoutMs: 3_000 });
    }
    await home?.[Symbol.asyncDispose]();
  });

  test("a port that somebody else has by now is given up for another, and the pairing stays", async () => {
    await using folder = temporaryFolder();
    let home: HomeController;
    let code: Code | undefined;
    {
      await using hub = await startHome({ dataDir: folder.path });
      await hub.api.addDevice({ name: "Hall" });
      [code] = await codesOf(hub.api, 1);
      home = await HomeController.pair(code as Code);
      await home.accessoriesOnce(1);
    }
    await using squatter = createServer();
    squatter.listen(code?.port);
    await once(squatter, "listening");
    await using hub = await startHome({ dataDir: folder.path });
    await pairedAt(hub.api);
    const [moved] = await codesOf(hub.api, 1);
    assert.notEqual(moved?.port, code?.port);
    assert.deepEqual([moved?.username, moved?.pin, moved?.paired], [code?.username, code?.pin, true]);
    await using again = await home.again(moved as Code);
    await again.accessoriesOnce(1);
  });

  test("what is unlinked is another bridge afterwards, that nobody has added", async () => {
    await using hub = await startHome();
    await hub.api.addDevice({ name: "Hall" });
    const [code] = await codesOf(hub.api, 1);
    await using home = await HomeController.pair(code as Code);
    await home.accessoriesOnce(1);
    await pairedAt(hub.api);
    assert.equal((await hub.api.call("DELETE", "/api/v1/bridges/homekit")).status, 204);
    const [fresh] = await codesOf(hub.api, 1);
    assert.notEqual(fresh?.username, code?.username);
    assert.notEqual(fresh?.pin, code?.pin);
    assert.equal(fresh?.paired, false);
    await using another = await HomeController.pair(fresh);
    await another.accessoriesOnce(1);
  });
});
