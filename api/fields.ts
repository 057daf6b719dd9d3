import Type, { type TSchema } from "typebox";
import { HubError } from "../core/errors.ts";
import { DEVICE_UID } from "../core/id.ts";

/** Text that people type: one line, no control characters. */
export const line = (maxLength: number, description?: string) =>
  Type.String({ minLength: 1, maxLength, pattern: "^[^\\u0000-\\u001f\\u007f]*$", ...(description === undefined ? {} : { description }) });

const UUID = "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$";
export const Uuid = Type.String({ pattern: UUID });

export const Email = Type.String({ format: "email", maxLength: 255 });
export const Password = Type.String({ minLength: 8, maxLength: 72, description: "8 characters to 72 bytes" });
/** By which people approve (store/approval-pins.ts). */
export const Pin = Type.String({ pattern: "^[0-9]{4,12}$", maxLength: 12, description: "4 to 12 digits" });

export const DeviceReference = Type.String({
  maxLength: 36,
  pattern: `(${DEVICE_UID.source})|(${UUID})`,
  description: "The device's uid or UUID",
});
export const DeviceParams = Type.Object({ id: DeviceReference }, { additionalProperties: false });
export const IdParams = Type.Object({ id: Uuid }, { additionalProperties: false });

export const Limit = (maximum: number, preset: number) => Type.Optional(Type.Integer({ minimum: 1, maximum, default: preset }));
export const Cursor = Type.Optional(Type.String({ minLength: 1, maxLength: 256, description: "next_cursor of the page before" }));

/** One page of a list. */
export const pageOf = <S extends TSchema>(item: S, title: string) =>
  Type.Object(
    { data: Type.Array(item), next_cursor: Type.Unsafe<string | null>({ type: ["string", "null"], description: "null on the last page" }) },
    { title },
  );

export const nullable = (type: "string" | "integer" | "number", options: object = {}) =>
  Type.Unsafe<string | number | null>({ type: [type, "null"], ...options });

export const Instant = Type.String({ minLength: 1, maxLength: 40, description: "ISO 8601 with a zone, or milliseconds since 1970" });

/** The end of the year 9999: later years are written with a sign, which PostgreSQL does not read and text does not sort. */
const LATEST_MS = 253_402_300_799_999;

/** Milliseconds since 1970. Throws `validation_error`. */
export function parseInstant(text: string, name: string): number {
  const ms = /^-?\d{1,16}$/.test(text)
    ? Number(text)
    : /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d))?$/.test(text)
      ? Date.parse(text)
      : Number.NaN;
  if (Number.isNaN(ms) || ms < 0 || ms > LATEST_MS)
    throw new HubError("validation_error", `${name} is no ISO 8601 time with a zone and no number of milliseconds`, {
      details: [{ path: `/${name}`, message: "is not a time" }],
    });
  return ms;
}
