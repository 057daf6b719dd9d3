import assert from "node:assert/strict";
import type { Cast, PersonName } from "./matrix-cast.ts";
import { type Ids, MANAGERS, type Row, type Target } from "./matrix-row.ts";

const OPERATORS: readonly PersonName[] = [...MANAGERS, "operator"];
const VIEWERS: readonly PersonName[] = [...OPERATORS, "viewer"];

/** What there is in the organisation, for those of its people who may; on single devices nobody may. */
const forPeople =
  (names: readonly PersonName[], own: number | "open" = "open") =>
  (who: PersonName, target: Target): number | "open" => {
    if (who !== "root" && !names.includes(who)) return 403;
    if (target === "missing") return 404;
    return who === "root" || target === "own" || target === "sibling" ? own : 404;
  };
const rule = ({ alertRule }: Ids): string => `/api/v1/alert-rules/${alertRule}`;
const alert = ({ alert: id }: Ids): string => `/api/v1/alerts/${id}`;
const CONDITION = { kind: "threshold", key: "t", above: 1_000 };

export const ALERT_ROWS: Readonly<Record<string, Row>> = {
  "GET /api/v1/alert-rules": {},
  "POST /api/v1/alert-rules": { body: () => ({ name: "Hot", severity: "info", condition: CONDITION }) },
  "GET /api/v1/alert-rules/:id": { path: rule, expects: forPeople(VIEWERS) },
  // Without If-Match.
  "PATCH /api/v1/alert-rules/:id": { path: rule, body: () => ({ name: "Hotter" }), expects: forPeople(MANAGERS, 428) },
  "DELETE /api/v1/alert-rules/:id": { path: rule, expects: forPeople(MANAGERS, 428) },
  "GET /api/v1/alert-rules/:id/versions": { path: (ids) => `${rule(ids)}/versions`, expects: forPeople(VIEWERS) },
  "GET /api/v1/alert-rules/:id/versions/:version": { path: (ids) => `${rule(ids)}/versions/1`, expects: forPeople(VIEWERS) },
  "GET /api/v1/alert-rules/:id/versions/:version/diff": { path: (ids) => `${rule(ids)}/versions/1/diff`, expects: forPeople(VIEWERS) },
  "POST /api/v1/alert-rules/:id/versions/:version/restore": {
    path: (ids) => `${rule(ids)}/versions/1/restore`,
    expects: forPeople(MANAGERS, 428),
  },
  "GET /api/v1/alerts": {},
  "POST /api/v1/alerts": { body: () => ({ title: "Water", severity: "info", key: "matrix" }) },
  "GET /api/v1/alerts/:id": { path: alert, expects: forPeople(VIEWERS) },
  "POST /api/v1/alerts/:id/acknowledge": { path: (ids) => `${alert(ids)}/acknowledge`, expects: forPeople(OPERATORS) },
  "POST /api/v1/alerts/:id/silence": {
    path: (ids) => `${alert(ids)}/silence`,
    body: () => ({ until: "2030-01-01T00:00:00Z" }),
    expects: forPeople(OPERATORS),
  },
  "POST /api/v1/alerts/:id/resolve": { path: (ids) => `${alert(ids)}/resolve`, expects: forPeople(OPERATORS) },
  "POST /api/v1/admin/ops/alerts/simulate": { body: () => ({}) },
};

/** What these rows are about, in the one organisation or the other. */
export async function addAlerts(cast: Cast, isOurs: boolean): Promise<{ alertRule: string; alert: string }> {
  const { api } = cast.people[isOurs ? "owner" : "stranger"];
  const made = await api.call<{ rule: { id: string } }>("POST", "/api/v1/alert-rules", {
    name: `of ${isOurs}`,
    severity: "info",
    condition: CONDITION,
  });
  assert.equal(made.status, 201, JSON.stringify(made.body));
  const raised = await api.call<{ alert: { id: string } }>("POST", "/api/v1/alerts", { title: `of ${isOurs}`, severity: "info" });
  assert.equal(raised.status, 201, JSON.stringify(raised.body));
  return { alertRule: made.body.rule.id, alert: raised.body.alert.id };
}
