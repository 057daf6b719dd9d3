import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { databases } from "../../support/databases.ts";
import { type HubProcess, spawnHub } from "../../support/hub.ts";
import { layTables } from "../../support/tables.ts";
import { temporaryFolder, until } from "../../support/wait.ts";
import { type Account, join } from "../../main/home-assistant-scene.ts";
import type { HomeAssistant } from "../../support/home-assistant.ts";

/** What every device has, whatever it can do. */
const COMMON = ["heartbeat_rssi", "identify", "restart"];

/** Numbers from 0 up to 1, the same for the same seed (mulberry32). */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

interface Known {
  readonly uid: string;
  readonly relays: number;
  isExposed: boolean;
}

const STEPS = 40;

for (const { name, skip, open } of databases()) {
  describe(`${name}: whatever happens to devices, the hub and Home Assistant`, { skip }, () => {
    test("no topic is orphaned, and every unique_id is what it was", { timeout: 120_000 }, async () => {
      await using stack = new AsyncDisposableStack();
      const database = stack.use(await open());
      const { path: dataDir } = stack.use(temporaryFolder());
      if (database.url === undefined) await layTables(dataDir);
      const seed = Math.floor(Math.random() * 2 ** 31);
      const random = randomOf(seed);
      const running: { hub: HubProcess; home?: HomeAssistant | undefined; account?: Account } = {
        hub: await spawnHub({ dataDir, databaseUrl: database.url }),
      };
      stack.defer(() => running.hub[Symbol.asyncDispose]());
      stack.defer(() => running.home?.[Symbol.asyncDispose]());
      const devices: Known[] = [];
      const done: string[] = [];
      const api = () => running.hub.api;
      const login = async (): Promise<void> => void (await api().login());
      await login();
      const made = await api().call("POST", "/api/v1/bridges/home_assistant/account", {});
      running.account = made.body as unknown as Account;
      const connect = async (): Promise<void> => {
        running.home = await join(running.hub.mqtt, running.account as Account);
      };
      const restart = async (end: () => Promise<void>): Promise<void> => {
        await running.home?.[Symbol.asyncDispose]();
        await end();
        running.hub = await spawnHub({ dataDir, databaseUrl: database.url });
        await login();
        await connect();
      };
      const call = async (method: string, path: string, body?: object): Promise<void> => {
        const { status } = await api().call(method, path, body);
        assert.ok(status < 300, `${method} ${path} answered ${status} (seed ${seed})`);
      };
      const one = (): Known | undefined => devices[Math.floor(random() * devices.length)];
      const steps: Record<string, () => Promise<void>> = {
        async add() {
          const relays = 1 + Math.floor(random() * 3);
          const { uid } = await api().addDevice({ name: `Device ${devices.length}`, capabilities: { relays } });
          devices.push({ uid, relays, isExposed: true });
        },
        async rename() {
          const device = one();
          if (device) await call("PATCH", `/api/v1/devices/${device.uid}`, { name: `Name ${Math.floor(random() * 100)}` });
        },
        async remove() {
          const device = one();
          if (!device) return;
          await call("DELETE", `/api/v1/devices/${device.uid}`);
          devices.splice(devices.indexOf(device), 1);
        },
        async expose() {
          const device = one();
          if (!device) return;
          device.isExposed = !device.isExposed;
          await call("PATCH", `/api/v1/devices/${device.uid}/exposure`, { home_assistant: device.isExposed });
        },
        form: () => call("PATCH", "/api/v1/bridges/home_assistant/account", { form: random() < 0.5 ? "device" : "component" }),
        resend: () => call("POST", "/api/v1/bridges/home_assistant/resend"),
        // A change and the death of the hub at once: nobody knows what of it was told.
        async crash() {
          await steps["add"]?.();
          await steps["expose"]?.();
          await steps["form"]?.();
          await restart(() => running.hub.kill9());
        },
        restart: () => restart(async () => await running.hub[Symbol.asyncDispose]()),
        async home() {
          await running.home?.[Symbol.asyncDispose]();
          await connect();
        },
      };
      const wanted = (): string[] =>
        devices
          .filter(({ isExposed }) => isExposed)
          .flatMap(({ uid, relays }) =>
            [...Array.from({ length: relays }, (_, index) => `relay_${index}`), ...COMMON].map((key) => `hexa_${uid}_${key}`),
          );
      const kinds = [
        "add",
        "add",
        "add",
        "rename",
        "rename",
        "remove",
        "expose",
        "expose",
        "form",
        "resend",
        "home",
        "home",
        "crash",
        "restart",
      ];
      await connect();
      for (let step = 0; step < STEPS; step++) {
        const kind = kinds[Math.floor(random() * kinds.length)] ?? "add";
        done.push(kind);
        await steps[kind]?.();
        if (random() < 0.5) continue;
        await running.home?.has(wanted()).catch((cause: unknown) => {
          throw new Error(`after ${done.join(", ")} (seed ${seed})`, { cause });
        });
      }
      // A new one has no memory: it sees what is retained, and nothing else.
      await until(
        async () => {
          await using fresh = await join(running.hub.mqtt, running.account as Account);
          await fresh.has(wanted());
          return true;
        },
        { what: `a new Home Assistant to have what there is, after ${done.join(", ")} (seed ${seed})`, timeoutMs: 30_000 },
      );
      await call("DELETE", "/api/v1/bridges/home_assistant");
      const again = await api().call("POST", "/api/v1/access-tokens", { kind: "service", name: "witness" });
      const { token } = again.body as { token: string };
      await using witness = await join(running.hub.mqtt, { username: "witness", password: token });
      const { body: me } = await api().call<{ organization_id: string }>("GET", "/api/v1/auth/me");
      const left: string[] = [];
      witness.client.on("message", (topic) => left.push(topic));
      const fence = `hexa-app/${me.organization_id}/bus/fence`;
      await witness.client.subscribeAsync(["homeassistant/#", `hexa-app/${me.organization_id}/availability`, fence], { qos: 1 });
      await witness.client.publishAsync(fence, "here", { qos: 1 });
      await until(() => left.includes(fence), { what: "what is behind all that is retained" });
      assert.deepEqual(left, [fence]);
      assert.deepEqual(witness.heard, []);
    });
  });
}
