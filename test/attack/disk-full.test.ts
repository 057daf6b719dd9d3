import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { closeSync, openSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import mqtt from "mqtt";
import type { Log } from "../../core/bus.ts";
import { ADMIN, startHub, type TestHub } from "../support/hub.ts";
import { temporaryFolder, until } from "../support/wait.ts";
import { connectStubborn, DurableSubscriber } from "./stubborn-client.ts";

const SIZE = "16m";
const SPACE_MS = 10_000;

/** Keeps what a person would be told. */
function listening(): { readonly log: Log; readonly told: string[] } {
  const told: string[] = [];
  const note = (_data: object, message: string): void => void told.push(message);
  return { told, log: { debug() {}, info() {}, warn: note, error: note } };
}

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

async function isFull(hub: TestHub): Promise<boolean> {
  const text = await (await fetch(new URL("/metrics", hub.http), { headers: { authorization: `Bearer ${hub.api.token}` } })).text();
  const [, value] = /^hexahub_storage_full (\d)$/m.exec(text) ?? [];
  assert.ok(value !== undefined, "no metric");
  return value === "1";
}

/** What /health answers, and what it says of the storage. */
async function health(hub: TestHub): Promise<[status: number, storage: string | undefined]> {
  const { status, body } = await hub.api.call<{ storage?: string; details?: { storage?: string } }>("GET", "/health");
  return [status, body.storage ?? body.details?.storage];
}

/** Fills the disk until a reading finds no place; the caller makes room again. */
async function fillUp(path: string, report: () => Promise<boolean>): Promise<void> {
  fill(path);
  await until(async () => !(await report()), { what: "the first reading that finds no place" });
}

test("a full disk takes no reading that it cannot keep, is answered as storage_full, and is over within 10 s of new space", async (context) => {
  await using folder = temporaryFolder();
  using mounted = mountSmall(folder.path);
  if (!mounted) return context.skip("this user may not mount a file system");
  {
    await using hub = await startHub({ dataDir: folder.path, log: listening().log });
    await hub.api.login();
    const device = await hub.api.addDevice({ device_class: "sensor_hub" });
    const connect = () => mqtt.connectAsync(hub.mqtt, { ...loginOf(device), protocolVersion: 4, reconnectPeriod: 0, clean: true });
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
    await fillUp(ballast, () => report(first));
    first.end(true);
    const refused = await hub.api.call("POST", "/api/v1/devices", { name: "x".repeat(120), device_class: "relay_controller" });
    assert.ok([503, 507].includes(refused.status), `answered ${refused.status}`);
    assert.equal((await hub.api.call("GET", "/api/v1/devices")).status, 200);

    rmSync(ballast);
    await until(
      async () => (await hub.api.call("POST", "/api/v1/devices", { name: "x", device_class: "relay_controller" })).status === 201,
      { what: "the hub to write again", timeoutMs: SPACE_MS },
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

test("while the disk is full QoS 0 goes on, one alarm is raised, /health says so, and with new space everything that waits is taken within 10 s", async (context) => {
  await using folder = temporaryFolder();
  using mounted = mountSmall(folder.path);
  if (!mounted) return context.skip("this user may not mount a file system");
  {
    const { log, told } = listening();
    await using hub = await startHub({ dataDir: folder.path, log, env: { HEXA_MQTT_QUEUE_BYTES: "100000000" } });
    await hub.api.login();
    const device = await hub.api.addDevice({ device_class: "sensor_hub" });
    const person = await personOf(hub);
    const watcher = new DurableSubscriber({ ...person, clientId: "watcher" });
    const bus = `hexa-app/${person.organizationId}/bus`;
    await (await watcher.come()).subscribeAsync([`${bus}/#`, `hexa/${device.uid}/up/telemetry`], { qos: 0 });
    const away = new DurableSubscriber({ ...person, clientId: "away" });
    await (await away.come()).subscribeAsync([`${bus}/kept`], { qos: 1 });
    await away.go();
    const live = await connectStubborn({ url: hub.mqtt, ...loginOf(device) });
    const speaker = await connectStubborn({ ...person, clientId: "speaker" });
    const keeper = await connectStubborn({ ...person, clientId: "keeper" });
    assert.equal(await isFull(hub), false);
    assert.deepEqual(await health(hub), [200, "ok"]);

    const ballast = join(folder.path, "ballast");
    fill(ballast);
    let kept = 0;
    const taken: string[] = [];
    // 20 KB each: what is free inside the file is soon used up.
    const keep = async (): Promise<void> => {
      const payload = `${kept++} ${"x".repeat(20_000)}`;
      await keeper.publishAsync(`${bus}/kept`, payload, { qos: 1 });
      taken.push(payload);
    };
    const last = new AbortController();
    const keeping = (async () => {
      while (!last.signal.aborted) await keep();
    })();
    await until(() => isFull(hub), { what: "the alarm" });
    assert.deepEqual(await health(hub), [503, "full"]);
    const before = taken.length;
    for (const n of [1, 2, 3]) {
      await speaker.publishAsync(`${bus}/live`, String(n), { qos: 0 });
      await live.publishAsync(`hexa/${device.uid}/up/telemetry`, JSON.stringify({ values: { n } }), { qos: 0 });
      await until(() => watcher.received("/bus/live").has(String(n)), { what: "QoS 0 between clients" });
      await until(() => watcher.received("/up/telemetry").has(JSON.stringify({ values: { n } })), { what: "a device's QoS 0" });
    }
    assert.equal(taken.length, before);
    assert.equal(told.filter((message) => message.startsWith("the storage is full")).length, 1);
    assert.ok(!told.includes("a publish could not be stored"), "a log that grows with every attempt");

    rmSync(ballast);
    const freedAt = performance.now();
    last.abort();
    await keeping;
    await until(async () => !(await isFull(hub)), { what: "the end of the alarm", timeoutMs: SPACE_MS });
    assert.ok(performance.now() - freedAt < SPACE_MS);
    assert.deepEqual(await health(hub), [200, "ok"]);
    assert.equal(told.filter((message) => message === "the storage has room again").length, 1);
    await away.come();
    await away.has("/bus/kept", taken);
    await Promise.all([away.go(), watcher.go(), ...[live, speaker, keeper].map((one) => one.endAsync(true))]);
  }
});

const loginOf = ({ uid, token }: { uid: string; token: string }) => ({ clientId: uid, username: uid, password: token });

async function personOf(hub: TestHub) {
  const made = await hub.api.call<{ token: string }>("POST", "/api/v1/access-tokens", { kind: "personal", name: "disk" });
  const { body } = await hub.api.call<{ data: { id: string }[] }>("GET", "/api/v1/organizations");
  const organizationId = body.data[0]?.id ?? assert.fail("no organization");
  return { url: hub.mqtt, username: ADMIN.email, password: made.body.token, organizationId };
}
