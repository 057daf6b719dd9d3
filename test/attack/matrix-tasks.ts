import assert from "node:assert/strict";
import { newId } from "../../core/id.ts";
import type { Cast, DeviceOf } from "./matrix-cast.ts";
import type { Ids, Row } from "./matrix-row.ts";

const ACTIONS = [{ command: "identify" }];
const task = ({ task: id }: Ids): string => `/api/v1/tasks/${id}`;
const of =
  (what: string) =>
  (ids: Ids): string =>
    `${task(ids)}/${what}`;
const READ: Row = { isOnDevice: true };
/** The next one to come would find another status. */
const STEP: Row = { isOnDevice: true, uses: ["task"] };

/** Of the routes about tasks: each is for whoever may do the same with its device, but for the decision, which is nobody's by a single device. */
export const TASK_ROWS: Readonly<Record<string, Row>> = {
  "GET /api/v1/tasks": { ...READ, path: ({ device }) => `/api/v1/tasks?device=${device.uid}` },
  "POST /api/v1/tasks": { ...READ, body: ({ device }) => ({ device: device.uid, name: "Of the matrix", draft: true, actions: ACTIONS }) },
  "GET /api/v1/tasks/metrics": {},
  "GET /api/v1/tasks/:id": { ...READ, path: task },
  "PATCH /api/v1/tasks/:id": { ...READ, path: task, body: () => ({ priority: 7 }) },
  "DELETE /api/v1/tasks/:id": { ...STEP, path: task },
  "GET /api/v1/tasks/:id/executions": { ...READ, path: of("executions") },
  "GET /api/v1/tasks/:id/logs": { ...READ, path: of("logs") },
  "POST /api/v1/tasks/:id/submit": { ...STEP, path: of("submit") },
  "POST /api/v1/tasks/:id/cancel": { ...STEP, path: of("cancel") },
  "POST /api/v1/tasks/:id/retry": { ...STEP, path: of("retry") },
  "POST /api/v1/tasks/:id/approve": { ...STEP, path: of("approve"), body: () => ({}) },
  "POST /api/v1/tasks/:id/reject": { ...STEP, path: of("reject"), body: () => ({ note: "not now" }) },
};

/** A draft for a device of the one organisation or the other. */
export async function addTask(cast: Cast, isOurs: boolean, { uid: device }: Pick<DeviceOf, "uid">): Promise<string> {
  const { api } = cast.people[isOurs ? "owner" : "stranger"];
  const body = { device, name: `Of the matrix ${newId()}`, draft: true, actions: ACTIONS };
  const made = await api.call<{ task: { id: string } }>("POST", "/api/v1/tasks", body);
  assert.equal(made.status, 201, JSON.stringify(made.body));
  return made.body.task.id;
}
