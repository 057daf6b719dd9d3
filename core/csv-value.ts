import type { SensorValue } from "./payloads.ts";

const NUMBER = /^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$/;
const BOOLEAN = /^(true|false)$/i;
/** What a spreadsheet takes for a formula. */
const FORMULA = /^[=+\-@\t\r]/;

/** Whether a cell that holds just this is read as something else than this text. */
const isTaken = (text: string): boolean => text === "" || NUMBER.test(text) || BOOLEAN.test(text) || FORMULA.test(text);
const withoutApostrophes = (text: string): string => text.replace(/^'+/, "");

/** The value as a cell's text. A text that would be read as something else begins with an apostrophe, as people mark it in a spreadsheet. */
export function valueToCell(value: SensorValue): string {
  // String() keeps what it makes of numbers in a cache, from where it outlives the young generation: 80 MB of memory in a file of 10,000,000.
  if (typeof value !== "string") return JSON.stringify(value);
  return isTaken(withoutApostrophes(value)) ? `'${value}` : value;
}

/** The value of a cell; undefined for an empty one. Whether it stood in quotes says nothing: many programs quote every cell. */
export function valueOfCell(cell: string): SensorValue | undefined {
  if (cell === "") return undefined;
  if (BOOLEAN.test(cell)) return cell.toLowerCase() === "true";
  if (NUMBER.test(cell)) return Number(cell);
  return cell.startsWith("'") && isTaken(withoutApostrophes(cell)) ? cell.slice(1) : cell;
}
