import { Select } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { hub, take } from "../hub/client.ts";

const MOST = 50;

interface DeviceSelectProps {
  readonly label: string;
  readonly placeholder?: string;
  /** A uid; "": none */
  readonly value: string;
  readonly onChange: (uid: string) => void;
  readonly clearLabel: string;
}

/** One device of however many: the hub is asked for what is typed. */
export function DeviceFilter({ label, placeholder = "", value, onChange, clearLabel }: DeviceSelectProps) {
  const [typed, setTyped] = useState("");
  const [search] = useDebouncedValue(typed, 250);
  const { data } = useQuery({
    queryKey: ["devices", "select", search],
    queryFn: () => take(hub.GET("/api/v1/devices", { params: { query: { limit: MOST, ...(search === "" ? {} : { search }) } } })),
    placeholderData: (before) => before,
  });
  const found = (data?.data ?? []).map(({ uid, name }) => ({ value: uid, label: `${name} (${uid})` }));
  const isFound = value === "" || found.some((one) => one.value === value);
  return (
    <Select
      label={label}
      placeholder={placeholder}
      searchable
      clearable
      clearButtonProps={{ "aria-label": clearLabel }}
      data={isFound ? found : [{ value, label: value }, ...found]}
      // The name of what is chosen stands in the field, and is no search.
      onSearchChange={(text) => setTyped(found.some((one) => one.label === text) ? "" : text)}
      filter={({ options }) => options}
      value={value === "" ? null : value}
      onChange={(wanted) => onChange(wanted ?? "")}
    />
  );
}
