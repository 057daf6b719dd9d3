import { TextInput } from "@mantine/core";

interface TimeFilterProps {
  readonly label: string;
  /** As the hub takes it, with its zone. */
  readonly value: string | undefined;
  readonly onChange: (value: string) => void;
}

/** In the browser's zone; the URL has it in UTC, so that whoever opens it sees the same. */
export function TimeFilter({ label, value, onChange }: TimeFilterProps) {
  return (
    <TextInput
      type="datetime-local"
      label={label}
      value={localOf(value)}
      onChange={({ currentTarget: { value: local } }) => onChange(local === "" ? "" : new Date(local).toISOString())}
    />
  );
}

function localOf(iso: string | undefined): string {
  const ms = Date.parse(iso ?? "");
  if (Number.isNaN(ms)) return "";
  return new Date(ms - new Date(ms).getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}
