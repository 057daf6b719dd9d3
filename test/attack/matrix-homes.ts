import type { Row } from "./matrix-row.ts";

const alexa = "/api/v1/bridges/alexa";
const ON_BRIDGE: Row = { path: () => alexa };

/** Of the routes about smart homes: each organisation has bridges of its own, under the same names. */
export const HOME_ROWS: Readonly<Record<string, Row>> = {
  "GET /api/v1/bridges": {},
  "GET /api/v1/bridges/:bridge": ON_BRIDGE,
  "POST /api/v1/bridges/:bridge/resend": { path: () => `${alexa}/resend` },
  "DELETE /api/v1/bridges/:bridge": ON_BRIDGE,
  "GET /api/v1/devices/:id/exposure": { isOnDevice: true },
  "PATCH /api/v1/devices/:id/exposure": { isOnDevice: true, body: () => ({ homekit: false }) },
};
