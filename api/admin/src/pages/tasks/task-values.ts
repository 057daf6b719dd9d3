import type { components } from "../../hub/schema.d.ts";
import type { Command } from "../definition/command-fields.tsx";

type NewTask = components["schemas"]["NewTask"];
export const KINDS = ["commands", "template"] as const;

/** As the fields hold them: "" is nothing. */
export interface TaskValues {
  readonly device: string;
  readonly name: string;
  readonly description: string;
  readonly kind: (typeof KINDS)[number];
  readonly actions: Command[];
  readonly template: string;
  readonly variables: Readonly<Record<string, unknown>>;
  readonly priority: number | "";
  readonly attempts: number | "";
  readonly expiresH: number | "";
  readonly tags: string[];
  readonly isDraft: boolean;
}

export const NEW_TASK: TaskValues = {
  device: "",
  name: "",
  description: "",
  kind: "commands",
  actions: [{ command: "set_relay", relay: 0, state: "ON" }],
  template: "",
  variables: {},
  priority: "",
  attempts: "",
  expiresH: "",
  tags: [],
  isDraft: false,
};

/** Before the second attempt; each later wait is twice as long. */
const BACKOFF_S = 10;
const HOUR_S = 3_600;

export function taskOf({ device, name, description, kind, tags, isDraft, ...values }: TaskValues): NewTask {
  const { actions, template, variables, priority, attempts, expiresH } = values;
  return {
    device,
    name,
    ...(kind === "template" ? { template: { id: template, variables: { ...variables } } } : { actions }),
    ...(description === "" ? {} : { description }),
    ...(priority === "" ? {} : { priority }),
    ...(attempts === "" ? {} : { retry: { attempts, backoff_s: BACKOFF_S } }),
    ...(expiresH === "" ? {} : { expires_in_s: Math.max(1, Math.round(expiresH * HOUR_S)) }),
    ...(tags.length === 0 ? {} : { tags }),
    ...(isDraft ? { draft: true } : {}),
  };
}
