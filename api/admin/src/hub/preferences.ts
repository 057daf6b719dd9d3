import { queryOptions, useQuery } from "@tanstack/react-query";
import { hub, take } from "./client.ts";
import { findKept, keep, onKeptElsewhere, unkeep } from "./kept.ts";
import { queries } from "./queries.ts";
import type { components } from "./schema.d.ts";
import { me, PREFERENCES } from "./session.ts";

type Preferences = components["schemas"]["Preferences"];
type Part = keyof Preferences;
type Choices = Readonly<Partial<Record<Part, Readonly<Record<string, unknown>>>>>;

/** What the hub has not taken yet. It waits for the person whose it is, whoever comes between. */
const UNSENT = "unsent";
const AGAIN_MS = 15_000;
const NOTHING: Preferences = { dashboard_layout: {}, dashboard_settings: {}, device_view_state: {}, notification_settings: {} };

/** Until the hub answers, what it said last; and what it has not taken yet is not lost when it refuses. */
export const preferences = queryOptions({
  queryKey: ["preferences"],
  queryFn: ask,
  initialData: presumed,
  initialDataUpdatedAt: 0,
  staleTime: 60_000,
  refetchInterval: () => (isEmpty(unsent()) ? false : AGAIN_MS),
});

async function ask(): Promise<Preferences> {
  const choices = unsent();
  if (isEmpty(choices)) return known(await take(hub.GET("/api/v1/preferences")));
  try {
    const taken = await take(hub.PATCH("/api/v1/preferences", { body: choices as Record<Part, Record<string, unknown>> }));
    forgetSent(choices);
    return merged(known(taken), unsent());
  } catch {
    return merged(known(await take(hub.GET("/api/v1/preferences"))), unsent());
  }
}

/** Holds at once, here and in the other tabs; the hub is told as soon as it takes it. */
export function keepPreference(part: Part, name: string, value: unknown): void {
  const choices = unsent();
  keep(UNSENT, whose(), { ...choices, [part]: { ...choices[part], [name]: value } });
  queries.setQueryData(preferences.queryKey, (before) => merged(before ?? presumed() ?? NOTHING, unsent()));
  void queries.invalidateQueries(preferences);
}

/** A value under one of the four names of `/api/v1/preferences`. The shell is who asks for them. */
export function usePreference<T>(part: Part, name: string, preset: T): [T, (value: T) => void] {
  const { data } = useQuery({ ...preferences, enabled: false });
  const kept = data?.[part][name];
  return [kept === undefined ? preset : (kept as T), (value) => keepPreference(part, name, value)];
}

onKeptElsewhere([PREFERENCES, UNSENT], () => {
  const told = presumed();
  if (told) queries.setQueryData(preferences.queryKey, told);
});

function known(told: Preferences): Preferences {
  keep(PREFERENCES, whose(), told);
  return told;
}

function presumed(): Preferences | undefined {
  const told = findKept(PREFERENCES, whose()) as Preferences | undefined;
  const choices = unsent();
  return told || !isEmpty(choices) ? merged(told ?? NOTHING, choices) : undefined;
}

function merged(told: Preferences, choices: Choices): Preferences {
  const changed = Object.entries(choices).map(([part, values]) => [part, { ...told[part as Part], ...values }]);
  return { ...told, ...(Object.fromEntries(changed) as Partial<Preferences>) };
}

const unsent = (): Choices => (findKept(UNSENT, whose()) as Choices | undefined) ?? {};
const isEmpty = (choices: Choices): boolean => Object.keys(choices).length === 0;

/** But what was chosen anew meanwhile. */
function forgetSent(sent: Choices): void {
  const left = Object.entries(unsent()).flatMap(([part, values]) => {
    const rest = Object.entries(values).filter(([name, value]) => JSON.stringify(value) !== JSON.stringify(sent[part as Part]?.[name]));
    return rest.length === 0 ? [] : [[part, Object.fromEntries(rest)]];
  });
  if (left.length === 0) unkeep(UNSENT);
  else keep(UNSENT, whose(), Object.fromEntries(left));
}

/** A person has others in each organisation. */
function whose(): string | undefined {
  const who = queries.getQueryData(me.queryKey);
  return who && `${who.id} ${who.organization_id}`;
}
