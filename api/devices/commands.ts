import Type, { type Static, type TObject } from "typebox";
import {
  COMMAND_ID,
  Command,
  type CommandRecord,
  type CommandRequest,
  Identify,
  Restart,
  SendIr,
  SetAllRelays,
  SetLight,
  SetRelay,
} from "../../core/command.ts";
import type { ErrorCode } from "../../core/errors.ts";
import { actorOf } from "../../core/principal.ts";
import { LightState, OnOff } from "../../core/state.ts";
import { listCommands } from "../../store/commands.ts";
import { getDevice } from "../../store/devices.ts";
import { Cursor, DeviceParams, Limit, nullable, pageOf } from "../fields.ts";
import { type Answer, type Call, defineRoute } from "../route.ts";
import { deviceFor } from "./device-for.ts";

/** Of every request that ends as a command. */
export const CommandExtras = {
  command_id: Type.Optional(
    Type.String({ pattern: COMMAND_ID, description: "Yours to choose. The same id again gives the same answer and no second effect" }),
  ),
  timeout_ms: Type.Optional(
    Type.Integer({ minimum: 100, maximum: 60_000, description: "How long to wait for the device; 5000 when absent" }),
  ),
  queue_for_s: Type.Optional(
    Type.Integer({ minimum: 1, maximum: 86_400, description: "Keep the command this long for a device that is offline" }),
  ),
};
const ExtraFields = Type.Object(CommandExtras);
const requestOf = (title: string, schema: TObject) =>
  Type.Object({ ...schema.properties, ...CommandExtras }, { additionalProperties: false, title });
const REQUESTS = [
  requestOf("SetRelayRequest", SetRelay),
  requestOf("SetAllRelaysRequest", SetAllRelays),
  requestOf("SetLightRequest", SetLight),
  requestOf("SendIrRequest", SendIr),
  requestOf("IdentifyRequest", Identify),
  requestOf("RestartRequest", Restart),
];
/** core's Command with the request's own fields in every branch, since each branch is closed. */
const CommandBody = Type.Unsafe<Command & Static<typeof ExtraFields>>({
  type: "object",
  title: "CommandRequest",
  discriminator: { propertyName: "command" },
  oneOf: REQUESTS,
});

const STATUSES = ["queued", "sent", "ok", "error", "timeout", "expired"] as const;

export const CommandReply = Type.Object(
  {
    command_id: Type.String(),
    status: Type.Enum([...STATUSES, "awaiting_confirmation"]),
    task_id: nullable("string", { description: "Of the task that it is part of, or that waits for approval" }),
    latency_ms: nullable("number"),
    state: Type.Unsafe<unknown>({
      description: "The output as the device left it: ON or OFF, a light's state, or null",
      anyOf: [OnOff, LightState, { type: "null" }],
    }),
  },
  { title: "CommandReply" },
);

/** Of every route that sends one. */
export const COMMAND_ERRORS: readonly ErrorCode[] = [
  "not_found",
  "device_offline",
  "device_not_claimed",
  "command_id_conflict",
  "approval_refused",
  "unsupported_command",
  "device_error",
  "command_timeout",
];

export const command = defineRoute({
  method: "POST",
  path: "/api/v1/devices/:id/commands",
  tag: "Devices",
  summary: "Command a device and wait for its acknowledgement",
  access: "device.control",
  params: DeviceParams,
  body: CommandBody,
  bodyExample: { command: "set_relay", relay: 0, state: "ON" },
  replies: {
    200: {
      description: "The device did it",
      schema: CommandReply,
      example: { command_id: "0193…", status: "ok", task_id: null, latency_ms: 12, state: "ON" },
    },
    202: { description: "Queued until the device connects, or awaiting_confirmation: somebody has to approve it", schema: CommandReply },
  },
  errors: COMMAND_ERRORS,
  async handler(call) {
    const { context, rights, scope, params, body } = call;
    const { command_id, timeout_ms, queue_for_s, ...asked } = body;
    // Its own device may be one to look at only.
    if (scope.kind === "devices") await deviceFor(rights, "device.control", context.store.db, params.id);
    return await answerToCommand(call, { device: params.id, command: asked, command_id, timeout_ms, queue_for_s });
  },
});

/** Sends it as whoever calls, who may; the answer says what became of it. */
export async function answerToCommand(
  { context, principal, scope, requestId, repetitionId }: Call<"device.control">,
  asked: Pick<CommandRequest, "device" | "command"> & Static<typeof ExtraFields>,
): Promise<Answer> {
  const { device, command_id: commandId = repetitionId, timeout_ms: timeoutMs, queue_for_s: queueForS } = asked;
  const result = await context.commands.send({
    device,
    scope,
    command: asked.command,
    commandId,
    actor: actorOf(principal),
    source: "rest",
    timeoutMs,
    queueForMs: queueForS === undefined ? undefined : queueForS * 1000,
    correlationId: requestId,
  });
  const isDone = result.status === "ok";
  return {
    status: isDone ? 200 : 202,
    body: {
      command_id: result.commandId,
      status: result.status,
      task_id: result.taskId,
      latency_ms: result.latencyMs,
      state: result.state,
    },
  };
}

const CommandView = Type.Object(
  {
    id: Type.String(),
    device_id: Type.String(),
    command: Command,
    status: Type.Enum([...STATUSES]),
    error: nullable("string"),
    latency_ms: nullable("number"),
    source: Type.String(),
    actor: Type.Object({ kind: Type.String(), id: Type.String() }),
    correlation_id: Type.String(),
    created_at: Type.String(),
    deadline_at: Type.String(),
    finished_at: nullable("string"),
  },
  { title: "CommandRecord" },
);

export const history = defineRoute({
  method: "GET",
  path: "/api/v1/devices/:id/commands",
  tag: "Devices",
  summary: "What was asked of a device, newest first",
  access: "device.read",
  params: DeviceParams,
  query: Type.Object({ limit: Limit(200, 50), cursor: Cursor }, { additionalProperties: false }),
  replies: { 200: { description: "A page", schema: pageOf(CommandView, "CommandPage") } },
  errors: ["not_found"],
  async handler({ context, scope, params, query }) {
    const { db } = context.store;
    const device = await getDevice(db, scope, params.id);
    const page = await listCommands(db, scope, { deviceId: device.id, limit: query.limit ?? 50, after: query.cursor });
    return { status: 200, body: { data: page.items.map(commandJson), next_cursor: page.next } };
  },
});

function commandJson(record: CommandRecord): Record<string, unknown> {
  return {
    id: record.id,
    device_id: record.deviceId,
    command: record.command,
    status: record.status,
    error: record.error,
    latency_ms: record.latencyMs,
    source: record.source,
    actor: record.actor,
    correlation_id: record.correlationId,
    created_at: record.createdAt,
    deadline_at: record.deadlineAt,
    finished_at: record.finishedAt,
  };
}
