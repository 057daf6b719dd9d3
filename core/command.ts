import Type, { type Static } from "typebox";
import type { Capabilities } from "./device.ts";
import { HubError } from "./errors.ts";
import type { MessageIdentity } from "./message-identity.ts";
import type { Actor, Scope } from "./principal.ts";
import type { DeviceState, OnOff } from "./state.ts";

const Target = Type.Enum(["ON", "OFF", "TOGGLE"]);

export const SetRelay = Type.Object(
  { command: Type.Literal("set_relay"), relay: Type.Integer({ minimum: 0, maximum: 31 }), state: Target },
  { additionalProperties: false, title: "SetRelay" },
);
export const SetAllRelays = Type.Object(
  { command: Type.Literal("set_all_relays"), state: Type.Enum(["ON", "OFF"]) },
  { additionalProperties: false, title: "SetAllRelays" },
);
/** Home Assistant's JSON light schema, with `brightness` from 0 to 100 and `color_temp` in kelvin. */
export const SetLight = Type.Object(
  {
    command: Type.Literal("set_light"),
    light: Type.Integer({ minimum: 0, maximum: 31 }),
    state: Type.Optional(Target),
    brightness: Type.Optional(Type.Integer({ minimum: 0, maximum: 100 })),
    color_temp: Type.Optional(Type.Integer({ minimum: 1000, maximum: 12_000 })),
    transition: Type.Optional(Type.Number({ minimum: 0, maximum: 3600, description: "seconds" })),
  },
  { additionalProperties: false, title: "SetLight" },
);
/** Raw infrared: microseconds, marks positive and spaces negative, alternating. */
export const SendIr = Type.Object(
  {
    command: Type.Literal("ir_send"),
    timings: Type.Array(Type.Integer({ minimum: -1_000_000, maximum: 1_000_000 }), { minItems: 2, maxItems: 2048 }),
    carrier_hz: Type.Optional(Type.Integer({ minimum: 10_000, maximum: 100_000 })),
    repeat: Type.Optional(Type.Integer({ minimum: 0, maximum: 20 })),
  },
  { additionalProperties: false, title: "SendIr" },
);
export const Identify = Type.Object({ command: Type.Literal("identify") }, { additionalProperties: false, title: "Identify" });
export const Restart = Type.Object({ command: Type.Literal("restart") }, { additionalProperties: false, title: "Restart" });

/** What each command is. */
export const COMMANDS = [SetRelay, SetAllRelays, SetLight, SendIr, Identify, Restart] as const;
/** What can be asked of a device; `command` says which. */
export const Command = Type.Unsafe<Static<(typeof COMMANDS)[number]>>({
  type: "object",
  title: "Command",
  discriminator: { propertyName: "command" },
  oneOf: [...COMMANDS],
});
export type Command = Static<(typeof COMMANDS)[number]>;

export const COMMAND_ID = "^[A-Za-z0-9._:-]{1,64}$";
export const DEFAULT_TIMEOUT_MS = 5_000;

/**
 * queued → sent → ok | error | timeout, queued → expired, and refused for what never left the hub.
 * A row in a final status never changes again; a late acknowledgement is noted beside it.
 */
export type CommandStatus = "queued" | "sent" | "ok" | "error" | "timeout" | "expired";
export const FINAL_STATUSES: readonly CommandStatus[] = ["ok", "error", "timeout", "expired"];

export interface CommandRecord {
  readonly id: string;
  readonly deviceId: string;
  readonly organizationId: string | null;
  /** Of which it is a part. */
  readonly taskId: string | null;
  readonly command: Command;
  readonly status: CommandStatus;
  readonly actor: Actor;
  readonly source: CommandSource;
  readonly correlationId: string;
  readonly causationId: string | null;
  /** Of the automation or schedule that asked. */
  readonly ruleVersion: number | null;
  readonly error: string | null;
  readonly latencyMs: number | null;
  readonly createdAt: string;
  /** When it stops being wanted: the acknowledgement's time limit, or the end of the queue time. */
  readonly deadlineAt: string;
  readonly finishedAt: string | null;
}

