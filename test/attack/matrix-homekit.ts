import type { Row } from "./matrix-row.ts";

/** Of the routes about HomeKit alone. */
export const HOMEKIT_ROWS: Readonly<Record<string, Row>> = { "GET /api/v1/bridges/homekit/pairings": {} };
