import { AlexaError, type AlexaDirective } from "../../core/alexa.ts";
import type { Command } from "../../core/command.ts";
import type { HomeFacts } from "../../store/home-facts.ts";
import type { DeviceEndpoint, Part } from "./endpoints.ts";

/** What an endpoint is asked to do: a command of the hub, or an infrared code by its id. */
export type Wanted = { readonly command: Command } | { readonly irCode: string };

/** White light in Alexa's words: warm, warm white, white, daylight, cool. In kelvin. */
const WHITES = [2_200, 2_700, 4_000, 5_500, 7_000];
const FALLBACK_WHITE = 4_000;

/** Throws {@link AlexaError} for what the endpoint does not do. */
export function wantedBy(directive: AlexaDirective, { part }: DeviceEndpoint, facts: HomeFacts | undefined): Wanted {
  const { namespace, name, instance } = directive.header;
  const payload = directive.payload ?? {};
  switch (`${namespace}.${name}`) {
    case "Alexa.PowerController.TurnOn":
      return { command: switched(part, "ON") };
    case "Alexa.PowerController.TurnOff":
      return { command: switched(part, "OFF") };
    case "Alexa.ToggleController.TurnOn":
      return { command: toggled(part, instance, "ON") };
    case "Alexa.ToggleController.TurnOff":
      return { command: toggled(part, instance, "OFF") };
    case "Alexa.BrightnessController.SetBrightness":
      return dimmed(part, numberIn(payload, "brightness", 0, 100));
    case "Alexa.BrightnessController.AdjustBrightness":
      return adjusted(part, facts, numberIn(payload, "brightnessDelta", -100, 100));
    case "Alexa.PercentageController.SetPercentage":
      return dimmed(part, numberIn(payload, "percentage", 0, 100));
    case "Alexa.PercentageController.AdjustPercentage":
      return adjusted(part, facts, numberIn(payload, "percentageDelta", -100, 100));
    case "Alexa.ColorTemperatureController.SetColorTemperature":
      return white(part, numberIn(payload, "colorTemperatureInKelvin", 1_000, 10_000));
    case "Alexa.ColorTemperatureController.IncreaseColorTemperature":
      return white(part, nextWhite(part, facts, 1));
    case "Alexa.ColorTemperatureController.DecreaseColorTemperature":
      return white(part, nextWhite(part, facts, -1));
    case "Alexa.ModeController.SetMode":
      return pressed(part, instance, payload["mode"]);
    case "Alexa.RangeController.SetRangeValue":
    case "Alexa.RangeController.AdjustRangeValue":
      throw new AlexaError("INVALID_DIRECTIVE", "a sensor's value can only be read");
    default:
      throw new AlexaError("INVALID_DIRECTIVE", `the hub does not know ${namespace}.${name}`);
  }
}

function switched(part: Part, state: "ON" | "OFF"): Command {
  if (part.kind === "relay") return { command: "set_relay", relay: part.index, state };
  if (part.kind === "light") return { command: "set_light", light: part.index, state };
  if (part.kind === "relays") return { command: "set_all_relays", state };
  throw notOn(part);
}

function toggled(part: Part, instance: string | undefined, state: "ON" | "OFF"): Command {
  const index = /^relay:(\d{1,2})$/.exec(instance ?? "")?.[1];
  if (part.kind !== "relays" || index === undefined) throw notOn(part);
  if (Number(index) >= 32) throw new AlexaError("INVALID_DIRECTIVE", `there is no ${instance}`);
  return { command: "set_relay", relay: Number(index), state };
}

/** To nothing is off. */
function dimmed(part: Part, brightness: number): Wanted {
  return { command: { command: "set_light", light: lightOf(part), state: brightness > 0 ? "ON" : "OFF", brightness } };
}

function adjusted(part: Part, facts: HomeFacts | undefined, delta: number): Wanted {
  const known = lightIn(part, facts);
  const now = known?.state === "ON" ? (known.brightness ?? 100) : 0;
  return dimmed(part, Math.min(100, Math.max(0, now + delta)));
}

const white = (part: Part, kelvin: number): Wanted => ({
  command: { command: "set_light", light: lightOf(part), state: "ON", color_temp: kelvin },
});

function nextWhite(part: Part, facts: HomeFacts | undefined, step: 1 | -1): number {
  const now = lightIn(part, facts)?.colorTemp ?? FALLBACK_WHITE;
  const further = step === 1 ? WHITES.find((kelvin) => kelvin > now) : WHITES.findLast((kelvin) => kelvin < now);
  return further ?? now;
}

function pressed(part: Part, instance: string | undefined, mode: unknown): Wanted {
  if (part.kind !== "remote" || instance !== "code") throw notOn(part);
  const id = typeof mode === "string" ? /^code:([0-9a-f-]{36})$/.exec(mode)?.[1] : undefined;
  if (id === undefined) throw new AlexaError("INVALID_VALUE", "there is no such code");
  return { irCode: id };
}

const lightIn = (part: Part, facts: HomeFacts | undefined) =>
  facts?.outputs.find((one) => one.kind === "light" && one.index === lightOf(part));

function lightOf(part: Part): number {
  if (part.kind !== "light") throw notOn(part);
  return part.index;
}

const notOn = ({ kind }: Part): AlexaError => new AlexaError("INVALID_DIRECTIVE", `that is nothing that a ${kind} does`);

/** A whole number. */
function numberIn(payload: Readonly<Record<string, unknown>>, member: string, minimum: number, maximum: number): number {
  const value = payload[member];
  if (typeof value !== "number" || !Number.isInteger(value)) throw new AlexaError("INVALID_VALUE", `${member} is no whole number`);
  if (value < minimum || value > maximum)
    throw new AlexaError("VALUE_OUT_OF_RANGE", `${member} goes from ${minimum} to ${maximum}: ${value}`);
  return value;
}
