import type { PersonName } from "./matrix-cast.ts";
import type { Row } from "./matrix-row.ts";

const KEEPERS: readonly PersonName[] = ["owner", "admin", "stranger", "root"];
/** Each organisation has its own of the few that there are. */
const ON_BRIDGE = { expects: (who: PersonName): number | "open" => (KEEPERS.includes(who) ? "open" : 403) };

/** Of the routes about smart homes, and about HomeKit. */
export const HOMEKIT_ROWS: Readonly<Record<string, Row>> = {
  "GET /api/v1/bridges": {},
  "GET /api/v1/bridges/:bridge": { ...ON_BRIDGE, path: () => "/api/v1/bridges/homekit" },
  "POST /api/v1/bridges/:bridge/resend": { ...ON_BRIDGE, path: () => "/api/v1/bridges/homekit/resend" },
  "DELETE /api/v1/bridges/:bridge": { ...ON_BRIDGE, path: () => "/api/v1/bridges/homekit" },
  "GET /api/v1/bridges/homekit/pairings": {},
  "GET /api/v1/devices/:id/exposure": { isOnDevice: true },
  "PATCH /api/v1/devices/:id/exposure": { isOnDevice: true, body: () => ({ alexa: true }) },
};
