import Type from "typebox";
import { Exposure } from "../../core/smart-home.ts";
import { putExposure, readExposure } from "../../store/bridge-exposures.ts";
import { getDevice, lockDevice } from "../../store/devices.ts";
import { DeviceParams } from "../fields.ts";
import { defineRoute } from "../route.ts";
import { deviceFor, ownerOf } from "./device-for.ts";

const TAG = "Smart homes";
const OneExposure = Type.Object({ exposure: Exposure }, { title: "OneExposure" });

export const show = defineRoute({
  method: "GET",
  path: "/api/v1/devices/:id/exposure",
  tag: TAG,
  summary: "In which smart homes a device is",
  access: "device.read",
  params: DeviceParams,
  replies: { 200: { description: "All of them, unless somebody has said otherwise", schema: OneExposure } },
  errors: ["not_found", "device_not_claimed"],
  async handler({ context, scope, params }) {
    const { db } = context.store;
    const device = await getDevice(db, scope, params.id);
    return { status: 200, body: { exposure: await readExposure(db, ownerOf(device)) } };
  },
});

export const update = defineRoute({
  method: "PATCH",
  path: "/api/v1/devices/:id/exposure",
  tag: TAG,
  summary: "Say in which smart homes a device is",
  description: "It disappears from those that are false within a second, with all that it has there, and comes back under the same ids.",
  access: "device.manage",
  params: DeviceParams,
  body: Type.Object(
    { home_assistant: Type.Optional(Type.Boolean()), homekit: Type.Optional(Type.Boolean()), alexa: Type.Optional(Type.Boolean()) },
    { additionalProperties: false, minProperties: 1, title: "ExposurePatch" },
  ),
  bodyExample: { alexa: false },
  replies: { 200: { description: "As it is now", schema: OneExposure } },
  errors: ["not_found", "device_not_claimed"],
  handler: ({ context, rights, params, body, commit }) =>
    commit(async (db) => {
      const device = await lockDevice(db, await deviceFor(rights, "device.manage", db, params.id));
      const owner = ownerOf(device);
      const before = await readExposure(db, owner);
      const after = await putExposure(db, owner, body, context.clock());
      const about = { organizationId: owner.organizationId, resourceType: "device", resourceId: device.id };
      return {
        answer: { status: 200, body: { exposure: after } },
        audit: [{ ...about, action: "device.expose", details: { uid: device.uid }, before, after }],
      };
    }),
});
