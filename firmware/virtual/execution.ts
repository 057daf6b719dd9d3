import type { TObject } from "typebox";
import {
  type Command,
  Identify,
  Restart,
  resolveCommand,
  SendIr,
  SetAllRelays,
  SetLight,
  SetRelay,
  checkCapability,
  effectOf,
} from "../../core/command.ts";
import type { Capabilities } from "../../core/device.ts";
import { HubError } from "../../core/errors.ts";
import type { Ack } from "../../core/payloads.ts";
import { type DeviceState, mergeState, type OnOff, type StateReport } from "../../core/state.ts";
import { type Parser, parserFor } from "../../core/validate.ts";

/** What a device does wrong on purpose. */
export interface Faults {
  /** Does what it is told and never says so: no acknowledgement, no state report. */
  readonly silent?: boolean | undefined;
  /** Acknowledges this much later. */
  readonly slowMs?: number | undefined;
  /** Acknowledges with `ok`; the output then does, and reports, the opposite: a welded relay. */
  readonly lie?: boolean | undefined;
  /** Answers every command with this error and does nothing. */
  readonly refuse?: string | undefined;
  /** Loses its connection without a word this often, and comes back at once. */
  readonly flap?: { readonly everyMs: number } | undefined;
  /** Sends every acknowledgement twice. */
  readonly doubleAck?: boolean | undefined;
  /** What it does wrong with tasks alone; it is silent, slow, a liar and unwilling with them as with commands. */
  readonly tasks?: TaskFaults | undefined;
}

export interface TaskFaults {
  /** The action at this place, from 0, fails; those before it were done. */
  readonly failAt?: number | undefined;
  /** Signs results with another key. */
  readonly wrongSignature?: boolean | undefined;
  /** Sends every result twice. */
  readonly doubleResult?: boolean | undefined;
  /** Says that its results are those of this task. */
  readonly resultFor?: string | undefined;
}

export interface Outcome {
  readonly ack: Ack;
  /** undefined when the device refused. */
  readonly command: Command | undefined;
  readonly state: DeviceState;
  readonly report: StateReport | undefined;
}

/** What a device in this state makes of `down/command`'s fields. Fields that this firmware does not know are left aside. */
export function execute(
  fields: Readonly<Record<string, unknown>> & { readonly command_id: string; readonly command: string },
  device: { state: DeviceState; capabilities: Capabilities; faults: Faults },
): Outcome {
  const { state, capabilities, faults } = device;
  const refused = (error: string): Outcome => ({
    ack: { command_id: fields.command_id, status: "error", error: error.slice(0, 512) },
    command: undefined,
    state,
    report: undefined,
  });
  if (faults.refuse !== undefined) return refused(faults.refuse);
  try {
    const command = resolveCommand(parseCommand(fields), state);
    checkCapability(command, capabilities);
    const said = changeOf(command, capabilities, state);
    const done = faults.lie ? opposite(said) : said;
    const after = mergeState(state, done);
    return {
      ack: { command_id: fields.command_id, status: "ok", ...ackState(command, said) },
      command,
      state: after,
      report: isEmpty(done) ? undefined : reportOf(done, after),
    };
  } catch (error) {
    if (error instanceof HubError) return refused(`${error.code}: ${error.message}`);
    throw error;
  }
}

const REMEMBERED = 256;

/**
 * The last 256 command ids with their answers, as a device keeps them in flash: a command that arrives again, also after
 * a power cycle, is answered again and not done again.
 */
export class CommandMemory {
  readonly #answers = new Map<string, Ack | "in progress">();

  find(commandId: string): Ack | "in progress" | undefined {
    return this.#answers.get(commandId);
  }

  /** Before the effect: a power cut between the two must lose the command rather than do it twice. */
  begin(commandId: string): void {
    this.#answers.set(commandId, "in progress");
    for (const oldest of this.#answers.keys()) {
      if (this.#answers.size <= REMEMBERED) break;
      this.#answers.delete(oldest);
    }
  }

  finish(ack: Ack): void {
    if (this.#answers.has(ack.command_id)) this.#answers.set(ack.command_id, ack);
  }
}

const COMMANDS: Readonly<Record<Command["command"], TObject>> = {
  set_relay: SetRelay,
  set_all_relays: SetAllRelays,
  set_light: SetLight,
  ir_send: SendIr,
  identify: Identify,
  restart: Restart,
};
const known = new Map<string, { readonly fields: readonly string[]; readonly parse: Parser<unknown> }>(
  Object.entries(COMMANDS).map(([name, schema]) => [name, { fields: Object.keys(schema.properties), parse: parserFor(schema) }]),
);

function parseCommand(fields: Readonly<Record<string, unknown>> & { readonly command: string }): Command {
  const command = known.get(fields.command);
  if (!command) throw new HubError("unsupported_command", `this firmware does not know ${fields.command}`);
  return command.parse(
    Object.fromEntries(command.fields.filter((name) => fields[name] !== undefined).map((name) => [name, fields[name]])),
  ) as Command;
}

function changeOf(command: Command, capabilities: Capabilities, state: DeviceState): Partial<DeviceState> {
  const change = effectOf(command, capabilities);
  if (command.command !== "set_light" || command.state !== undefined) return change;
  // A colour alone leaves the light on or off as it is.
  return {
    lights: (change.lights ?? []).map((light) => ({
      ...light,
      state: state.lights.find((old) => old.index === light.index)?.state ?? "OFF",
    })),
  };
}

function opposite(change: Partial<DeviceState>): Partial<DeviceState> {
  const flip = <T extends { state: OnOff }>(one: T): T => ({ ...one, state: one.state === "ON" ? "OFF" : "ON" });
  return { ...(change.relays ? { relays: change.relays.map(flip) } : {}), ...(change.lights ? { lights: change.lights.map(flip) } : {}) };
}

function ackState(command: Command, said: Partial<DeviceState>): Pick<Ack, "state"> {
  if (isEmpty(said)) return {};
  const [relay] = said.relays ?? [];
  return {
    state: command.command === "set_relay" && relay ? relay.state : { relays: [...(said.relays ?? [])], lights: [...(said.lights ?? [])] },
  };
}

/** The outputs that `change` names, each whole and as it is in `after`. */
export function reportOf(change: Partial<DeviceState>, after: DeviceState): StateReport {
  const touched = <T extends { index: number }>(all: readonly T[], some: readonly T[] = []): T[] =>
    all.filter((one) => some.some((other) => other.index === one.index));
  const relays = touched(after.relays, change.relays);
  const lights = touched(after.lights, change.lights);
  return { ...(relays.length > 0 ? { relays } : {}), ...(lights.length > 0 ? { lights } : {}) };
}

function isEmpty(change: Partial<DeviceState>): boolean {
  return (change.relays ?? []).length === 0 && (change.lights ?? []).length === 0;
}
