import assert from "node:assert/strict";
import mqtt from "mqtt";
import { startVirtualDevice } from "../../firmware/virtual/device.ts";
import { ADMIN, type ApiClient, type HubProcess, spawnHub } from "../support/hub.ts";
import { freePort } from "../support/services.ts";
import { temporaryFolder, until } from "../support/wait.ts";

interface CommandRow {
  readonly id: string;
  readonly status: string;
  readonly source: string;
}

async function allCommands(api: ApiClient, uid: string): Promise<CommandRow[]> {
  const rows: CommandRow[] = [];
  for (let cursor = ""; ; ) {
    const path = `/api/v1/devices/${uid}/commands?limit=200${cursor && `&cursor=${cursor}`}`;
    const { body } = await api.call<{ data: CommandRow[]; next_cursor: string | null }>("GET", path);
    rows.push(...body.data);
    if (body.next_cursor === null) return rows;
    cursor = body.next_cursor;
  }
}

async function allReadings(api: ApiClient, path: string): Promise<number[]> {
  const values: number[] = [];
  for (let cursor = ""; ; ) {
    const { body } = await api.call<{ data: { value: number }[]; next_cursor: string | null }>(
      "GET",
      `${path}${cursor && `&cursor=${cursor}`}`,
    );
    values.push(...body.data.map(({ value }) => value));
    if (body.next_cursor === null) return values;
    cursor = body.next_cursor;
  }
}

/**
 * Kills a hub under load again and again, each time after so many more acknowledgements, and then asserts that nothing
 * acknowledged is lost, nothing was done twice and every start succeeded. Resolves to the number of acknowledgements.
 */
export async function surviveKills(databaseUrl: string | undefined, moments: Iterable<number>): Promise<number> {
  await using folder = temporaryFolder();
  const env = { HEXA_MQTT_PORT: String(await freePort()), HEXA_COMMAND_TIMEOUT_MS: "2000" };
  const start = (): Promise<HubProcess> => spawnHub({ dataDir: folder.path, databaseUrl, env });
  const base = Date.now() - 3_600_000;
  const acknowledged = { readings: [] as number[], commands: [] as string[], sets: 0 };
  const total = (): number => acknowledged.readings.length + acknowledged.commands.length + acknowledged.sets;
  let numbers = 0;

  let hub = await start();
  await hub.api.login();
  const [relayDevice, sensorDevice] = [await hub.api.addDevice(), await hub.api.addDevice({ device_class: "sensor_hub" })];
  const made = await hub.api.call<{ token: string }>("POST", "/api/v1/access-tokens", { kind: "personal", name: "attack" });
  const { token } = made.body;
  const connection = (device: { uid: string; token: string }) => ({
    url: hub.mqtt,
    uid: device.uid,
    password: device.token,
    protocolVersion: 5 as const,
  });
  await using relay = await startVirtualDevice({ ...connection(relayDevice), deviceClass: "relay_controller" });
  await using sensor = await startVirtualDevice({ ...connection(sensorDevice), deviceClass: "sensor_hub" });

  for (const moment of moments) {
    hub.api.token = token;
    const { api } = hub;
    const client = await mqtt.connectAsync(hub.mqtt, { username: ADMIN.email, password: token, reconnectPeriod: 0 });
    const gone = new Promise<never>((_resolve, reject) => client.once("close", () => reject(new Error("gone"))));
    gone.catch(() => undefined);
    /** Repeats until the hub is gone. */
    const repeat = async (act: (n: number) => Promise<unknown>): Promise<void> => {
      try {
        for (;;) await Promise.race([act(numbers++), gone]);
      } catch {
        // The hub died in the middle of it: what was not acknowledged by now may or may not be there.
      }
    };
    const target = total() + moment;
    const load = [
      ...Array.from({ length: 4 }, () =>
        repeat(async (n) => {
          await sensor.sendTelemetry({ n }, base + n);
          acknowledged.readings.push(n);
        }),
      ),
      ...Array.from({ length: 2 }, () =>
        repeat(async (n) => {
          const body = { command: "set_relay", relay: n % 4, state: n % 8 < 4 ? "ON" : "OFF", command_id: `cmd-${n}` };
          if ((await api.call("POST", `/api/v1/devices/${relayDevice.uid}/commands`, body)).status === 200)
            acknowledged.commands.push(`cmd-${n}`);
        }),
      ),
      repeat(async (n) => {
        await client.publishAsync(`hexa/${relayDevice.uid}/relay/3/set`, n % 2 ? "ON" : "OFF", { qos: 1 });
        acknowledged.sets++;
      }),
    ];
    await until(() => total() >= target, { what: `${moment} acknowledgements` });
    await hub.kill9();
    await Promise.all([relay.kill(), sensor.kill()]);
    await Promise.all(load);
    client.end(true);
    hub = await start();
    await Promise.all([relay.reconnect(), sensor.reconnect()]);
  }

  await using last = hub;
  last.api.token = token;
  const rows = await until(
    async () => {
      const found = await allCommands(last.api, relayDevice.uid);
      return found.every(({ status }) => status !== "sent" && status !== "queued") && found;
    },
    { what: "an end of every command", timeoutMs: 20_000 },
  );
  const executed = relay.executed.map(({ commandId }) => commandId);
  const done = new Set(executed);
  assert.equal(executed.length, done.size);
  assert.deepEqual(
    acknowledged.commands.filter((id) => !done.has(id)),
    [],
  );
  const byId = new Map(rows.map((row) => [row.id, row]));
  assert.equal(byId.size, rows.length);
  assert.deepEqual(
    acknowledged.commands.filter((id) => byId.get(id)?.status !== "ok"),
    [],
  );
  assert.deepEqual(
    rows.filter(({ id, status }) => status === "ok" && !done.has(id)),
    [],
  );
  assert.ok(rows.filter(({ source }) => source === "mqtt").length >= acknowledged.sets);
  const values = await allReadings(last.api, `/api/v1/readings?device=${sensorDevice.uid}&key=n&from=${base - 1}&limit=10000`);
  const stored = new Set(values);
  assert.equal(stored.size, values.length);
  assert.deepEqual(
    acknowledged.readings.filter((n) => !stored.has(n)),
    [],
  );
  return total();
}
