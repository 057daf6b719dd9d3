import Type, { type Static } from "typebox";
import { fault } from "../../core/definition.ts";
import type { Measured } from "../metrics.ts";
import { nullable } from "../fields.ts";
import { defineRoute } from "../route.ts";
import { Severity } from "./representation.ts";

const MOST_FOUND = 1_000;

const Threshold = Type.Object(
  {
    metric: Type.String({ pattern: "^[a-zA-Z_:][a-zA-Z0-9_:]{0,127}$", description: "As /metrics calls it" }),
    above: Type.Optional(Type.Number()),
    below: Type.Optional(Type.Number()),
    labels: Type.Optional(
      Type.Record(Type.String({ pattern: "^[a-zA-Z_]\\w{0,63}$" }), Type.String({ maxLength: 200 }), { maxProperties: 10 }),
    ),
    severity: Type.Optional(Severity),
  },
  { additionalProperties: false, title: "MetricThreshold" },
);
type Threshold = Static<typeof Threshold>;

/** Where the request names none. */
const USUAL: readonly Threshold[] = [
  { metric: "hexahub_event_loop_delay_seconds", above: 0.5, severity: "warning" },
  { metric: "process_resident_memory_bytes", above: 1_500_000_000, severity: "warning" },
  { metric: "hexahub_alerts_open", above: 0, labels: { severity: "critical" }, severity: "critical" },
  { metric: "hexahub_timer_failures_total", above: 0, severity: "warning" },
  { metric: "hexahub_tls_certificate_expires_seconds", below: 7 * 86_400, severity: "critical" },
];

export const simulate = defineRoute({
  method: "POST",
  path: "/api/v1/admin/ops/alerts/simulate",
  tag: "Alerts",
  summary: "What thresholds would find in the metrics as they are now",
  description: "Nothing is raised. Without thresholds the usual ones are taken.",
  access: "platform",
  idempotent: false,
  body: Type.Object(
    { thresholds: Type.Optional(Type.Array(Threshold, { minItems: 1, maxItems: 50 })) },
    { additionalProperties: false, title: "AlertSimulationRequest" },
  ),
  bodyExample: { thresholds: [{ metric: "hexahub_mqtt_sessions", above: 1_000, severity: "warning" }] },
  replies: {
    200: {
      description: "What was found, at most 1,000",
      schema: Type.Object(
        {
          evaluated_at: Type.String(),
          evaluated: Type.Integer({ description: "Values that were compared" }),
          found: Type.Array(
            Type.Object(
              {
                metric: Type.String(),
                labels: Type.Record(Type.String(), Type.Unknown()),
                value: Type.Number(),
                above: nullable("number"),
                below: nullable("number"),
                severity: Severity,
              },
              { title: "SimulatedAlert" },
            ),
          ),
          unknown: Type.Array(Type.String(), { description: "Metrics that this hub does not have now" }),
          backup_failures: nullable("integer", { description: "Backups that failed; null while the hub makes none" }),
        },
        { title: "AlertSimulation" },
      ),
    },
  },
  async handler({ context, body: { thresholds = USUAL } }) {
    for (const [index, { above, below }] of thresholds.entries())
      if (above === undefined && below === undefined) throw fault(`/thresholds/${index}`, "needs above or below");
    const measured = await context.metrics.snapshot();
    const compared = thresholds.map((threshold) => ({ threshold, values: measured.filter((one) => isMeant(threshold, one)) }));
    const found = compared.flatMap(({ threshold, values }) =>
      values.filter(({ value }) => isFound(threshold, value)).map((one) => foundJson(threshold, one)),
    );
    return {
      status: 200,
      body: {
        evaluated_at: new Date(context.clock()).toISOString(),
        evaluated: compared.reduce((sum, { values }) => sum + values.length, 0),
        found: found.slice(0, MOST_FOUND),
        unknown: [...new Set(compared.filter(({ values }) => values.length === 0).map(({ threshold }) => threshold.metric))],
        backup_failures: null,
      },
    };
  },
});

const isMeant = ({ metric, labels = {} }: Threshold, one: Measured): boolean =>
  one.name === metric && Number.isFinite(one.value) && Object.entries(labels).every(([name, value]) => String(one.labels[name]) === value);

/** Beyond either limit. */
const isFound = ({ above = Infinity, below = -Infinity }: Threshold, value: number): boolean => value > above || value < below;

const foundJson = ({ metric, above, below, severity = "warning" }: Threshold, { labels, value }: Measured) => ({
  metric,
  labels,
  value,
  above: above ?? null,
  below: below ?? null,
  severity,
});
