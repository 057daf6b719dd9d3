import { useDebouncedValue } from "@mantine/hooks";
import { queryOptions, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { hub, take } from "../../hub/client.ts";
import type { components } from "../../hub/schema.d.ts";

export type Device = components["schemas"]["Device"];
type Detail = components["schemas"]["DeviceDetail"];
const MOST = 200;
const TYPING_MS = 250;

/** The first ones; of more than can be chosen from, those that are found by what was typed. */
const choices = (search: string) =>
  queryOptions({
    queryKey: ["devices", "choices", search],
    queryFn: () => take(hub.GET("/api/v1/devices", { params: { query: { limit: MOST, ...(search === "" ? {} : { search }) } } })),
    staleTime: 30_000,
  });

export const deviceQuery = (uid: string) =>
  queryOptions({
    queryKey: ["devices", "one", uid],
    queryFn: () => take(hub.GET("/api/v1/devices/{id}", { params: { path: { id: uid } } })),
    enabled: uid !== "",
  });

export const useDevice = (uid: string): Detail | undefined => useQuery(deviceQuery(uid)).data;

/** What people call a device; of one that is not among the first its uid. */
export function useDeviceName(): (uid: string) => string {
  const { data } = useQuery(choices(""));
  return (uid) => data?.data.find((device) => device.uid === uid)?.name ?? uid;
}

/** Those to choose from, and what tells them which are wanted. */
export function useDeviceChoices(): { readonly devices: readonly Device[]; readonly onSearch: (text: string) => void } {
  const [typed, onSearch] = useState("");
  const [search] = useDebouncedValue(typed, TYPING_MS);
  const first = useQuery(choices(""));
  const isMore = first.data?.next_cursor != null;
  const found = useQuery({ ...choices(search), enabled: isMore && search !== "" });
  return { devices: [...(first.data?.data ?? []), ...(found.data?.data ?? [])], onSearch };
}

/** As Select and MultiSelect take them: each once, and what is chosen among them. */
export function deviceData(devices: readonly Device[], chosen: readonly string[]): { value: string; label: string }[] {
  const names = new Map(chosen.map((uid) => [uid, uid]));
  for (const { uid, name } of devices) names.set(uid, name);
  return [...names].map(([value, label]) => ({ value, label }));
}
