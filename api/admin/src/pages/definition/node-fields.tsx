import { Autocomplete, NumberInput, Select, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { hub, take } from "../../hub/client.ts";
import { DeviceSelect } from "../../parts/device-select.tsx";
import { type Command, CommandFields, outputsOf, targetWords } from "./command-fields.tsx";
import { DaysField } from "./days-field.tsx";
import { useDevice } from "./devices.tsx";
import { type Field, type Node, outputOf } from "./nodes.ts";
import type { Recurrence, Weekday } from "./recurrence.ts";
import { RecurrenceFields } from "./recurrence-fields.tsx";

interface FieldProps {
  readonly field: Field;
  readonly node: Node;
  readonly onChange: (node: Node) => void;
}

/** One field of a trigger, a condition or an action. */
export function NodeField({ field, node, onChange }: FieldProps) {
  const uid = textOf(node["device"]);
  const set = (changes: Readonly<Record<string, unknown>>) => onChange(without({ ...node, ...changes }));
  switch (field.as) {
    case "device":
      return <DeviceField uid={uid} isOptional={field.isOptional ?? false} onChange={(device) => set({ device })} />;
    case "sensor":
      return <SensorField uid={uid} value={textOf(node["key"])} onChange={(key) => set({ key })} />;
    case "output":
      return <OutputField uid={uid} node={node} onChange={set} />;
    case "command":
      return <CommandFields uid={uid} value={node["command"] as Command} onChange={(command) => set({ command })} />;
    case "scene":
      return <SceneField value={textOf(node["scene_id"])} onChange={(id) => set({ scene_id: id })} />;
    case "days":
      return <DaysField value={(node["days"] ?? []) as Weekday[]} onChange={(days) => set({ days })} />;
    case "recurrence":
      return <RecurrenceFields value={node["recurrence"] as Recurrence} onChange={(recurrence) => set({ recurrence })} />;
    default:
      return <PlainField field={field} value={node[field.name]} onChange={(value) => set({ [field.name]: value })} />;
  }
}

const textOf = (value: unknown): string => (typeof value === "string" ? value : "");

const without = (node: Node): Node =>
  Object.fromEntries(Object.entries(node).filter(([, value]) => value !== undefined)) as unknown as Node;

interface DeviceFieldProps {
  readonly uid: string;
  readonly isOptional: boolean;
  readonly onChange: (uid: string | undefined) => void;
}

function DeviceField({ uid, isOptional, onChange }: DeviceFieldProps) {
  const { t } = useTranslation("definition");
  return (
    <DeviceSelect
      label={t("field.device")}
      placeholder={t(isOptional ? "any_device" : "choose_device")}
      required={!isOptional}
      value={uid || undefined}
      onChange={(device) => onChange(device?.uid)}
    />
  );
}

type Plain = Extract<Field, { readonly name: string }>;

interface PlainProps {
  readonly field: Plain;
  readonly value: unknown;
  readonly onChange: (value: unknown) => void;
}

function PlainField({ field, value, onChange }: PlainProps) {
  const { t } = useTranslation("definition");
  const label = t(field.as === "time" ? `field.time_${field.name}` : `field.${field.name}`);
  if (field.as === "number")
    return (
      <NumberInput
        label={label}
        hideControls
        required={field.isNeeded === true}
        {...(field.min === undefined ? {} : { min: field.min })}
        value={typeof value === "number" ? value : ""}
        onChange={(number) => onChange(typeof number === "number" ? number : undefined)}
      />
    );
  if (field.as === "choice")
    return (
      <Select
        label={label}
        required={field.isOptional !== true}
        allowDeselect={field.isOptional === true}
        placeholder={t("any")}
        data={field.of.map((one) => ({ value: one, label: t(`choice.${one}`) }))}
        value={textOf(value) || null}
        onChange={(one) => onChange(one ?? undefined)}
      />
    );
  const { isOptional, maxLength, example } = field.as === "text" ? field : { isOptional: false, maxLength: 8, example: undefined };
  return (
    <TextInput
      label={label}
      type={field.as}
      required={isOptional !== true}
      maxLength={maxLength}
      placeholder={example ?? ""}
      value={textOf(value)}
      onChange={({ currentTarget }) => onChange(isOptional === true && currentTarget.value === "" ? undefined : currentTarget.value)}
    />
  );
}

interface OfDevice<T> {
  readonly uid: string;
  readonly value: string;
  readonly onChange: (value: T) => void;
}

function SensorField({ uid, value, onChange }: OfDevice<string>) {
  const { t } = useTranslation("definition");
  const detail = useDevice(uid);
  const told = [...(detail?.device.capabilities.sensors ?? []), ...(detail?.sensors ?? [])].map(({ key }) => key);
  return (
    <Autocomplete
      label={t("field.key")}
      placeholder="temperature"
      required
      maxLength={64}
      data={[...new Set(told)]}
      value={value}
      onChange={onChange}
    />
  );
}

interface OutputFieldProps {
  readonly uid: string;
  readonly node: Node;
  readonly onChange: (changes: Readonly<Record<string, unknown>>) => void;
}

function OutputField({ uid, node, onChange }: OutputFieldProps) {
  const { t } = useTranslation("definition");
  const capabilities = useDevice(uid)?.device.capabilities;
  const value = outputOf(node);
  return (
    <Select
      label={t("field.output")}
      required
      allowDeselect={false}
      data={[...new Set([...outputsOf(capabilities), value])].map((one) => ({ value: one, label: targetWords(t, one) }))}
      value={value}
      onChange={(one) => {
        const [kind, index] = (one ?? value).split(" ");
        onChange({ relay: undefined, light: undefined, [kind ?? "relay"]: Number(index) });
      }}
    />
  );
}

const MOST_SCENES = 200;

function SceneField({ value, onChange }: Omit<OfDevice<string>, "uid">) {
  const { t } = useTranslation("definition");
  const { data } = useQuery({
    queryKey: ["scenes", "choices"],
    queryFn: () => take(hub.GET("/api/v1/scenes", { params: { query: { limit: MOST_SCENES } } })),
  });
  return (
    <Select
      label={t("field.scene")}
      placeholder={t(data?.data.length === 0 ? "no_scenes" : "choose_scene")}
      required
      searchable
      allowDeselect={false}
      data={(data?.data ?? []).map(({ id, name }) => ({ value: id, label: name }))}
      value={value || null}
      onChange={(id) => onChange(id ?? "")}
    />
  );
}
