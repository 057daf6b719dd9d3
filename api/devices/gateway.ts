import Type from "typebox";
import { COMMAND_ID } from "../../core/command.ts";
import { Ack, UP_PAYLOADS } from "../../core/payloads.ts";
import { defineRoute, type Route } from "../route.ts";

/*
 * For devices that can do no more than ask over HTTP: they poll for what they have to do, and report. What they ask is
 * part of the same session, and what they say the same message, as with MQTT.
 */

const MAX_WAIT_S = 25;

const Pending = Type.Object(
  {
    type: Type.String({
      description: "`command`, `task.exec`, `config`, `ota` or `register.ok`: what MQTT has on `down/…`, with its fields",
    }),
    command_id: Type.Optional(Type.String({ description: "Of a command: it may come again, and is done once" })),
    command: Type.Optional(Type.String()),
    expires_at: Type.Optional(Type.String({ format: "date-time", description: "Not to be done after that" })),
  },
  { title: "PendingMessage", description: "Further fields are those of the command or the task" },
);

export const pendingCommands = defineRoute({
  method: "GET",
  path: "/api/v1/commands/pending",
  tag: "Devices",
  summary: "A device asks what it has to do",
  description:
    "Oldest first, at most 100. What was given before and is not answered yet comes again until its time is up. With `wait` the answer comes as soon " +
    "as there is something. A device that polls is online, for twice the time between its polls: at least 30 s, at most 120 s after the last. " +
    "One poll at a time: a newer one ends the older with an empty list. While the device has a session over MQTT or WebSocket, a poll takes that over.",
  access: "device",
  query: Type.Object(
    { wait: Type.Optional(Type.Integer({ minimum: 0, maximum: MAX_WAIT_S, default: 0, description: "Seconds to wait for something" })) },
    { additionalProperties: false },
  ),
  replies: {
    200: {
      description: "What waits for the device",
      schema: Type.Object({ data: Type.Array(Pending, { maxItems: 100 }) }, { title: "PendingMessages" }),
      example: {
        data: [
          {
            type: "command",
            command_id: "0198c1f0-9a52-7c07-a0c5-3e5a3d6b7f10",
            command: "set_relay",
            relay: 0,
            state: "ON",
            expires_at: "2026-11-21T05:22:10.123Z",
          },
        ],
      },
    },
  },
  errors: ["rate_limited", "unavailable"],
  async handler({ context, principal, query: { wait = 0 }, caller }) {
    const data = await context.gateway.poll(principal, { waitMs: wait * 1_000, remoteAddress: caller.address });
    return { status: 200, body: { data } };
  },
});

const STORED = {
  202: { description: "Stored", schema: Type.Object({ status: Type.Literal("stored") }, { title: "StoredReport" }) },
};
const stored = { status: 202, body: { status: "stored" } };

const { command_id: _id, ...answer } = Ack.properties;

export const commandResult = defineRoute({
  method: "POST",
  path: "/api/v1/commands/:command_id/result",
  tag: "Devices",
  summary: "A device answers a command",
  description: "The same as `up/ack` over MQTT. What is answered is not given to the device again.",
  access: "device",
  params: Type.Object({ command_id: Type.String({ pattern: COMMAND_ID }) }, { additionalProperties: false }),
  body: Type.Object(answer, { title: "CommandAnswer" }),
  bodyExample: { status: "ok", state: "ON" },
  replies: STORED,
  errors: ["storage_full"],
  async handler({ context, principal, params, body }) {
    await context.gateway.report(principal, "ack", { ...body, command_id: params.command_id });
    return stored;
  },
});

/** `up/<type>` as a request of its own. */
const reportOf = (
  type: "state_report" | "task_result" | "register",
  about: { readonly path: string; readonly summary: string; readonly bodyExample?: object },
): Route =>
  defineRoute({
    method: "POST",
    tag: "Devices",
    description: `The same as \`up/${type}\` over MQTT.`,
    access: "device",
    body: UP_PAYLOADS[type],
    replies: STORED,
    errors: ["storage_full"],
    ...about,
    async handler({ context, principal, body }) {
      await context.gateway.report(principal, type, body as Readonly<Record<string, unknown>>);
      return stored;
    },
  });

export const stateReport = reportOf("state_report", {
  path: "/api/v1/devices/state-report",
  summary: "A device reports its outputs",
  bodyExample: { relays: [{ index: 0, state: "ON" }] },
});

export const taskResult = reportOf("task_result", {
  path: "/api/v1/devices/task-result",
  summary: "A device answers a task",
});

export const registration = reportOf("register", {
  path: "/api/v1/devices/register",
  summary: "A device says what it is",
  bodyExample: { firmware_version: "1.4.2", model: "HX-R4", capabilities: { relays: 4 } },
});
