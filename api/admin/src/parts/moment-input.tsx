import { TextInput } from "@mantine/core";
import { useZone } from "../formats.ts";
import { atZone, momentAt } from "../zone.ts";

interface MomentInputProps {
  readonly label: string;
  /** ISO 8601; undefined: open */
  readonly value: string | undefined;
  readonly onChange: (iso: string | undefined) => void;
}

/** A date and a time of the person's zone. */
export function MomentInput({ label, value, onChange }: MomentInputProps) {
  const zone = useZone();
  const ms = Date.parse(value ?? "");
  return (
    <TextInput
      type="datetime-local"
      step={1}
      label={label}
      value={Number.isNaN(ms) ? "" : atZone(ms, zone)}
      onChange={({ currentTarget }) => {
        const moment = momentAt(currentTarget.value, zone);
        onChange(Number.isNaN(moment) ? undefined : new Date(moment).toISOString());
      }}
    />
  );
}
