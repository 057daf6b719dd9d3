import { InvalidArgumentError } from "commander";

/** A parser of a numeric option; commander reports what it throws as wrong usage. */
export function numberOption(range: { minimum: number; maximum?: number; integer?: boolean }): (text: string) => number {
  const { minimum, maximum = Number.MAX_SAFE_INTEGER, integer = false } = range;
  return (text) => {
    const value = Number(text);
    const isInside = text.trim() !== "" && value >= minimum && value <= maximum && (!integer || Number.isInteger(value));
    if (!isInside)
      throw new InvalidArgumentError(
        `It takes ${integer ? "a whole number" : "a number"} ${maximum === Number.MAX_SAFE_INTEGER ? `from ${minimum}` : `from ${minimum} to ${maximum}`}.`,
      );
    return value;
  };
}
