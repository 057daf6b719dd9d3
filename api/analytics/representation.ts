import Type, { type TSchema } from "typebox";
import { INSIGHT_KINDS, type Insight } from "../../core/insight.ts";
import { type Aggregate, averageOf, shareQuantile } from "../../core/metric.ts";
import { SEVERITIES } from "../../core/notification.ts";
import { nullable } from "../fields.ts";

/** A page of what devices amount to over a range. */
export const measuredPage = <S extends TSchema>(item: S, title: string) =>
  Type.Object(
    {
      from: Type.String(),
      to: Type.String(),
      data: Type.Array(item),
      next_cursor: nullable("string", { description: "null on the last page" }),
    },
    { title },
  );

export const DeviceFields = { device_id: Type.String(), uid: Type.String(), name: Type.String() };
export const deviceFields = ({ id, uid, name }: { readonly id: string; readonly uid: string; readonly name: string }) => ({
  device_id: id,
  uid,
  name,
});

export const DurationView = Type.Object(
  {
    count: Type.Integer(),
    mean_ms: nullable("number"),
    min_ms: nullable("number"),
    max_ms: nullable("number"),
    p50_ms: nullable("number", { description: "To 5 %, as the other quantiles" }),
    p95_ms: nullable("number"),
    p99_ms: nullable("number"),
  },
  { title: "DurationSummary" },
);

export function durationJson(aggregate: Aggregate | undefined) {
  if (aggregate === undefined) return { count: 0, mean_ms: null, min_ms: null, max_ms: null, p50_ms: null, p95_ms: null, p99_ms: null };
  return {
    count: aggregate.n,
    mean_ms: rounded(averageOf(aggregate)),
    min_ms: aggregate.min,
    max_ms: aggregate.max,
    p50_ms: quantileJson(aggregate, 0.5),
    p95_ms: quantileJson(aggregate, 0.95),
    p99_ms: quantileJson(aggregate, 0.99),
  };
}

export const shareOf = (aggregate: Aggregate | undefined): number | null => (aggregate === undefined ? null : averageOf(aggregate));

/** The sketch knows a value to 5 per cent, the ends are known exactly. */
export function quantileJson(aggregate: Aggregate, q: number): number | null {
  const value = shareQuantile(aggregate, q);
  return value === null ? null : rounded(Math.min(aggregate.max, Math.max(aggregate.min, value)));
}

export const rounded = (value: number | null): number | null => (value === null ? null : Math.round(value * 1_000) / 1_000);

export const InsightView = Type.Object(
  {
    id: Type.String(),
    organization_id: Type.String(),
    device_id: Type.String(),
    uid: Type.String(),
    kind: Type.Enum(Object.keys(INSIGHT_KINDS)),
    subject: Type.String({ description: "The relay, sensor or command that it is about; empty for the whole device" }),
    severity: Type.Enum([...SEVERITIES]),
    message: Type.String(),
    evidence: Type.Record(Type.String(), Type.Unknown(), { description: "The numbers behind it" }),
    since: Type.String({ description: "Since when it is so" }),
    found_at: Type.String(),
    seen_at: Type.String({ description: "When it was last found to hold" }),
    ended_at: nullable("string"),
    dismissed_at: nullable("string"),
    dismissed_by: Type.Union([Type.Null(), Type.Object({ kind: Type.String(), id: Type.String() })]),
  },
  { title: "Insight" },
);

export const insightJson = (insight: Insight) => ({
  id: insight.id,
  organization_id: insight.organizationId,
  device_id: insight.deviceId,
  uid: insight.uid,
  kind: insight.kind,
  subject: insight.subject,
  severity: insight.severity,
  message: insight.message,
  evidence: insight.evidence,
  since: insight.since,
  found_at: insight.foundAt,
  seen_at: insight.seenAt,
  ended_at: insight.endedAt,
  dismissed_at: insight.dismissedAt,
  dismissed_by: insight.dismissedBy,
});
