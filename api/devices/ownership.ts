import Type from "typebox";
import { isLessSensitive } from "../../core/device.ts";
import { HubError } from "../../core/errors.ts";
import { newEvent } from "../../core/event.ts";
import { newClaimCode } from "../../core/id.ts";
import { actorOf } from "../../core/principal.ts";
import { removeGrantsOn } from "../../store/members.ts";
import { lockOrganization } from "../../store/organizations.ts";
import { claimDevice, releaseDevice } from "../../store/ownership.ts";
import { siteOfDevice } from "../../store/rooms.ts";
import { usersGrantedOn } from "../../store/site-grants.ts";
import { DeviceParams } from "../fields.ts";
import { defineRoute } from "../route.ts";
import { deviceFor, requireEverywhere } from "./device-for.ts";
import { deviceJson, DeviceView } from "./representation.ts";

export const claim = defineRoute({
  method: "POST",
  path: "/api/v1/devices/claim",
  tag: "Devices",
  summary: "Claim a device by its code",
  description: "The device joins your organisation. Upper and lower case and dashes in the code do not matter.",
  access: "device.own",
  body: Type.Object(
    { claim_code: Type.String({ minLength: 12, maxLength: 20, pattern: "^[A-Za-z0-9 -]+$" }) },
    { additionalProperties: false, title: "ClaimRequest" },
  ),
  bodyExample: { claim_code: "K7QX-M4TD-92ZB" },
  replies: { 200: { description: "The device is yours", schema: Type.Object({ device: DeviceView }, { title: "Claimed" }) } },
  errors: ["not_found", "already_claimed"],
  handler: ({ context, principal, body, commit }) =>
    commit(async (db) => {
      const now = context.clock();
      const { organizationId } = principal;
      const userId = principal.kind === "user" ? principal.id : null;
      const device = await claimDevice(db, { claimCode: body.claim_code, organizationId, userId, now });
      if (device === undefined) throw new HubError("not_found", "no device waits to be claimed with this code");
      return {
        answer: { status: 200, body: { device: deviceJson(device) } },
        audit: [
          {
            organizationId,
            action: "device.claim",
            resourceType: "device",
            resourceId: device.id,
            details: { uid: device.uid },
            after: deviceJson(device),
          },
        ],
        events: [
          newEvent(
            "device.claimed",
            { organizationId, entityId: device.id, actor: actorOf(principal), now },
            { uid: device.uid, user_id: userId },
          ),
        ],
        afterwards: () => {
          context.directory.put({ id: device.id, uid: device.uid, organizationId });
          context.telemetry.forgetDevice(device.id);
        },
      };
    }),
});

export const release = defineRoute({
  method: "POST",
  path: "/api/v1/devices/:id/release",
  tag: "Devices",
  summary: "Give a device up",
  description:
    "It leaves the organisation and waits for somebody with the new claim code. Its session ends and its retained messages are taken back; its credentials stay valid. For a device of high or critical sensitivity it takes the permission organization.manage, too.",
  access: "device.own",
  params: DeviceParams,
  replies: {
    200: { description: "Released", schema: Type.Object({ device: DeviceView, claim_code: Type.String() }, { title: "Released" }) },
  },
  errors: ["not_found", "device_not_claimed"],
  handler: ({ context, principal, rights, params, commit }) =>
    commit(async (db) => {
      const before = await deviceFor(rights, "device.own", db, params.id);
      if (before.organizationId === null) throw new HubError("device_not_claimed", "the device belongs to nobody");
      const { organizationId } = before;
      // Nobody puts it into a room, or links it with anything, between this and its release.
      await lockOrganization(db, organizationId);
      // Claimed again it would be as harmless as any other.
      if (isLessSensitive("normal", before.sensitivity)) requireEverywhere(rights, "organization.manage", before);
      const granted = await usersGrantedOn(db, [await siteOfDevice(db, before.id)]);
      await context.tasks.endTasksOf(db, before.id, actorOf(principal));
      const claimCode = newClaimCode();
      const device = await releaseDevice(db, { kind: "organization", organizationId }, before.id, claimCode);
      granted.push(...(await removeGrantsOn(db, device.id)));
      return {
        answer: { status: 200, body: { device: deviceJson(device), claim_code: claimCode } },
        audit: [
          {
            organizationId,
            action: "device.release",
            resourceType: "device",
            resourceId: device.id,
            details: { uid: device.uid },
            before: deviceJson(before),
            after: deviceJson(device),
          },
        ],
        events: [
          newEvent(
            "device.released",
            { organizationId, entityId: device.id, actor: actorOf(principal), now: context.clock() },
            { uid: device.uid },
          ),
        ],
        afterwards: async () => {
          context.directory.put({ id: device.id, uid: device.uid, organizationId: null });
          context.telemetry.forgetDevice(device.id);
          await context.sensors.deviceLeft(device.id, organizationId);
          await context.access.changed(granted);
          // The next owner must neither read the last one's values nor receive what was queued for them.
          await context.sessions.forgetDevice(device.uid);
        },
      };
    }),
});
