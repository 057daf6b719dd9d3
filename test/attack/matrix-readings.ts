import assert from "node:assert/strict";
import type { Cast, PersonName } from "./matrix-cast.ts";
import { MANAGERS, type Ids, type Row, type Target } from "./matrix-row.ts";

const NDJSON = { "content-type": "application/x-ndjson" };
const lineOf = (device: string) => ({ device, key: "t", ts: Date.now(), value: 1 });

/** Of an organisation; whoever was given a single device may manage none here. */
const open = (who: PersonName, target: Target): number | "open" => {
  if (who !== "root" && !MANAGERS.includes(who)) return 403;
  return target !== "missing" && (who === "root" || target === "own" || target === "sibling") ? "open" : 404;
};

/** Of the routes about readings, and what is told as it happens. */
export const READING_ROWS: Readonly<Record<string, Row>> = {
  "GET /api/v1/live": {},
  // What is not theirs is refused by the line.
  "POST /api/v1/readings/import": { headers: NDJSON, body: ({ device }) => lineOf(device.uid) },
  "GET /api/v1/readings/imports": {},
  "GET /api/v1/readings/imports/:id": { path: ({ readingImport }: Ids) => `/api/v1/readings/imports/${readingImport}`, expects: open },
};

/** A file of readings of the device that was taken in, in the one organisation or the other. */
export async function addImport(cast: Cast, isOurs: boolean, { uid }: { readonly uid: string }): Promise<string> {
  const { api } = cast.people[isOurs ? "owner" : "stranger"];
  const made = await api.call<{ import: { id: string; stored: number } }>("POST", "/api/v1/readings/import", lineOf(uid), NDJSON);
  assert.deepEqual([made.status, made.body.import.stored], [200, 1], JSON.stringify(made.body));
  return made.body.import.id;
}
