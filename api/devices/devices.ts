import Type from "typebox";
import { type Device, DeviceClass, DeviceSettings, isLessSensitive, Presence, Sensitivity } from "../../core/device.ts";
import { mergePatch, mergePatchOf } from "../../core/merge-patch.ts";
import { newEvent } from "../../core/event.ts";
import { HubError } from "../../core/errors.ts";
import type { Access } from "../../core/permissions.ts";
import { actorOf } from "../../core/principal.ts";
import { deleteDevice, getDevice, listDevices, lockDevice, updateDevice } from "../../store/devices.ts";
import type { Db } from "../../store/open.ts";
import { lockOrganization } from "../../store/organizations.ts";
import { placeDevice } from "../../store/rooms.ts";
import { usersGrantedOn } from "../../store/site-grants.ts";
import { describeState, readSensorState, stateOf } from "../../store/state.ts";
import type { ApiContext } from "../context.ts";
import { Cursor, DeviceParams, Limit, line, pageOf, Uuid } from "../fields.ts";
import { defineRoute } from "../route.ts";
import { deviceFor, requireEverywhere } from "./device-for.ts";
import { DeviceDetail, deviceJson, deviceVersion, reasonJson, DeviceView } from "./representation.ts";

export const list = defineRoute({
  method: "GET",
  path: "/api/v1/devices",
  tag: "Devices",
  summary: "The devices you may see",
  access: "device.read",
  query: Type.Object(
    {
      limit: Limit(200, 50),
      cursor: Cursor,
      device_class: Type.Optional(DeviceClass),
      status: Type.Optional(Presence),
      search: Type.Optional(Type.String({ minLength: 1, maxLength: 120, description: "Part of name, uid or serial number" })),
      site_id: Type.Optional(Uuid),
      room_id: Type.Optional(Uuid),
      project_id: Type.Optional(Uuid),
    },
    { additionalProperties: false },
  ),
  replies: { 200: { description: "A page, in the order of enrolment", schema: pageOf(DeviceView, "DevicePage") } },
  async handler({ context, scope, query }) {
    const { limit = 50, cursor: after, device_class: deviceClass, status, search } = query;
    const page = await listDevices(context.store.db, scope, {
      limit,
      after,
      deviceClass,
      status,
      search,
      siteId: query.site_id?.toLowerCase(),
      roomId: query.room_id?.toLowerCase(),
      projectId: query.project_id?.toLowerCase(),
    });
    return { status: 200, body: { data: page.items.map(deviceJson), next_cursor: page.next } };
  },
});

export const show = defineRoute({
  method: "GET",
  path: "/api/v1/devices/:id",
  tag: "Devices",
  summary: "One device with its state and latest values",
  access: "device.read",
  params: DeviceParams,
  replies: { 200: { description: "The device", schema: DeviceDetail } },
  errors: ["not_found"],
  async handler({ context, scope, params }) {
    const { db } = context.store;
    const device = await getDevice(db, scope, params.id);
    const [outputs, sensors] = [await describeState(db, device.id), await readSensorState(db, device.id)];
    return {
      status: 200,
      version: deviceVersion(device),
      body: {
        device: deviceJson(device),
        state: stateOf(outputs),
        reasons: outputs.map(reasonJson),
        sensors: sensors.map(({ key, value, ts, receivedAt }) => ({ key, value, ts: new Date(ts).toISOString(), received_at: receivedAt })),
      },
    };
  },
});

