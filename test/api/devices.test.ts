import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { newId } from "../../core/id.ts";
import { databases } from "../support/databases.ts";
import { type Answered, apiOfSuite, assertEnvelope, field, OPERATOR, PROVISION_KEY, startTestApi } from "./test-api.ts";

type Json = Record<string, unknown>;
const RELAY = { name: "Hall", device_class: "relay_controller", capabilities: { relays: 2 } };
const SENSOR = { name: "Cellar", device_class: "sensor_hub", capabilities: { sensors: [{ key: "temperature", unit: "°C" }] } };

for (const engine of databases())
  describe(`on ${engine.name}`, { skip: engine.skip }, () => {
    const hub = apiOfSuite(engine);

    const register = (body: object = RELAY, headers: Record<string, string> = {}) =>
      hub().ask("POST", "/api/v1/provision/register", { body, headers: { "x-provision-key": PROVISION_KEY, ...headers } });
    const deviceOf = (answer: Answered) => answer.json["device"] as Json;

    describe("provisioning", () => {
      test("gives a device everything it needs to connect", async () => {
        const made = await register({ ...RELAY, serial_number: newId(), model: "HX-R2" });
        assert.equal(made.status, 201, made.text);
        const { device_uid: uid, device_token, device_jwt, claim_code, topics, ...rest } = made.json;
        assert.match(String(uid), /^relay-[a-z0-9]{10}$/);
        assert.match(String(device_token), /^hxd_/);
        assert.equal(String(device_jwt).split(".").length, 3);
        assert.match(String(claim_code), /^[A-Z0-9]{4}-[A-Z0-9]{4}-[A-Z0-9]{4}$/);
        assert.equal((topics as { up: Json }).up["telemetry"], `hexa/${String(uid)}/up/telemetry`);
        assert.deepEqual(
          [rest["mqtt_url"], rest["mqtts_url"], rest["wss_url"]],
          ["mqtt://127.0.0.1:1883", "mqtts://127.0.0.1:8883", "wss://127.0.0.1:8884/mqtt"],
        );
        assert.equal(hub().context.directory.find(String(uid))?.organizationId, null);
      });

      test("needs the key, and says how to set one where there is none", async () => {
        assertEnvelope(await hub().ask("POST", "/api/v1/provision/register", { body: RELAY }), 401, "unauthorized");
        assertEnvelope(await register(RELAY, { "x-provision-key": `${PROVISION_KEY}x` }), 401, "unauthorized");
        await using closed = await startTestApi({ provisionKey: undefined });
        const answer = await closed.ask("POST", "/api/v1/provision/register", { body: RELAY, headers: { "x-provision-key": "anything" } });
        assertEnvelope(answer, 503, "unavailable");
        assert.match(field(answer, "message"), /DEVICE_PROVISION_KEY/);
      });

      test("knows a serial number once, also when two ask at the same moment", async () => {
        const serial = newId();
        const answers = await Promise.all(Array.from({ length: 4 }, () => register({ ...RELAY, serial_number: serial })));
        assert.deepEqual(
          answers.map((answer) => answer.status).toSorted((a, b) => a - b),
          [201, 409, 409, 409],
        );
        assertEnvelope(await register({ ...RELAY, serial_number: serial }), 409, "conflict");
      });
    });

    describe("ownership", () => {
      test("a claim code works once, in any spelling, and the device is seen by its new organisation only", async () => {
        const [owner, other] = [await hub().member(), await hub().member()];
        const made = await register();
        const uid = field(made, "device_uid");
        assertEnvelope(await hub().ask("GET", `/api/v1/devices/${uid}`, { token: owner.token }), 404, "not_found");
        assertEnvelope(
          await hub().ask("POST", "/api/v1/devices/claim", { token: owner.token, body: { claim_code: "BBBB-BBBB-BBBB" } }),
          404,
          "not_found",
        );

        const spelled = field(made, "claim_code").toLowerCase().replaceAll("-", " ");
        const claims = await Promise.all(
          [owner, other].map(({ token }) => hub().ask("POST", "/api/v1/devices/claim", { token, body: { claim_code: spelled } })),
        );
        assert.equal(claims.filter((answer) => answer.status === 200).length, 1);
        const [winner, loser] = claims[0]?.status === 200 ? [owner, other] : [other, owner];
        assert.equal(hub().context.directory.find(uid)?.organizationId, winner.organizationId);
        assert.equal((await hub().ask("GET", `/api/v1/devices/${uid}`, { token: winner.token })).status, 200);
        assertEnvelope(await hub().ask("GET", `/api/v1/devices/${uid}`, { token: loser.token }), 404, "not_found");
        assertEnvelope(
          await hub().ask("PATCH", `/api/v1/devices/${uid}`, { token: loser.token, body: { name: "mine" } }),
          404,
          "not_found",
        );
        assertEnvelope(await hub().ask("POST", `/api/v1/devices/${uid}/release`, { token: loser.token }), 404, "not_found");
      });

      test("a released device waits for the holder of the new code and shows nothing of its past", async () => {
        const owner = await hub().member();
        const made = await hub().ask("POST", "/api/v1/devices", { token: owner.token, body: SENSOR });
        assert.equal(made.status, 201, made.text);
        const uid = field(made, "device_uid");
        const released = await hub().ask("POST", `/api/v1/devices/${uid}/release`, { token: owner.token });
        assert.equal(released.status, 200, released.text);
        assert.equal(deviceOf(released)["organization_id"], null);
        assert.equal(hub().context.directory.find(uid)?.organizationId, null);
        assert.ok(hub().forgotten.includes(uid));
        const next = await hub().member();
        assert.equal(
          (await hub().ask("POST", "/api/v1/devices/claim", { token: next.token, body: { claim_code: released.json["claim_code"] } }))
            .status,
          200,
        );
      });
    });

    describe("devices", () => {
      test("are listed page by page, filtered, and never across organisations", async () => {
        const owner = await hub().member();
        for (const name of ["North lamp", "South lamp", "Heater"])
          await hub().ask("POST", "/api/v1/devices", { token: owner.token, body: { ...RELAY, name } });
        await hub().ask("POST", "/api/v1/devices", { token: owner.token, body: SENSOR });
        const names: unknown[] = [];
        let cursor = "";
        do {
          const page = await hub().ask("GET", `/api/v1/devices?limit=3${cursor}`, { token: owner.token });
          names.push(...(page.json["data"] as Json[]).map((device) => device["name"]));
          cursor = page.json["next_cursor"] === null ? "" : `&cursor=${field(page, "next_cursor")}`;
        } while (cursor !== "");
        assert.deepEqual(names, ["North lamp", "South lamp", "Heater", "Cellar"]);
        const count = async (query: string) =>
          ((await hub().ask("GET", `/api/v1/devices?${query}`, { token: owner.token })).json["data"] as unknown[]).length;
        assert.deepEqual(
          [await count("search=LAMP"), await count("device_class=sensor_hub"), await count("status=online"), await count("search=%25")],
          [2, 1, 0, 0],
        );
        const stranger = await hub().member();
        assert.deepEqual((await hub().ask("GET", "/api/v1/devices", { token: stranger.token })).json["data"], []);
      });

      test("keep settings that a change does not name, and hear of it as retained down/config", async () => {
        const owner = await hub().member();
        const uid = field(await hub().ask("POST", "/api/v1/devices", { token: owner.token, body: RELAY }), "device_uid");
        const patch = (body: object) => hub().ask("PATCH", `/api/v1/devices/${uid}`, { token: owner.token, body });
        await patch({ settings: { relay_names: ["Lamp", "Fan"] } });
        const changed = await patch({ name: "Kitchen", settings: { power_restore: "last" } });
        assert.deepEqual(
          [deviceOf(changed)["name"], deviceOf(changed)["settings"]],
          ["Kitchen", { relay_names: ["Lamp", "Fan"], power_restore: "last" }],
        );
        const config = hub().published.findLast((message) => message.topic === `hexa/${uid}/down/config`);
        assert.deepEqual(
          [config?.retain, JSON.parse(String(config?.payload))],
          [true, { relay_names: ["Lamp", "Fan"], power_restore: "last" }],
        );
        assertEnvelope(await patch({}), 400, "validation_error");
      });

      test("leave nothing behind when they are removed, and the removal is in the audit and an event", async () => {
        const admin = await hub().member("admin");
        const made = await hub().ask("POST", "/api/v1/devices", { token: admin.token, body: RELAY });
        const { uid, id } = deviceOf(made) as { uid: string; id: string };
        const removed = await hub().ask("DELETE", `/api/v1/devices/${uid}`, {
          token: admin.token,
          headers: { "x-request-id": "req-removal" },
        });
        assert.equal(removed.status, 204, removed.text);
        assert.equal(removed.text, "");
        assertEnvelope(await hub().ask("GET", `/api/v1/devices/${id}`, { token: admin.token }), 404, "not_found");
        assert.equal(hub().context.directory.find(uid), undefined);
        assert.ok(hub().forgotten.includes(uid));
        const { data: entries } = (await hub().ask("GET", `/api/v1/audit?action=device.delete&resource_id=${id}`, { token: admin.token }))
          .json as { data: Json[] };
        assert.deepEqual(
          entries.map((entry) => [entry["request_id"], entry["actor"]]),
          [["req-removal", { kind: "user", id: admin.userId }]],
        );
        const { data: events } = (await hub().ask("GET", `/api/v1/events?type=device.deleted&entity_id=${id}`, { token: admin.token }))
          .json as {
          data: Json[];
        };
        assert.equal(events.length, 1);
        assert.ok(hub().emitted.some((event) => event.id === events[0]?.["id"]));
      });
    });

    describe("a device's credentials", () => {
      test("are replaced by a rotation and end by revocation", async () => {
        const made = await hub().ask("POST", "/api/v1/devices", { token: OPERATOR, body: SENSOR });
        const uid = field(made, "device_uid");
        const report = (secret: unknown, headers: Record<string, string> = {}) =>
          hub().ask("POST", "/api/v1/devices/sensor-report", {
            body: { values: { temperature: 21.5, humidity: 40 } },
            headers: { "x-device-uid": uid, authorization: `Bearer ${String(secret)}`, ...headers },
          });
        const accepted = await report(made.json["device_token"]);
        assert.deepEqual([accepted.status, accepted.json], [202, { accepted: 2 }], accepted.text);
        assert.equal((await report(made.json["device_jwt"])).status, 202);
        assert.equal((await report("ignored", { authorization: "", "x-device-token": field(made, "device_token") })).status, 202);
        assertEnvelope(await report(made.json["device_token"], { "x-device-uid": "relay-aaaaaaaaaa" }), 401, "unauthorized");

        const rotated = await hub().ask("POST", `/api/v1/devices/${uid}/rotate-token`, { token: OPERATOR });
        assert.equal(rotated.status, 201, rotated.text);
        assertEnvelope(await report(made.json["device_token"]), 401, "unauthorized");
        assertEnvelope(await report(made.json["device_jwt"]), 401, "unauthorized");
        assert.equal((await report(rotated.json["device_token"])).status, 202);

        const listed = await hub().ask("GET", `/api/v1/devices/${uid}/credentials`, { token: OPERATOR });
        const valid = (listed.json["data"] as Json[]).filter((one) => one["revoked_at"] === null);
        assert.deepEqual(valid.map((one) => one["kind"] as string).toSorted(), ["jwt", "token"]);
        const token = valid.find((one) => one["kind"] === "token");
        const revoked = await hub().ask("POST", `/api/v1/devices/${uid}/revoke`, {
          token: OPERATOR,
          body: { credential_id: token?.["id"] },
        });
        assert.deepEqual(revoked.json, { revoked: [token?.["id"]] }, revoked.text);
        assertEnvelope(await report(rotated.json["device_token"]), 401, "unauthorized");
        assert.equal((await report(rotated.json["device_jwt"])).status, 202);
      });
    });

    describe("readings", () => {
      const at = Date.now() - 3_600_000;
      const sample = (minutes: number, value: number) => ({ ts: at + minutes * 60_000, values: { power: value } });

      test("come back in order, page by page and in buckets", async () => {
        const made = await hub().ask("POST", "/api/v1/devices", { token: OPERATOR, body: SENSOR });
        const uid = field(made, "device_uid");
        const reported = await hub().ask("POST", "/api/v1/devices/sensor-report", {
          body: [sample(2, 30), sample(0, 10), sample(1, 20)],
          headers: { "x-device-uid": uid, authorization: `Bearer ${field(made, "device_token")}` },
        });
        assert.equal(reported.status, 202, reported.text);
        const read = (query: string) => hub().ask("GET", `/api/v1/readings?device=${uid}&key=power${query}`, { token: OPERATOR });
        const all = await read("");
        assert.deepEqual(all.json, {
          data: [0, 1, 2].map((minutes) => ({ ts: new Date(at + minutes * 60_000).toISOString(), value: (minutes + 1) * 10 })),
          next_cursor: null,
        });
        const first = await read("&limit=2");
        const second = await read(`&limit=2&cursor=${field(first, "next_cursor")}`);
        assert.deepEqual(
          [...(first.json["data"] as Json[]), ...(second.json["data"] as Json[])].map((one) => one["value"]),
          [10, 20, 30],
        );
        const sum = await read(`&bucket=1d&agg=sum&from=${at - 86_400_000}`);
        assert.equal(
          (sum.json["data"] as { value: number }[]).reduce((total, one) => total + one.value, 0),
          60,
        );
        const detail = await hub().ask("GET", `/api/v1/devices/${uid}`, { token: OPERATOR });
        assert.deepEqual(
          (detail.json["sensors"] as Json[]).map(({ key, value }) => [key, value]),
          [["power", 30]],
        );
      });

      for (const [claim, query] of [
        ["a bucket of no length", "bucket=0"],
        ["a bucket longer than a year", "bucket=400d"],
        ["an aggregate without a bucket", "agg=avg"],
        ["a time that is none", "from=yesterday"],
        ["a time without a zone", "from=2026-01-01T00:00:00"],
        ["a beginning after the end", "from=2000&to=1000"],
        ["a cursor that is none", "cursor=abc"],
        ["more than the maximum", "limit=10001"],
      ] as const) {
        test(`refuse ${claim}`, async () => {
          assertEnvelope(
            await hub().ask("GET", `/api/v1/readings?device=relay-aaaaaaaaaa&key=power&${query}`, { token: OPERATOR }),
            400,
            "validation_error",
          );
        });
      }

      test("of a device that is not yours are not found", async () => {
        const { token } = await hub().member();
        const made = await hub().ask("POST", "/api/v1/devices", { token: OPERATOR, body: SENSOR });
        assertEnvelope(
          await hub().ask("GET", `/api/v1/readings?device=${field(made, "device_uid")}&key=power`, { token }),
          404,
          "not_found",
        );
      });

      test("with a clock that cannot be are refused as such", async () => {
        const made = await hub().ask("POST", "/api/v1/devices", { token: OPERATOR, body: SENSOR });
        const answer = await hub().ask("POST", "/api/v1/devices/sensor-report", {
          body: { ts: 5, values: { power: 1 } },
          headers: { "x-device-uid": field(made, "device_uid"), "x-device-token": field(made, "device_token") },
        });
        assertEnvelope(answer, 400, "clock_out_of_range");
      });
    });
  });
