import { isDeviceUid } from "./id.ts";
import type { TextPattern } from "./text-pattern.ts";

export const VARIABLE_TYPES = ["string", "number", "integer", "boolean", "enum", "device", "duration", "object"] as const;
export type VariableType = (typeof VARIABLE_TYPES)[number];

export interface Variable {
  readonly name: string;
  readonly type: VariableType;
  /** undefined for none. A duration's is seconds already. */
  readonly preset: unknown;
  readonly isRequired: boolean;
  readonly min: number | undefined;
  readonly max: number | undefined;
  readonly pattern: TextPattern | undefined;
  readonly values: readonly (string | number | boolean)[];
  readonly properties: readonly Variable[];
}

export const MAX_TEXT = 1_024;
export const MAX_DURATION_S = 366 * 86_400;
const UNITS_S = { d: 86_400, h: 3_600, m: 60, s: 1 } as const;
const DURATION = /^(?:(\d{1,9})d)?(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9}(?:\.\d{1,3})?)s)?$/;

/** Seconds of a number, or of a text such as `1h30m` or `2.5s`; what is no duration stays as it is. */
export function secondsOf(value: unknown): unknown {
  if (typeof value !== "string" || value === "") return value;
  const parts = DURATION.exec(value)?.slice(1);
  if (!parts) return value;
  return Object.values(UNITS_S).reduce((sum, seconds, index) => sum + Number(parts[index] ?? 0) * seconds, 0);
}

type Bounds = Pick<Variable, "min" | "max">;

/** What is wrong with the value of a variable that is no object; undefined for nothing. A duration is seconds here. */
export function whatIsWrong(variable: Variable, value: unknown): string | undefined {
  switch (variable.type) {
    case "string":
      return wrongText(variable, value);
    case "number":
      return typeof value === "number" && Number.isFinite(value) ? outOf(variable, value) : "has to be a number";
    case "integer":
      return Number.isSafeInteger(value) ? outOf(variable, value as number) : "has to be a whole number";
    case "boolean":
      return typeof value === "boolean" ? undefined : "has to be true or false";
    case "enum":
      return variable.values.includes(value as string) ? undefined : `has to be one of ${JSON.stringify(variable.values)}`;
    case "device":
      return typeof value === "string" && isDeviceUid(value) ? undefined : "has to be a device's uid";
    case "duration":
      return wrongDuration(variable, value);
    case "object":
      return typeof value === "object" ? undefined : "has to be an object";
  }
}

function wrongText({ min, max, pattern }: Variable, value: unknown): string | undefined {
  if (typeof value !== "string") return "has to be a text";
  const { length } = value;
  const most = Math.min(max ?? MAX_TEXT, MAX_TEXT);
  if (length < (min ?? 0) || length > most) return `has ${length} characters, ${min ?? 0} to ${most} are allowed`;
  // JSON of some databases cannot hold these, and a text that comes back changed is no value that was checked.
  if (!value.isWellFormed() || value.includes("\0")) return "has a character that is none";
  return pattern && !pattern.matches(value) ? "does not look as its pattern says" : undefined;
}

function wrongDuration(bounds: Bounds, value: unknown): string | undefined {
  if (typeof value !== "number" || !Number.isFinite(value) || value < 0 || value > MAX_DURATION_S)
    return "has to be seconds, or a text such as 1h30m, up to 366 days";
  return outOf(bounds, value);
}

function outOf({ min = -Infinity, max = Infinity }: Bounds, value: number): string | undefined {
  if (value < min) return `has to be ${min} or more`;
  return value > max ? `has to be ${max} or less` : undefined;
}
