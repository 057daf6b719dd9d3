import { queryOptions } from "@tanstack/react-query";
import { hub } from "../../hub/client.ts";
import type { components } from "../../hub/schema.d.ts";
import { type Tagged, takeTagged } from "../../hub/tagged.ts";
import type { Node } from "../definition/nodes.ts";

export type One = Tagged<components["schemas"]["OneAutomation"]>;
export type Automation = components["schemas"]["Automation"];
export const MODES = ["skip", "queue", "parallel", "restart"] as const;
export type Mode = (typeof MODES)[number];

/** What people write of an automation. */
export interface Draft {
  readonly name: string;
  readonly description?: string;
  readonly triggers: readonly Node[];
  readonly condition?: Node;
  readonly actions: readonly Node[];
  readonly mode?: Mode;
  readonly cooldown_s?: number;
  readonly dedupe_s?: number;
  readonly time_zone?: string;
  readonly site_id?: string;
}
/** All of it that is written as JSON. */
export type Definition = Omit<Draft, "name" | "description">;
const DEFINITION = ["triggers", "condition", "actions", "mode", "cooldown_s", "dedupe_s", "time_zone", "site_id"] as const;

export function draftOf(automation: Automation): Draft {
  const { name, description } = automation;
  return { name, ...(description === null ? {} : { description }), ...definitionOf(automation as never) };
}

export function definitionOf(one: Definition): Definition {
  return Object.fromEntries(DEFINITION.filter((name) => one[name] !== undefined).map((name) => [name, one[name]])) as unknown as Definition;
}

/** Events tell when it fires; of what somebody else changes none does. */
const EVERY_MS = 30_000;

export const automationQuery = (id: string) =>
  queryOptions({
    queryKey: ["automations", "one", id],
    queryFn: () => takeTagged(hub.GET("/api/v1/automations/{id}", { params: { path: { id } } })),
    refetchInterval: EVERY_MS,
  });
