import type { PersonName } from "./matrix-cast.ts";
import { MANAGERS, type Row } from "./matrix-row.ts";

const alexa = "/api/v1/bridges/alexa";
/** Each organisation has bridges of its own, under the same names. */
const ofOwn = (who: PersonName): number | "open" => (who === "root" || MANAGERS.includes(who) ? "open" : 403);
const ON_BRIDGE: Row = { path: () => alexa, expects: ofOwn };

/** Of the routes about smart homes. */
export const HOME_ROWS: Readonly<Record<string, Row>> = {
  "GET /api/v1/bridges": {},
  "GET /api/v1/bridges/:bridge": ON_BRIDGE,
  "POST /api/v1/bridges/:bridge/resend": { path: () => `${alexa}/resend`, expects: ofOwn },
  "DELETE /api/v1/bridges/:bridge": ON_BRIDGE,
  "GET /api/v1/devices/:id/exposure": { isOnDevice: true },
  "PATCH /api/v1/devices/:id/exposure": { isOnDevice: true, body: () => ({ homekit: false }) },
};
