import Type, { type Static } from "typebox";
import { AutomationDefinition } from "../../core/automation.ts";
import { RUN_STATUSES, type Run } from "../../core/run.ts";
import { versionOf } from "../../core/version.ts";
import type { Automation, AutomationFields } from "../../store/automations.ts";
import { nullable } from "../fields.ts";
import { Description, Name } from "../places/fields.ts";

export const AutomationRequest = Type.Object(
  {
    name: Name,
    description: Type.Optional(Description),
    is_enabled: Type.Optional(Type.Boolean({ description: "true without it" })),
    ...AutomationDefinition.properties,
  },
  { additionalProperties: false, title: "AutomationRequest" },
);
export type AutomationRequest = Static<typeof AutomationRequest>;

export const AutomationView = Type.Object(
  {
    id: Type.String(),
    organization_id: Type.String(),
    name: Type.String(),
    description: nullable("string"),
    is_enabled: Type.Boolean(),
    version: Type.Integer(),
    ...AutomationDefinition.properties,
    fire_count: Type.Integer(),
    last_fired_at: nullable("string"),
    next_run_at: nullable("string", { description: "Of its schedules the next" }),
    created_at: Type.String(),
    updated_at: Type.String(),
  },
  { title: "Automation" },
);

export const RunView = Type.Object(
  {
    id: Type.String(),
    source_kind: Type.Enum(["automation", "schedule", "scene", "alert"]),
    source_id: Type.String(),
    source_version: nullable("integer"),
    status: Type.Enum([...RUN_STATUSES]),
    cause: Type.Record(Type.String(), Type.Unknown(), { description: "What set it off, with the values that decided" }),
    steps: Type.Array(
      Type.Object({
        path: Type.String(),
        kind: Type.String(),
        status: Type.Enum(["ok", "failed"]),
        at: Type.String(),
        code: Type.Optional(Type.String()),
        message: Type.Optional(Type.String()),
      }),
    ),
    correlation_id: Type.String(),
    causation_id: nullable("string"),
    scheduled_for: nullable("string"),
    created_at: Type.String(),
    finished_at: nullable("string"),
  },
  { title: "Run" },
);

export const fieldsOf = ({ name, description, is_enabled: isEnabled = true, ...definition }: AutomationRequest): AutomationFields => ({
  name,
  description: description ?? null,
  isEnabled,
  definition,
});

export function automationJson(one: Automation, nextRunAt: string | null): Record<string, unknown> {
  const { id, organizationId, name, description, isEnabled, version, definition, fireCount, lastFiredAt, createdAt, updatedAt } = one;
  return {
    id,
    organization_id: organizationId,
    name,
    description,
    is_enabled: isEnabled,
    version,
    ...definition,
    fire_count: fireCount,
    last_fired_at: lastFiredAt,
    next_run_at: nextRunAt,
    created_at: createdAt,
    updated_at: updatedAt,
  };
}

/** What people change: firing makes no other one of it. */
export const automationVersion = ({ id, version, isEnabled }: Automation): string => versionOf([id, version, isEnabled]);

export const runJson = (run: Run): Record<string, unknown> => ({
  id: run.id,
  source_kind: run.sourceKind,
  source_id: run.sourceId,
  source_version: run.sourceVersion,
  status: run.status,
  cause: run.cause,
  steps: run.steps,
  correlation_id: run.correlationId,
  causation_id: run.causationId,
  scheduled_for: run.scheduledFor,
  created_at: run.createdAt,
  finished_at: run.finishedAt,
});
