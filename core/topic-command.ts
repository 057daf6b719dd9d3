import type { Command } from "./command.ts";
import { HubError } from "./errors.ts";
import { type IrSignal, pressOf } from "./ir-signal.ts";
import { IrSet, LightSet } from "./payloads.ts";
import type { Topic } from "./topics.ts";
import { parserFor } from "./validate.ts";

/** A topic on which somebody asks for something. */
export type CommandTopic = Extract<Topic, { kind: "relay_set" | "light_set" | "ir_send" | "button_press" }>;

export function isCommandTopic(topic: Topic): topic is CommandTopic {
  return topic.kind === "relay_set" || topic.kind === "light_set" || topic.kind === "ir_send" || topic.kind === "button_press";
}

const parseLight = parserFor(LightSet);
const parseIr = parserFor(IrSet);

/** What the message asks for; `findCode` gives the device's infrared code with this id. Throws what is wrong with the payload. */
export async function topicCommand(
  topic: CommandTopic,
  payload: Buffer | string,
  findCode: (id: string) => Promise<IrSignal>,
): Promise<Command> {
  const text = String(payload);
  switch (topic.kind) {
    case "relay_set": {
      const state = text.trim().toUpperCase();
      if (state !== "ON" && state !== "OFF" && state !== "TOGGLE") throw unexpected("a relay takes ON, OFF or TOGGLE", text);
      return { command: "set_relay", relay: topic.index, state };
    }
    case "light_set":
      return { command: "set_light", light: topic.index, ...parseLight(fromJson(text)) };
    case "ir_send": {
      const { timings, modulation, repeat_count, carrier_hz = modulation, repeat = repeat_count } = parseIr(fromJson(text));
      return {
        command: "ir_send",
        timings,
        ...(carrier_hz === undefined ? {} : { carrier_hz }),
        ...(repeat === undefined ? {} : { repeat }),
      };
    }
    case "button_press": {
      if (text !== "PRESS") throw unexpected("a button takes PRESS", text);
      const { button } = topic;
      if (button === "identify" || button === "restart") return { command: button };
      return { command: "ir_send", ...pressOf(await findCode(button.slice("ir_".length))) };
    }
  }
}

const unexpected = (what: string, text: string): HubError =>
  new HubError("validation_error", `${what}, not ${JSON.stringify(text.slice(0, 32))}`);

function fromJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new HubError("bad_json", "the payload is not valid JSON", { cause });
  }
}
