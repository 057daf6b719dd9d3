import Type, { type Static } from "typebox";
import { AlertRuleDefinition, type AlertRuleInput } from "../../core/alert-rule.ts";
import { type Alert, ALERT_STATUSES, type AlertEntry } from "../../core/alert.ts";
import { SEVERITIES } from "../../core/notification.ts";
import { versionOf } from "../../core/version.ts";
import type { AlertRule, AlertRuleFields } from "../../store/alert-rules.ts";
import { nullable } from "../fields.ts";
import { Description, Name } from "../places/fields.ts";

export const AlertRuleRequest = Type.Object(
  {
    name: Name,
    description: Type.Optional(Description),
    is_enabled: Type.Optional(Type.Boolean({ description: "true without it" })),
    ...AlertRuleDefinition.properties,
  },
  { additionalProperties: false, title: "AlertRuleRequest" },
);
export type AlertRuleRequest = Static<typeof AlertRuleRequest>;

export const AlertRuleView = Type.Object(
  {
    id: Type.String(),
    organization_id: Type.String(),
    name: Type.String(),
    description: nullable("string"),
    is_enabled: Type.Boolean(),
    version: Type.Integer(),
    ...AlertRuleDefinition.properties,
    created_at: Type.String(),
    updated_at: Type.String(),
  },
  { title: "AlertRule" },
);

export const Severity = Type.Enum([...SEVERITIES]);
export const AlertView = Type.Object(
  {
    id: Type.String(),
    organization_id: Type.String(),
    rule_id: nullable("string", { description: "null for one that somebody has raised" }),
    rule_version: nullable("integer"),
    device_id: nullable("string"),
    uid: nullable("string"),
    site_id: nullable("string"),
    severity: Severity,
    status: Type.Enum([...ALERT_STATUSES]),
    title: Type.String(),
    description: nullable("string"),
    values: Type.Record(Type.String(), Type.Unknown(), { description: "What was seen when it was raised" }),
    parent_id: nullable("string", { description: "The loss of a site or gateway that it is a part of; nobody was told of it alone" }),
    silenced_until: nullable("string"),
    started_at: Type.String({ description: "Since when it was bad" }),
    raised_at: Type.String(),
    told_at: nullable("string"),
    acknowledged_at: nullable("string"),
    resolved_at: nullable("string"),
    resolution: nullable("string", {
      description: "fine, hand, gone (what it was about is not there any more) or rule (that was changed)",
    }),
    correlation_id: Type.String(),
  },
  { title: "Alert" },
);

export const AlertEntryView = Type.Object(
  {
    at: Type.String(),
    what: Type.String(),
    by: Type.Object({ kind: Type.String(), id: Type.String() }),
    details: Type.Record(Type.String(), Type.Unknown()),
  },
  { title: "AlertEntry" },
);

/** What of the request the rule is made of. */
export function definitionOf(request: AlertRuleRequest): AlertRuleInput {
  const { name: _name, description: _description, is_enabled: _isEnabled, ...definition } = request;
  return definition;
}

export const fieldsOf = (request: AlertRuleRequest): AlertRuleFields => ({
  name: request.name,
  description: request.description ?? null,
  isEnabled: request.is_enabled ?? true,
  severity: request.severity,
  definition: definitionOf(request),
});

export const ruleJson = ({ id, organizationId, name, description, isEnabled, version, definition, createdAt, updatedAt }: AlertRule) => ({
  id,
  organization_id: organizationId,
  name,
  description,
  is_enabled: isEnabled,
  version,
  ...definition,
  created_at: createdAt,
  updated_at: updatedAt,
});

export const ruleVersion = ({ id, version }: AlertRule): string => versionOf([id, version]);

export const alertJson = (alert: Alert) => ({
  id: alert.id,
  organization_id: alert.organizationId,
  rule_id: alert.ruleId,
  rule_version: alert.ruleVersion,
  device_id: alert.deviceId,
  uid: alert.uid,
  site_id: alert.siteId,
  severity: alert.severity,
  status: alert.status,
  title: alert.title,
  description: alert.description,
  values: alert.values,
  parent_id: alert.parentId,
  silenced_until: alert.silencedUntil,
  started_at: alert.startedAt,
  raised_at: alert.raisedAt,
  told_at: alert.toldAt,
  acknowledged_at: alert.acknowledgedAt,
  resolved_at: alert.resolvedAt,
  resolution: alert.resolution,
  correlation_id: alert.correlationId,
});

export const entryJson = ({ at, what, actor, details }: AlertEntry) => ({ at, what, by: actor, details });
