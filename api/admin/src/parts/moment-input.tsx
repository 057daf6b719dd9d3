import { TextInput } from "@mantine/core";

interface MomentInputProps {
  readonly label: string;
  /** ISO 8601; undefined: open */
  readonly value: string | undefined;
  readonly onChange: (iso: string | undefined) => void;
}

/** A date and a time of the browser's zone. */
export function MomentInput({ label, value, onChange }: MomentInputProps) {
  return (
    <TextInput
      type="datetime-local"
      step={1}
      label={label}
      value={value === undefined ? "" : localOf(value)}
      onChange={({ currentTarget }) => {
        const ms = new Date(currentTarget.value).getTime();
        onChange(Number.isNaN(ms) ? undefined : new Date(ms).toISOString());
      }}
    />
  );
}

/** As the input wants it: no zone, since it is the browser's. */
function localOf(iso: string): string {
  const ms = Date.parse(iso);
  return Number.isNaN(ms) ? "" : new Date(ms - new Date(ms).getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
}
