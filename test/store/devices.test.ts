import assert from "node:assert/strict";
import { PLATFORM } from "../../core/principal.ts";
import { newClaimCode, newId } from "../../core/id.ts";
import { issueDeviceToken } from "../../store/credentials.ts";
import {
  createDevice,
  deleteDevice,
  findDevice,
  findDeviceBySerial,
  getDevice,
  listDeviceRefs,
  listDevices,
  updateDevice,
} from "../../store/devices.ts";
import { claimDevice, releaseDevice } from "../../store/ownership.ts";
import { capabilitiesOf, listConnected, recordSeen, setConnectionStatus } from "../../store/presence.ts";
import { rowsOf } from "../../store/sql.ts";
import { createTelemetryStore, listSeries, queryReadings } from "../../store/telemetry.ts";
import { insertCommand, findCommand } from "../../store/commands.ts";
import { readSensorState, readState, writeState } from "../../store/state.ts";
import { forEachEngine } from "./engines.ts";
import { device, signingKeys, tenant } from "./fixtures.ts";

const NOW = Date.parse("2026-11-21T05:22:10.123Z");

forEachEngine(({ test }) => {
  test("a device comes back as it was made, by uid, UUID and serial number", async (db) => {
    const a = await tenant(db, "a");
    const capabilities = {
      relays: 2,
      inputs: 1,
      ir: true,
      sensors: [{ key: "temperature", unit: "°C", device_class: "temperature" }, { key: "motion" }],
    };
    const made = await createDevice(db, {
      name: "Hall",
      deviceClass: "hybrid",
      model: "HX-1",
      serialNumber: "S-1",
      capabilities,
      organizationId: a.organization.id,
      ownerId: a.user.id,
    });
    assert.match(made.uid, /^hybrid-[a-z0-9]{10}$/);
    assert.deepEqual(
      { ...made, id: "", uid: "", createdAt: "", updatedAt: "", claimedAt: "" },
      {
        id: "",
        uid: "",
        name: "Hall",
        deviceClass: "hybrid",
        model: "HX-1",
        serialNumber: "S-1",
        firmwareVersion: null,
        organizationId: a.organization.id,
        ownerId: a.user.id,
        roomId: null,
        siteId: null,
        capabilities,
        settings: {},
        sensitivity: "normal",
        otaSecurityVersion: 0,
        isDemo: false,
        connectionStatus: "offline",
        lastSeenAt: null,
        lastIp: null,
        clockError: null,
        claimedAt: "",
        createdAt: "",
        updatedAt: "",
      },
    );
    assert.match(made.createdAt, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    for (const ref of [made.uid, made.id, made.id.toUpperCase()]) assert.deepEqual(await findDevice(db, a.scope, ref), made);
    assert.deepEqual(await findDeviceBySerial(db, "S-1"), made);
    const rows = await rowsOf<{ kind: string; capability_key: string; unit: string | null }>(
      db,
      "select kind, capability_key, unit from device_capabilities where device_id = ? order by kind, capability_key",
      [made.id],
    );
    assert.deepEqual(
      rows.map((row) => `${row.kind} ${row.capability_key} ${row.unit ?? "-"}`),
      ["input 0 -", "ir 0 -", "relay 0 -", "relay 1 -", "sensor motion -", "sensor temperature °C"],
    );
    const serials = await rowsOf<{ id: string }>(db, "select id from entities where properties->>'serial_number' = ?", ["S-1"]);
    assert.deepEqual(serials, [{ id: made.id }]);
  });

  test("another organisation finds, changes and removes nothing", async (db) => {
    const [a, b] = [await tenant(db, "a"), await tenant(db, "b")];
    const mine = await device(db, a);
    assert.equal(await findDevice(db, b.scope, mine.uid), undefined);
    await assert.rejects(getDevice(db, b.scope, mine.id), { code: "not_found" });
    assert.deepEqual((await listDevices(db, b.scope, { limit: 10 })).items, []);
    await assert.rejects(updateDevice(db, b.scope, mine.id, { name: "Stolen" }), { code: "not_found" });
    await assert.rejects(releaseDevice(db, b.scope, mine.id, newClaimCode()), { code: "not_found" });
    assert.equal(await deleteDevice(db, b.scope, mine.id), false);
    assert.deepEqual(await getDevice(db, PLATFORM, mine.id), mine);
  });

  test("a uid or a serial number that is taken is a conflict and leaves nothing behind", async (db) => {
    const first = await device(db, null, { serialNumber: "S-1", uid: "relay-abcdef" });
    await assert.rejects(device(db, null, { serialNumber: "S-1" }), { code: "conflict" });
    await assert.rejects(device(db, null, { uid: "relay-abcdef" }), { code: "conflict" });
    assert.deepEqual(await listDeviceRefs(db), [{ id: first.id, uid: first.uid, organizationId: null }]);
    assert.equal((await db("entities").count({ n: "*" }).first())?.["n"], 1);
  });

  test("pages go through all devices once, and filters narrow them", async (db) => {
    const a = await tenant(db, "a");
    const made = [];
    for (const name of ["Hall", "Cellar 100%", "cellar_2", "Attic", "Kitchen"])
      made.push(await device(db, a, { name, deviceClass: name === "Attic" ? "ir_hub" : "sensor_hub" }));
    await setConnectionStatus(db, made[0]?.id ?? "", "online", NOW);
    const seen: string[] = [];
    let after: string | undefined;
    do {
      const page = await listDevices(db, a.scope, { limit: 2, after });
      seen.push(...page.items.map((one) => one.id));
      after = page.next ?? undefined;
    } while (after !== undefined);
    assert.deepEqual(
      seen,
      made.map((one) => one.id),
    );
    const names = async (filter: object) => (await listDevices(db, a.scope, { limit: 10, ...filter })).items.map((one) => one.name);
    assert.deepEqual(await names({ search: "CELLAR" }), ["Cellar 100%", "cellar_2"]);
    assert.deepEqual(await names({ search: "0%" }), ["Cellar 100%"]);
    assert.deepEqual(await names({ search: "r_2" }), ["cellar_2"]);
    assert.deepEqual(await names({ deviceClass: "ir_hub" }), ["Attic"]);
    assert.deepEqual(await names({ status: "online" }), ["Hall"]);
  });

  test("a patch changes what it names and nothing else", async (db) => {
    const a = await tenant(db, "a");
    const made = await device(db, a, { model: "old", serialNumber: "S-9", capabilities: { relays: 1 } });
    const patched = await updateDevice(db, a.scope, made.id, {
      name: "New",
      model: "new",
      settings: { relay_names: ["A\0B"], power_restore: "last" },
      firmwareVersion: "1.2.3",
      capabilities: { relays: 2 },
    });
    assert.deepEqual(patched, {
      ...made,
      name: "New",
      model: "new",
      settings: { relay_names: ["A\uFFFDB"], power_restore: "last" },
      firmwareVersion: "1.2.3",
      capabilities: { relays: 2 },
      updatedAt: patched.updatedAt,
    });
    const untouched = await updateDevice(db, a.scope, made.id, {});
    assert.deepEqual(untouched, { ...patched, updatedAt: untouched.updatedAt });
    const [entity] = await rowsOf<{ name: string; serial: string; model: string }>(
      db,
      "select name, properties->>'serial_number' as serial, properties->>'model' as model from entities where id = ?",
      [made.id],
    );
    assert.deepEqual(entity, { name: "New", serial: "S-9", model: "new" });
  });

  test("of two claims at once one wins, and the code is used up", async (db) => {
    const [a, b] = [await tenant(db, "a"), await tenant(db, "b")];
    const claimCode = newClaimCode();
    const made = await device(db, null, { claimCode });
    const claims = await Promise.all(
      [a, b].map(({ organization, user }) =>
        claimDevice(db, {
          claimCode: claimCode.toLowerCase().replaceAll("-", " "),
          organizationId: organization.id,
          userId: user.id,
          now: NOW,
        }),
      ),
    );
    const winners = claims.filter((one) => one !== undefined);
    assert.equal(winners.length, 1);
    assert.equal(winners[0]?.claimedAt, "2026-11-21T05:22:10.123Z");
    assert.deepEqual(await findDevice(db, PLATFORM, made.id), winners[0]);
    assert.deepEqual(await rowsOf(db, "select from_entity, to_entity, relationship_type from relationships"), [
      { from_entity: winners[0]?.ownerId, to_entity: made.id, relationship_type: "owns" },
    ]);
    assert.equal(await claimDevice(db, { claimCode, organizationId: a.organization.id, userId: a.user.id, now: NOW }), undefined);
  });

  test("readings before the first claim go with the device, those between two owners are dropped, a former owner's stay his", async (db, store) => {
    const [a, b] = [await tenant(db, "a"), await tenant(db, "b")];
    const codes = [newClaimCode(), newClaimCode(), newClaimCode()] as const;
    const { id } = await device(db, null, { claimCode: codes[0] });
    const telemetry = createTelemetryStore(store);
    const record = (ts: number) => telemetry.insert(db, [{ deviceId: id, organizationId: null, key: "t", ts, value: ts - NOW }]);
    const values = async (scope: typeof a.scope) =>
      (await queryReadings(db, scope, { deviceId: id, key: "t", from: 0, to: NOW + 1_000_000, limit: 100 })).items.map((one) => one.value);
    const claim = (code: string, { organization, user }: typeof a) =>
      claimDevice(db, { claimCode: code, organizationId: organization.id, userId: user.id, now: NOW });

    await record(NOW + 1);
    await claim(codes[0], a);
    await record(NOW + 2);
    assert.deepEqual(await values(a.scope), [1, 2]);
    await releaseDevice(db, a.scope, id, codes[1]);
    assert.deepEqual(await readSensorState(db, id), []);
    await record(NOW + 3);
    assert.deepEqual(await values(a.scope), []);
    assert.deepEqual(await values(PLATFORM), [3]);
    await claim(codes[1], b);
    assert.deepEqual(await readSensorState(db, id), []);
    await record(NOW + 4);
    assert.deepEqual(await values(b.scope), [4]);
    assert.deepEqual(await values(a.scope), []);
    await releaseDevice(db, b.scope, id, codes[2]);
    await claim(codes[2], a);
    await record(NOW + 5);
    assert.deepEqual(await values(a.scope), [1, 2, 5]);
    assert.deepEqual(await values(b.scope), []);
    assert.deepEqual(
      (await listSeries(db, a.scope, id)).map(({ key, firstTs, lastTs, lastValue }) => ({ key, firstTs, lastTs, lastValue })),
      [{ key: "t", firstTs: NOW + 1, lastTs: NOW + 5, lastValue: 5 }],
    );
  });

  test("a release takes owner, states, relationships and open commands away", async (db) => {
    const a = await tenant(db, "a");
    const claimCode = newClaimCode();
    const { id } = await device(db, null, { claimCode });
    await claimDevice(db, { claimCode, organizationId: a.organization.id, userId: a.user.id, now: NOW });
    const why = { now: NOW, actor: { kind: "user", id: a.user.id }, source: "rest", commandId: null, correlationId: null } as const;
    await writeState(db, id, { relays: [{ index: 0, state: "ON" }], lights: [] }, why);
    const at = new Date(NOW).toISOString();
    await insertCommand(db, {
      id: "c-1",
      deviceId: id,
      organizationId: a.organization.id,
      taskId: null,
      command: { command: "identify" },
      status: "queued",
      actor: why.actor,
      source: "rest",
      correlationId: "x",
      causationId: null,
      ruleVersion: null,
      error: null,
      latencyMs: null,
      createdAt: at,
      deadlineAt: at,
      finishedAt: null,
    });
    const released = await releaseDevice(db, a.scope, id, newClaimCode());
    assert.deepEqual([released.organizationId, released.ownerId, released.claimedAt], [null, null, null]);
    assert.deepEqual(await readState(db, id), { relays: [], lights: [] });
    assert.deepEqual(await rowsOf(db, "select id from relationships"), []);
    assert.equal((await findCommand(db, a.scope, "c-1"))?.status, "expired");
  });

  test("a deleted device takes everything of it and nothing of others", async (db, store) => {
    const a = await tenant(db, "a");
    const [gone, kept] = [await device(db, a), await device(db, a)];
    const telemetry = createTelemetryStore(store);
    const keys = await signingKeys(db);
    for (const { id } of [gone, kept]) {
      const rows = [0, 86_400_000 * 3, 700_000].map((age, index) => ({
        deviceId: id,
        organizationId: a.organization.id,
        key: `k${index % 2}`,
        ts: NOW - age,
        value: index,
      }));
      await telemetry.insert(db, rows);
      await issueDeviceToken(db, keys, id);
    }
    assert.equal(await deleteDevice(db, a.scope, gone.id), true);
    assert.equal(await deleteDevice(db, a.scope, gone.id), false);
    for (const [table, rows] of Object.entries({ devices: 1, device_credentials: 1, series: 2, telemetry: 3, device_sensor_state: 2 }))
      assert.equal((await db(table).count({ n: "*" }).first())?.["n"], rows, table);
    await telemetry.insert(
      db,
      [gone, kept].map(({ id }) => ({ deviceId: id, organizationId: a.organization.id, key: "k0", ts: NOW + 5, value: true })),
    );
    assert.deepEqual((await rowsOf<{ n: number }>(db, "select count(*) as n from telemetry"))[0]?.n, 4);
    assert.deepEqual(await listDeviceRefs(db), [{ id: kept.id, uid: kept.uid, organizationId: a.organization.id }]);
  });

  test("an address that is noted in the same millisecond as the sign of life is kept", async (db) => {
    const { id } = await device(db, null);
    await setConnectionStatus(db, id, "online", NOW);
    await recordSeen(db, [{ id, at: NOW, ip: "10.0.0.1" }]);
    assert.equal((await getDevice(db, PLATFORM, id)).lastIp, "10.0.0.1");
  });

  test("knows what several devices can do, without those that are gone", async (db) => {
    const { id } = await device(db, null, { capabilities: { relays: 2 } });
    assert.deepEqual(await capabilitiesOf(db, [id, newId()]), new Map([[id, { relays: 2 }]]));
  });

  test("last-seen times only go forward, and whoever is not offline counts as connected", async (db) => {
    const a = await tenant(db, "a");
    const [one, two] = [await device(db, a), await device(db, a)];
    const { credentialId } = await issueDeviceToken(db, await signingKeys(db), one.id);
    await recordSeen(db, [
      { id: one.id, at: NOW, ip: "10.0.0.1", credentialId },
      { id: two.id, at: NOW + 5 },
      { id: one.id, at: NOW - 9 },
      { id: newId(), at: NOW },
    ]);
    await recordSeen(db, [
      { id: one.id, at: NOW - 1, ip: "10.0.0.2" },
      { id: two.id, at: NOW + 6 },
    ]);
    const seen = async (id: string) =>
      (({ lastSeenAt, lastIp, connectionStatus }) => [lastSeenAt, lastIp, connectionStatus])(await getDevice(db, PLATFORM, id));
    assert.deepEqual(await seen(one.id), [new Date(NOW).toISOString(), "10.0.0.1", "offline"]);
    assert.deepEqual(await seen(two.id), [new Date(NOW + 6).toISOString(), null, "offline"]);
    assert.deepEqual(await rowsOf(db, "select last_used_at from device_credentials"), [{ last_used_at: new Date(NOW).toISOString() }]);
    await setConnectionStatus(db, two.id, "online", NOW + 7);
    await setConnectionStatus(db, one.id, "stale", NOW + 7);
    assert.deepEqual(await seen(two.id), [new Date(NOW + 7).toISOString(), null, "online"]);
    assert.deepEqual(await seen(one.id), [new Date(NOW).toISOString(), "10.0.0.1", "stale"]);
    await device(db, a);
    assert.deepEqual(
      await listConnected(db),
      [one, two].map(({ id, uid }) => ({ id, uid, organizationId: a.organization.id })),
    );
  });

  test("batches of last-seen times from several sides at once all get through", async (db) => {
    const a = await tenant(db, "a");
    const devices = await Promise.all(Array.from({ length: 20 }, () => device(db, a)));
    await Promise.all(
      Array.from({ length: 16 }, (_, round) =>
        recordSeen(
          db,
          devices
            .map(({ id }, index) => ({ id, at: NOW + round, place: (index * 7 + round * 11) % 20 }))
            .toSorted((x, y) => x.place - y.place),
        ),
      ),
    );
    const { items } = await listDevices(db, a.scope, { limit: 50 });
    assert.deepEqual(new Set(items.map((one) => one.lastSeenAt)), new Set([new Date(NOW + 15).toISOString()]));
  });
});
