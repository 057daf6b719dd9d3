import { Command } from "../../core/command.ts";
import { HubError } from "../../core/errors.ts";
import { parserFor } from "../../core/validate.ts";
import { CliError, EXIT } from "./exit.ts";

const parseCommand = parserFor(Command);

export interface LightOptions {
  readonly brightness?: number | undefined;
  readonly colorTemp?: number | undefined;
  readonly transition?: number | undefined;
}

export const COMMAND_FORMS = `relay <index> on|off|toggle
relays on|off
light <index> on|off|toggle [--brightness 0-100] [--color-temp kelvin] [--transition seconds]
light <index> <brightness>
ir <microseconds,-microseconds,…>
identify
restart`;

/**
 * The command that words like `relay 0 on` stand for. Throws a {@link CliError} with {@link COMMAND_FORMS} for
 * anything that is none; what the device itself can do is the hub's to judge.
 */
export function commandFromWords(words: readonly string[], light: LightOptions): Command {
  return checked(commandOf(words, light), words.join(" "));
}

/** The command of `--raw`, which is the request's JSON without anything added. */
export function commandFromJson(text: string): Command {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new CliError(EXIT.usage, "bad_json", `--raw is not JSON: ${text}`, { cause: error });
  }
  return checked(value, text);
}

function commandOf(words: readonly string[], light: LightOptions): unknown {
  const [noun, first, second, ...rest] = words;
  if (rest.length > 0) return undefined;
  switch (noun) {
    case "relay":
      return { command: "set_relay", relay: numberOf(first), state: second?.toUpperCase() };
    case "relays":
      return second === undefined ? { command: "set_all_relays", state: first?.toUpperCase() } : undefined;
    case "light":
      return lightCommand(first, second, light);
    case "ir":
      return second === undefined ? { command: "ir_send", timings: first?.split(",").map(numberOf) } : undefined;
    case "identify":
    case "restart":
      return first === undefined ? { command: noun } : undefined;
    default:
      return undefined;
  }
}

function lightCommand(index: string | undefined, word: string | undefined, options: LightOptions): unknown {
  const brightness = options.brightness ?? (/^\d+$/.test(word ?? "") ? numberOf(word) : undefined);
  const state = /^\d+$/.test(word ?? "") ? undefined : word?.toUpperCase();
  if (state === undefined && brightness === undefined && options.colorTemp === undefined) return undefined;
  return {
    command: "set_light",
    light: numberOf(index),
    ...(state === undefined ? {} : { state }),
    ...(brightness === undefined ? {} : { brightness }),
    ...(options.colorTemp === undefined ? {} : { color_temp: options.colorTemp }),
    ...(options.transition === undefined ? {} : { transition: options.transition }),
  };
}

/** NaN for what is no number, which no schema lets pass. */
function numberOf(word: string | undefined): number {
  return word === undefined || word.trim() === "" ? Number.NaN : Number(word);
}

function checked(value: unknown, given: string): Command {
  try {
    return parseCommand(value);
  } catch (error) {
    if (!(error instanceof HubError)) throw error;
    const reason = value === undefined ? "" : ` (${error.message})`;
    throw new CliError(EXIT.usage, "bad_command", `${JSON.stringify(given)} is no command${reason}`, {
      mend: `the forms are:\n${COMMAND_FORMS}`,
      cause: error,
    });
  }
}
