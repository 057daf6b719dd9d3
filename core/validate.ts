import { Ajv2020, type ErrorObject, type ValidateFunction } from "ajv/dist/2020.js";
import type { Static, TSchema } from "typebox";
import { HubError } from "./errors.ts";

const COMMON = {
  strict: true,
  strictTuples: false,
  discriminator: true,
  allErrors: true,
  allowUnionTypes: true,
  // No schema asks for it, and with it every branch of a union is tried, and its errors made, after one has matched.
  unevaluated: false,
} as const;
/** Bodies and payloads: what arrives must already have the right types. */
const strict = new Ajv2020(COMMON);
/** Query strings and environment: everything arrives as text. */
const coercing = new Ajv2020({ ...COMMON, coerceTypes: true, useDefaults: true });
for (const ajv of [strict, coercing]) {
  ajv.addFormat(
    "date-time",
    (text: string) => /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/.test(text) && !Number.isNaN(Date.parse(text)),
  );
  ajv.addFormat("email", /^[^\s@]{1,64}@[^\s@]{1,255}$/);
}

/** A parser turns `unknown` into the schema's type or throws `validation_error` with one entry a problem in `details`. */
export type Parser<T> = (value: unknown) => T;

export function parserFor<S extends TSchema>(schema: S): Parser<Static<S>> {
  return compile(strict, schema);
}

/** Like {@link parserFor}, for values that arrive as text: "5" becomes 5, missing values take their default. */
export function textParserFor<S extends TSchema>(schema: S): Parser<Static<S>> {
  return compile(coercing, schema);
}

/** Deeper than anything the contract has, and less than what SQLite's and PostgreSQL's JSON and JSON.stringify bear. */
const MAX_DEPTH = 64;

/** Whether arrays and objects are nested so deeply that what is done with the value later could fail. */
export function isTooDeep(value: unknown, left = MAX_DEPTH): boolean {
  if (typeof value !== "object" || value === null) return false;
  if (left === 0) return true;
  // Of parsed JSON and text: nothing is inherited. An array of the values would be one more thing to make for each payload.
  for (const key in value) if (isTooDeep((value as Record<string, unknown>)[key], left - 1)) return true;
  return false;
}

/** Throws `validation_error` for JSON that is larger, or nested deeper, than this; `path` is where it stands in the body. */
export function requireSmall(
  value: unknown,
  path: string,
  { maxBytes, maxDepth }: { readonly maxBytes: number; readonly maxDepth: number },
): void {
  const bytes = Buffer.byteLength(JSON.stringify(value) ?? "");
  const message = bytes > maxBytes ? `has ${bytes} bytes of JSON, ${maxBytes} are allowed` : `is nested more than ${maxDepth} levels deep`;
  if (bytes > maxBytes || isTooDeep(value, maxDepth))
    throw new HubError("validation_error", `${path} ${message}`, { details: [{ path, message }] });
}

function compile<S extends TSchema>(ajv: Ajv2020, schema: S): Parser<Static<S>> {
  // With its first use: compiling all of them at once costs a start 110 ms and 7 MB, most of it for what nobody asks for.
  let compiled: ValidateFunction<Static<S>> | undefined;
  return (value) => {
    const copy: unknown = ajv === coercing && typeof value === "object" && value !== null ? { ...value } : value;
    if (isTooDeep(copy)) throw tooDeep();
    const validate = (compiled ??= ajv.compile(schema) as ValidateFunction<Static<S>>);
    if (validate(copy)) return copy;
    throw new HubError("validation_error", describe(validate.errors ?? []), { details: (validate.errors ?? []).map(problem) });
  };
}

function tooDeep(): HubError {
  const message = `is nested more than ${MAX_DEPTH} levels deep`;
  return new HubError("validation_error", `/ ${message}`, { details: [{ path: "/", message }] });
}

function problem(error: ErrorObject): { path: string; message: string } {
  const extra = error.keyword === "additionalProperties" ? ` (${String(error.params["additionalProperty"])})` : "";
  const allowed = error.keyword === "enum" ? `: ${JSON.stringify(error.params["allowedValues"])}` : "";
  const constant = error.keyword === "const" ? `: ${JSON.stringify(error.params["allowedValue"])}` : "";
  return { path: error.instancePath || "/", message: `${error.message ?? error.keyword}${extra}${allowed}${constant}` };
}

function describe(errors: ErrorObject[]): string {
  const first = errors[0];
  if (!first) return "does not match its schema";
  const { path, message } = problem(first);
  return errors.length === 1 ? `${path} ${message}` : `${path} ${message}, and ${errors.length - 1} more`;
}
