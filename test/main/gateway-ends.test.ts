import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { startHub } from "../support/hub.ts";
import { until } from "../support/wait.ts";
import { deviceUrl, openRelay, openSocket } from "./json-device.ts";
import { polling } from "./polling-device.ts";

const MESSAGES = 30_000;

describe("a hub with devices at its gateways", () => {
  test("stops at once, tells the sockets that it does, and leaves no poll without an answer", async () => {
    await using hub = await startHub();
    await hub.api.login();
    await using relay = await openRelay(hub, await hub.api.addDevice());
    const device = polling(hub, await hub.api.addDevice());
    await device.poll();
    const waiting = device.ask("GET", "/api/v1/commands/pending?wait=25");
    // What was asked after it is answered: by now it waits.
    await hub.api.call("GET", "/health");
    const began = performance.now();
    await hub[Symbol.asyncDispose]();
    assert.ok(performance.now() - began < 10_000);
    assert.equal(await relay.closed, 1_001);
    assert.ok([200, 503].includes((await waiting).status));
  });

  test("takes no more from a device that does not read its answers, and goes on when it does", async () => {
    await using hub = await startHub();
    await hub.api.login();
    await using other = await openRelay(hub, await hub.api.addDevice());
    await using one = await openSocket(deviceUrl(hub, await hub.api.addDevice()));
    await one.ask({ type: "heartbeat" });
    one.socket.pause();
    const mark = "x".repeat(50);
    for (let index = 0; index < MESSAGES; index++) one.say({ type: "heartbeat", id: `${mark}${index}` });
    assert.equal((await other.ask({ type: "heartbeat" })).type, "ok");
    one.socket.resume();
    const answers = () => one.heard.filter(({ type, id }) => type === "ok" && String(id).startsWith(mark));
    await until(() => one.heard.length > MESSAGES, { what: "all answers", timeoutMs: 60_000 });
    assert.deepEqual(
      answers().map(({ id }) => Number(String(id).slice(mark.length))),
      Array.from({ length: MESSAGES }, (_none, index) => index),
    );
  });
});
