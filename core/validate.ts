import { Ajv2020, type ErrorObject, type Options, type ValidateFunction } from "ajv/dist/2020.js";
import type { Static, TSchema } from "typebox";
import { HubError } from "./errors.ts";

const COMMON = {
  strict: true,
  strictTuples: false,
  discriminator: true,
  allowUnionTypes: true,
  // No schema asks for it, and with it every branch of a union is tried, and its errors made, after one has matched.
  unevaluated: false,
} as const;

/** `quick` stops at the first fault, so that nobody makes more work or errors than a schema's limits allow; `thorough` finds all of them. */
interface Validators {
  readonly quick: Ajv2020;
  readonly thorough: Ajv2020;
}

/** Bodies and payloads: what arrives must already have the right types. */
const strict = validatorsWith({});
/** Query strings and environment: everything arrives as text. */
const coercing = validatorsWith({ coerceTypes: true, useDefaults: true });

function validatorsWith(options: Options): Validators {
  // A schema that comes to the second one was checked by the first.
  const thorough = { allErrors: true, meta: false, validateSchema: false } as const;
  return { quick: withFormats({ ...COMMON, ...options }), thorough: withFormats({ ...COMMON, ...options, ...thorough }) };
}

function withFormats(options: Options): Ajv2020 {
  const ajv = new Ajv2020(options);
  ajv.addFormat(
    "date-time",
    (text: string) => /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/.test(text) && !Number.isNaN(Date.parse(text)),
  );
  ajv.addFormat("email", /^[^\s@]{1,64}@[^\s@]{1,255}$/);
  return ajv;
}

/**
 * A parser turns `unknown` into the schema's type or throws `validation_error` with one entry a problem in `details`: the first hundred, and of
 * a value of more than 16 KiB the first one.
 */
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

/** A larger value is not looked through for more than its first fault. */
const MAX_THOROUGH_CHARS = 16_384;

function compile<S extends TSchema>(validators: Validators, schema: S): Parser<Static<S>> {
  // With its first use: compiling all of them at once costs a start 110 ms and 7 MB, most of it for what nobody asks for.
  let quick: ValidateFunction<Static<S>> | undefined;
  let thorough: ValidateFunction<Static<S>> | undefined;
  const copyOf = (value: unknown): unknown =>
    validators === coercing && typeof value === "object" && value !== null ? { ...value } : value;
  return (value) => {
    const copy = copyOf(value);
    if (isTooDeep(copy)) throw tooDeep();
    const validate = (quick ??= validators.quick.compile(schema) as ValidateFunction<Static<S>>);
    if (validate(copy)) return copy;
    const errors = validate.errors ?? [];
    if (charsLeft(value, MAX_THOROUGH_CHARS) < 0) throw refusal(errors);
    thorough ??= validators.thorough.compile(schema) as ValidateFunction<Static<S>>;
    const found = thorough(copyOf(value)) ? errors : (thorough.errors ?? errors);
    // They would be kept until the next value is refused.
    thorough.errors = null;
    throw refusal(found);
  };
}

/** What of so many characters the JSON of the value, about, leaves; less than none as soon as it takes more. */
function charsLeft(value: unknown, most: number): number {
  if (typeof value === "string") return most - value.length - 3;
  if (typeof value !== "object" || value === null) return most - 2;
  let left = most - 3;
  if (Array.isArray(value)) {
    for (const item of value as unknown[]) if ((left = charsLeft(item, left)) < 0) break;
    return left;
  }
  for (const key in value) if ((left = charsLeft((value as Record<string, unknown>)[key], left - key.length - 3)) < 0) break;
  return left;
}

const MAX_DETAILS = 100;

function refusal(errors: readonly ErrorObject[]): HubError {
  return new HubError("validation_error", describe(errors), { details: errors.slice(0, MAX_DETAILS).map(problem) });
}

function tooDeep(): HubError {
  const message = `is nested more than ${MAX_DEPTH} levels deep`;
  return new HubError("validation_error", `/ ${message}`, { details: [{ path: "/", message }] });
}

function problem(error: ErrorObject): { path: string; message: string } {
  const extra = error.keyword === "additionalProperties" ? ` (${brief(String(error.params["additionalProperty"]))})` : "";
  const allowed = error.keyword === "enum" ? `: ${JSON.stringify(error.params["allowedValues"])}` : "";
  const constant = error.keyword === "const" ? `: ${JSON.stringify(error.params["allowedValue"])}` : "";
  return { path: brief(error.instancePath || "/"), message: `${error.message ?? error.keyword}${extra}${allowed}${constant}` };
}

const MAX_NAME_CHARS = 256;

/** Names that callers have chosen stand in what they and the log are told. */
const brief = (text: string): string => (text.length > MAX_NAME_CHARS ? `${text.slice(0, MAX_NAME_CHARS)}…` : text);

function describe(errors: readonly ErrorObject[]): string {
  const first = errors[0];
  if (!first) return "does not match its schema";
  const { path, message } = problem(first);
  return errors.length === 1 ? `${path} ${message}` : `${path} ${message}, and ${errors.length - 1} more`;
}
