import { Code, NumberInput, Select } from "@mantine/core";
import type { TFunction } from "i18next";
import { useTranslation } from "react-i18next";
import type { components } from "../../hub/schema.d.ts";
import { useDevice } from "./devices.tsx";

export type Command = components["schemas"]["Command"];
type Capabilities = components["schemas"]["Capabilities"];

interface CommandFieldsProps {
  readonly uid: string;
  readonly value: Command;
  readonly onChange: (command: Command) => void;
}

/** What the device can do; anything else is shown as it stands. */
export function CommandFields({ uid, value, onChange }: CommandFieldsProps) {
  const { t } = useTranslation("definition");
  const capabilities = useDevice(uid)?.device.capabilities;
  const target = targetOf(value);
  if (target === undefined) return <Code style={{ overflowWrap: "anywhere" }}>{JSON.stringify(value)}</Code>;
  const targets = [...new Set([...targetsOf(capabilities), target])];
  const states = value.command === "set_all_relays" ? ["ON", "OFF"] : ["ON", "OFF", "TOGGLE"];
  return (
    <>
      <Select
        label={t("field.target")}
        required
        allowDeselect={false}
        data={targets.map((one) => ({ value: one, label: targetWords(t, one) }))}
        value={target}
        onChange={(one) => one !== null && onChange(commandOf(one))}
      />
      {"state" in value && (
        <Select
          label={t("field.state")}
          required
          allowDeselect={false}
          data={states.map((one) => ({ value: one, label: t(`choice.${one}`) }))}
          value={value.state ?? null}
          onChange={(state) => onChange({ ...value, state } as Command)}
        />
      )}
      {value.command === "set_light" && (
        <NumberInput
          label={t("field.brightness")}
          min={0}
          max={100}
          hideControls
          value={value.brightness ?? ""}
          onChange={(brightness) => onChange({ ...value, brightness: typeof brightness === "number" ? brightness : undefined })}
        />
      )}
    </>
  );
}

function targetOf(command: Command): string | undefined {
  switch (command.command) {
    case "set_relay":
      return `relay ${command.relay}`;
    case "set_light":
      return `light ${command.light}`;
    case "set_all_relays":
    case "identify":
    case "restart":
      return command.command;
    default:
      return undefined;
  }
}

function targetsOf({ relays = 0, lights = 0 }: Capabilities = {}): string[] {
  const outputs = outputsOf({ relays, lights });
  return [...outputs, ...(relays > 1 ? ["set_all_relays"] : []), "identify", "restart"];
}

/** "relay 0", "light 1" */
export function outputsOf({ relays = 0, lights = 0 }: Capabilities = {}): string[] {
  const named = (kind: string, count: number) => Array.from({ length: count }, (_, index) => `${kind} ${index}`);
  return [...named("relay", relays), ...named("light", lights)];
}

type Translate = TFunction<"definition">;

export function targetWords(t: Translate, target: string): string {
  const [kind = "", index] = target.split(" ");
  return t(`target.${kind}`, { index });
}

function commandOf(target: string): Command {
  const [kind, index] = target.split(" ");
  if (kind === "relay") return { command: "set_relay", relay: Number(index), state: "ON" };
  if (kind === "light") return { command: "set_light", light: Number(index), state: "ON" };
  if (kind === "set_all_relays") return { command: "set_all_relays", state: "OFF" };
  return { command: kind === "restart" ? "restart" : "identify" };
}

export function commandWords(t: Translate, command: Command): string {
  const target = targetOf(command);
  const what = target === undefined ? command.command : targetWords(t, target);
  const parts = [
    "state" in command && command.state !== undefined ? t(`choice.${command.state}`) : "",
    "brightness" in command && command.brightness !== undefined ? `${command.brightness} %` : "",
    "color_temp" in command && command.color_temp !== undefined ? `${command.color_temp} K` : "",
  ].filter((part) => part !== "");
  return parts.length === 0 ? what : `${what}: ${parts.join(", ")}`;
}
