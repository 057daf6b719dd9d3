import Type from "typebox";
import { DAY_MS } from "../../core/durations.ts";
import { HubError } from "../../core/errors.ts";
import { SECURITY_ACTIONS } from "../../core/security-event.ts";
import { REPORT_ACTORS, reportAudit } from "../../store/audit-report.ts";
import { Instant, nullable, parseInstant } from "../fields.ts";
import { defineRoute } from "../route.ts";

const PRESET_MS = 30 * DAY_MS;
const LONGEST_MS = 366 * DAY_MS;

const ActionCount = Type.Object({ action: Type.String(), count: Type.Integer() }, { title: "AuditActionCount" });

export const report = defineRoute({
  method: "GET",
  path: "/api/v1/audit/report",
  tag: "Audit",
  summary: "How often who did what",
  description: "Of the last 30 days without `from` and `to`; of 366 days at most. Days are those of UTC.",
  access: "audit.read",
  query: Type.Object({ from: Type.Optional(Instant), to: Type.Optional(Instant) }, { additionalProperties: false }),
  replies: {
    200: {
      description: "Counts, most first",
      schema: Type.Object(
        {
          from: Type.String(),
          to: Type.String(),
          total: Type.Integer(),
          first_at: nullable("string"),
          last_at: nullable("string"),
          actions: Type.Array(ActionCount),
          security: Type.Array(ActionCount, { description: "Those of `actions` that were refused or are about credentials" }),
          actors: Type.Array(Type.Object({ kind: Type.String(), id: Type.String(), count: Type.Integer() }, { title: "AuditActorCount" }), {
            maxItems: REPORT_ACTORS,
            description: "Of each day the 1,000 who did most count",
          }),
          days: Type.Array(Type.Object({ day: Type.String(), count: Type.Integer() }, { title: "AuditDayCount" }), {
            description: "Those with any, in their order",
          }),
        },
        { title: "AuditReport" },
      ),
    },
  },
  async handler({ context, scope, query }) {
    const to = query.to === undefined ? context.clock() + 1 : parseInstant(query.to, "to");
    const from = query.from === undefined ? Math.max(0, to - PRESET_MS) : parseInstant(query.from, "from");
    if (from > to)
      throw new HubError("validation_error", "from is later than to", { details: [{ path: "/from", message: "is later than to" }] });
    if (to - from > LONGEST_MS)
      throw new HubError("validation_error", "a report has 366 days at most", { details: [{ path: "/from", message: "is too early" }] });
    const { total, first, last, actions, actors, days } = await reportAudit(context.store.db, scope, { from, to });
    return {
      status: 200,
      body: {
        from: new Date(from).toISOString(),
        to: new Date(to).toISOString(),
        total,
        first_at: first,
        last_at: last,
        actions,
        security: actions.filter(({ action }) => action in SECURITY_ACTIONS),
        actors,
        days,
      },
    };
  },
});
