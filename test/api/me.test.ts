import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { PERMISSIONS, permissionsIn, rolePermissions, type Role } from "../../core/permissions.ts";
import { addMember } from "../../store/members.ts";
import { databases } from "../support/databases.ts";
import { apiOfSuite, assertEnvelope, field, OPERATOR } from "./test-api.ts";

interface Me {
  readonly organization_id: string;
  readonly is_hub_administrator: boolean;
  readonly permissions: readonly string[];
  readonly device_permissions: readonly { readonly device_id: string; readonly permissions: readonly string[] }[];
}

const ALL = [...PERMISSIONS];
const ofRole = (role: Role): readonly string[] => permissionsIn(rolePermissions(role));

for (const engine of databases())
  describe(`what one may do on ${engine.name}`, { skip: engine.skip }, () => {
    const hub = apiOfSuite(engine);
    const me = async (token: string): Promise<Me> => (await hub().ask("GET", "/api/v1/auth/me", { token })).json as unknown as Me;
    const addDevice = async (token: string): Promise<string> => {
      const made = await hub().ask("POST", "/api/v1/devices", { token, body: { name: "Relay", device_class: "relay_controller" } });
      assert.equal(made.status, 201, made.text);
      return (made.json["device"] as { id: string }).id;
    };
    const limited = async (token: string, body: object): Promise<string> => {
      const made = await hub().ask("POST", "/api/v1/access-tokens", { token, body: { kind: "personal", name: "limited", ...body } });
      assert.equal(made.status, 201, made.text);
      return field(made, "token");
    };

    test("is told of every role, of nobody's, of machines and of administrators of the hub", async () => {
      for (const role of ["viewer", "operator", "admin", "owner"] as const) {
        const told = await me((await hub().member("user", role)).token);
        assert.deepEqual([told.permissions, told.device_permissions, told.is_hub_administrator], [ofRole(role), [], false], role);
      }
      assert.equal((await me((await hub().member("user", "viewer")).token)).permissions.includes("device.control"), false);
      assert.deepEqual((await me((await hub().member("user", null)).token)).permissions, []);
      for (const token of [OPERATOR, (await hub().member("admin", "viewer")).token]) {
        const told = await me(token);
        assert.deepEqual([told.permissions, told.is_hub_administrator], [ALL, true]);
      }
      const owner = await hub().member();
      const made = await hub().ask("POST", "/api/v1/access-tokens", { token: owner.token, body: { kind: "service", name: "sensor-room" } });
      const { permissions } = await me(field(made, "token"));
      assert.deepEqual([permissions.includes("device.control"), permissions.includes("member.manage")], [true, false]);
    });

    test("is what a limited token leaves of it, on its devices alone where it names them", async () => {
      const owner = await hub().member();
      const lamp = await addDevice(owner.token);
      const reader = await me(await limited(owner.token, { permissions: ["device.read", "audit.read"] }));
      assert.deepEqual([reader.permissions, reader.device_permissions], [["device.read", "audit.read"], []]);
      const ofLamp = await me(await limited(owner.token, { permissions: ["device.read"], devices: [lamp] }));
      assert.deepEqual([ofLamp.permissions, ofLamp.device_permissions], [[], [{ device_id: lamp, permissions: ["device.read"] }]]);
      const root = await hub().member("admin");
      const ofRoot = await me(await limited(root.token, { permissions: ["device.read"] }));
      assert.deepEqual([ofRoot.permissions, ofRoot.is_hub_administrator], [["device.read"], false]);
    });

    test("follows a grant, and the organisation in which one acts", async () => {
      const [owner, guest] = [await hub().member(), await hub().member()];
      const { db } = hub().context.store;
      await addMember(db, owner.organizationId, guest.userId, null);
      await hub().context.access.changed([guest.userId]);
      const lamp = await addDevice(owner.token);
      const grant = { user_id: guest.userId, device: lamp, role: "operator" };
      const granted = await hub().ask("POST", `/api/v1/organizations/${owner.organizationId}/grants`, { token: owner.token, body: grant });
      assert.equal(granted.status, 200, granted.text);
      assert.deepEqual((await me(guest.token)).device_permissions, []);
      const there = { organization_id: owner.organizationId };
      const gone = await hub().ask("POST", "/api/v1/auth/organization", { token: guest.token, body: there });
      assert.equal(gone.status, 200, gone.text);
      const told = await me(guest.token);
      assert.deepEqual([told.organization_id, told.permissions], [owner.organizationId, []]);
      assert.deepEqual(told.device_permissions, [{ device_id: lamp, permissions: ["device.read", "device.control"] }]);
      const stranger = await hub().member();
      assertEnvelope(await hub().ask("POST", "/api/v1/auth/organization", { token: stranger.token, body: there }), 404, "not_found");
      assert.deepEqual((await me(stranger.token)).permissions, ofRole("owner"));
    });
  });
