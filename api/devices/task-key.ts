import Type from "typebox";
import { newEvent } from "../../core/event.ts";
import { actorOf } from "../../core/principal.ts";
import type { TaskKey } from "../../store/task-keys.ts";
import { DeviceParams } from "../fields.ts";
import { defineRoute } from "../route.ts";
import { deviceFor } from "./device-for.ts";

/** Of every answer that gives a device what it needs. */
export const TaskKeyFields = {
  task_key: Type.String({
    description: "256 bits in base64url: signs the tasks for the device, and its answers. Keep it where the token is",
  }),
  task_key_id: Type.String({ description: "The `key_id` of what it signs" }),
};

export const taskKeyJson = ({ id, secret }: TaskKey) => ({ task_key: secret.toString("base64url"), task_key_id: id });

export const rotateTaskKey = defineRoute({
  method: "POST",
  path: "/api/v1/devices/:id/task-key",
  tag: "Devices",
  summary: "Give a device the next task key",
  description:
    "Tasks are signed with it from now on. The one before it signs results for another 24 hours; other credentials stay, and so does the session.",
  access: "device.manage",
  params: DeviceParams,
  replies: {
    201: {
      description: "The next key",
      schema: Type.Object(
        {
          device_uid: Type.String(),
          ...TaskKeyFields,
          former_valid_until: Type.String({ description: "Until then the device may sign results with the one before" }),
        },
        { title: "TaskKey" },
      ),
    },
  },
  errors: ["not_found"],
  handler: ({ context, principal, rights, params, commit }) =>
    commit(async (db) => {
      const device = await deviceFor(rights, "device.manage", db, params.id);
      const { id, uid, organizationId } = device;
      const now = context.clock();
      const { key, formerUntil } = await context.taskKeys.rotateTaskKey(db, id, now);
      const details = { uid, task_key_id: key.id };
      return {
        answer: { status: 201, body: { device_uid: uid, ...taskKeyJson(key), former_valid_until: formerUntil } },
        audit: [{ organizationId, action: "device.rotate_task_key", resourceType: "device", resourceId: id, details }],
        events: [newEvent("device.task_key_rotated", { organizationId, entityId: id, actor: actorOf(principal), now }, details)],
      };
    }),
});
