import { queryOptions, useMutation, useQuery } from "@tanstack/react-query";
import { hub, take } from "./client.ts";
import { queries } from "./queries.ts";
import type { components } from "./schema.d.ts";

type Preferences = components["schemas"]["Preferences"];

export const preferences = queryOptions({
  queryKey: ["preferences"],
  queryFn: () => take(hub.GET("/api/v1/preferences")),
  staleTime: 60_000,
});

/** A value that the hub keeps for the person, under one of the four names of `/api/v1/preferences`; what is shown changes at once. */
export function usePreference<T>(part: keyof Preferences, name: string, preset: T): [T, (value: T) => void] {
  const { data } = useQuery(preferences);
  const { mutate } = useMutation({
    mutationFn: (value: T) => take(hub.PATCH("/api/v1/preferences", { body: { [part]: { [name]: value } } })),
    onMutate: (value) =>
      queries.setQueryData(preferences.queryKey, (before) => before && { ...before, [part]: { ...before[part], [name]: value } }),
    onSettled: () => queries.invalidateQueries(preferences),
  });
  const kept = data?.[part][name];
  return [kept === undefined ? preset : (kept as T), mutate];
}
