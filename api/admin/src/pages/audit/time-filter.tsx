import { TextInput } from "@mantine/core";
import { useZone } from "../../formats.ts";
import { atZone, momentAt } from "../../zone.ts";

interface TimeFilterProps {
  readonly label: string;
  /** As the hub takes it, with its zone. */
  readonly value: string | undefined;
  readonly onChange: (value: string) => void;
}

/** In the person's zone; the URL has it in UTC, so that whoever opens it sees the same. */
export function TimeFilter({ label, value, onChange }: TimeFilterProps) {
  const zone = useZone();
  const ms = Date.parse(value ?? "");
  return (
    <TextInput
      type="datetime-local"
      label={label}
      value={Number.isNaN(ms) ? "" : atZone(ms, zone).slice(0, 16)}
      onChange={({ currentTarget: { value: local } }) => onChange(local === "" ? "" : new Date(momentAt(local, zone)).toISOString())}
    />
  );
}
