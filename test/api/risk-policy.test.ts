import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { PLATFORM } from "../../core/principal.ts";
import { DEFAULT_RISK_POLICY } from "../../core/risk-policy.ts";
import { listAudit } from "../../store/audit.ts";
import { createDevice } from "../../store/devices.ts";
import { releaseDevice } from "../../store/ownership.ts";
import { databases } from "../support/databases.ts";
import { type Answered, assertEnvelope, startTestApi, statusesOf, type TestApi } from "./test-api.ts";

const PATH = "/api/v1/risk-policy";
const RESTART = { command: "restart" };

type Person = Awaited<ReturnType<TestApi["member"]>>;
interface Place {
  readonly hub: TestApi;
  readonly owner: Person;
  readonly device: { readonly id: string; readonly uid: string };
  readonly put: (body: object, headers?: Record<string, string>, token?: string) => Promise<Answered>;
  readonly assess: (more?: object, token?: string) => Promise<Answered>;
  readonly patch: (body: object, headers?: Record<string, string>) => Promise<Answered>;
}

const tagOf = ({ headers }: Answered): string => headers.get("etag") ?? "none";

for (const { name, skip, open } of databases())
  describe(`what needs approval, on ${name}`, { skip }, () => {
    async function inPlace(work: (place: Place) => Promise<void>): Promise<void> {
      await using database = await open();
      await using hub = await startTestApi({}, database.url);
      const owner = await hub.member();
      const device = await createDevice(hub.context.store.db, {
        name: "Garage",
        deviceClass: "relay_controller",
        organizationId: owner.organizationId,
        ownerId: owner.userId,
      });
      const { token } = owner;
      await work({
        hub,
        owner,
        device,
        put: (body, headers = { "if-match": "*" }, as = token) => hub.ask("PUT", PATH, { token: as, body, headers }),
        assess: (more = {}, as = token) =>
          hub.ask("POST", `${PATH}/assess`, { token: as, body: { device: device.uid, actions: [RESTART], ...more } }),
        patch: (body, headers = {}) => hub.ask("PATCH", `/api/v1/devices/${device.id}`, { token, body, headers }),
      });
    }

    const details = async (hub: TestApi, action: string) =>
      (await listAudit(hub.context.store.db, PLATFORM, { limit: 50, action })).items.map((entry) => entry.details);

    test("is the default until it is set, and changed from what was read only", async () => {
      await inPlace(async ({ hub, owner, put }) => {
        const first = await hub.ask("GET", PATH, { token: owner.token });
        assert.equal(first.status, 200, first.text);
        assert.deepEqual(first.json, {
          version: 0,
          ...DEFAULT_RISK_POLICY,
          four_eyes: false,
          pin_required: false,
          approval_timeout_s: 3600,
          updated_at: null,
          updated_by: null,
        });
        assertEnvelope(await put({ threshold: 60 }, {}), 428, "precondition_required");
        const rules = [{ name: "Garage", match: { sources: ["mqtt"] }, require_approval: true }];
        const set = await put({ threshold: 60, pin_required: true, rules }, { "if-match": tagOf(first) });
        assert.equal(set.status, 200, set.text);
        const { version, threshold, pin_required, updated_by } = set.json;
        assert.deepEqual([version, threshold, pin_required, set.json["rules"]], [1, 60, true, rules]);
        assert.deepEqual(updated_by, { kind: "user", id: owner.userId });
        assert.deepEqual((await hub.ask("GET", PATH, { token: owner.token })).json, set.json);
        assertEnvelope(await put({ threshold: 1 }, { "if-match": tagOf(first) }), 412, "precondition_failed");
        const both = await Promise.all([10, 20].map((one) => put({ threshold: one }, { "if-match": tagOf(set) })));
        assert.deepEqual(statusesOf(both), [200, 412]);
        const last = await hub.ask("GET", PATH, { token: owner.token });
        assert.deepEqual([last.json["version"], last.json["rules"], last.json["pin_required"]], [2, [], false]);
        const [latest, earlier] = await details(hub, "risk_policy.put");
        assert.deepEqual(earlier, {
          version: 1,
          before: { threshold: { value: 70 }, pin_required: { value: false }, rules: { value: [] } },
          after: { threshold: { value: 60 }, pin_required: { value: true }, rules: { value: rules } },
        });
        assert.equal(latest?.["version"], 2);
      });
    });

    test("belongs to the organisation and its owners", async () => {
      await inPlace(async ({ hub, owner, put, assess }) => {
        const admin = await hub.member("user", "admin");
        assertEnvelope(await put({ threshold: 1 }, undefined, admin.token), 403, "forbidden");
        assert.equal((await hub.ask("GET", PATH, { token: admin.token })).status, 200);
        const stranger = await hub.member();
        assert.equal((await put({ threshold: 1 }, undefined, stranger.token)).status, 200);
        assert.equal((await hub.ask("GET", PATH, { token: owner.token })).json["threshold"], 70);
        assertEnvelope(await assess({}, stranger.token), 404, "not_found");
        const viewer = await hub.member("user", "viewer");
        assertEnvelope(await assess({}, viewer.token), 403, "forbidden");
        const fault = await put({ rules: [{ name: "a", match: {}, allow: true }] });
        assertEnvelope(fault, 400, "validation_error");
        assertEnvelope(await put({ approval_timeout_s: 59 }), 400, "validation_error");
        assertEnvelope(await put({ weights: { sensitivity: { low: 90 } } }), 400, "validation_error");
      });
    });

    test("is told of commands before anybody asks for them, with its reasons", async () => {
      await inPlace(async ({ hub, owner, device, put, assess, patch }) => {
        const at = "2026-07-01T23:30:00Z";
        const first = await assess({ at });
        assert.equal(first.status, 200, first.text);
        assert.deepEqual([first.json["score"], first.json["is_high"], first.json["policy_version"]], [51, false, 0]);
        assert.equal((await patch({ sensitivity: "high" })).status, 200);
        const high = await assess({ at });
        assert.deepEqual([high.json["score"], high.json["is_high"]], [86, true]);
        const rules = (answer: Answered) => (answer.json["reasons"] as { rule: string }[]).map(({ rule }) => rule);
        assert.deepEqual(rules(high), ["commands", "sensitivity", "night", "first_command", "device_classes"]);
        assert.equal(
          (await put({ threshold: 100, rules: [{ name: "Nobody", match: { commands: ["restart"] }, require_approval: true }] })).status,
          200,
        );
        const required = await assess({ at: "2026-07-01T12:00:00Z", source: "mqtt" });
        assert.deepEqual([required.json["is_high"], required.json["threshold"], required.json["policy_version"]], [true, 100, 1]);
        assert.deepEqual(rules(required)[0], "rules/Nobody");
        for (let count = 0; count < 12; count++) hub.recentCommands.note({ kind: "user", id: owner.userId }, device.id, Date.now());
        const busy = await assess({ actions: [{ command: "identify" }] });
        assert.deepEqual(busy.json["recent"], {
          by_actor_in_minute: 12,
          by_device_in_minute: 12,
          failed_in_hour: 0,
          is_first_from_actor: false,
        });
        assert.ok(rules(await assess()).includes("device_volume"));
        assertEnvelope(await assess({ actions: [] }), 400, "validation_error");
        assertEnvelope(await assess({ at: "soon" }), 400, "validation_error");
        assert.deepEqual(hub.sent, []);
      });
    });

    test("how sensitive a device is stands in its version, in the audit, and not in what it is told", async () => {
      await inPlace(async ({ hub, owner, device, patch }) => {
        const shown = await hub.ask("GET", `/api/v1/devices/${device.id}`, { token: owner.token });
        const changed = await patch({ sensitivity: "critical" }, { "if-match": tagOf(shown) });
        assert.equal((changed.json["device"] as { sensitivity: string }).sensitivity, "critical");
        assertEnvelope(await patch({ sensitivity: "low" }, { "if-match": tagOf(shown) }), 412, "precondition_failed");
        assert.equal((await patch({ name: "Gate" })).status, 200);
        assertEnvelope(await patch({ sensitivity: "secret" }), 400, "validation_error");
        assert.deepEqual(
          hub.published.filter(({ topic }) => !topic.startsWith("$hub/")),
          [],
        );
        assert.deepEqual(
          (await details(hub, "device.update")).map(({ changed: fields, sensitivity }) => [fields, sensitivity]),
          [
            [["name"], undefined],
            [["sensitivity"], { before: "normal", after: "critical" }],
          ],
        );
        const released = await releaseDevice(hub.context.store.db, PLATFORM, device.id, "a new claim code");
        assert.equal(released.sensitivity, "normal");
      });
    });
  });