export const COMMAND_SOURCES = ["rest", "mqtt", "cli", "schedule", "rule", "home-assistant", "homekit", "alexa"] as const;
export type CommandSource = (typeof COMMAND_SOURCES)[number];

export interface CommandRequest {
  /** UUID or uid. */
  readonly device: string;
  /** What the asker may see; a device outside of it is not found. */
  readonly scope: Scope;
  readonly command: Command;
  readonly commandId?: string | undefined;
  readonly actor: Actor;
  readonly source: CommandSource;
  readonly timeoutMs?: number | undefined;
  /** Keep it for an offline device until then; without it an offline device is `device_offline` at once. */
  readonly queueForMs?: number | undefined;
  readonly correlationId?: string | undefined;
  readonly causationId?: string | undefined;
  readonly ruleVersion?: number | undefined;
  /** A part of that task, which was approved if it had to be: no gate for it. Never taken from outside. */
  readonly taskId?: string | undefined;
  /** The message that asks for it: sent again after a lost acknowledgement it is the same request. */
  readonly origin?: MessageIdentity | undefined;
}

export interface CommandResult {
  readonly commandId: string;
  /** `awaiting_confirmation`: it is a task by now, and somebody has to approve it. */
  readonly status: CommandStatus | "awaiting_confirmation";
  readonly taskId: string | null;
  readonly latencyMs: number | null;
  /** The commanded output as the device left it: ON or OFF for relays, the light's state for lights, else null. */
  readonly state: OnOff | Record<string, unknown> | null;
}

/** The command with TOGGLE resolved against the known state, so that a repeated delivery cannot toggle twice. */
export function resolveCommand(command: Command, known: DeviceState): Command {
  if (command.command === "set_relay" && command.state === "TOGGLE") {
    const now = known.relays.find((relay) => relay.index === command.relay)?.state ?? "OFF";
    return { ...command, state: now === "ON" ? "OFF" : "ON" };
  }
  if (command.command === "set_light") {
    const now = known.lights.find((light) => light.index === command.light)?.state ?? "OFF";
    if (command.state === "TOGGLE") return { ...command, state: now === "ON" ? "OFF" : "ON" };
    // A brightness without a state switches the light, as Home Assistant's light does.
    if (command.state === undefined && command.brightness !== undefined)
      return { ...command, state: command.brightness > 0 ? "ON" : "OFF" };
  }
  return command;
}

/** Throws `unsupported_command` when the device has no such output. */
export function checkCapability(command: Command, capabilities: Capabilities): void {
  const lacks = (what: string): never => {
    throw new HubError("unsupported_command", `the device has no ${what}`, { details: { command: command.command, capabilities } });
  };
  const relays = capabilities.relays ?? 0;
  const lights = capabilities.lights ?? 0;
  if (command.command === "set_relay" && command.relay >= relays)
    lacks(relays === 0 ? "relay" : `relay ${command.relay}: indexes run from 0 to ${relays - 1}`);
  if (command.command === "set_all_relays" && relays === 0) lacks("relay");
  if (command.command === "set_light" && command.light >= lights)
    lacks(lights === 0 ? "light" : `light ${command.light}: indexes run from 0 to ${lights - 1}`);
  if (command.command === "ir_send" && capabilities.ir !== true) lacks("infrared emitter");
}

/** What the outputs are once the device has done a resolved command and said nothing more about them. */
export function effectOf(command: Command, capabilities: Capabilities): Partial<DeviceState> {
  switch (command.command) {
    case "set_relay":
      return { relays: [{ index: command.relay, state: command.state as OnOff }] };
    case "set_all_relays": {
      const state: OnOff = command.state;
      return { relays: Array.from({ length: capabilities.relays ?? 0 }, (_, index) => ({ index, state })) };
    }
    case "set_light": {
      const { light: index, state, brightness, color_temp } = command;
      return {
        lights: [
          {
            index,
            state: (state ?? "ON") as OnOff,
            ...(brightness === undefined ? {} : { brightness }),
            ...(color_temp === undefined ? {} : { color_temp }),
          },
        ],
      };
    }
    default:
      return {};
  }
}
