import { queryOptions } from "@tanstack/react-query";
import { hub } from "../../hub/client.ts";
import type { components } from "../../hub/schema.d.ts";
import { type Tagged, takeTagged } from "../../hub/tagged.ts";
import { newNode, type Node } from "../definition/nodes.ts";
import type { Recurrence } from "../definition/recurrence.ts";

export type Schedule = components["schemas"]["Schedule"];
export type One = Tagged<components["schemas"]["OneSchedule"]>;
export const POLICIES = ["skip", "once", "all"] as const;

/** What the form writes of a schedule. */
export interface Draft {
  readonly name: string;
  readonly recurrence: Recurrence;
  readonly actions: readonly Node[];
  readonly time_zone?: string;
  readonly misfire?: components["schemas"]["Misfire"];
}

export const emptyDraft = (timeZone: string): Draft => ({
  name: "",
  recurrence: { kind: "cron", expression: "0 8 * * *" },
  actions: [newNode("action", "command")],
  time_zone: timeZone,
});

/** The short form for one device is its one action. */
export function draftOf({ name, recurrence, actions, device, command, time_zone: timeZone, misfire }: Schedule): Draft {
  return {
    name,
    recurrence,
    actions: device === undefined ? ((actions ?? []) as readonly unknown[] as readonly Node[]) : [{ kind: "command", device, command }],
    ...(timeZone === undefined ? {} : { time_zone: timeZone }),
    ...(misfire === undefined ? {} : { misfire }),
  };
}

/** As the hub has it, for what changes: with the short form gone once it is written as actions. */
export function writtenOf({ device, command, ...schedule }: Schedule): object {
  const { actions, ...draft } = draftOf(schedule);
  return device === undefined ? { ...draft, actions } : { ...draft, device, command };
}

/** Events tell when it fires; of what somebody else changes none does. */
const EVERY_MS = 30_000;

export const scheduleQuery = (id: string) =>
  queryOptions({
    queryKey: ["schedules", "one", id],
    queryFn: () => takeTagged(hub.GET("/api/v1/schedules/{id}", { params: { path: { id } } })),
    refetchInterval: EVERY_MS,
  });
