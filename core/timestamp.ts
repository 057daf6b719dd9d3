import Type, { type Static } from "typebox";

/** Milliseconds since 1970 or an ISO 8601 time with a zone. */
export const Timestamp = Type.Union([
  Type.Integer({ minimum: 0, maximum: 8_640_000_000_000_000 }),
  Type.String({ format: "date-time", maxLength: 40 }),
]);
export type Timestamp = Static<typeof Timestamp>;

/** In ms since 1970. */
export const msOf = (stamp: Timestamp): number => (typeof stamp === "number" ? stamp : Date.parse(stamp));
