import { Select, Text } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { hub, take } from "../hub/client.ts";
import { useErrorWords } from "./failed.tsx";

const TYPING_MS = 200;
const OFFERED = 20;

interface DeviceSelectProps {
  readonly label: string;
  readonly placeholder?: string;
  /** Its uid or UUID. */
  readonly value: string | undefined;
  /** Nothing when there shall be none. */
  readonly onChange: (device: { readonly id: string; readonly uid: string } | undefined) => void;
  readonly required?: boolean;
}

/** Found by what is typed: there may be thousands. */
export function DeviceSelect({ label, placeholder = "", value, onChange, required = false }: DeviceSelectProps) {
  const { t } = useTranslation();
  const words = useErrorWords();
  const [typed, setTyped] = useState("");
  const [search] = useDebouncedValue(typed, TYPING_MS);
  const chosen = useQuery({
    queryKey: ["devices", "one", value],
    queryFn: () => take(hub.GET("/api/v1/devices/{id}", { params: { path: { id: value ?? "" } } })),
    enabled: value !== undefined,
  });
  const device =
    value === undefined ? undefined : (chosen.data?.device ?? (chosen.isError ? { id: value, uid: value, name: value } : undefined));
  // The field holds the name of what was chosen, which is no search.
  const asked = search === device?.name ? "" : search.trim();
  const offered = useQuery({
    queryKey: ["devices", "offered", asked],
    queryFn: () => take(hub.GET("/api/v1/devices", { params: { query: { ...(asked ? { search: asked } : {}), limit: OFFERED } } })),
    placeholderData: keepPreviousData,
  });
  const found = offered.data?.data ?? [];
  const devices = device && !found.some(({ id }) => id === device.id) ? [device, ...found] : found;
  const refusal = chosen.error ?? offered.error;
  return (
    <Select
      label={label}
      placeholder={placeholder}
      required={required}
      searchable
      clearable={!required}
      allowDeselect={!required}
      clearButtonProps={{ "aria-label": placeholder || t("none") }}
      nothingFoundMessage={t("palette.nothing")}
      // The hub has searched already.
      filter={({ options }) => options}
      data={devices.map(({ id, name }) => ({ value: id, label: name }))}
      renderOption={({ option: { value: id, label: name } }) => (
        <Text size="sm" style={{ overflowWrap: "anywhere" }}>
          {name} ({devices.find((one) => one.id === id)?.uid})
        </Text>
      )}
      value={device?.id ?? null}
      searchValue={typed}
      onSearchChange={setTyped}
      onChange={(id) => onChange(devices.find((one) => one.id === id))}
      error={refusal ? words(refusal) : undefined}
    />
  );
}
