import { Autocomplete, Group } from "@mantine/core";
import { useDebouncedCallback } from "@mantine/hooks";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useTranslation } from "react-i18next";
import { DeviceSelect } from "../../parts/device-select.tsx";
import { MomentInput } from "../../parts/moment-input.tsx";

/** The families that the hub tells of; a type by itself can be typed. */
const FAMILIES = [
  "device",
  "command",
  "sensor",
  "automation",
  "schedule",
  "scene",
  "alert",
  "task",
  "insight",
  "bridge",
  "webhook",
  "custom",
];
const TYPING_MS = 300;

interface FilterState {
  readonly asked: { readonly type?: string; readonly entity_id?: string; readonly from?: string; readonly to?: string };
  readonly set: (change: Record<string, string | undefined>) => void;
}

export function useFilters(): FilterState {
  const { type, device, from, to } = useSearch({ from: "/shell/events" });
  const navigate = useNavigate({ from: "/events" });
  return {
    asked: { ...(type ? { type } : {}), ...(device ? { entity_id: device } : {}), ...(from ? { from } : {}), ...(to ? { to } : {}) },
    set: (change) => void navigate({ search: (before) => ({ ...before, ...change }), replace: true }),
  };
}

export function Filters({ asked, set }: FilterState) {
  const { t } = useTranslation("events");
  const type = useDebouncedCallback((text: string) => set({ type: text.trim() === "" ? undefined : text.trim() }), TYPING_MS);
  return (
    <Group align="flex-end">
      <Autocomplete
        label={t("type")}
        placeholder={t("all_types")}
        data={FAMILIES.map((family) => `${family}.*`)}
        defaultValue={asked.type ?? ""}
        onChange={type}
        clearable
        clearButtonProps={{ "aria-label": t("all_types") }}
      />
      <DeviceSelect
        label={t("device")}
        placeholder={t("all_devices")}
        value={asked.entity_id}
        onChange={(device) => set({ device: device?.id })}
      />
      <MomentInput label={t("from")} value={asked.from} onChange={(from) => set({ from })} />
      <MomentInput label={t("to")} value={asked.to} onChange={(to) => set({ to })} />
    </Group>
  );
}
