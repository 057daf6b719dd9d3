import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { closeSync, openSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import mqtt from "mqtt";
import type { Log } from "../../core/bus.ts";
import { startHub } from "../support/hub.ts";
import { temporaryFolder, until } from "../support/wait.ts";

const SIZE = "16m";
const quiet: Log = { debug() {}, info() {}, warn() {}, error() {} };

/** Mounts a small file system there; undefined where this user may not. */
function mountSmall(folder: string): Disposable | undefined {
  const { status } = spawnSync("mount", ["-t", "tmpfs", "-o", `size=${SIZE},mode=0700`, "tmpfs", folder], { stdio: "ignore" });
  return status === 0 ? { [Symbol.dispose]: () => void spawnSync("umount", ["-l", folder], { stdio: "ignore" }) } : undefined;
}

/** Leaves not a byte free. */
function fill(path: string): void {
  const file = openSync(path, "w");
  try {
    for (let size = 65_536; size >= 1; size = Math.floor(size / 2)) {
      try {
        for (;;) writeSync(file, Buffer.alloc(size, 1));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
      }
    }
  } finally {
    closeSync(file);
  }
}

test("a full disk takes no reading that it cannot keep, is answered as storage_full, and is over within 10 s of new space", async (context) => {
  await using folder = temporaryFolder();
  using mounted = mountSmall(folder.path);
  if (!mounted) return context.skip("this user may not mount a file system");
  {
    await using hub = await startHub({ dataDir: folder.path, log: quiet });
    await hub.api.login();
    const device = await hub.api.addDevice({ device_class: "sensor_hub" });
    const connect = () =>
      mqtt.connectAsync(hub.mqtt, {
        clientId: device.uid,
        username: device.uid,
        password: device.token,
        protocolVersion: 4,
        reconnectPeriod: 0,
        clean: true,
      });
    const acknowledged: number[] = [];
    const base = Date.now() - 3_600_000;
    let next = 0;
    /** true once it is acknowledged, false when the connection ends instead. */
    async function report(client: mqtt.MqttClient): Promise<boolean> {
      const n = next++;
      const payload = JSON.stringify({ ts: base + n, values: { n, text: "x".repeat(1_000) } });
      const closed = new Promise<boolean>((resolve) => client.once("close", () => resolve(false)));
      const isTaken = await Promise.race([
        client.publishAsync(`hexa/${device.uid}/up/telemetry`, payload, { qos: 1 }).then(
          () => true,
          () => false,
        ),
        closed,
      ]);
      if (isTaken) acknowledged.push(n);
      return isTaken;
    }
    const first = await connect();
    assert.equal(await report(first), true);
    const ballast = join(folder.path, "ballast");
    fill(ballast);
    await until(async () => !(await report(first)), { what: "the first reading that finds no place" });
    first.end(true);
    const refused = await hub.api.call("POST", "/api/v1/devices", { name: "x".repeat(120), device_class: "relay_controller" });
    assert.ok([503, 507].includes(refused.status), `answered ${refused.status}`);
    assert.equal((await hub.api.call("GET", "/api/v1/devices")).status, 200);

    rmSync(ballast);
    await until(
      async () => (await hub.api.call("POST", "/api/v1/devices", { name: "x", device_class: "relay_controller" })).status === 201,
      {
        what: "the hub to write again",
        timeoutMs: 10_000,
      },
    );
    const second = await connect();
    assert.equal(await report(second), true);
    const { body } = await hub.api.call<{ data: { value: number }[] }>(
      "GET",
      `/api/v1/readings?device=${device.uid}&key=n&from=${base - 1}&limit=10000`,
    );
    const stored = new Set(body.data.map(({ value }) => value));
    assert.deepEqual(
      acknowledged.filter((n) => !stored.has(n)),
      [],
    );
    await second.endAsync();
  }
});
