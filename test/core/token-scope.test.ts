import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import {
  type Access,
  DEVICE_PERMISSIONS,
  deviceRolePermissions,
  may,
  mayOn,
  maySomewhere,
  narrow,
  NO_PERMISSIONS,
  organizationAccess,
  PERMISSIONS,
  permissionSet,
  permissionsIn,
  PLATFORM_ACCESS,
  rolePermissions,
  scopeOf,
} from "../../core/permissions.ts";

const ORGANIZATION = "acme";
const DEVICES = ["d1", "d2", "d3"];

describe("a limited token", () => {
  test("leaves what is in both: what it says and what its owner may", () => {
    const owner = organizationAccess(ORGANIZATION, rolePermissions("owner"));
    const viewer = organizationAccess(ORGANIZATION, rolePermissions("viewer"));
    const everywhere = (access: Access) => (access.kind === "organization" ? permissionsIn(access.everywhere) : "platform");
    const wanted = { permissions: ["device.read", "device.control"] as const };
    assert.deepEqual(everywhere(narrow(owner, wanted, ORGANIZATION)), ["device.read", "device.control"]);
    assert.deepEqual(everywhere(narrow(viewer, wanted, ORGANIZATION)), ["device.read"]);
    assert.deepEqual(everywhere(narrow(PLATFORM_ACCESS, wanted, ORGANIZATION)), ["device.read", "device.control"]);
    assert.deepEqual(everywhere(narrow(owner, {}, ORGANIZATION)), permissionsIn(rolePermissions("owner")));
    assert.deepEqual(everywhere(narrow(owner, { deviceIds: ["d1"] }, ORGANIZATION)), []);
  });

  test("for single devices has on each what its owner has there, and nothing else", () => {
    const guest = organizationAccess(
      ORGANIZATION,
      rolePermissions("viewer"),
      new Map([
        ["d1", deviceRolePermissions("operator")],
        ["d2", deviceRolePermissions("admin")],
      ]),
    );
    assert.deepEqual(scopeOf(narrow(guest, { deviceIds: ["d1", "d3"] }, ORGANIZATION), "device.read"), {
      kind: "devices",
      organizationId: ORGANIZATION,
      deviceIds: ["d1", "d3"],
    });
    assert.deepEqual(scopeOf(narrow(guest, { deviceIds: ["d1", "d3"] }, ORGANIZATION), "device.control"), {
      kind: "devices",
      organizationId: ORGANIZATION,
      deviceIds: ["d1"],
    });
    assert.deepEqual(scopeOf(narrow(guest, { permissions: ["device.control"] }, ORGANIZATION), "device.control"), {
      kind: "devices",
      organizationId: ORGANIZATION,
      deviceIds: ["d1", "d2"],
    });
  });

  test("of an administrator of the hub is of its one organisation", () => {
    const access = narrow(PLATFORM_ACCESS, { permissions: [...PERMISSIONS] }, ORGANIZATION);
    assert.equal(access.kind, "organization");
    assert.ok(may(access, "device.read", ORGANIZATION) && !may(access, "device.read", "other"));
    assert.ok(!mayOn(access, "device.read", { id: "d1", organizationId: "other" }));
  });

  test("never opens more than its owner has, or than it says", () => {
    const set = fc.subarray([...PERMISSIONS]).map(permissionSet);
    const onDevice = fc.subarray([...DEVICE_PERMISSIONS]).map(permissionSet);
    const grants = fc.dictionary(fc.constantFrom(...DEVICES), onDevice).map((made) => new Map(Object.entries(made)));
    const accesses = fc.oneof(
      fc.constant<Access>(PLATFORM_ACCESS),
      fc.tuple(set, grants).map(([everywhere, onDevices]) => organizationAccess(ORGANIZATION, everywhere, onDevices)),
    );
    const scopes = fc.record({ permissions: fc.subarray([...PERMISSIONS]), deviceIds: fc.subarray([...DEVICES]) }, { requiredKeys: [] });
    fc.assert(
      fc.property(accesses, scopes, (access, scope) => {
        const narrowed = narrow(access, scope, ORGANIZATION);
        assert.notEqual(narrowed.kind, "platform");
        for (const permission of PERMISSIONS) {
          const says = scope.permissions?.includes(permission) ?? true;
          const isWhole = scope.deviceIds === undefined;
          assert.equal(may(narrowed, permission, ORGANIZATION), may(access, permission, ORGANIZATION) && says && isWhole);
          assert.ok(!maySomewhere(narrowed, permission) || (maySomewhere(access, permission) && says));
          for (const id of [...DEVICES, "d4"]) {
            const device = { id, organizationId: ORGANIZATION };
            const isNamed =
              isWhole || (scope.deviceIds?.includes(id) === true && (DEVICE_PERMISSIONS as readonly string[]).includes(permission));
            assert.equal(mayOn(narrowed, permission, device), mayOn(access, permission, device) && says && isNamed);
            assert.ok(!mayOn(narrowed, permission, { id, organizationId: "other" }));
          }
        }
      }),
    );
  });

  test("holds nothing for a device on which its owner has nothing", () => {
    const nobody = organizationAccess(ORGANIZATION, NO_PERMISSIONS);
    const access = narrow(nobody, { deviceIds: DEVICES }, ORGANIZATION);
    assert.ok(access.kind === "organization" && access.onDevices.size === 0);
  });
});
