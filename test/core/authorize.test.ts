import assert from "node:assert/strict";
import { test } from "node:test";
import { isValidFilter, mayPublish, mayReceive, maySubscribe, type Rights } from "../../core/authorize.ts";
import type { DeviceRef } from "../../core/bus.ts";
import {
  type Access,
  deviceRolePermissions,
  narrow,
  NO_PERMISSIONS,
  organizationAccess,
  PLATFORM_ACCESS,
  rolePermissions,
  SERVICE_PERMISSIONS,
} from "../../core/permissions.ts";
import type { Member, Principal } from "../../core/principal.ts";
import { createTopics, type Topic } from "../../core/topics.ts";

const devices = new Map<string, DeviceRef>([
  ["relay-one", { id: "d1", uid: "relay-one", organizationId: "acme" }],
  ["relay-two", { id: "d2", uid: "relay-two", organizationId: "acme" }],
  ["relay-foe", { id: "d3", uid: "relay-foe", organizationId: "other" }],
  ["relay-new", { id: "d4", uid: "relay-new", organizationId: null }],
]);
const person = (id: string): Principal & { kind: "user" } => ({
  kind: "user",
  id,
  email: `${id}@acme.test`,
  role: "user",
  organizationId: "acme",
  credentialId: "c",
});
const device: Principal = { kind: "device", id: "d1", uid: "relay-one", credentialId: "c" };
const user = person("user");
const admin: Principal = { ...person("admin"), role: "admin" };
const service: Principal = { kind: "service", id: "s1", name: "home-assistant", organizationId: "acme", credentialId: "c" };
/** `looks` and `guest` have a grant on relay-one and no role; `gone` is a member no more. */
const everybody = {
  device,
  viewer: person("viewer"),
  operator: person("operator"),
  user,
  looks: person("looks"),
  guest: person("guest"),
  gone: person("gone"),
  admin,
  service,
};
type Who = keyof typeof everybody;

const ACCESS = new Map<string, Access>([
  ["admin", PLATFORM_ACCESS],
  ["s1", organizationAccess("acme", SERVICE_PERMISSIONS)],
  ["viewer", organizationAccess("acme", rolePermissions("viewer"))],
  ["operator", organizationAccess("acme", rolePermissions("operator"))],
  ["user", organizationAccess("acme", rolePermissions("owner"))],
  // Of a device that has left the organisation the grant means nothing.
  [
    "looks",
    organizationAccess(
      "acme",
      NO_PERMISSIONS,
      new Map([
        ["d1", deviceRolePermissions("viewer")],
        ["d3", deviceRolePermissions("admin")],
      ]),
    ),
  ],
  ["guest", organizationAccess("acme", NO_PERMISSIONS, new Map([["d1", deviceRolePermissions("operator")]]))],
]);
const rights: Rights = {
  topics: createTopics(),
  directory: { version: 0, find: (uid) => devices.get(uid), put() {}, remove() {}, async know() {}, async settled() {} },
  access: {
    version: 0,
    of: ({ id, organizationId }) => ACCESS.get(id) ?? organizationAccess(organizationId, NO_PERMISSIONS),
    async know() {},
    async changed() {},
  },
};

const CONTROL: Who[] = ["operator", "user", "admin", "service"];
const SEE: Who[] = ["viewer", "operator", "user", "admin", "service"];
const CONTROL_ONE: Who[] = ["operator", "user", "guest", "admin", "service"];
const SEE_ONE: Who[] = ["viewer", "operator", "user", "looks", "guest", "admin", "service"];

/** topic, who may publish, who may receive. */
const TOPIC_RIGHTS: [string, Who[], Who[]][] = [
  ["hexa/relay-one/up/telemetry", ["device"], SEE_ONE],
  ["hexa/relay-one/availability", ["device"], SEE_ONE],
  ["hexa/relay-one/relay/0/state", [], SEE_ONE],
  ["hexa/relay-one/relay/0/set", CONTROL_ONE, SEE_ONE],
  ["hexa/relay-one/light/0/set", CONTROL_ONE, SEE_ONE],
  ["hexa/relay-one/ir/send", CONTROL_ONE, SEE_ONE],
  ["hexa/relay-one/sensor/temp/state", [], SEE_ONE],
  ["hexa/relay-one/down/command", [], ["device"]],
  ["hexa/relay-two/up/telemetry", [], SEE],
  ["hexa/relay-two/relay/0/set", CONTROL, SEE],
  ["hexa/relay-two/down/command", [], []],
  ["hexa/relay-foe/up/telemetry", [], ["admin"]],
  ["hexa/relay-foe/relay/0/set", ["admin"], ["admin"]],
  ["hexa/relay-foe/relay/0/state", [], ["admin"]],
  ["hexa/relay-new/up/telemetry", [], ["admin"]],
  ["hexa/relay-nil/relay/0/set", [], []],
  ["hexa-app/acme/events/device.online", [], SEE],
  ["hexa-app/acme/bus/doorbell", CONTROL, SEE],
  ["hexa-app/other/events/device.online", [], ["admin"]],
  ["hexa-app/other/bus/doorbell", ["admin"], ["admin"]],
  ["hexa-app/acme/users/user/notifications", [], ["user"]],
  ["hexa-app/acme/users/guest/notifications", [], ["guest"]],
  ["hexa-app/acme/users/gone/notifications", [], []],
  ["hexa-app/other/users/user/notifications", [], []],
  ["$SYS/broker/uptime", [], ["admin"]],
  ["homeassistant/status", ["service"], []],
  ["homeassistant/device/acme/hexa_relay-one/config", [], SEE_ONE],
  ["homeassistant/device/acme/hexa_relay-two/config", [], SEE],
  // It has left: who had it is told that it is gone.
  ["homeassistant/device/acme/hexa_relay-foe/config", [], SEE],
  ["homeassistant/switch/acme/hexa_relay-nil_0/config", [], SEE],
  ["homeassistant/device/other/hexa_relay-one/config", [], ["admin"]],
  ["hexa-app/acme/availability", [], SEE],
  ["hexa-app/other/availability", [], ["admin"]],
  ["hexa/relay-one/button/restart/press", CONTROL_ONE, SEE_ONE],
  ["hexa/relay-foe/button/restart/press", ["admin"], ["admin"]],
];

