import assert from "node:assert/strict";
import { describe, test } from "node:test";
import mqtt from "mqtt";
import { startVirtualDevice } from "../../firmware/virtual/device.ts";
import { databases } from "../support/databases.ts";
import { ADMIN, type ApiClient, PROVISION_KEY, spawnHub, startHub, type TestHub } from "../support/hub.ts";
import { temporaryFolder, until } from "../support/wait.ts";
import { startTwoOrganizations } from "./two-organizations.ts";

const RELAY_ON = { command: "set_relay", relay: 0, state: "ON" };

const connectRelay = (hub: TestHub, { uid, token }: { uid: string; token: string }, faults = {}) =>
  startVirtualDevice({ url: hub.mqtt, uid, password: token, deviceClass: "relay_controller", protocolVersion: 5, faults });

async function provision(api: ApiClient): Promise<{ device_uid: string; claim_code: string }> {
  const { status, body } = await api.call<{ device_uid: string; claim_code: string }>(
    "POST",
    "/api/v1/provision/register",
    { name: "x", device_class: "relay_controller" },
    { "x-provision-key": PROVISION_KEY },
  );
  assert.equal(status, 201);
  return body;
}

for (const { name, skip, open } of databases()) {
  describe(`${name}: of two at once`, { skip }, () => {
    test("with the same claim code one gets the device, whoever asks", async () => {
      await using database = await open();
      await using two = await startTwoOrganizations(database.url);
      for (let round = 0; round < 5; round++) {
        const { claim_code, device_uid } = await provision(two.admin.api);
        const claims = await Promise.all(
          [two.alice, two.mallory, two.alice, two.mallory].map(async (person) => ({
            person,
            answer: await person.api.call("POST", "/api/v1/devices/claim", { claim_code }),
          })),
        );
        const winners = claims.filter(({ answer }) => answer.status === 200);
        assert.equal(winners.length, 1);
        assert.ok(claims.every(({ answer }) => answer.status === 200 || answer.status === 404));
        for (const person of [two.alice, two.mallory]) {
          const { status } = await person.api.call("GET", `/api/v1/devices/${device_uid}`);
          assert.equal(status, person === winners[0]?.person ? 200 : 404);
        }
      }
    });

    test("who place, release, rename and remove a device and its room, each is answered, and it is nowhere that it may not be", async () => {
      await using database = await open();
      await using two = await startTwoOrganizations(database.url);
      const { alice, mallory } = two;
      const made = async (what: "site" | "room", body: object): Promise<string> =>
        (await alice.api.call<Record<string, { id: string }>>("POST", `/api/v1/${what}s`, body)).body[what]?.id as string;
      const site = await made("site", { name: "Villa", time_zone: "UTC" });
      for (let round = 0; round < 8; round++) {
        const room = await made("room", { name: "Kitchen", site_id: site });
        const { id } = await alice.api.addDevice();
        const place = () => alice.api.call("PATCH", `/api/v1/devices/${id}`, { room_id: room, name: "Lamp" });
        const release = () => alice.api.call<{ claim_code: string }>("POST", `/api/v1/devices/${id}/release`);
        const [first, given, ...others] = await Promise.all([
          place(),
          release(),
          alice.api.call("DELETE", `/api/v1/rooms/${room}`),
          alice.api.call("PATCH", `/api/v1/devices/${id}`, { name: "Renamed" }),
          place(),
        ]);
        const statuses = [first, given, ...others].map(({ status }) => status);
        assert.ok(
          statuses.every((status) => [200, 204, 404].includes(status)),
          statuses.join(),
        );
        assert.equal((await mallory.api.call("POST", "/api/v1/devices/claim", { claim_code: given.body.claim_code })).status, 200);
        assert.equal((await place()).status, 404);
        const { body } = await mallory.api.call<{ device: { room_id: unknown } }>("GET", `/api/v1/devices/${id}`);
        assert.equal(body.device.room_id, null);
      }
    });

    test("with the same command id one reaches the device, on one device or two", async () => {
      await using database = await open();
      await using hub = await startHub({ databaseUrl: database.url });
      await hub.api.login();
      const [one, other] = [await hub.api.addDevice(), await hub.api.addDevice()];
      await using relay = await connectRelay(hub, one, { slowMs: 20 });
      await using second = await connectRelay(hub, other, { slowMs: 20 });
      const send = (uid: string, command_id: string) =>
        hub.api.call("POST", `/api/v1/devices/${uid}/commands`, { ...RELAY_ON, command_id });
      const same = await Promise.all(Array.from({ length: 12 }, () => send(one.uid, "same")));
      assert.deepEqual([...new Set(same.map(({ status }) => status))], [200]);
      assert.deepEqual(new Set(same.map(({ body }) => JSON.stringify(body))).size, 1);
      assert.equal(relay.executed.length, 1);
      const across = await Promise.all([send(one.uid, "across"), send(other.uid, "across")]);
      assert.deepEqual(
        across.map(({ status }) => status).toSorted((a, b) => a - b),
        [200, 409],
      );
      assert.equal(relay.executed.length + second.executed.length, 2);
    });

    test("with the same set-up token one makes the administrator", async () => {
      await using database = await open();
      await using folder = temporaryFolder();
      await using hub = await spawnHub({
        dataDir: folder.path,
        databaseUrl: database.url,
        env: { HEXA_ADMIN_EMAIL: "", HEXA_ADMIN_PASSWORD: "" },
      });
      const token = new URL((hub as unknown as { setup_url: string }).setup_url).hash.slice(1);
      const answers = await Promise.all(
        Array.from({ length: 6 }, (_, n) =>
          hub.api.call("POST", "/api/v1/setup", { token, email: `a${n}@example.test`, password: ADMIN.password }),
        ),
      );
      assert.deepEqual(
        answers.map(({ status }) => status).toSorted((a, b) => a - b),
        [201, 409, 409, 409, 409, 409],
      );
      const made = answers.find(({ status }) => status === 201)?.body as { access_token: string } | undefined;
      hub.api.token = made?.access_token;
      assert.equal((await hub.api.call<{ data: unknown[] }>("GET", "/api/v1/users")).body.data.length, 1);
    });

    test("starts of the demo there is one home, and after stops and starts all at once none or one", async () => {
      await using database = await open();
      await using hub = await startHub({ databaseUrl: database.url });
      await hub.api.login();
      const start = () => hub.api.call<{ devices: { uid: string }[] }>("POST", "/api/v1/demo");
      const stop = () => hub.api.call("DELETE", "/api/v1/demo");
      const count = async () => (await hub.api.call<{ data: { is_demo: boolean }[] }>("GET", "/api/v1/devices?limit=200")).body.data.length;
      const [one, other] = await Promise.all([start(), start()]);
      assert.deepEqual([one?.status, other?.status], [200, 200]);
      assert.deepEqual(one?.body, other?.body);
      const size = await count();
      assert.equal(size, one?.body.devices.length);
      const answers = await Promise.all([stop(), start(), stop(), start()]);
      assert.ok(answers.every(({ status }) => status === 200));
      assert.ok([0, size].includes(await count()));
      await stop();
      assert.equal(await count(), 0);
    });

    test("a rotation ends the session with the old credentials, which never come back, while readings flow", async () => {
      await using database = await open();
      await using hub = await startHub({ databaseUrl: database.url });
      await hub.api.login();
      const device = await hub.api.addDevice();
      const connect = (password: string) =>
        mqtt.connectAsync(hub.mqtt, { clientId: device.uid, username: device.uid, password, reconnectPeriod: 0, protocolVersion: 5 });
      const client = await connect(device.token);
      const closed = new Promise<void>((resolve) => client.once("close", () => resolve()));
      const flood = (async () => {
        for (let n = 0; ; n++) await client.publishAsync(`hexa/${device.uid}/up/telemetry`, JSON.stringify({ values: { n } }), { qos: 1 });
      })().catch(() => "ended");
      const { status, body } = await hub.api.call<{ device_token: string }>("POST", `/api/v1/devices/${device.uid}/rotate-token`);
      assert.equal(status, 201);
      await closed;
      client.end(true);
      await assert.rejects(connect(device.token));
      const fresh = await connect(body.device_token);
      await fresh.publishAsync(`hexa/${device.uid}/up/telemetry`, '{"values":{"after":1}}', { qos: 1 });
      await fresh.endAsync(true);
      assert.equal(await Promise.race([flood, Promise.resolve("ended")]), "ended");
    });

    test("a release takes the device from its owner while readings flow, and the next owner sees only its own", async () => {
      await using database = await open();
      await using two = await startTwoOrganizations(database.url);
      const { hub, alice, mallory } = two;
      const device = await alice.api.addDevice();
      await using sensor = await connectRelay(hub, device);
      const over = new AbortController();
      const flowing = Promise.all(
        Array.from({ length: 4 }, async () => {
          while (!over.signal.aborted)
            await sensor
              .sendTelemetry({ phase: 1 })
              .catch(() => until(() => over.signal.aborted || sensor.connected, { what: "the device to return" }));
        }),
      );
      const values = async (api: ApiClient): Promise<number[]> => {
        const reply = await api.call<{ data: { value: number }[] }>("GET", `/api/v1/readings?device=${device.uid}&key=phase&limit=10000`);
        return reply.status === 200 ? reply.body.data.map(({ value }) => value) : [];
      };
      await until(async () => (await values(alice.api)).length > 20, { what: "readings of the first owner" });
      const released = await alice.api.call<{ claim_code: string }>("POST", `/api/v1/devices/${device.uid}/release`);
      assert.equal(released.status, 200);
      assert.equal((await alice.api.call("GET", `/api/v1/devices/${device.uid}`)).status, 404);
      // What was under way is acknowledged, before or after the release, and nothing of it may come again later.
      over.abort();
      await flowing;
      await until(() => sensor.sendTelemetry({ phase: 2 }).then(() => true), { what: "a reading that belongs to nobody" });
      const claimed = await mallory.api.call("POST", "/api/v1/devices/claim", { claim_code: released.body.claim_code });
      assert.equal(claimed.status, 200);
      await sensor.sendTelemetry({ phase: 3 });
      assert.deepEqual(await values(mallory.api), [3]);
      const events = await alice.api.call<{ data: { type: string; timestamp: string }[] }>("GET", "/api/v1/events?type=device.released");
      assert.equal(events.body.data.length, 1);
    });
  });
}

test("a second hub on the same data folder does not start and leaves the first alone", async () => {
  await using folder = temporaryFolder();
  await using first = await startHub({ dataDir: folder.path });
  await assert.rejects(startHub({ dataDir: folder.path }), /in use by another hub \(process \d+\)/);
  await first.api.login();
  assert.equal((await first.api.call("GET", "/api/v1/devices")).status, 200);
});