export const update = defineRoute({
  method: "PATCH",
  path: "/api/v1/devices/:id",
  tag: "Devices",
  summary: "Rename a device, change its settings or sensitivity, or put it into a room",
  description:
    "A merge patch: settings that are not named stay as they are, null takes one away. The device receives them as retained `down/config`. To say where it is takes the permission place.manage, since grants on sites follow within a second. `sensitivity` says how much harm a wrong command can do: docs/approvals.md tells what it makes of them, and what waits for an approval already goes on waiting. To lower it takes the permission organization.manage, as to change the policy.",
  access: "device.manage",
  match: "optional",
  params: DeviceParams,
  body: Type.Object(
    {
      name: Type.Optional(line(120)),
      settings: Type.Optional(mergePatchOf<DeviceSettings>(DeviceSettings)),
      sensitivity: Type.Optional(Sensitivity),
      room_id: Type.Optional(Type.Unsafe<string | null>({ anyOf: [Uuid, { type: "null" }], description: "null: in no room" })),
    },
    { additionalProperties: false, minProperties: 1, title: "DevicePatch" },
  ),
  bodyExample: { name: "Kitchen", settings: { relay_names: ["Lamp", "Fan"], power_restore: "last" } },
  replies: { 200: { description: "As it is now", schema: Type.Object({ device: DeviceView }, { title: "DeviceUpdated" }) } },
  errors: ["not_found", "device_not_claimed"],
  handler: ({ context, rights, scope, params, body, match, commit }) =>
    commit(async (db) => {
      const { name, settings, sensitivity, room_id: roomId } = body;
      const found = await deviceFor(rights, "device.manage", db, params.id);
      const place = roomId === undefined ? undefined : await lockPlaceOf(rights, db, found);
      const before = await lockDevice(db, found);
      match(deviceVersion(before));
      // As who changes the policy: else whoever may not approve could make what is risky harmless.
      if (sensitivity !== undefined && isLessSensitive(sensitivity, before.sensitivity))
        requireEverywhere(rights, "organization.manage", before);
      const moved = place && (await placeDevice(db, place, roomId?.toLowerCase() ?? null));
      if (place) await context.alerts.moved(db, place.organizationId);
      const device = await updateDevice(db, scope, before.id, {
        name,
        sensitivity,
        settings: settings === undefined ? undefined : (mergePatch(before.settings, settings) as DeviceSettings),
      });
      const granted = moved && moved.from !== moved.to ? await usersGrantedOn(db, [moved.from, moved.to]) : [];
      const details = {
        uid: device.uid,
        changed: Object.keys(body),
        ...(place ? { room_id: device.roomId, before: before.roomId } : {}),
        ...(sensitivity === undefined ? {} : { sensitivity: { before: before.sensitivity, after: device.sensitivity } }),
      };
      return {
        answer: { status: 200, version: deviceVersion(device), body: { device: deviceJson(device) } },
        audit: [
          {
            organizationId: device.organizationId,
            action: "device.update",
            resourceType: "device",
            resourceId: device.id,
            details,
            before: deviceJson(before),
            after: deviceJson(device),
          },
        ],
        async afterwards() {
          await context.access.changed(granted);
          // Read again, so that of two changes at once the later one stays on the topic.
          if (settings !== undefined) await publishConfig(context, await getDevice(context.store.db, scope, device.id));
        },
      };
    }),
});

export const remove = defineRoute({
  method: "DELETE",
  path: "/api/v1/devices/:id",
  tag: "Devices",
  summary: "Remove a device with everything that is known of it",
  description:
    "Its session ends, its credentials, state, commands and readings go, its retained messages are taken back. For a device of high or critical sensitivity it takes the permission organization.manage, too.",
  access: "device.own",
  match: "optional",
  params: DeviceParams,
  replies: { 204: { description: "Gone" } },
  errors: ["not_found"],
  handler: ({ context, principal, rights, scope, params, match, commit }) =>
    commit(async (db) => {
      const device = await lockDevice(db, await deviceFor(rights, "device.own", db, params.id));
      match(deviceVersion(device));
      // Made again it would be as harmless as any other.
      if (isLessSensitive("normal", device.sensitivity)) requireEverywhere(rights, "organization.manage", device);
      const granted = await usersGrantedOn(db, [device.siteId]);
      await context.tasks.endTasksOf(db, device.id, actorOf(principal));
      if (!(await deleteDevice(db, scope, device.id))) throw new HubError("not_found", "there is no such device");
      const { organizationId } = device;
      return {
        answer: { status: 204 },
        audit: [
          {
            organizationId,
            action: "device.delete",
            resourceType: "device",
            resourceId: device.id,
            details: { uid: device.uid, name: device.name },
            before: deviceJson(device),
          },
        ],
        events: [
          newEvent(
            "device.deleted",
            { organizationId, entityId: device.id, actor: actorOf(principal), now: context.clock() },
            { uid: device.uid },
          ),
        ],
        async afterwards() {
          context.directory.remove(device.uid);
          context.telemetry.forgetDevice(device.id);
          await context.sensors.deviceLeft(device.id, organizationId);
          await context.access.changed(granted);
          await context.sessions.forgetDevice(device.uid);
        },
      };
    }),
});

/** Who says where a device is gives and takes what is granted on sites. Throws `forbidden` and `device_not_claimed`. */
async function lockPlaceOf(rights: Access, db: Db, { id, organizationId }: Device): Promise<{ id: string; organizationId: string }> {
  if (organizationId === null) throw new HubError("device_not_claimed", "the device belongs to nobody");
  requireEverywhere(rights, "place.manage", { organizationId });
  await lockOrganization(db, organizationId);
  return { id, organizationId };
}

/** The device finds it at its next connect, and gets it now if it is connected. */
async function publishConfig({ bus, topics }: Pick<ApiContext, "bus" | "topics">, device: Device): Promise<void> {
  await bus.publish({
    topic: topics.build({ kind: "down", uid: device.uid, type: "config" }),
    payload: JSON.stringify(device.settings),
    qos: 1,
    retain: true,
  });
}
