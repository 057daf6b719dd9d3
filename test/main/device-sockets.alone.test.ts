import assert from "node:assert/strict";
import { test } from "node:test";
import { rssBytes } from "../bench/rss.ts";
import { type HubProcess, spawnHub } from "../support/hub.ts";
import { temporaryFolder } from "../support/wait.ts";
import { deviceUrl, openSocket } from "./json-device.ts";
import { polling } from "./polling-device.ts";

const DEVICES = 500;
const AT_ONCE = 50;
/** Far more would be something that is kept by mistake. */
const MOST_KIB = 150;

type Device = Awaited<ReturnType<HubProcess["api"]["addDevice"]>>;

/** Some at a time, in their order. */
async function each<T, R>(all: readonly T[], work: (one: T) => Promise<R>): Promise<R[]> {
  const done: R[] = [];
  for (let at = 0; at < all.length; at += AT_ONCE) done.push(...(await Promise.all(all.slice(at, at + AT_ONCE).map(work))));
  return done;
}

test("500 devices with sockets and 500 that poll take a bounded memory each", { timeout: 300_000 }, async (context) => {
  await using folder = temporaryFolder();
  await using hub = await spawnHub({ dataDir: folder.path });
  await hub.api.login();
  const enrol = (): Promise<Device[]> => each(Array.from({ length: DEVICES }), () => hub.api.addDevice());
  const [withSocket, withPolls] = [await enrol(), await enrol()];
  const memory = [rssBytes(hub.child.pid as number)];
  await using sockets = new AsyncDisposableStack();
  await each(withSocket, async (device) => {
    const socket = sockets.use(await openSocket(deviceUrl(hub, device)));
    assert.equal((await socket.ask({ type: "heartbeat" })).type, "ok");
  });
  memory.push(rssBytes(hub.child.pid as number));
  await each(withPolls, (device) => polling(hub, device).poll());
  memory.push(rssBytes(hub.child.pid as number));
  const [before = 0, between = 0, afterwards = 0] = memory.map((bytes) => bytes / 1_024 / DEVICES);
  const [ofSocket, ofPolls] = [between - before, afterwards - between];
  context.diagnostic(`${ofSocket.toFixed(1)} KiB a device with a socket, ${ofPolls.toFixed(1)} KiB a device that polls`);
  assert.ok(ofSocket < MOST_KIB && ofPolls < MOST_KIB, `${ofSocket} and ${ofPolls} KiB`);
});
