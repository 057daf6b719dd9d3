import assert from "node:assert/strict";
import { newId } from "../../core/id.ts";
import type { Cast, PersonName } from "./matrix-cast.ts";
import { type Ids, MANAGERS, type Row, type Target } from "./matrix-row.ts";

const READERS: readonly PersonName[] = ["owner", "admin", "operator", "viewer", "stranger"];
const OPERATORS: readonly PersonName[] = ["owner", "admin", "operator", "stranger"];

/** Whoever was given a single device may control that, and knows of no schedule. */
const open =
  (names: readonly PersonName[], ofOneDevice: readonly PersonName[] = []) =>
  (who: PersonName, target: Target): number | "open" => {
    if (ofOneDevice.includes(who)) return 404;
    if (who !== "root" && !names.includes(who)) return 403;
    if (target === "missing") return 404;
    return who === "root" || target === "own" || target === "sibling" ? "open" : 404;
  };
const schedule = ({ schedule: id }: Ids): string => `/api/v1/schedules/${id}`;
const DAILY = { kind: "cron", expression: "0 4 1 1 *" };
const body = () => ({
  name: `Of the matrix ${newId()}`,
  recurrence: DAILY,
  actions: [{ kind: "publish", name: "matrix", payload: "x" }],
  overlap: "parallel",
});

/** Of the routes about schedules. */
export const SCHEDULE_ROWS: Readonly<Record<string, Row>> = {
  "GET /api/v1/schedules": {},
  "POST /api/v1/schedules": { body },
  "POST /api/v1/schedules/preview": { body: () => ({ recurrence: DAILY }) },
  "GET /api/v1/schedules/:id": { path: schedule, expects: open(READERS) },
  "PATCH /api/v1/schedules/:id": { path: schedule, body: () => ({ is_active: true }), expects: open(MANAGERS) },
  "DELETE /api/v1/schedules/:id": { path: schedule, expects: open(MANAGERS) },
  "GET /api/v1/schedules/:id/versions": { path: (ids) => `${schedule(ids)}/versions`, expects: open(READERS) },
  "GET /api/v1/schedules/:id/versions/:version": { path: (ids) => `${schedule(ids)}/versions/1`, expects: open(READERS) },
  "GET /api/v1/schedules/:id/versions/:version/diff": { path: (ids) => `${schedule(ids)}/versions/1/diff`, expects: open(READERS) },
  "POST /api/v1/schedules/:id/versions/:version/restore": {
    path: (ids) => `${schedule(ids)}/versions/1/restore`,
    expects: open(MANAGERS),
  },
  "GET /api/v1/schedules/:id/runs": { path: (ids) => `${schedule(ids)}/runs`, expects: open(READERS) },
  "POST /api/v1/schedules/:id/run": { path: (ids) => `${schedule(ids)}/run`, expects: open(OPERATORS, ["guest"]) },
};

/** A schedule of the one organisation or the other. */
export async function addSchedule(cast: Cast, isOurs: boolean): Promise<Pick<Ids, "schedule">> {
  const { api } = cast.people[isOurs ? "owner" : "stranger"];
  const made = await api.call<{ schedule: { id: string } }>("POST", "/api/v1/schedules", body());
  assert.equal(made.status, 201, JSON.stringify(made.body));
  return { schedule: made.body.schedule.id };
}
