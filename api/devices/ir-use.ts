import Type from "typebox";
import { HubError } from "../../core/errors.ts";
import { pressOf } from "../../core/ir-signal.ts";
import type { DownIrLearn } from "../../core/payloads.ts";
import { getIrCode } from "../../store/ir-codes.ts";
import { DeviceParams } from "../fields.ts";
import { defineRoute } from "../route.ts";
import { answerToCommand, COMMAND_ERRORS, CommandExtras, CommandReply } from "./commands.ts";
import { deviceFor, ownerOf } from "./device-for.ts";
import { IrCodeParams, Repeat } from "./ir-representation.ts";

export const send = defineRoute({
  method: "POST",
  path: "/api/v1/devices/:id/ir-codes/:code/send",
  tag: "Infrared",
  summary: "Send an infrared code and wait for the device's acknowledgement",
  description: "It is the command `ir_send`, with all that holds for it.",
  access: "device.control",
  params: IrCodeParams,
  body: Type.Object({ repeat: Type.Optional(Repeat), ...CommandExtras }, { additionalProperties: false, title: "IrSendRequest" }),
  bodyExample: { repeat: 1 },
  replies: {
    200: { description: "The device did it", schema: CommandReply },
    202: { description: "Queued until the device connects, or awaiting_confirmation: somebody has to approve it", schema: CommandReply },
  },
  errors: COMMAND_ERRORS,
  async handler(call) {
    const { context, rights, params, body } = call;
    const { repeat, ...extras } = body;
    const { db } = context.store;
    const device = await deviceFor(rights, "device.control", db, params.id);
    const code = await getIrCode(db, ownerOf(device), params.code.toLowerCase());
    const command = { command: "ir_send", ...pressOf(code.signal, repeat) } as const;
    return await answerToCommand(call, { device: device.id, command, ...extras });
  },
});

const USUAL_TIMEOUT_S = 30;

export const learn = defineRoute({
  method: "POST",
  path: "/api/v1/devices/:id/ir-codes/learn",
  tag: "Infrared",
  summary: "Ask a device to listen for an infrared code",
  description:
    "The device is asked on `down/ir_learn`, and tells what it has received on `up/ir_learned`: that is kept as a code, and told by the event `device.ir_learned`.",
  access: "device.manage",
  params: DeviceParams,
  body: Type.Object(
    { timeout_s: Type.Optional(Type.Integer({ minimum: 1, maximum: 120, description: `How long; ${USUAL_TIMEOUT_S} when absent` })) },
    { additionalProperties: false, title: "IrLearnRequest" },
  ),
  bodyExample: { timeout_s: 30 },
  replies: {
    202: {
      description: "The device was asked",
      schema: Type.Object({ expires_at: Type.String({ description: "It listens until then" }) }, { title: "IrLearning" }),
    },
  },
  errors: ["not_found", "device_not_claimed", "unsupported_command", "device_offline"],
  async handler({ context, rights, params, body: { timeout_s = USUAL_TIMEOUT_S }, commit }) {
    const device = await deviceFor(rights, "device.manage", context.store.db, params.id);
    const { organizationId } = ownerOf(device);
    if (device.capabilities.ir !== true) throw new HubError("unsupported_command", "the device has no infrared receiver");
    if (!(await context.sessions.isReachable(device))) throw new HubError("device_offline", `${device.uid} is not connected`);
    const expiresInMs = timeout_s * 1_000;
    return await commit(async () => ({
      answer: { status: 202, body: { expires_at: new Date(context.clock() + expiresInMs).toISOString() } },
      audit: [
        {
          organizationId,
          action: "device.ir_learn",
          resourceType: "device",
          resourceId: device.id,
          details: { uid: device.uid, timeout_s },
        },
      ],
      afterwards: () =>
        context.bus.publish({
          topic: context.topics.build({ kind: "down", uid: device.uid, type: "ir_learn" }),
          payload: JSON.stringify({ timeout_s } satisfies DownIrLearn),
          qos: 1,
          expiresInMs,
        }),
    }));
  },
});
