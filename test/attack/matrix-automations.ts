import assert from "node:assert/strict";
import { newId } from "../../core/id.ts";
import type { Cast, PersonName } from "./matrix-cast.ts";
import { type Ids, MANAGERS, type Row, type Target } from "./matrix-row.ts";

const READERS: readonly PersonName[] = ["owner", "admin", "operator", "viewer", "stranger"];
const OPERATORS: readonly PersonName[] = ["owner", "admin", "operator", "stranger"];

/** Whoever was given a single device may control that, and knows of no automation. */
const starts = (who: PersonName, target: Target): number | "open" => {
  if (who === "root") return target === "missing" ? 404 : "open";
  if (who === "guest") return 404;
  if (!OPERATORS.includes(who)) return 403;
  return target === "own" || target === "sibling" ? "open" : 404;
};
const within =
  (names: readonly PersonName[]) =>
  (who: PersonName, target: Target): number | "open" => {
    if (who !== "root" && !names.includes(who)) return 403;
    if (target === "missing") return 404;
    return who === "root" || target === "own" || target === "sibling" ? "open" : 404;
  };
const automation = ({ automation: id }: Ids): string => `/api/v1/automations/${id}`;
const scene = ({ scene: id }: Ids): string => `/api/v1/scenes/${id}`;
const run = ({ run: id }: Ids): string => `/api/v1/runs/${id}`;
const ACTIONS = [
  { kind: "delay", for_s: 86_400 },
  { kind: "publish", name: "matrix", payload: "x" },
];
const definition = () => ({
  name: `Of the matrix ${newId()}`,
  triggers: [{ kind: "event", type: "custom.matrix" }],
  actions: ACTIONS,
  mode: "parallel",
});

/** Of the routes about automations, runs and scenes. */
export const AUTOMATION_ROWS: Readonly<Record<string, Row>> = {
  "GET /api/v1/automations": {},
  "POST /api/v1/automations": { body: definition },
  "GET /api/v1/automations/:id": { path: automation, expects: within(READERS) },
  "PATCH /api/v1/automations/:id": { path: automation, body: () => ({ is_enabled: true }), expects: within(MANAGERS) },
  "DELETE /api/v1/automations/:id": { path: automation, expects: within(MANAGERS) },
  "POST /api/v1/automations/:id/test": { path: (ids) => `${automation(ids)}/test`, body: () => ({ last: 5 }), expects: within(READERS) },
  "POST /api/v1/automations/:id/run": { path: (ids) => `${automation(ids)}/run`, expects: starts },
  "GET /api/v1/automations/:id/runs": { path: (ids) => `${automation(ids)}/runs`, expects: within(READERS) },
  "GET /api/v1/automations/:id/versions": { path: (ids) => `${automation(ids)}/versions`, expects: within(READERS) },
  "GET /api/v1/automations/:id/versions/:version": { path: (ids) => `${automation(ids)}/versions/1`, expects: within(READERS) },
  "GET /api/v1/automations/:id/versions/:version/diff": { path: (ids) => `${automation(ids)}/versions/1/diff`, expects: within(READERS) },
  "POST /api/v1/automations/:id/versions/:version/restore": {
    path: (ids) => `${automation(ids)}/versions/1/restore`,
    expects: within(MANAGERS),
  },
  "GET /api/v1/runs": {},
  "GET /api/v1/runs/:id": { path: run, expects: within(READERS) },
  "POST /api/v1/runs/:id/cancel": { path: (ids) => `${run(ids)}/cancel`, expects: within(MANAGERS) },
  "GET /api/v1/scenes": {},
  // A device of another organisation is as unknown as one that is not there: 400 in both cases.
  "POST /api/v1/scenes": {
    body: ({ device }) => ({
      name: "Evening",
      commands: [{ device: device.uid, command: { command: "set_relay", relay: 0, state: "ON" } }],
    }),
  },
  "POST /api/v1/scenes/capture": { body: ({ device }) => ({ name: "As it is", devices: [device.uid] }) },
  "GET /api/v1/scenes/:id": { path: scene, expects: within(READERS) },
  "PATCH /api/v1/scenes/:id": { path: scene, body: () => ({ name: "Night" }), expects: within(MANAGERS) },
  "DELETE /api/v1/scenes/:id": { path: scene, expects: within(MANAGERS) },
  "POST /api/v1/scenes/:id/activate": { path: (ids) => `${scene(ids)}/activate`, expects: starts },
};

/** Things of the kind, of the one organisation or the other. */
export async function addAutomations(
  cast: Cast,
  isOurs: boolean,
  device: { readonly uid: string },
): Promise<Pick<Ids, "automation" | "scene" | "run">> {
  const { api } = cast.people[isOurs ? "owner" : "stranger"];
  const made = await api.call<{ automation: { id: string } }>("POST", "/api/v1/automations", definition());
  assert.equal(made.status, 201, JSON.stringify(made.body));
  const { id } = made.body.automation;
  const started = await api.call<{ run_id: string }>("POST", `/api/v1/automations/${id}/run`);
  assert.equal(started.status, 202, JSON.stringify(started.body));
  const command = { command: "set_relay", relay: 0, state: "ON" };
  const evening = await api.call<{ scene: { id: string } }>("POST", "/api/v1/scenes", {
    name: "Evening",
    commands: [{ device: device.uid, command }],
  });
  assert.equal(evening.status, 201, JSON.stringify(evening.body));
  return { automation: id, run: started.body.run_id, scene: evening.body.scene.id };
}