for (const [name, publishers, readers] of TOPIC_RIGHTS) {
  test(`${name}: published by ${publishers.join(", ") || "nobody"}, read by ${readers.join(", ") || "nobody"}`, () => {
    const topic = rights.topics.parse(name) as Topic;
    assert.ok(topic, "the topic is in the table");
    const who = Object.entries(everybody) as [Who, Principal][];
    assert.deepEqual(
      who.filter(([, principal]) => mayPublish(rights, principal, topic)).map(([key]) => key),
      publishers,
    );
    assert.deepEqual(
      who.filter(([, principal]) => mayReceive(rights, principal, topic)).map(([key]) => key),
      readers,
    );
  });
}

test("a device subscribes below its own down topics only", () => {
  for (const filter of ["hexa/relay-one/down/#", "hexa/relay-one/down/+", "hexa/relay-one/down/command"])
    assert.equal(maySubscribe(rights, device, filter), true, filter);
  for (const filter of [
    "#",
    "+/relay-one/down/#",
    "hexa/#",
    "hexa/+/down/#",
    "hexa/relay-one/#",
    "hexa/relay-one/+/command",
    "hexa/relay-two/down/#",
    "hexa/relay-one/down",
    "hexa/relay-one/down/a/b",
    "$SYS/#",
    "$share/g/hexa/relay-one/down/#",
  ])
    assert.equal(maySubscribe(rights, device, filter), false, filter);
});

test("a member may use wildcards and may not name what is hidden from it, missing and foreign alike", () => {
  for (const filter of [
    "#",
    "+/+/up/#",
    "hexa/#",
    "hexa/+/relay/+/state",
    "hexa/relay-one/#",
    "hexa-app/acme/#",
    "hexa-app/+/events/#",
    "homeassistant/#",
  ])
    assert.equal(maySubscribe(rights, user, filter), true, filter);
  for (const filter of [
    "hexa/relay-foe/#",
    "hexa/relay-nil/#",
    "hexa/relay-new/up/telemetry",
    "hexa-app/other/#",
    "$SYS/#",
    "$hub/#",
    "$share/g/#",
    "private/#",
    "hexa/relay-one",
  ])
    assert.equal(maySubscribe(rights, user, filter), false, filter);
  for (const filter of ["hexa/relay-foe/#", "$SYS/#", "$SYS/broker/+/count"])
    assert.equal(maySubscribe(rights, admin, filter), true, filter);
  for (const filter of ["$hub/#", "$SYS", "$SYSTEM/#", "$share/g/#"]) assert.equal(maySubscribe(rights, admin, filter), false, filter);
});

test("who has a grant on one device may name it, and no other", () => {
  const { guest, gone, viewer } = everybody;
  for (const filter of ["hexa/relay-one/#", "hexa/+/relay/+/state", "hexa-app/acme/#", "#"])
    assert.equal(maySubscribe(rights, guest, filter), true, filter);
  for (const filter of ["hexa/relay-two/#", "hexa/relay-foe/#", "hexa-app/other/#"])
    assert.equal(maySubscribe(rights, guest, filter), false, filter);
  for (const filter of ["hexa/relay-one/#", "hexa-app/acme/#"]) assert.equal(maySubscribe(rights, gone, filter), false, filter);
  assert.equal(maySubscribe(rights, viewer, "hexa/relay-two/#"), true);
});

test("a token that is limited reads no notifications, and speaks for no Home Assistant that it may not speak to", () => {
  const tokenScope = { permissions: ["device.read"] } as const;
  const limited: Principal = { ...user, tokenScope };
  const machine: Principal = { ...service, id: "s2", tokenScope };
  const narrowed: Rights = {
    ...rights,
    access: {
      ...rights.access,
      of: (principal) => narrow(rights.access.of({ ...principal, id: principal.id.replace("s2", "s1") } as Member), tokenScope, "acme"),
    },
  };
  const topic = (name: string): Topic => rights.topics.parse(name) as Topic;
  assert.equal(mayReceive(rights, user, topic("hexa-app/acme/users/user/notifications")), true);
  assert.equal(mayReceive(narrowed, limited, topic("hexa-app/acme/users/user/notifications")), false);
  assert.equal(mayPublish(rights, service, topic("homeassistant/status")), true);
  assert.equal(mayPublish(narrowed, machine, topic("homeassistant/status")), false);
  for (const principal of [limited, machine]) {
    assert.equal(mayReceive(narrowed, principal, topic("hexa/relay-two/relay/0/state")), true);
    assert.equal(mayPublish(narrowed, principal, topic("hexa/relay-two/relay/0/set")), false);
    assert.equal(mayPublish(narrowed, principal, topic("hexa-app/acme/bus/doorbell")), false);
  }
});

test("a filter has its wildcards alone in a level and # last", () => {
  for (const filter of ["#", "+", "a/+/b", "a/#", "/", "a//b", "x".repeat(1_024), "é".repeat(512)])
    assert.equal(isValidFilter(filter), true, filter);
  for (const filter of ["", "a+", "+a", "a#", "#/a", "a/#/b", "a\0b", "a/\u0007", "x".repeat(1_025), "é".repeat(513)])
    assert.equal(isValidFilter(filter), false, filter);
});
